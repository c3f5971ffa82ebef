"""Inference per format and batch size in this process, and what the measuring loop itself adds to a call.

For comparing a format with its own past. To compare formats with one another take `fmnist-tk bench`: in one process
they slow each other down.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from toolkit.bench.engine.measure import closed_loop, settle
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.formats import BASELINE, FORMATS, Session
from toolkit.formats.eager.runtime import open_model as open_eager
from toolkit.formats.target import Target
from toolkit.system.environment import default_threads
from toolkit.verbs.export import export_formats

CALLS = 1_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    assert export_formats(load_checkpoint(), folder).passed
    return folder


def opened(name: str, folder: Path) -> Session:
    if name == BASELINE.name:
        return open_eager(load_checkpoint().model(), "cpu", default_threads())
    return Target(FORMATS[name], folder / FORMATS[name].file_name).open("cpu", default_threads())


@pytest.mark.parametrize("batch", [1, 64, 1024])
@pytest.mark.parametrize("name", [BASELINE.name, *FORMATS])
def test_inference(name: str, batch: int, benchmark, folder: Path) -> None:
    benchmark.group = f"inference, batch {batch}"
    session, sample = opened(name, folder), load_sample().inputs()
    images = session.to_device(np.ascontiguousarray(np.resize(sample, (batch, *sample.shape[1:]))))

    def call() -> object:
        logits = session.run(images)
        session.synchronize()
        return logits

    settle()  # threads of the runtime before this one may still spin
    logits = benchmark(call)
    assert session.to_host(logits).shape == (batch, 10)


class NothingSession:
    """Does nothing: what is measured of it is the measuring."""

    precision, signature = "float32", None

    def to_device(self, images: object) -> object:
        return images

    def run(self, batch: object) -> object:
        return batch

    def synchronize(self) -> None:
        pass

    def to_host(self, logits: object) -> object:
        return logits


@pytest.fixture
def frozen() -> Iterator[None]:
    """Keep the loop's own garbage collection from looking through all of pytest and torch; a worker does the same."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.benchmark(group=f"harness, {CALLS:,} calls of nothing")
@pytest.mark.usefixtures("frozen")
def test_overhead(benchmark) -> None:
    images = np.zeros((1, 1, 28, 28), np.float32)
    calls = benchmark(closed_loop, NothingSession(), images, seconds=0, min_calls=CALLS, max_calls=CALLS)
    assert len(calls.compute_ns) == CALLS
    benchmark.extra_info["seconds_per_call"] = benchmark.stats.stats.median / CALLS
    benchmark.extra_info["seconds_counted_per_call"] = float(np.median(calls.compute_ns)) / 1e9
