"""What the GPUs of a run are: name, memory and driver. Imports no runtime."""

import subprocess
from collections.abc import Callable, Iterable
from typing import Any, Final

from toolkit.records import AcceleratorRecord
from toolkit.system.devices import device_type
from toolkit.system.nvml import CardOrderError, card_number, open_nvml, text_of

_SYSCTL: Final = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
_SYSCTL_S: Final = 10
_FACTS: Final = ("name", "memory_bytes", "driver")


def accelerators(devices: Iterable[str]) -> tuple[AcceleratorRecord, ...]:
    """Describe those of some resolved devices that are not the CPU, each once, in the order in which they come.

    Returns:
        A record per device. What cannot be found out is null there, with its reason; nothing fails.
    """
    used = dict.fromkeys(each for each in devices if device_type(each) != "cpu")
    return tuple(_mps(each) if each == "mps" else _cuda(each) for each in used)


def _cuda(device: str) -> AcceleratorRecord:
    try:
        nvml = open_nvml()
    except Exception as error:  # noqa: BLE001  a driver may raise anything, and a bench must not end by it
        return AcceleratorRecord(device=device, unavailable=dict.fromkeys(_FACTS, _reason(error)))
    readers: dict[str, Callable[[], Any]] = {
        "name": lambda: _of_card(nvml, device, lambda handle: text_of(nvml.nvmlDeviceGetName(handle))),
        "memory_bytes": lambda: _of_card(nvml, device, lambda handle: int(nvml.nvmlDeviceGetMemoryInfo(handle).total)),
        "driver": lambda: text_of(nvml.nvmlSystemGetDriverVersion()),
    }
    try:
        return _read(device, readers)
    finally:
        nvml.nvmlShutdown()


def _of_card(nvml: Any, device: str, read: Callable[[Any], Any]) -> Any:
    """Return a fact of the card; of all cards, when CUDA's order of them is not known and all have it in common."""
    try:
        return read(nvml.nvmlDeviceGetHandleByIndex(card_number(nvml, device)))
    except CardOrderError:
        count = nvml.nvmlDeviceGetCount()
        found = {read(nvml.nvmlDeviceGetHandleByIndex(number)) for number in range(count)}
        if len(found) > 1:
            raise
        return found.pop()


def _mps(device: str) -> AcceleratorRecord:
    return _read(
        device,
        {
            "name": _apple_chip,
            "memory_bytes": lambda: _missing("Apple's GPU shares the memory of the machine"),
            "driver": lambda: _missing("Metal is a part of macOS"),
        },
    )


def _apple_chip() -> str:
    done = subprocess.run(_SYSCTL, capture_output=True, text=True, check=True, timeout=_SYSCTL_S)  # noqa: S603  a constant
    if not done.stdout.strip():
        raise LookupError("sysctl does not tell the chip")
    return done.stdout.strip()


def _missing(reason: str) -> Any:
    raise LookupError(reason)


def _read(device: str, readers: dict[str, Callable[[], Any]]) -> AcceleratorRecord:
    values: dict[str, Any] = {}
    unavailable: dict[str, str] = {}
    for name, read in readers.items():
        try:
            values[name] = read()
        except Exception as error:  # noqa: BLE001  a driver may raise anything, and a bench must not end by it
            unavailable[name] = _reason(error)
    return AcceleratorRecord(device=device, unavailable=unavailable, **values)


def _reason(error: Exception) -> str:
    return f"not available here: {error or type(error).__name__}"
