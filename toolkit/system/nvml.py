"""NVIDIA's management library: open it, and find the card that CUDA calls by a name. Imports no runtime."""

import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from toolkit.system.devices import device_index


class UnknownCardError(Exception):
    """NVML cannot tell which of its cards CUDA means; the message says why."""


class CardOrderError(UnknownCardError):
    """There are several cards, and CUDA may number them in another order than NVML."""


def open_nvml() -> Any:
    """Return the module of NVML, started; who calls shuts it down.

    Raises:
        ImportError: If pynvml is not installed.
        Exception: NVML's own, if there is no driver.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older of its two distributions warns that it is the older
        nvml: Any = import_module("pynvml")
    nvml.nvmlInit()
    return nvml


def card_number(nvml: Any, device: str, environ: Mapping[str, str] = os.environ) -> int:
    """Return NVML's number of the card that CUDA calls ``device`` in this process and its children.

    NVML numbers all cards by their PCI bus. CUDA numbers those of ``CUDA_VISIBLE_DEVICES`` alone, as they stand
    there, and a plain number there counts what it takes for the fastest card first, unless ``CUDA_DEVICE_ORDER`` is
    ``PCI_BUS_ID``.

    Args:
        nvml: NVML, as `open_nvml` returned it.
        device: ``cuda`` or ``cuda:1``, as `toolkit.system.devices.resolve_device` returned it.
        environ: The environment that CUDA was or will be started in.

    Raises:
        CardOrderError: If CUDA's order of the cards is not known.
        UnknownCardError: If the device is none of the cards, or a part of one.
    """
    count = nvml.nvmlDeviceGetCount()
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    words = [str(each) for each in range(count)] if visible is None else [each.strip() for each in visible.split(",")]
    index = device_index(device)
    word = words[index] if index < len(words) else ""
    if word.startswith("MIG"):
        raise UnknownCardError(f"{device} is an instance of MIG, and NVML counts for the whole card")
    if word.startswith("GPU-"):
        return _by_uuid(nvml, count, word)
    if not (word.isdecimal() and int(word) < count):
        raise UnknownCardError(f"NVML has {count} cards, and none that is {device} with CUDA_VISIBLE_DEVICES={visible}")
    if count > 1 and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise CardOrderError("set CUDA_DEVICE_ORDER=PCI_BUS_ID so that NVML's numbers are CUDA's")
    return int(word)


def text_of(value: str | bytes) -> str:
    """Return a text of NVML, which older bindings give as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _by_uuid(nvml: Any, count: int, word: str) -> int:
    """Return the one card whose UUID begins with ``word``: CUDA takes the beginning for the whole."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
    found = [
        number
        for number, handle in enumerate(handles)
        if text_of(nvml.nvmlDeviceGetUUID(handle)).lower().startswith(word.lower())
    ]
    if len(found) != 1:
        raise UnknownCardError(f"{len(found)} of NVML's cards have a UUID that begins with {word}")
    return found[0]


def process_memory_bytes() -> int | None:
    """Return the memory of this process on all GPUs, in bytes; None where NVML does not tell.

    It uses one of them, whose number NVML and CUDA may not agree on.
    """
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
