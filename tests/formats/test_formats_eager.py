"""Eager as a CUDA graph: what is asked of torch and in which order, with a fake; and on a GPU, what it computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from toolkit.errors import UnsupportedDeviceError
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats.eager.runtime import open_model as open_eager
from toolkit.formats.eager_cudagraph.runtime import CudaGraphSession
from toolkit.formats.eager_cudagraph.runtime import open_model as open_cudagraph
from toolkit.formats.libtorch import LibtorchSession
from toolkit.records import Signature


class FakeCuda:
    """CUDA's graphs on the CPU: a graph holds the calls of a function between two tensors, and repeats them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self._capturing: FakeGraph | None = None
        for name in ("device", "stream", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: FakeGraph(self))
        monkeypatch.setattr(torch.cuda, "Stream", lambda: self.named("side"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self.named("current"))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: self.log.append(f"synchronize {device}"))

        def copied(session: LibtorchSession, images: Any) -> torch.Tensor:
            self.log.append("allocate")
            return torch.from_numpy(images).clone()

        monkeypatch.setattr(LibtorchSession, "to_device", copied)

    def named(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, wait_stream=lambda other: self.log.append(f"{name} waits for {other.name}"))

    @contextmanager
    def device(self, device: str) -> Iterator[None]:
        self.log.append(f"select {device}")
        yield

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        self.log.append(f"on {stream.name}")
        yield
        self.log.append("off")

    @contextmanager
    def graph(self, graph: "FakeGraph", stream: Any) -> Iterator[None]:
        self.log.append(f"capture on {stream.name}")
        self._capturing = graph
        yield
        self._capturing = None
        self.log.append("captured")

    def function(self, images: torch.Tensor) -> torch.Tensor:
        self.log.append(f"compute {len(images)}, inference {torch.is_inference_mode_enabled()}")
        logits = compute(images)
        if self._capturing:
            logits.fill_(torch.nan)  # capturing computes nothing
            self._capturing.calls.append((images, logits))
        return logits


class FakeGraph:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    @torch.inference_mode()
    def replay(self) -> None:
        self._cuda.log.append("replay")
        for images, logits in self.calls:
            logits.copy_(compute(images))


def compute(images: torch.Tensor) -> torch.Tensor:
    return images.sum((1, 2, 3))[:, None] * torch.arange(10.0)


def batch(size: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random((size, 1, 28, 28), np.float32)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def session_of(cuda: FakeCuda) -> CudaGraphSession:
    return CudaGraphSession(cuda.function, {torch.float32}, "cuda:1", Signature(inputs=(), outputs=()))


CAPTURE = [
    "select cuda:1",
    "side waits for current",
    "on side",
    *["compute 2, inference True"] * 3,
    "off",
    "current waits for side",
    "capture on side",
    "compute 2, inference True",
    "captured",
]


def test_a_graph_is_captured_once_as_torch_prescribes_and_then_replayed(cuda: FakeCuda) -> None:
    session = session_of(cuda)
    first = session.to_device(batch(2))
    assert cuda.log == ["allocate"]
    logits = session.run(first)
    session.synchronize()
    assert cuda.log == ["allocate", *CAPTURE, "replay", "synchronize cuda:1"]
    assert np.array_equal(session.to_host(logits), compute(torch.from_numpy(batch(2))).numpy())
    cuda.log.clear()
    again = session.to_host(session.run(session.to_device(batch(2, seed=1))))
    assert cuda.log == ["replay"]
    assert np.array_equal(again, compute(torch.from_numpy(batch(2, seed=1))).numpy())


def test_a_batch_may_be_run_many_times(cuda: FakeCuda) -> None:
    session = session_of(cuda)
    copied = session.to_device(batch(2))
    outputs = [session.run(copied) for _ in range(3)]
    assert np.array_equal(session.to_host(outputs[-1]), compute(torch.from_numpy(batch(2))).numpy())
    assert cuda.log.count("replay") == 3


def test_each_batch_size_has_a_graph_of_its_own(cuda: FakeCuda) -> None:
    session = session_of(cuda)
    batches = {size: session.to_device(batch(size, seed=size)) for size in (1, 2, 3)}
    for size in (3, 1, 2, 3):
        host = session.to_host(session.run(batches[size]))
        assert np.array_equal(host, compute(torch.from_numpy(batch(size, seed=size))).numpy())
    assert cuda.log.count("captured") == 3


def test_a_batch_or_logits_whose_place_was_taken_are_refused(cuda: FakeCuda) -> None:
    session = session_of(cuda)
    old = session.to_device(batch(2))
    logits = session.run(old)
    new = session.to_device(batch(2, seed=1))
    with pytest.raises(RuntimeError, match="another batch of this size took its place"):
        session.run(old)
    session.run(new)
    with pytest.raises(RuntimeError, match="a later call took the place of these logits"):
        session.to_host(logits)


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_have_no_graphs(device: str, bundled: Checkpoint) -> None:
    with pytest.raises(UnsupportedDeviceError) as caught:
        open_cudagraph(bundled.model(), device)
    assert (caught.value.format, caught.value.device) == ("eager-cudagraph", device)


@pytest.mark.cuda
def test_a_graph_computes_what_eager_does(bundled: Checkpoint) -> None:
    graph, eager = open_cudagraph(bundled.model(), "cuda"), open_eager(bundled.model(), "cuda")
    assert graph.precision == eager.precision == "float32"
    assert graph.signature == eager.signature
    for size, seed in ((1, 0), (64, 1), (1000, 2), (64, 3), (1, 4)):
        found, expected = (each.to_host(each.run(each.to_device(batch(size, seed)))).copy() for each in (graph, eager))
        assert np.abs(found - expected).max() < 2e-5
