"""Devices: resolve, describe, wait. The only module that asks torch which devices exist."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from toolkit.errors import DeviceUnavailableError, UsageError
from toolkit.records import DeviceRecord

# What one core multiplies in less than 0.1 s, in float64.
_FEW_PRODUCTS = 2_000_000_000
_NAME = re.compile(r"^(auto|cpu|mps|cuda(:\d+)?)$")


def resolve_device(name: str, torch: ModuleType | None = None) -> str:
    """Return the device meant by ``name``: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Args:
        name: A device, or ``auto`` for the best there is: cuda, then mps, then cpu.
        torch: The torch module; tests pass a fake.

    Raises:
        UsageError: If ``name`` is no device's name.
        DeviceUnavailableError: If the device is not here; nothing falls back to the CPU by itself.
    """
    if not _NAME.match(name):
        raise UsageError(f"Unknown device {name!r}:", "use auto, cpu, cuda, cuda:N or mps")
    if name == "cpu":
        return name
    torch = torch or import_module("torch")
    if name == "auto":
        return next((each for each in ("cuda", "mps") if _missing(each, torch) is None), "cpu")
    missing = _missing(name, torch)
    if missing:
        raise DeviceUnavailableError(name, *missing)
    return name


def _missing(name: str, torch: ModuleType) -> tuple[str, str] | None:
    """Return why a device cannot be used and what to do, or None when it can."""
    return _missing_mps(torch) if name == "mps" else _missing_cuda(device_index(name), torch)


def _missing_mps(torch: ModuleType) -> tuple[str, str] | None:
    build = f"torch {torch.__version__}"
    if not torch.backends.mps.is_built():
        return f"{build} is built without Metal (MPS)", "run on a Mac with Apple silicon, or use --device cpu"
    if not torch.backends.mps.is_available():
        return f"{build} has Metal (MPS) but finds no GPU that it supports", "use --device cpu"
    return None


def _missing_cuda(index: int, torch: ModuleType) -> tuple[str, str] | None:
    build = f"torch {torch.__version__}"
    if torch.version.cuda is None:
        return f"{build} is a build without CUDA", "install a CUDA build of torch, or use --device cpu"
    if not torch.cuda.is_available():
        return (
            f"{build} is built for CUDA {torch.version.cuda} but finds no NVIDIA driver or GPU",
            "check nvidia-smi, or use --device cpu",
        )
    count = torch.cuda.device_count()
    if index >= count:
        return f"this machine has {count} CUDA device(s), numbered from 0", "pass a smaller number"
    return None


def device_type(device: str) -> str:
    """Return ``cuda`` for ``cuda:1``, and so on."""
    return device.partition(":")[0]


def device_index(device: str) -> int:
    """Return 1 for ``cuda:1`` and 0 for a device without a number."""
    return int(device.partition(":")[2] or 0)


def describe_devices(torch: ModuleType | None = None) -> tuple[DeviceRecord, ...]:
    """Return every kind of device, with its name or the reason why it is not available."""
    torch = torch or import_module("torch")
    records = [describe_cpu()]
    for name in ("cuda", "mps"):
        missing = _missing(name, torch)
        if missing:
            records.append(DeviceRecord(device=name, available=False, description="; ".join(missing)))
        elif name == "mps":
            records.append(DeviceRecord(device=name, available=True, description="Apple GPU through Metal"))
        else:
            records += [
                DeviceRecord(device=f"cuda:{i}", available=True, description=torch.cuda.get_device_name(i))
                for i in range(torch.cuda.device_count())
            ]
    return tuple(records)


def describe_cpu() -> DeviceRecord:
    """Return the CPU, which is always there."""
    from toolkit.system.environment import machine

    here = machine()
    return DeviceRecord(device="cpu", available=True, description=f"{here.cpu}, {here.usable_cpus} usable CPUs")


def synchronize(device: str, torch: ModuleType | None = None) -> None:
    """Wait until ``device`` has done all work given to it; the CPU is always done."""
    kind = device_type(device)
    if kind == "cuda":
        (torch or import_module("torch")).cuda.synchronize(device)
    elif kind == "mps":
        (torch or import_module("torch")).mps.synchronize()


@contextmanager
def fitting_threads(products: int) -> Iterator[None]:
    """Let torch compute what is little on one thread: more would wait for each other longer than they compute.

    The threads of torch and of another runtime that take turns spin while they wait for work. Of the 9.8 s of processor
    time that parity of one ONNX file took on two busy cores, 5 were spent so; nothing else was changed to see that.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1 if products < _FEW_PRODUCTS else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def leaving_torch_as_it_is() -> Iterator[None]:
    """Restore what opening sessions sets for the whole process: threads, and the precision of float32 products."""
    import torch

    threads = torch.get_num_threads()
    backends: Any = torch.backends  # torch's annotations do not know fp32_precision
    settings = [(each, each.fp32_precision) for each in (backends.mkldnn.matmul, backends.cuda.matmul)]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for backend, precision in settings:
            backend.fp32_precision = precision
