"""What is timed for the limits of a GPU: torch's matrix products, and reading and copying its memory.

A kernel here begins as many calls as take some milliseconds and waits for the device once, at the end: the device works
on one while the host launches the next, so that launching them does not count.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from toolkit.bench.limits import Kernel, Product, Shape, Work, flop
from toolkit.records import BandwidthRecord, Precision
from toolkit.system.devices import device_type, synchronize

#: Rows, inner size, columns: large enough for all cores of today's GPUs, at most 320 MiB in float32.
SHAPES: Final[tuple[Shape, ...]] = ((2048, 2048, 2048), (4096, 4096, 4096), (8192, 4096, 4096))
# Waiting for the device takes up to some 50 µs: half a per cent.
_BATCH_S, _MOST_CALLS = 10e-3, 10_000
# In one call that reads an array from a cache: some 100 µs at 10 TB/s, far longer than launching it.
_READ_BYTES, _MOST_READS = 1 << 30, 4096
_PROBE_SIZE: Final = 1024
_PROBE_VALUE: Final = 1 + 2**-12  # TF32 keeps ten bits behind the point, bfloat16 seven: both make it 1


def products(device: str, torch: ModuleType | None = None) -> list[Product]:
    """Return torch's products in every precision that ``cuda``, ``cuda:1`` or ``mps`` may have."""
    # The environment of all our processes forbids TF32 to NVIDIA's libraries (see launch.py). Here it is measured; and
    # what the libraries make of it, when they read it or later, is found out by `_check_arithmetic`.
    os.environ.pop("NVIDIA_TF32_OVERRIDE", None)
    torch = torch or import_module("torch")
    precisions: list[Precision] = ["float32", "float16", "bfloat16"]
    if device_type(device) == "cuda":
        precisions.insert(1, "tf32")
    return [("torch", precision, partial(_product, torch, device, precision)) for precision in precisions]


def readers(device: str, size: int, torch: ModuleType | None = None) -> dict[str, Work]:
    """Return kernels that read, or read and write, an array of about ``size`` bytes, and the bytes that each moves."""
    torch = torch or import_module("torch")
    count = max(2, size // 4)
    array = torch.ones(count, device=device)
    source, target = array[: count // 2], array[-(count // 2) :]
    total = torch.empty((), device=device)
    wait = partial(synchronize, device, torch)
    found = {
        "sum": repeated(lambda: torch.sum(array, 0, out=total), wait, 4 * count),
        "copy": repeated(lambda: target.copy_(source), wait, 2 * 4 * (count // 2)),
    }
    times = min(_MOST_READS, _READ_BYTES // (4 * count))
    if times >= 2 and device_type(device) == "cuda":  # Metal would first make the array as large as it seems
        often, totals = array.expand(times, count), torch.empty(times, device=device)
        found["repeated sum"] = repeated(lambda: torch.sum(often, 1, out=totals), wait, 4 * count * times)
    return found


def no_slower_than_larger(found: Sequence[BandwidthRecord]) -> tuple[BandwidthRecord, ...]:
    """Return the bandwidths, where an array is read as fast as any that is larger.

    When a small one seems slower, then launching its kernels took longer than reading: no limit of the memory.
    """
    ordered = sorted(found, key=lambda each: each.working_set_bytes)
    best: BandwidthRecord | None = None
    result: list[BandwidthRecord] = []
    for each in reversed(ordered):
        if best is None or each.bytes_per_s >= best.bytes_per_s:
            best = each
        kernel = each.kernel if best is each else f"{best.kernel} of {best.working_set_bytes} bytes"
        result.append(each.changed(bytes_per_s=best.bytes_per_s, kernel=kernel))
    return tuple(reversed(result))


def repeated(
    begin: Kernel, wait: Callable[[], None], work: int, clock: Callable[[], float] = time.perf_counter
) -> Work:
    """Return a kernel that begins many calls and waits once, and what all of them do.

    Args:
        begin: Begins a call; may return before the device is done.
        wait: Waits until it is.
        work: What a call does: operations or bytes.
        clock: Seconds from an arbitrary start.
    """

    def call(times: int) -> None:
        for _ in range(times):
            begin()
        wait()

    call(1)  # loads the kernel
    times = 1
    while times < _MOST_CALLS:
        started = clock()
        call(times)
        took_s = clock() - started
        if took_s >= _BATCH_S:
            break
        # Not by more than ten at once: a single call may be nothing but launching and waiting.
        times = min(_MOST_CALLS, math.ceil(times * min(10.0, max(1.1, _BATCH_S / max(took_s, 1e-9)))))
    return partial(call, times), work * times


def _product(torch: ModuleType, device: str, precision: Precision, shape: Shape) -> Work:
    """Return a product in exactly one precision.

    Raises:
        RuntimeError: If the device would compute in another one.
    """
    rows, inner, columns = shape
    dtype = torch.float32 if precision in {"float32", "tf32"} else getattr(torch, precision)
    set_precision = partial(_set_precision, torch, device, precision)
    if dtype == torch.float32:
        _check_arithmetic(torch, device, precision)
    left = torch.rand(rows, inner, dtype=dtype, device=device)
    right = torch.rand(columns, inner, dtype=dtype, device=device).t()  # as a linear layer keeps its weights
    result = torch.empty(rows, columns, dtype=dtype, device=device)
    kernel, work = repeated(lambda: torch.mm(left, right, out=result), partial(synchronize, device, torch), flop(shape))

    def call() -> None:
        set_precision()  # products of several precisions take turns
        kernel()

    return call, work


def _set_precision(torch: ModuleType, device: str, precision: Precision) -> None:
    if device_type(device) == "cuda":
        matmul: Any = torch.backends.cuda.matmul
        matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"


def _check_arithmetic(torch: ModuleType, device: str, precision: Precision) -> None:
    """Multiply a value that only float32 can hold: all sums of it are exact.

    Raises:
        RuntimeError: If float32 was lowered, or TF32 is not what it says.
    """
    _set_precision(torch, device, precision)
    left = torch.full((_PROBE_SIZE, _PROBE_SIZE), _PROBE_VALUE, device=device)
    found = float(torch.mm(left, torch.ones(_PROBE_SIZE, _PROBE_SIZE, device=device))[0, 0].item())
    exact = found == _PROBE_SIZE * _PROBE_VALUE
    if exact != (precision == "float32"):
        raise RuntimeError(f"products that should be in {precision} are {'in float32' if exact else 'in less'}")
