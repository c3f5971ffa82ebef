"""The machine's limits, measured in the same run as the rows: matrix products and reading memory; and what they bound.

Each runtime is measured in a process of its own: they slow each other down in one.
What is timed on a GPU stands in `toolkit.bench.limits.gpu`.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar

from toolkit.bench.engine.launch import work_apart
from toolkit.errors import first_line
from toolkit.formats import FORMATS, has_part
from toolkit.records import BandwidthRecord, Bound, LimitsRecord, ModelConfig, PeakRecord, Precision, SkipRecord
from toolkit.records.machine import LimitsJob

Kernel = Callable[[], object]
Work = tuple[Kernel, int]  # and what a call of it does: operations, or bytes read
Shape = tuple[int, int, int]  # rows, inner size, columns
Product = tuple[str, Precision, Callable[[Shape], Work]]  # runtime, precision, and what makes its kernel
Key = TypeVar("Key")
# A limit is a machine's, not a model's: the widths of the quickstart's hidden layers, few rows and many.
_SHAPES: Final = ((64, 784, 512), (256, 512, 512), (1024, 784, 512), (2048, 512, 512))
# Larger than the last cache that one process can fill: 32 to 96 MB per group of cores on today's processors.
CACHE_EXCEEDING_BYTES: Final = 256 << 20
_BUDGET_S, _TURNS = 1.5, 5
_READ_BYTES, _MOST_READS = 64 << 20, 64  # in one call: some 300 µs
_TIMEOUT_S: Final = 120.0  # imports and slow machines; a sound child takes two seconds and its import
# Parts that are measured with torch, which is always there: eager is the baseline.
_TORCH, _MEMORY = "torch", "memory"
_WIDTH_BYTES: Final[dict[Precision, int]] = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2, "int8": 1}


def moved_bytes(config: ModelConfig, batch_size: int, precision: Precision) -> int:
    """Return the bytes that one call must move: all weights once, what goes into and comes out of each layer."""
    activations = sum(a + b for a, b in pairwise(config.layer_sizes)) * batch_size
    return (config.parameters + activations) * _WIDTH_BYTES[precision]


def bound(config: ModelConfig, batch_size: int, precision: Precision, limits: LimitsRecord) -> Bound | None:
    """Return the least time of one call: that of its arithmetic or that of its memory, whichever is longer.

    This is the roofline of Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for
    multicore architectures", CACM 52 (2009).

    Args:
        config: Of the model.
        batch_size: Images per call.
        precision: The arithmetic; its peak is the best over the runtimes that were measured.
        limits: Of the row's device, at its threads.

    Returns:
        None without a measured peak of ``precision``, or without a bandwidth.
    """
    peak = max((each.flop_per_s for each in limits.peaks if each.precision == precision), default=None)
    if peak is None or not limits.bandwidths:
        return None
    moved = moved_bytes(config, batch_size, precision)
    # The size that was read nearest to this one; of two that are as near the faster, for a bound promises least.
    near = min(limits.bandwidths, key=lambda each: (abs(math.log(each.working_set_bytes / moved)), -each.bytes_per_s))
    compute_s, memory_s = config.flop_per_image * batch_size / peak, moved / near.bytes_per_s
    if compute_s >= memory_s:
        return Bound(seconds=compute_s, kind="compute")
    return Bound(seconds=memory_s, kind="memory")


def measure_limits(threads: int, working_sets_bytes: Sequence[int], scratch: Path, device: str = "cpu") -> LimitsRecord:
    """Measure the peak of each installed runtime and the read bandwidth, each in a clean process, one by one.

    Args:
        threads: As many as the rows have.
        working_sets_bytes: Sizes at which to read memory, such as `moved_bytes` of each batch size; one that no
            cache holds is added.
        scratch: A folder for the processes' files.
        device: As `toolkit.system.devices.resolve_device` returned it.

    Returns:
        What could be measured. A runtime that is missing, crashes or hangs is a skip.
    """
    sizes = (*sorted({max(each, 4) for each in working_sets_bytes}), CACHE_EXCEEDING_BYTES)
    parts = [
        _launch(LimitsJob(part=part, threads=threads, working_sets_bytes=sizes, device=device), scratch, packages)
        for part, packages in _parts(device).items()
    ]
    return LimitsRecord(
        device=device,
        threads=threads,
        peaks=tuple(each for part in parts for each in part.peaks),
        bandwidths=tuple(each for part in parts for each in part.bandwidths),
        skips=tuple(each for part in parts for each in part.skips),
    )


def _parts(device: str) -> dict[str, tuple[str, ...]]:
    """Return what is measured on a device, and the packages that each part needs."""
    # On a GPU other runtimes multiply with the same library as torch, or not at all.
    peaks = [info for info in FORMATS.values() if device == "cpu" and has_part(info, "peaks")]
    return {_TORCH: ("torch",), **{info.name: info.packages for info in peaks}, _MEMORY: ("torch",)}


def best_times(
    kernels: Mapping[Key, Kernel], budget_s: float, clock: Callable[[], float] = time.perf_counter
) -> dict[Key, float]:
    """Return the seconds of the fastest call of each kernel.

    They take turns, so that a spell in which the machine is busy does not hit one of them alone. Each turn begins
    with a call that is not counted: it allocates, packs, and wakes the threads.

    Args:
        kernels: What to call.
        budget_s: For all of them; one turn each there is at least.
        clock: Seconds from an arbitrary start.
    """
    best = dict.fromkeys(kernels, math.inf)
    started = clock()
    for _ in range(_TURNS):
        for key, kernel in kernels.items():
            kernel()
            now = clock()
            ended = now + budget_s / _TURNS / len(kernels)
            while True:
                kernel()
                before, now = now, clock()
                best[key] = min(best[key], now - before)
                if now >= ended:
                    break
        if clock() - started >= budget_s:
            break
    return best


def run_limits_job(job: LimitsJob, budget_s: float = _BUDGET_S) -> LimitsRecord:
    """Measure one part within about ``budget_s`` seconds; a precision that a runtime lacks is a skip."""
    if job.part == _MEMORY:
        return _measure_memory(job, budget_s)
    products, shapes = _products(job)
    works: dict[tuple[str, Precision, Shape], Work] = {}
    skips: list[SkipRecord] = []
    for runtime, precision, make in products:
        try:
            made = {(runtime, precision, shape): make(shape) for shape in shapes}
            next(iter(made.values()))[0]()
        except Exception as error:  # noqa: BLE001  whatever a runtime raises for a type that it does not multiply
            skips.append(_skip(f"peak of {runtime} in {precision}", first_line(error)))
        else:
            works |= made
    times = best_times({key: kernel for key, (kernel, _) in works.items()}, budget_s) if works else {}
    peaks: dict[tuple[str, Precision], PeakRecord] = {}
    for (runtime, precision, shape), seconds in times.items():
        speed = works[runtime, precision, shape][1] / seconds
        known = peaks.get((runtime, precision))
        if known is None or speed > known.flop_per_s:
            peaks[runtime, precision] = PeakRecord(runtime=runtime, precision=precision, flop_per_s=speed, shape=shape)
    return LimitsRecord(device=job.device, threads=job.threads, peaks=tuple(peaks.values()), skips=tuple(skips))


def flop(shape: Shape) -> int:
    """Return the operations of a product; a multiply-add counts as two."""
    return 2 * math.prod(shape)


def _products(job: LimitsJob) -> tuple[list[Product], Sequence[Shape]]:
    if job.device != "cpu":
        from toolkit.bench.limits import gpu as limits_gpu

        return limits_gpu.products(job.device), limits_gpu.SHAPES
    if job.part == _TORCH:
        return _torch_products(job.threads), _SHAPES
    peaks = import_module(f"{FORMATS[job.part].module}.peaks")
    return [(runtime, precision, _counted(make)) for runtime, precision, make in peaks.products(job.threads)], _SHAPES


def _counted(make: Callable[[Shape], Kernel]) -> Callable[[Shape], Work]:
    return lambda shape: (make(shape), flop(shape))


def _torch_products(threads: int) -> list[Product]:
    """Return torch's own product (MKL where it has it), oneDNN's in float32, and the one in bfloat16."""
    import torch

    torch.set_num_threads(threads)

    def plain(dtype: torch.dtype) -> Callable[[Shape], Work]:
        def make(shape: Shape) -> Work:
            rows, inner, columns = shape
            left, right = torch.rand(rows, inner, dtype=dtype), torch.rand(columns, inner, dtype=dtype).t()
            result = torch.empty(rows, columns, dtype=dtype)
            return lambda: torch.mm(left, right, out=result), flop(shape)

        return make

    def onednn(shape: Shape) -> Work:
        rows, inner, columns = shape
        left, right = torch.rand(rows, inner), torch.rand(columns, inner)
        product = torch.ops.mkldnn._linear_pointwise  # see toolkit/fashion/training/products.py
        return lambda: product(left, right, None, "none", [], ""), flop(shape)

    has_mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]  # torch has no annotation for it
    library = "torch MKL" if has_mkl else "torch"
    products: list[Product] = [(library, "float32", plain(torch.float32)), ("torch", "bfloat16", plain(torch.bfloat16))]
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        products.append(("torch oneDNN", "float32", onednn))
    return products


def _measure_memory(job: LimitsJob, budget_s: float) -> LimitsRecord:
    """Read arrays of float32, each in two ways of which the better counts."""
    readers = {(size, name): work for size in job.working_sets_bytes for name, work in _readers(job, size).items()}
    times = best_times({key: kernel for key, (kernel, _) in readers.items()}, budget_s)
    best: dict[int, BandwidthRecord] = {}
    for (size, name), seconds in times.items():
        speed = readers[size, name][1] / seconds
        if size not in best or speed > best[size].bytes_per_s:
            best[size] = BandwidthRecord(working_set_bytes=size, bytes_per_s=speed, kernel=name)
    found = tuple(best.values())
    if job.device != "cpu":
        from toolkit.bench.limits import gpu as limits_gpu

        found = limits_gpu.no_slower_than_larger(found)
    return LimitsRecord(device=job.device, threads=job.threads, bandwidths=found)


def _readers(job: LimitsJob, size: int) -> dict[str, Work]:
    """Return kernels that read an array of about ``size`` bytes, and the bytes that a call of each reads."""
    if job.device == "cpu":
        return _cpu_readers(size, job.threads)
    from toolkit.bench.limits import gpu as limits_gpu

    return limits_gpu.readers(job.device, size)


def _cpu_readers(size: int, threads: int) -> dict[str, Work]:
    """Return a sum, and for a small array one that reads it often.

    Calling a sum and starting its threads takes microseconds, of which reading the model's weights takes 25: a call
    therefore reads a small array often (2.7 MB, one thread of an AMD EPYC, Zen 5: 117 GB/s; once per call: 105).
    """
    import torch

    torch.set_num_threads(threads)
    share = max(1, size // 4 // threads)
    array = torch.ones(share * threads)
    times = min(_MOST_READS, _READ_BYTES // size)
    if times < 2:
        return {"sum": (array.sum, array.numel() * 4)}
    often = array.view(threads, 1, share).expand(threads, times, share)
    result, read = torch.empty(threads, times), array.numel() * 4
    return {"sum": (array.sum, read), "repeated sum": (lambda: torch.sum(often, 2, out=result), read * times)}


def _launch(job: LimitsJob, scratch: Path, packages: Sequence[str]) -> LimitsRecord:
    missing = next((name for name in packages if find_spec(name) is None), None)
    if missing:
        skip = SkipRecord(what=f"limits: {job.part}", reason=f"{missing} is missing", remedy=f"pip install {missing}")
        return LimitsRecord(device=job.device, threads=job.threads, skips=(skip,))
    found = work_apart(run_limits_job, job, LimitsRecord, scratch=scratch, threads=job.threads, timeout_s=_TIMEOUT_S)
    if isinstance(found, str):
        return LimitsRecord(device=job.device, threads=job.threads, skips=(_skip(f"limits: {job.part}", found),))
    return found


def _skip(what: str, reason: str) -> SkipRecord:
    return SkipRecord(what=what, reason=reason, remedy="rows are compared with the other runtimes' limits")
