"""Bench with its real workers: which rows there are, what is in them, what is refused."""

import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support import Cli, save_small
from toolkit import bench as bench_module
from toolkit.bench import Settings, run_benchmark
from toolkit.bench.engine.job import Entry, Job
from toolkit.bench.engine.outputs import batch_of, wrong_outputs
from toolkit.bench.engine.prepare import Request, prepare_request
from toolkit.bench.engine.scenario import parse_scenario
from toolkit.errors import UnverifiedArtifactError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.formats import FORMATS
from toolkit.formats.golden import read_golden
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.target import Target
from toolkit.formats.verified import check_verified, note_verified
from toolkit.parity import Reference, check_artifact, make_plan
from toolkit.records import CheckRecord
from toolkit.system.processes import clean_environment

REAL_MEASURE_LIMITS = bench_module.measure_limits  # conftest puts known limits in its place for every test
QUICK = Settings(batch_sizes=(1,), threads=(1,), budget_s=0.3, control=False, against_limits=False, restarts=0)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


def targets(folder: Path, *names: str) -> list[Target]:
    return resolve_targets(list(names), folder, "cpu")[0]


def test_the_limits_of_this_machine_can_be_measured(tmp_path: Path) -> None:
    limits = REAL_MEASURE_LIMITS(1, (2_680_000,), tmp_path)
    assert {peak.runtime for peak in limits.peaks} >= {"torch", "onnxruntime"}
    assert {record.working_set_bytes for record in limits.bandwidths} >= {2_680_000}
    assert not limits.skips


def test_verification_is_of_these_bytes_these_weights_and_this_runtime(
    folder: Path, bundled: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    (onnx,) = targets(folder, "onnx")
    weights = bundled.record.weights_sha256
    check_verified(onnx, weights, "cpu", "")
    with pytest.raises(UnverifiedArtifactError, match="against another checkpoint"):
        check_verified(onnx, "0" * 64, "cpu", "")
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.formats.verified.runtime_version", lambda info: "9.9")
        with pytest.raises(UnverifiedArtifactError, match=r"installed is 9\.9"):
            check_verified(onnx, weights, "cpu", "")
    with onnx.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UnverifiedArtifactError, match="has not passed this file"):
        check_verified(onnx, weights, "cpu", "")
    (folder / "verified.json").write_text("garbage")
    with pytest.raises(UnverifiedArtifactError):
        check_verified(targets(folder, "torchscript")[0], weights, "cpu", "")


