"""The machine's limits, measured in the same run as the rows: matrix products and reading memory.

Each runtime is measured in a process of its own (`toolkit.bench.limits.child`): they slow each other down in one.
What is timed on a GPU stands in `toolkit.bench.limits.gpu`.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from toolkit.bench.engine.launch import run_child
from toolkit.bench.limits.roofline import bound, moved_bytes
from toolkit.errors import first_line
from toolkit.records import BandwidthRecord, LimitsRecord, PeakRecord, Precision, SkipRecord, read_record
from toolkit.records.machine import LimitsJob, Part
from toolkit.system.files import write_record

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CACHE_EXCEEDING_BYTES", "best_times", "bound", "measure_limits", "moved_bytes", "run_limits_job"]

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
_PACKAGES: Final[dict[Part, tuple[str, ...]]] = {
    "torch": ("torch",),
    "onnxruntime": ("onnx", "onnxruntime"),
    "memory": ("torch",),
}
# ONNX Runtime multiplies on CUDA with the same library as torch, and not at all on Metal.
_GPU_PARTS: Final[tuple[Part, ...]] = ("torch", "memory")


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
    wanted = tuple(_PACKAGES) if device == "cpu" else _GPU_PARTS
    jobs = [LimitsJob(part=part, threads=threads, working_sets_bytes=sizes, device=device) for part in wanted]
    parts = [_launch(job, scratch, _PACKAGES[job.part]) for job in jobs]
    return LimitsRecord(
        device=device,
        threads=threads,
        peaks=tuple(each for part in parts for each in part.peaks),
        bandwidths=tuple(each for part in parts for each in part.bandwidths),
        skips=tuple(each for part in parts for each in part.skips),
    )


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
    if job.part == "memory":
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
    return (_torch_products(job.threads) if job.part == "torch" else _onnx_products(job.threads)), _SHAPES


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


def _onnx_products(threads: int) -> list[Product]:
    """Return ONNX Runtime's product with a constant matrix, as in the model, in float32 and int8."""
    import numpy as np

    rng = np.random.default_rng(0)

    def float32(shape: Shape) -> Work:
        rows, inner, columns = shape
        left, right = rng.random((rows, inner), np.float32), rng.random((inner, columns), np.float32)
        return _onnx_kernel("MatMul", left, right, threads), flop(shape)

    def int8(shape: Shape) -> Work:
        rows, inner, columns = shape
        left = rng.integers(0, 255, (rows, inner), np.uint8)
        right = rng.integers(-127, 127, (inner, columns), np.int8)
        return _onnx_kernel("MatMulInteger", left, right, threads), flop(shape)

    return [("onnxruntime", "float32", float32), ("onnxruntime", "int8", int8)]


def _onnx_kernel(operator: str, left: "np.ndarray[Any, Any]", right: "np.ndarray[Any, Any]", threads: int) -> Kernel:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    of_left = helper.np_dtype_to_tensor_dtype(left.dtype)
    of_result = TensorProto.FLOAT if operator == "MatMul" else TensorProto.INT32
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["result"])],
        "product",
        [helper.make_tensor_value_info("left", of_left, left.shape)],
        [helper.make_tensor_value_info("result", of_result, (left.shape[0], right.shape[1]))],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


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
    job_file, result_file, log_file = (scratch / f"limits.{name}" for name in ("job", "result", "log"))
    result_file.unlink(missing_ok=True)
    write_record(job, job_file)
    trouble = run_child(
        "toolkit.bench.limits.child",
        [str(job_file), str(result_file)],
        threads=job.threads,
        log=log_file,
        timeout_s=_TIMEOUT_S,
    )
    if trouble is None and result_file.is_file():
        return read_record(result_file, LimitsRecord)
    skip = _skip(f"limits: {job.part}", trouble or "it wrote no result")
    return LimitsRecord(device=job.device, threads=job.threads, skips=(skip,))


def _skip(what: str, reason: str) -> SkipRecord:
    return SkipRecord(what=what, reason=reason, remedy="rows are compared with the other runtimes' limits")
