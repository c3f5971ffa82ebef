"""Seconds and memory as the device tells them, with fakes; and once on a real one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats.eager.runtime import open_model as open_eager
from toolkit.formats.eager_cudagraph.runtime import open_model as open_cudagraph
from toolkit.formats.libtorch_device import device_memory_bytes, device_times
from toolkit.formats.onnx.runtime import device_memory_bytes as onnx_memory_bytes
from toolkit.system import nvml as nvml_module


class Device:
    """A GPU and its torch. The host launches a call in 50 µs, the device computes it in 30."""

    def __init__(self) -> None:
        self.now, self.free, self.log = 0, 0, []
        self.cuda = SimpleNamespace(
            device=self.select,
            Event=lambda enable_timing: Event(self),
            _sleep=lambda cycles: self.launch("pause", cycles),
            max_memory_reserved=lambda device: {"cuda:1": 3 << 20}[device],
        )
        self.mps = SimpleNamespace(driver_allocated_memory=lambda: 5 << 20)

    def launch(self, name: str, length_ns: int) -> None:
        self.log.append(name)
        self.free = max(self.now, self.free) + length_ns

    @contextmanager
    def select(self, device: str) -> Iterator[None]:
        self.log.append(f"select {device}")
        yield
        self.log.append("leave")

    # A session's.
    def run(self, batch: str) -> None:
        self.now += 50_000
        self.launch(f"run {batch}", 30_000)

    def synchronize(self) -> None:
        self.log.append("synchronize")
        self.now = max(self.now, self.free)


class Event:
    def __init__(self, device: Device) -> None:
        self._device, self._at = device, -1

    def record(self) -> None:
        self._device.log.append("event")
        self._at = max(self._device.now, self._device.free)

    def elapsed_time(self, end: "Event") -> float:
        assert 0 <= self._at <= end._at <= self._device.now
        return (end._at - self._at) / 1e6


def test_events_time_what_the_device_does_and_not_how_fast_it_is_told() -> None:
    device: Any = Device()
    times = device_times(device, "batch", "cuda:1", 3, torch=device)
    assert times == pytest.approx((30e-6,) * 3)
    call = ["event", "run batch", "event"]
    assert device.log == ["select cuda:1", "pause", *call * 3, "synchronize", "leave"]


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_where_there_are_no_events_torch_is_not_even_imported(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    session: Any = None
    assert device_times(session, None, device, 3) is None


def test_memory_is_what_the_allocator_of_the_runtime_says() -> None:
    device: Any = Device()
    assert device_memory_bytes("cuda:1", torch=device) == 3 << 20
    assert device_memory_bytes("mps", torch=device) == 5 << 20


def test_the_cpu_has_no_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(nvml_module, "open_nvml", lambda: pytest.fail("asked NVML"))
    assert device_memory_bytes("cpu") is None
    assert onnx_memory_bytes("cpu") is None


def nvml(monkeypatch: pytest.MonkeyPatch, *gpus: list[tuple[int, int | None]]) -> list[str]:
    """Let NVML tell of processes, GPU by GPU: process id and bytes."""
    log: list[str] = []
    module = SimpleNamespace(
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [
            SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in gpus[handle]
        ],
        nvmlShutdown=lambda: log.append("shut down"),
    )
    monkeypatch.setattr(nvml_module, "open_nvml", lambda: module)
    monkeypatch.setitem(sys.modules, "torch", None)
    return log


def test_nvml_tells_the_memory_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    log = nvml(monkeypatch, [(1, 100)], [(1, 100), (os.getpid(), 7 << 20)])
    assert onnx_memory_bytes("cuda") == 7 << 20
    assert log == ["shut down"]


@pytest.mark.parametrize("used", [None, 0])
def test_memory_that_the_driver_does_not_tell_is_unknown(used: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, [(os.getpid(), used)])
    assert onnx_memory_bytes("cuda") is None


def test_memory_is_unknown_where_the_process_has_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, [(1, 100)])
    assert onnx_memory_bytes("cuda") is None


def test_memory_is_unknown_without_nvml_or_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Any:
        raise PermissionError("no permission")

    log = nvml(monkeypatch, [])
    module = nvml_module.open_nvml()
    module.nvmlDeviceGetCount = refuse
    assert onnx_memory_bytes("cuda") is None
    assert log == ["shut down"]
    monkeypatch.setattr(nvml_module, "open_nvml", refuse)
    assert onnx_memory_bytes("cuda") is None


@pytest.mark.cuda
def test_a_gpu_tells_seconds_and_memory(bundled: Checkpoint) -> None:
    images = np.zeros((1024, 1, 28, 28), np.float32)
    for session in (open_eager(bundled.model(), "cuda"), open_cudagraph(bundled.model(), "cuda")):
        batch = session.to_device(images)
        session.run(batch)
        session.synchronize()
        times = device_times(session, batch, "cuda", 20)
        assert times is not None
        assert len(times) == 20
        assert all(0 < each < 0.1 for each in times)
    assert (device_memory_bytes("cuda") or 0) > images.nbytes
