"""What a device itself says of libtorch: seconds by its own clock, and memory."""

from typing import TYPE_CHECKING, Any, Final

from toolkit.formats.session import Session
from toolkit.system.devices import device_type

if TYPE_CHECKING:
    from types import ModuleType

# 10 to 20 ms at 1 to 2 GHz: the host launches 20 calls of the model in some 2 ms.
_PAUSE_CYCLES: Final = 20_000_000


def device_times(
    session: Session, batch: Any, device: str, calls: int, *, torch: "ModuleType | None" = None
) -> tuple[float, ...] | None:
    """Time calls by CUDA's events, from the first kernel's start to the last one's end.

    The calls are queued behind a pause of the device, so that it never waits for the host: what is left out, beside
    the time that bench's own clock takes, is launching and waking up.

    Args:
        session: Warmed up, on ``device``.
        batch: Of its ``to_device``.
        device: As `toolkit.system.devices.resolve_device` returned it.
        calls: How many.
        torch: The torch module; tests pass a fake.

    Returns:
        Seconds of each call. None on the CPU, and on MPS, whose own events were never tried.
    """
    if device_type(device) != "cuda":
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


def device_memory_bytes(device: str, *, torch: "ModuleType | None" = None) -> int | None:
    """Return how much memory of the device libtorch held at most, in bytes.

    * On CUDA the peak of what its allocator reserved. Not of what tensors used: reserved memory is taken from every
      other program, and holds what graphs keep. The CUDA context, some 0.5 GB, is not in it.
    * On MPS what Metal's driver has allocated for this process at the end; torch caches what it frees.

    Args:
        device: As `toolkit.system.devices.resolve_device` returned it.
        torch: The torch module; tests pass a fake.

    Returns:
        None on the CPU, whose memory is the process's.
    """
    kind = device_type(device)
    if kind == "cuda":
        return int((torch or _torch()).cuda.max_memory_reserved(device))
    if kind == "mps":
        return int((torch or _torch()).mps.driver_allocated_memory())
    return None


def _torch() -> "ModuleType":
    import torch

    return torch
