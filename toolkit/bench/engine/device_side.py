"""What the device itself says of a row: seconds by its own clock, and memory. The runtime is imported already."""

import os
from typing import TYPE_CHECKING, Any, Final

from toolkit.formats import Session
from toolkit.system.devices import device_type
from toolkit.system.nvml import open_nvml

if TYPE_CHECKING:
    from types import ModuleType

_LIBTORCH: Final = "libtorch"
# 10 to 20 ms at 1 to 2 GHz: the host launches 20 calls of the model in some 2 ms.
_PAUSE_CYCLES: Final = 20_000_000


def device_times(
    session: Session, batch: Any, device: str, runtime: str, calls: int, *, torch: "ModuleType | None" = None
) -> tuple[float, ...] | None:
    """Time calls by CUDA's events, from the first kernel's start to the last one's end.

    The calls are queued behind a pause of the device, so that it never waits for the host: what is left out, beside
    the time of `toolkit.bench.engine.measure`, is launching and waking up.

    Args:
        session: Warmed up, on ``device``.
        batch: Of its ``to_device``.
        device: As `toolkit.system.devices.resolve_device` returned it.
        runtime: The session's.
        calls: How many.
        torch: The torch module; tests pass a fake.

    Returns:
        Seconds of each call. None on the CPU; on MPS, whose own events were never tried; and for ONNX Runtime, which
        computes on streams of its own, where torch's events see nothing.
    """
    if device_type(device) != "cuda" or runtime != _LIBTORCH:
        return None
    cuda = (torch or _torch()).cuda
    with cuda.device(device):
        events = [(cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)) for _ in range(calls)]
        cuda._sleep(_PAUSE_CYCLES)
        for started, ended in events:
            started.record()
            session.run(batch)
            ended.record()
        session.synchronize()
        return tuple(started.elapsed_time(ended) / 1e3 for started, ended in events)


def device_memory_bytes(device: str, runtime: str, *, torch: "ModuleType | None" = None) -> int | None:
    """Return how much memory of the device the runtime held at most, in bytes.

    * libtorch on CUDA: the peak of what its allocator reserved. Not of what tensors used: reserved memory is taken from
      every other program, and holds what graphs keep. The CUDA context, some 0.5 GB, is not in it.
    * ONNX Runtime on CUDA: what NVML says of this process at the end, since its arena gives nothing back. The context
      is in it, so the two cannot be compared with one another.
    * MPS: what Metal's driver has allocated for this process at the end; torch caches what it frees.

    Args:
        device: As `toolkit.system.devices.resolve_device` returned it.
        runtime: The session's.
        torch: The torch module; tests pass a fake.

    Returns:
        None on the CPU, whose memory is the process's; and where nobody tells, as NVML in most containers.
    """
    kind = device_type(device)
    if kind == "cuda":
        if runtime == _LIBTORCH:
            return int((torch or _torch()).cuda.max_memory_reserved(device))
        return _told_by_nvml()
    if kind == "mps":
        return int((torch or _torch()).mps.driver_allocated_memory())
    return None


def _told_by_nvml() -> int | None:
    """Return the memory of this process on all GPUs; it uses one, whose number NVML and CUDA may not agree on."""
    try:
        nvml = open_nvml()
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            entries = [entry for handle in handles for entry in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        finally:
            nvml.nvmlShutdown()
    except Exception:  # noqa: BLE001  a driver may raise anything, and a row must not end by it
        return None
    # Null where the driver does not permit to know. In a container the process may be there under another number.
    return sum(entry.usedGpuMemory or 0 for entry in entries if entry.pid == os.getpid()) or None


def _torch() -> "ModuleType":
    import torch

    return torch
