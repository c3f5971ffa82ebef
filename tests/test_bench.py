"""Bench: exact arithmetic with a scripted clock, and workers that misbehave in every way."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support import save_small
from toolkit import bench as bench_module
from toolkit.bench import launch, run_benchmark
from toolkit.bench.job import Job, JobResult
from toolkit.bench.measure import Budget, measure
from toolkit.bench.worker import run_job
from toolkit.checkpoint import Checkpoint, load_checkpoint
from toolkit.errors import UnverifiedArtifactError
from toolkit.formats import FORMATS, artifact_name
from toolkit.manifest import check_verified, note_verified
from toolkit.parity import Reference, check_artifact, make_plan
from toolkit.records import CheckRecord, read_record, write_record
from toolkit.sessions import Target, resolve_targets


class FakeSession:
    """Logs what is asked of it; the clock goes on only while it runs or waits for the device."""

    precision, signature = "float32", None

    def __init__(self, run_s: float = 0.1, wait_s: float = 0.4) -> None:
        self.now, self.run_s, self.wait_s = 0.0, run_s, wait_s
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def to_device(self, images: Any) -> Any:
        self.log.append("to_device")
        self.now += 100
        return images

    def run(self, batch: Any) -> Any:
        self.log.append("run")
        self.now += self.run_s
        return batch

    def synchronize(self) -> None:
        self.log.append("synchronize")
        self.now += self.wait_s

    def to_host(self, logits: Any) -> Any:
        self.log.append("to_host")
        self.now += 100
        return logits


REAL_MEASURE_LIMITS = bench_module.measure_limits  # conftest puts known limits in its place for every test
IMAGES = np.zeros((4, 1, 28, 28), np.float32)


def test_a_call_is_timed_until_the_device_is_done_and_without_copies() -> None:
    session = FakeSession(run_s=0.25, wait_s=0.5)
    timings = measure(session, IMAGES, Budget(warmup_s=2, measure_s=3, min_calls=1), session.clock)  # type: ignore[arg-type]
    assert timings.times_s == (0.75,) * 4
    assert timings.first_call_s == 0.75
    assert timings.warmup_calls == 3
    assert session.log == ["to_device", "synchronize", *(["run", "synchronize"] * 7)]


@pytest.mark.parametrize(
    ("budget", "calls"),
    [
        (Budget(warmup_s=0, measure_s=100, min_calls=1, max_calls=5), 5),
        (Budget(warmup_s=0, measure_s=0.001, min_calls=7, max_calls=50), 7),
        (Budget(warmup_s=0, measure_s=5.2, min_calls=1, max_calls=50), 11),
    ],
)
def test_the_budget_bounds_time_and_calls(budget: Budget, calls: int) -> None:
    session = FakeSession()
    assert len(measure(session, IMAGES, budget, session.clock).times_s) == calls  # type: ignore[arg-type]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "_WARMUP_S", 0.01)
    monkeypatch.setattr(bench_module, "_MEASURE_S", 0.02)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


def targets(folder: Path, *names: str) -> list[Target]:
    return resolve_targets(list(names), folder, "cpu")[0]


@pytest.mark.usefixtures("quick")
def test_every_format_and_eager_get_a_row_per_batch_size(exported: Path, bundled: Checkpoint) -> None:
    report = run_benchmark(targets(exported), bundled, batch_sizes=(1, 8), threads=1)
    assert report.passed, report.failures
    assert [(row.format, row.batch_size) for row in report.latency] == [
        (name, size) for name in ("eager", *FORMATS) for size in (1, 8)
    ]
    for row in report.latency:
        assert row.verified
        assert (row.device, row.precision, row.threads) == ("cpu", "float32", 1)
        assert row.median_s > 0
        assert row.throughput_images_per_s == pytest.approx(row.batch_size * len(row.times_s) / sum(row.times_s))
        assert row.bound  # of the limits that conftest gives
        assert row.share_of_limit == pytest.approx(row.bound.seconds / row.median_s)
        assert row.peak_memory_bytes is None or row.peak_memory_bytes > 0
    assert {each.batch_size for each in report.fastest} == {1, 8}
    assert report.limits
    assert report.fitness
    assert len(report.fitness.canary_s) == 5 * (2 + len(FORMATS))  # before, and after each process


@pytest.mark.usefixtures("quick")
def test_limits_can_be_left_out(exported: Path, bundled: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "measure_limits", None)  # calling it would fail
    report = run_benchmark(targets(exported, "onnx"), bundled, batch_sizes=(1,), threads=1, against_limits=False)
    assert report.limits is None
    assert [(row.bound, row.share_of_limit) for row in report.latency] == [(None, None)] * 2


def test_the_limits_of_this_machine_can_be_measured(tmp_path: Path) -> None:
    limits = REAL_MEASURE_LIMITS(1, (2_680_000,), tmp_path)
    assert {peak.runtime for peak in limits.peaks} >= {"torch", "onnxruntime"}
    assert {record.working_set_bytes for record in limits.bandwidths} >= {2_680_000}
    assert not limits.skips


def test_calls_that_are_not_steady_yet_do_not_count(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.bench import worker
    from toolkit.bench.measure import Timings

    trace = (*(1e-3 * 0.8**i for i in range(30)), *([1e-5, 1.1e-5] * 100))
    monkeypatch.setattr(worker, "measure", lambda *_: Timings(0.5, 3, trace))
    for row in run_job(job).rows:
        cut = row.warmup_calls - 3
        assert 10 <= cut <= 60
        assert len(row.times_s) == len(trace) - cut
        assert max(row.times_s) < 1e-4


@pytest.mark.usefixtures("quick")
def test_what_parity_has_not_passed_is_refused_or_marked(folder: Path, bundled: Checkpoint) -> None:
    (folder / "verified.json").unlink()
    onnx = targets(folder, "onnx")
    with pytest.raises(UnverifiedArtifactError, match="parity has not passed this file; run: fmnist-tk parity"):
        run_benchmark(onnx, bundled, batch_sizes=(1,))
    report = run_benchmark(onnx, bundled, batch_sizes=(1,), unverified=True)
    assert [row.verified for row in report.latency] == [True, False]
    assert [each.format for each in report.fastest] == ["eager"]


def test_verification_is_of_these_bytes_these_weights_and_this_runtime(
    folder: Path, bundled: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    (onnx,) = targets(folder, "onnx")
    weights = bundled.record.weights_sha256
    check_verified(onnx, weights, "cpu", "")
    with pytest.raises(UnverifiedArtifactError, match="against another checkpoint"):
        check_verified(onnx, "0" * 64, "cpu", "")
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.manifest.runtime_version", lambda info: "9.9")
        with pytest.raises(UnverifiedArtifactError, match=r"installed is 9\.9"):
            check_verified(onnx, weights, "cpu", "")
    with onnx.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UnverifiedArtifactError, match="has not passed this file"):
        check_verified(onnx, weights, "cpu", "")
    (folder / "verified.json").write_text("garbage")
    with pytest.raises(UnverifiedArtifactError):
        check_verified(targets(folder, "torchscript")[0], weights, "cpu", "")


@pytest.mark.usefixtures("quick")
def test_an_unverified_row_is_timed_and_says_what_is_wrong_with_it(folder: Path, tmp_path: Path) -> None:
    wrong = load_checkpoint(save_small(tmp_path / "m.safetensors"))
    report = run_benchmark(targets(folder, "onnx"), wrong, batch_sizes=(1,), threads=1, unverified=True)
    assert [(row.format, row.verified) for row in report.latency] == [("eager", True), ("onnx", False)]
    assert "its outputs are off by" in (report.latency[1].mismatch or "")
    assert [each.format for each in report.fastest] == ["eager"]


def test_fast_because_wrong_is_a_failed_row_at_the_very_batch_size(
    exported: Path, tmp_path: Path, bundled: Checkpoint, job: Job
) -> None:
    """Right for every batch but 77: parity has no such size, so bench looks at each size that it times."""
    proto = onnx.load(exported / "model.onnx")
    proto.graph.node[-1].output[0] = "before"
    one, size = np.float32(1), np.int64(77)
    for name, value in (("size", size), ("one", one), ("zero", np.array([0], np.int64))):
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    proto.graph.node.extend(
        [
            helper.make_node("Shape", ["input"], ["shape"]),
            helper.make_node("Gather", ["shape", "zero"], ["count"]),
            helper.make_node("Equal", ["count", "size"], ["hit"]),
            helper.make_node("Cast", ["hit"], ["extra"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["extra", "one"], ["gain"]),
            helper.make_node("Mul", ["before", "gain"], ["logits"]),
        ]
    )
    onnx.save(proto, tmp_path / "model.onnx")
    assert check_artifact(Target(FORMATS["onnx"], tmp_path / "model.onnx"), make_plan(Reference(bundled))).passed
    changed = job.model_copy(update={"path": str(tmp_path / "model.onnx"), "batch_sizes": (8, 77, 32)})
    result = run_job(changed)
    assert [row.batch_size for row in result.rows] == [8, 32]
    assert [(each.batch_size, "off by" in each.reason) for each in result.failures] == [(77, True)]


def test_a_failure_on_a_device_outweighs_a_pass_on_another(folder: Path, bundled: Checkpoint) -> None:
    (onnx_target,) = targets(folder, "onnx")
    weights = bundled.record.weights_sha256
    record = check_artifact(onnx_target, make_plan(Reference(bundled)))
    bad = CheckRecord(name="values", measured=9.0, limit=8.0, unit="×", detail="")
    note_verified(folder, [record.model_copy(update={"device": "cuda", "checks": (bad,)})])
    check_verified(onnx_target, weights, "cpu", "")
    with pytest.raises(UnverifiedArtifactError, match="parity failed on cuda"):
        check_verified(onnx_target, weights, "cuda", "")


def test_a_worker_that_runs_onnx_loads_no_libtorch(job: Job, tmp_path: Path) -> None:
    write_record(job, tmp_path / "job.json")
    code = (
        "import sys; from toolkit.bench.worker import main; "
        f"main({str(tmp_path / 'job.json')!r}, {str(tmp_path / 'result.json')!r}); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
    assert len(read_record(tmp_path / "result.json", JobResult).rows) == 2


@pytest.fixture
def job(exported: Path, tmp_path: Path, bundled: Checkpoint) -> Job:
    return Job(
        target="model.onnx",
        format="onnx",
        path=str(exported / "model.onnx"),
        golden=str(exported / "golden.npz"),
        device="cpu",
        threads=1,
        batch_sizes=(1, 2),
        runtime="onnxruntime",
        runtime_version="1",
        verified=True,
        warmup_s=0.001,
        measure_s=0.001,
    )


def test_one_batch_size_that_fails_does_not_take_the_others(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.bench import worker

    def measure_or_die(session: object, images: np.ndarray, budget: Budget) -> Any:
        if len(images) == 1:
            raise MemoryError
        return measure(session, images, budget)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "measure", measure_or_die)
    result = run_job(job)
    assert [row.batch_size for row in result.rows] == [2]
    assert [(each.batch_size, each.reason) for each in result.failures] == [(1, "MemoryError")]


def worker_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Put another module in the worker's place."""
    package = tmp_path / "fake" / "toolkit" / "bench"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "worker.py").write_text(textwrap.dedent(code))
    monkeypatch.setattr(
        launch, "worker_environment", lambda threads: {**os.environ, "PYTHONPATH": str(tmp_path / "fake")}
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the worker was killed by SIGSEGV"),
        ("raise SystemExit('out of luck')", "exit code 1: out of luck"),
        ("import sys; sys.exit(7)", "exit code 7"),
        ("pass", "exit code 0"),
    ],
)
def test_a_worker_that_dies_is_a_failed_row_with_its_last_words(
    code: str, reason: str, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that(monkeypatch, tmp_path, code)
    result = launch.run_worker(job, tmp_path)
    assert result.rows == ()
    assert reason in result.failures[0].reason


def test_a_worker_that_hangs_is_killed(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker_that(
        monkeypatch,
        tmp_path,
        f"""
        import os, time
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(600)
        """,
    )
    monkeypatch.setattr(launch, "_STARTUP_TIMEOUT_S", 3.0)
    monkeypatch.setattr(launch, "_ROW_TIMEOUT_S", 0.0)
    result = launch.run_worker(job, tmp_path)
    assert result.failures[0].reason == "no result within 3 s"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_worker_gets_its_threads_before_a_runtime_is_imported() -> None:
    environment = launch.worker_environment(3)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert environment["NVIDIA_TF32_OVERRIDE"] == "0"


@pytest.mark.usefixtures("quick")
def test_a_folder_named_like_a_package_does_not_get_in_the_way(
    exported: Path, bundled: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("toolkit", "onnx", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert run_benchmark(targets(exported, "onnx"), bundled, batch_sizes=(1,)).passed


@pytest.mark.usefixtures("quick")
def test_ctrl_c_keeps_what_was_measured(exported: Path, bundled: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = launch.run_worker, []

    def interrupted(job: Job, scratch: Path) -> Any:
        calls.append(job.target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(job, scratch)

    monkeypatch.setattr(bench_module, "run_worker", interrupted)
    report = run_benchmark(targets(exported), bundled, batch_sizes=(1,))
    assert [row.format for row in report.latency] == ["eager"]
    assert report.interrupted
    monkeypatch.setattr(bench_module, "run_worker", lambda job, scratch: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(targets(exported), bundled, batch_sizes=(1,))


@pytest.mark.cuda
@pytest.mark.usefixtures("quick")
def test_cuda_rows_are_measured(exported: Path, bundled: Checkpoint) -> None:
    report = run_benchmark(
        targets(exported, "torchscript", "torch-export"), bundled, device="cuda", batch_sizes=(1, 64)
    )
    assert report.passed, report.failures
    assert {row.device for row in report.latency} == {"cuda"}
    assert {row.precision for row in report.latency} == {"float32"}


@pytest.mark.mps
@pytest.mark.usefixtures("quick")
def test_mps_rows_are_measured(exported: Path, bundled: Checkpoint) -> None:
    report = run_benchmark(targets(exported, "torchscript", "torch-export"), bundled, device="mps", batch_sizes=(1,))
    assert report.passed, report.failures


def test_artifacts_are_found_by_format_by_file_or_all(exported: Path) -> None:
    assert [each.info.name for each in targets(exported)] == list(FORMATS)
    path = exported / artifact_name(FORMATS["onnx"])
    assert targets(exported, "onnx", str(path)) == [Target(FORMATS["onnx"], path)]
