"""The machine's limits: the roofline's arithmetic, children that fail, and one real measurement."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.bench import limits as limits_module
from toolkit.bench.engine.launch import work_apart
from toolkit.bench.limits import (
    CACHE_EXCEEDING_BYTES,
    Shape,
    best_times,
    bound,
    measure_limits,
    moved_bytes,
    run_limits_job,
)
from toolkit.formats.onnx import peaks
from toolkit.records import BandwidthRecord, LimitsRecord, ModelConfig, PeakRecord
from toolkit.records.machine import LimitsJob

CONFIG = ModelConfig(layer_sizes=(784, 100, 10))
PARAMETERS, FLOP, VALUES = 785 * 100 + 101 * 10, 2 * (784 * 100 + 100 * 10), 784 + 100 + 100 + 10


def peak(flop_per_s: float, precision: Any = "float32", runtime: str = "a") -> PeakRecord:
    return PeakRecord(runtime=runtime, precision=precision, flop_per_s=flop_per_s, shape=(64, 512, 512))


def bandwidth(size: int, bytes_per_s: float) -> BandwidthRecord:
    return BandwidthRecord(working_set_bytes=size, bytes_per_s=bytes_per_s, kernel="sum")


def test_bytes_are_weights_and_activations_in_the_width_of_the_precision() -> None:
    for precision, width in {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2, "int8": 1}.items():
        assert moved_bytes(CONFIG, 3, precision) == width * (PARAMETERS + 3 * VALUES)  # type: ignore[arg-type]


def test_the_bound_is_the_longer_of_arithmetic_and_memory() -> None:
    limits = LimitsRecord(threads=2, peaks=(peak(1e9), peak(2e9, runtime="b")), bandwidths=(bandwidth(10**6, 1e9),))
    one = bound(CONFIG, 1, "float32", limits)
    assert one is not None
    assert (one.kind, one.seconds) == ("memory", pytest.approx(4 * (PARAMETERS + VALUES) / 1e9))
    many = bound(CONFIG, 1000, "float32", limits)
    assert many is not None
    assert (many.kind, many.seconds) == ("compute", pytest.approx(1000 * FLOP / 2e9))


def test_the_bandwidth_is_that_of_the_nearest_size() -> None:
    sizes = (bandwidth(10**4, 1e9), bandwidth(4 * (PARAMETERS + VALUES), 2e9), bandwidth(10**8, 3e9))
    found = bound(CONFIG, 1, "float32", LimitsRecord(threads=1, peaks=(peak(1e15),), bandwidths=sizes))
    assert found is not None
    assert found.seconds == pytest.approx(4 * (PARAMETERS + VALUES) / 2e9)


def test_of_two_sizes_as_near_the_faster_counts() -> None:
    moved = 4 * (PARAMETERS + VALUES)
    for speeds in ((1e9, 2e9), (2e9, 1e9)):
        sizes = tuple(bandwidth(size, speed) for size, speed in zip((moved // 2, moved * 2), speeds, strict=True))
        found = bound(CONFIG, 1, "float32", LimitsRecord(threads=1, peaks=(peak(1e15),), bandwidths=sizes))
        assert found is not None
        assert found.seconds == pytest.approx(moved / 2e9)


def test_without_a_peak_of_the_precision_there_is_no_bound() -> None:
    limits = LimitsRecord(threads=1, peaks=(peak(1e9),), bandwidths=(bandwidth(10**6, 1e9),))
    assert bound(CONFIG, 1, "int8", limits) is None
    assert bound(CONFIG, 1, "float32", limits.model_copy(update={"bandwidths": ()})) is None


class Machine:
    """Kernels that take their time on a clock of their own."""

    def __init__(self) -> None:
        self.now, self.log = 0.0, []

    def kernel(self, name: str, *times_s: float) -> Callable[[], None]:
        calls = iter(range(10**9))

        def call() -> None:
            self.log.append(name)
            self.now += times_s[min(next(calls), len(times_s) - 1)]

        return call


def test_the_fastest_call_counts_and_kernels_take_turns() -> None:
    machine = Machine()
    kernels = {"a": machine.kernel("a", 0.001, 4.0, 5.0, 3.0, 5.0), "b": machine.kernel("b", 2.0)}
    times = best_times(kernels, 40.0, clock=lambda: machine.now)
    assert times == {"a": 3.0, "b": 2.0}  # the very first call, uncounted, was the fastest
    turns = [name for name, before in zip(machine.log, ["", *machine.log], strict=False) if name != before]
    assert turns == ["a", "b"] * (len(turns) // 2)
    assert len(turns) >= 4


def test_a_budget_too_small_still_gives_each_kernel_a_turn() -> None:
    machine = Machine()
    kernels = {"a": machine.kernel("a", 5.0), "b": machine.kernel("b", 6.0)}
    assert best_times(kernels, 0.1, clock=lambda: machine.now) == {"a": 5.0, "b": 6.0}
    assert machine.log == ["a", "a", "b", "b"]


@pytest.mark.parametrize(("part", "precision"), [("torch", "bfloat16"), ("onnx", "int8")])
def test_the_peak_of_each_runtime_is_measured(part: Any, precision: str) -> None:
    result = run_limits_job(LimitsJob(part=part, threads=1, working_sets_bytes=(4,)), budget_s=0.01)
    assert {each.precision for each in result.peaks} == {"float32", precision}
    assert all(each.flop_per_s > 0 for each in result.peaks)
    assert len({(each.runtime, each.precision) for each in result.peaks}) == len(result.peaks)
    assert result.skips == ()


def idle(shape: Shape) -> Any:
    return lambda: None


def test_the_best_shape_makes_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {(64, 784, 512): 1e-3, (256, 512, 512): 1e-4, (1024, 784, 512): 1.0, (2048, 512, 512): 1.0}
    monkeypatch.setattr(
        limits_module, "best_times", lambda kernels, budget_s: {key: seconds[key[2]] for key in kernels}
    )
    monkeypatch.setattr(peaks, "products", lambda threads: [("x", "int8", idle)])
    result = run_limits_job(LimitsJob(part="onnx", threads=1, working_sets_bytes=(4,)))
    (found,) = result.peaks
    assert found.shape == (256, 512, 512)
    assert found.flop_per_s == pytest.approx(2 * 256 * 512 * 512 / 1e-4)


def test_a_product_that_a_runtime_lacks_is_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(shape: object) -> Any:
        raise RuntimeError("no kernel for this type\nmore")

    products = [("x", "float32", idle), ("x", "int8", refuse)]
    monkeypatch.setattr(peaks, "products", lambda threads: products)
    result = run_limits_job(LimitsJob(part="onnx", threads=1, working_sets_bytes=(4,)), budget_s=0.01)
    assert [each.precision for each in result.peaks] == ["float32"]
    assert [each.reason for each in result.skips] == ["no kernel for this type"]


def test_each_size_of_memory_is_read() -> None:
    result = run_limits_job(LimitsJob(part="memory", threads=2, working_sets_bytes=(4, 10_000, 3_000_000)), 0.01)
    assert [each.working_set_bytes for each in result.bandwidths] == [4, 10_000, 3_000_000]
    assert all(each.bytes_per_s > 0 for each in result.bandwidths)


def fake_children(monkeypatch: pytest.MonkeyPatch, code: str) -> list[Any]:
    """Let children run ``code`` in place of the module; it sees the job's and the result's paths in sys.argv."""
    real, started = subprocess.Popen, []

    def start(command: list[str], **options: Any) -> Any:
        assert command[2:5] == ["-m", "toolkit.bench.engine.child", "toolkit.bench.limits:run_limits_job"]
        started.append(real([sys.executable, "-c", code, *command[5:]], **options))
        return started[-1]

    monkeypatch.setattr("toolkit.bench.engine.launch.subprocess.Popen", start)
    return started


def test_children_that_die_or_hang_are_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "_TIMEOUT_S", 2.0)
    code = """