def test_fast_because_wrong_is_a_failed_row_at_the_very_batch_size(
    exported: Path, tmp_path: Path, bundled: Checkpoint
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
    golden = read_golden(exported / "golden.npz")
    session = Target(FORMATS["onnx"], tmp_path / "model.onnx").open("cpu", 1)
    wrong = {size: wrong_outputs(session, golden, batch_of(golden, size)) for size in (8, 77, 32)}
    assert [size for size, what in wrong.items() if what] == [77]
    assert "its outputs are off by" in str(wrong[77])


def test_a_failure_on_a_device_outweighs_a_pass_on_another(folder: Path, bundled: Checkpoint) -> None:
    (onnx_target,) = targets(folder, "onnx")
    weights = bundled.record.weights_sha256
    record = check_artifact(onnx_target, make_plan(Reference(bundled)))
    bad = CheckRecord(name="values", measured=9.0, limit=8.0, unit="×", detail="")
    note_verified(folder, [record.model_copy(update={"device": "cuda", "checks": (bad,)})])
    check_verified(onnx_target, weights, "cpu", "")
    with pytest.raises(UnverifiedArtifactError, match="parity failed on cuda"):
        check_verified(onnx_target, weights, "cuda", "")


def test_artifacts_are_found_by_format_by_file_or_all(exported: Path) -> None:
    assert [each.format.name for each in targets(exported)] == list(FORMATS)
    path = exported / FORMATS["onnx"].file_name
    assert targets(exported, "onnx", str(path)) == [Target(FORMATS["onnx"], path)]


def test_every_format_and_eager_get_a_row_per_batch_size_and_thread_count(exported: Path, bundled: Checkpoint) -> None:
    settings = replace(QUICK, batch_sizes=(1, 8), control=True, against_limits=True, budget_s=1.5)
    report = run_benchmark(targets(exported), bundled, settings)
    assert report.passed, report.failures
    assert [(row.format, row.role, row.batch_size) for row in report.latency] == [
        (name, role, size)
        for name, role in (*((name, "row") for name in ("eager", *FORMATS)), ("eager", "control"))
        for size in (1, 8)
    ]
    for row in report.latency:
        assert row.verified
        assert (row.device, row.precision, row.threads) == ("cpu", "float32", 1)
        assert row.median_s > 0
        assert row.bound  # of the limits that conftest gives
        assert row.share_of_limit == pytest.approx(row.bound.seconds / row.median_s)
        assert row.peak_memory_bytes is None or row.peak_memory_bytes > 0
        assert row.cold.load_s > 0
        assert row.cold.import_s > 0
        assert (row.file_bytes or 3_000_000) > 2_600_000
        assert row.energy or row.no_energy
    assert {each.batch_size for each in report.fastest} == {1, 8}
    assert report.fitness
    assert {each.batch_size for each in report.fitness.controls} == {1, 8}
    assert len(report.fitness.canary_s) > 10
    assert report.self_checks[0].passed


@pytest.mark.usefixtures("torch_at_hand")
def test_limits_can_be_left_out(exported: Path, bundled: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "measure_limits", None)  # calling it would fail
    report = run_benchmark(targets(exported, "onnx"), bundled, QUICK)
    assert report.limits == ()
    assert [(row.bound, row.share_of_limit) for row in report.latency] == [(None, None)] * 2


@pytest.mark.usefixtures("torch_at_hand")
def test_what_parity_has_not_passed_is_refused_or_marked(folder: Path, bundled: Checkpoint) -> None:
    (folder / "verified.json").unlink()
    onnx = targets(folder, "onnx")
    with pytest.raises(UnverifiedArtifactError) as caught:
        run_benchmark(onnx, bundled, QUICK)
    assert caught.value.path == folder / "model.onnx"
    report = run_benchmark(onnx, bundled, QUICK, unverified=True)
    assert [row.verified for row in report.latency] == [True, False]
    assert [each.format for each in report.fastest] == ["eager"]


@pytest.mark.usefixtures("torch_at_hand")
def test_an_unverified_row_of_another_model_says_what_is_wrong_with_it(folder: Path, tmp_path: Path) -> None:
    wrong = load_checkpoint(save_small(tmp_path / "m.safetensors"))
    report = run_benchmark(targets(folder, "onnx"), wrong, QUICK, unverified=True)
    assert [(row.format, row.verified) for row in report.latency] == [("eager", True), ("onnx", False)]
    assert report.latency[1].mismatch


@pytest.mark.parametrize(
    ("scenario", "least_s", "most_s"),
    [
        ("throughput", 1e-6, 0.05),
        ("paced:5ms", 1e-6, 0.5),
        ("poisson:200", 1e-6, 0.5),
        ("cold", 0.005, 60),
    ],
)
def test_every_scenario_gives_times_of_its_own(
    scenario: str, least_s: float, most_s: float, exported: Path, bundled: Checkpoint
) -> None:
    settings = replace(QUICK, scenario=parse_scenario(scenario), budget_s=1.0, batch_sizes=(4,))
    report = run_benchmark(targets(exported, "onnx"), bundled, settings)
    assert report.passed, report.failures
    assert [row.format for row in report.latency] == ["eager", "onnx"]
    for row in report.latency:
        assert least_s < row.median_s < most_s
        assert row.scenario.kind == scenario.partition(":")[0]
        assert row.bound is None
        for each in row.rounds:
            assert each.calls >= len(each.times_ns)
        if row.scenario.interval_s:
            assert {each.service_s is None for each in row.rounds} == {False}
        if scenario == "cold":
            assert row.median_s > 0.9 * (row.cold.load_s + row.cold.first_call_s)


def test_a_worker_that_runs_onnx_loads_no_libtorch_and_keeps_its_answers_apart(exported: Path) -> None:
    entry = Entry(
        target="model.onnx",
        format="onnx",
        path=str(exported / "model.onnx"),
        golden=str(exported / "golden.npz"),
        device="cpu",
        runtime="onnxruntime",
        runtime_version="1",
        verified=True,
    )
    code = """
        import sys
        from toolkit.bench.engine.job import Job, Order
        from toolkit.bench.engine.worker import Worker
        worker = Worker(Job.model_validate_json(sys.argv[1]))
        for order in (Order(do="open"), Order(do="warm"), Order(do="measure"), Order(do="finish")):
            worker.carry_out(order)
        print(sorted({"torch", "scipy"} & set(sys.modules)))
    """
    job = Job(entry=entry, threads=1, batch_size=2)
    command = [sys.executable, "-c", textwrap.dedent(code), job.model_dump_json()]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.usefixtures("torch_at_hand")
def test_a_batch_that_no_memory_holds_is_a_failed_row(exported: Path, bundled: Checkpoint) -> None:
    report = run_benchmark(targets(exported, "onnx"), bundled, replace(QUICK, batch_sizes=(1, 10**9)))
    assert [(row.format, row.batch_size) for row in report.latency] == [("eager", 1), ("onnx", 1)]
    assert [each.batch_size for each in report.failures] == [10**9] * 2
    for failure in report.failures:
        assert re.search(r"a batch of 1,000,000,000 images takes .* GB, .* are free; take a smaller", failure.reason)


def test_the_worker_gets_its_threads_before_a_runtime_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # of this shell; it would make one runtime spin
    environment = clean_environment(3)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert environment["NVIDIA_TF32_OVERRIDE"] == "0"
    assert environment["PYTHONHASHSEED"] == "0"
    assert "OMP_WAIT_POLICY" not in environment


def test_a_folder_named_like_a_package_does_not_get_in_the_way(
    exported: Path, bundled: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("toolkit", "onnx", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert run_benchmark(targets(exported, "onnx"), bundled, QUICK).passed


@pytest.mark.cuda
def test_cuda_rows_are_measured(exported: Path, bundled: Checkpoint) -> None:
    settings = replace(QUICK, batch_sizes=(1, 64), budget_s=3)
    report = run_benchmark(targets(exported, "torchscript", "torch-export"), bundled, settings, device="cuda")
    assert report.passed, report.failures
    assert {row.device for row in report.latency} == {"cuda"}
    assert {row.precision for row in report.latency} == {"float32"}
    assert {row.format for row in report.latency} == {"eager", "eager-cudagraph", "torchscript", "torch-export"}


@pytest.mark.mps
def test_mps_rows_are_measured(exported: Path, bundled: Checkpoint) -> None:
    report = run_benchmark(targets(exported, "torchscript", "torch-export"), bundled, QUICK, device="mps")
    assert report.passed, report.failures


def bench_options(folder: Path) -> list[object]:
    options = ["--batch", "1", "--threads", "1", "--budget", "0.5", "--restarts", "0", "--no-limits"]
    return ["bench", "onnx", "--folder", folder, *options]


@pytest.mark.usefixtures("torch_at_hand")
def test_the_command_line_measures_a_folder_against_another(cli: Cli, exported: Path, folder: Path) -> None:
    outcome = cli(*bench_options(exported), "--against", folder, "--max-slowdown", "900%", "--seed", "7", "--json")
    assert outcome.code == 0, outcome.err
    report = outcome.report
    assert report.bench
    assert report.bench.seed == 7
    assert [(row.target, row.role) for row in report.latency] == [
        ("eager", "row"),
        ("model.onnx", "row"),
        (str(folder / "model.onnx"), "base"),
        ("eager", "control"),
    ]
    (comparison,) = report.comparisons
    assert (comparison.target, comparison.base) == ("model.onnx", str(folder / "model.onnx"))
    assert comparison.allowed_slowdown == 9
    assert not list(exported.glob("*.partial"))


@pytest.mark.usefixtures("torch_at_hand")
def test_the_command_line_measures_a_checkpoint_against_another(cli: Cli, exported: Path, tmp_path: Path) -> None:
    other = save_small(tmp_path / "small.safetensors")
    report = cli(*bench_options(exported), "--against", other, "--json").report
    (comparison,) = report.comparisons
    assert (comparison.target, comparison.base) == ("eager", f"eager of {other}")
    assert comparison.speed.ratio < 1  # the small model is faster than the head


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--scenario", "fast"], "--scenario fast:"),
        (["--max-slowdown", "5%"], "pass --against"),
        (["--max-slowdown", "x", "--against", "y"], "--max-slowdown x:"),
        (["--threshold", "-1%"], "--threshold -1%:"),
        (["--threads", "1,9999"], "--threads 1,9999:"),
        (["--budget", "0.01"], "--budget 0.01:"),
        (["--against", "nowhere"], "--against nowhere: nothing is there; pass a folder of artifacts, or a checkpoint"),
        (["--against", "."], "it has no manifest.json with golden.npz; write them with: fmnist-tk export"),
        (["--device", "cuda:99"], "'cuda:99'"),
        (["--checkpoint", "none.pth"], "none.pth"),
    ],
)
@pytest.mark.usefixtures("in_empty_folder", "torch_at_hand")
def test_bad_options_are_one_line_that_names_them(options: list[str], named: str, cli: Cli, exported: Path) -> None:
    outcome = cli(*bench_options(exported), *options)
    assert outcome.code == 2
    assert named in outcome.err
    assert outcome.err.strip().count("\n") <= outcome.err.count("/")  # lines of progress, and one of the error
    assert outcome.out == ""


@pytest.mark.usefixtures("torch_at_hand")
def test_what_the_folder_of_against_lacks_is_told(cli: Cli, exported: Path, folder: Path) -> None:
    (folder / "model.ts.pt").unlink()
    outcome = cli("bench", "onnx", "torchscript", *bench_options(exported)[2:], "--against", folder)
    assert outcome.code == 2
    assert "it has no torchscript; write it with: fmnist-tk export torchscript" in outcome.err
    (folder / "model.onnx").unlink()
    skips = prepare_request(request(exported, folder)).skips
    assert [each.what for each in skips] == [f"{name} of {folder}" for name in ("onnx", "torchscript")]


def request(folder: Path, against: Path | None, *names: str) -> Request:
    return Request(
        names=names,
        folder=str(folder),
        checkpoint=None,
        devices=("cpu",),
        unverified=False,
        against=str(against) if against else None,
        scratch=str(folder.parent),
    )


def test_two_files_of_one_name_are_two_rows(exported: Path, folder: Path) -> None:
    files = (str(exported / "model.onnx"), str(folder / "model.onnx"))
    entries = prepare_request(request(exported, None, *files, "torchscript")).entries
    assert [each.target for each in entries] == ["eager", *files, "model.ts.pt"]