import json, os, sys, time
part = json.load(open(sys.argv[1]))["part"]
if part == "torch":
    os.abort()
if part == "memory":
    time.sleep(20)
print("no such kernel", file=sys.stderr)
sys.exit(3)
"""
    children = fake_children(monkeypatch, code)
    result = measure_limits(1, (100,), tmp_path)
    assert [child.returncode for child in children] == [-signal.SIGABRT, 3, -signal.SIGKILL]
    assert (result.peaks, result.bandwidths) == ((), ())
    assert [(each.what, each.reason) for each in result.skips] == [
        ("limits: torch", "the worker was killed by SIGABRT"),
        ("limits: onnx", "the worker ended with exit code 3: no such kernel"),
        ("limits: memory", "no result within 2 s"),
    ]


def test_a_child_that_ends_well_without_a_result_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_children(monkeypatch, "")
    assert {each.reason for each in measure_limits(1, (100,), tmp_path).skips} == {"it wrote no result"}


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_on_a_gpu_torch_alone_is_asked(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[LimitsJob] = []

    def apart(work: object, job: LimitsJob, result: object, **options: Any) -> LimitsRecord | str:
        assert (work, result) == (run_limits_job, LimitsRecord)
        jobs.append(job)
        if job.part == "memory":
            return "no result within 120 s"
        return LimitsRecord(device=device, threads=options["threads"], peaks=(peak(1.0),))

    monkeypatch.setattr(limits_module, "work_apart", apart)
    result = measure_limits(2, (50,), tmp_path, device)
    assert [(each.part, each.device, each.threads) for each in jobs] == [("torch", device, 2), ("memory", device, 2)]
    assert (result.device, result.threads, len(result.peaks)) == (device, 2, 1)
    assert [(each.what, each.reason) for each in result.skips] == [("limits: memory", "no result within 120 s")]


def test_the_parts_of_the_children_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(job: LimitsJob, scratch: Path, packages: object) -> LimitsRecord:
        assert job.working_sets_bytes == (4, 50, CACHE_EXCEEDING_BYTES)
        if job.part == "memory":
            return LimitsRecord(threads=job.threads, bandwidths=(bandwidth(50, 1.0),))
        return LimitsRecord(threads=job.threads, peaks=(peak(1.0, runtime=job.part),))

    monkeypatch.setattr(limits_module, "_launch", launch)
    result = measure_limits(3, (50, 1, 50), tmp_path)
    assert (result.threads, [each.runtime for each in result.peaks]) == (3, ["torch", "onnx"])
    assert len(result.bandwidths) == 1


def test_a_runtime_that_is_not_installed_is_a_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "find_spec", lambda name: None)
    assert {each.remedy for each in measure_limits(1, (), tmp_path).skips} == {
        "pip install torch",
        "pip install onnx",
    }


def test_a_part_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    job = LimitsJob(part="memory", threads=1, working_sets_bytes=(1000,))
    found = work_apart(run_limits_job, job, LimitsRecord, scratch=tmp_path, threads=1, timeout_s=120)
    assert isinstance(found, LimitsRecord)
    assert len(found.bandwidths) == 1
