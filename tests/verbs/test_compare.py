"""Comparing saved benches: which rows meet, what is refused, what is told, and when it is exit 1."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from made_up import bench, clock, control, eager, fitness, row
from made_up import rounds as rounds_of
from made_up_records import round_of
from support import Cli, Outcome
from toolkit.bench.statistics import independent_ratio
from toolkit.cli.options import parse_percent
from toolkit.errors import ComparisonError, UsageError
from toolkit.records import (
    AcceleratorRecord,
    CheckpointRecord,
    FailureRecord,
    LatencyRecord,
    MachineRecord,
    ModelConfig,
    Report,
    Scenario,
)
from toolkit.system.environment import new_report
from toolkit.system.files import write_record
from toolkit.verbs.compare import compare_reports

MACHINE = MachineRecord(
    system="Linux 6.1.0 x86_64",
    cpu="AMD EPYC",
    physical_cores=2,
    usable_cpus=2,
    memory_bytes=1,
    python="3.11.7",
    versions={"torch": "2.11.0", "onnxruntime": "1.23.0"},
)

GPU = AcceleratorRecord(device="cuda", name="NVIDIA H200", memory_bytes=140 << 30, driver="580.65")


def run(seed: int, slower: float = 1.0, **changes: Any) -> Report:
    """A bench of eager and ONNX at two batch sizes, the ONNX rows ``slower`` by a factor."""
    rows = []
    for size in (1, 64):
        p50_s = 2e-5 * size**0.5
        rows.append(eager(3 * p50_s, batch_size=size, rounds=rounds_of(3 * p50_s, seed=seed)))
        rows.append(eager(3 * p50_s, batch_size=size, rounds=rounds_of(3 * p50_s, seed=seed + 1), role="control"))
        rows.append(row(p50_s, batch_size=size, rounds=rounds_of(slower * p50_s, seed=seed + 2)))
    controls = [control(size) for size in (1, 64)]
    return bench(*rows, **{"machine": MACHINE, "fitness": fitness(controls=controls), **changes})


BASE, HEAD = run(0), run(100)


def only(*rows: LatencyRecord, **changes: Any) -> Report:
    return bench(*rows, machine=MACHINE, **changes)


def on_gpu(seed: int, *gpus: AcceleratorRecord) -> Report:
    return only(row(device="cuda", rounds=rounds_of(1e-5, seed=seed)), accelerators=gpus or (GPU,))


def text_of(notes: tuple[str, ...]) -> str:
    return "\n".join(notes)


class TestRows:
    def test_the_same_rows_meet_and_controls_do_not(self) -> None:
        report = compare_reports(BASE, HEAD)
        assert [(each.format, each.batch_size) for each in report.comparisons] == [
            ("eager", 1),
            ("onnx", 1),
            ("eager", 64),
            ("onnx", 64),
        ]
        assert {each.speed.verdict for each in report.comparisons} == {"SAME"}
        assert report.skips == ()
        assert report.notes == ()
        assert report.passed
        assert (report.command, report.machine) == ("compare", MACHINE)

    def test_the_speed_is_that_of_head_over_base(self) -> None:
        report = compare_reports(BASE, run(100, slower=1.1), threshold=0.03, max_slowdown=0.2, seed=5)
        (found,) = [each for each in report.comparisons if (each.format, each.batch_size) == ("onnx", 1)]
        base, head = BASE.latency[2], run(100, slower=1.1).latency[2]
        ratio = independent_ratio(
            [each.seconds() for each in base.rounds], [each.seconds() for each in head.rounds], seed=5
        )
        assert ratio.interval is not None
        assert (found.speed.ratio, found.speed.low, found.speed.high) == (
            ratio.point,
            ratio.interval.low,
            ratio.interval.high,
        )
        assert found.speed.ratio == pytest.approx(1 / 1.1, rel=0.02)
        assert found.speed.verdict == "SLOWER"
        assert (found.median_s, found.base_median_s) == (head.median_s, base.median_s)
        assert (found.threshold, found.allowed_slowdown, found.too_slow, found.paired) == (0.03, 0.2, False, False)

    def test_the_gate_closes_when_the_whole_interval_is_beyond_it(self) -> None:
        slow = run(100, slower=1.1)
        assert not compare_reports(BASE, slow, max_slowdown=0.05).passed
        assert compare_reports(BASE, slow, max_slowdown=0.1).passed  # 10 % slower, give or take
        assert compare_reports(BASE, slow).passed
        assert compare_reports(slow, BASE, max_slowdown=0.0).passed  # faster
        assert compare_reports(BASE, HEAD, max_slowdown=0.0).passed  # the same, give or take

    @pytest.mark.parametrize(
        "changes",
        [
            {"format": "torchscript"},
            {"device": "mps"},
            {"threads": 1},
            {"batch_size": 2},
            {"scenario": Scenario(kind="throughput")},
        ],
    )
    def test_rows_that_one_report_lacks_are_skips(self, changes: dict[str, Any]) -> None:
        report = compare_reports(only(eager(), row()), only(eager(), row(**changes)))
        assert [each.format for each in report.comparisons] == ["eager"]
        assert [each.reason for each in report.skips] == ["only base has it", "only head has it"]
        assert report.skips[0].what == "onnx at batch 1 on cpu, threads 2"
        assert all("bench both with the same formats" in each.remedy for each in report.skips)

    def test_rows_of_another_grid_are_told_once(self) -> None:
        report = compare_reports(only(eager(), *(row(batch_size=size) for size in (2, 4, 8))), only(eager(), row()))
        assert [(each.what, each.reason) for each in report.skips] == [
            ("onnx at batch 2 on cpu, threads 2 and 2 more", "only base has them"),
            ("onnx at batch 1 on cpu, threads 2", "only head has it"),
        ]

    def test_another_pace_is_another_scenario(self) -> None:
        slow, fast = (Scenario(kind="paced", interval_s=each) for each in (0.1, 0.01))
        with pytest.raises(ComparisonError):
            compare_reports(only(row(scenario=slow)), only(row(scenario=fast)))
        assert compare_reports(only(row(scenario=slow)), only(row(2.1e-5, scenario=slow))).comparisons

    def test_a_row_that_head_could_not_measure_says_why(self) -> None:
        failure = FailureRecord(target="m", format="onnx", device="cpu", batch_size=1, threads=2, reason="killed by 11")
        other = failure.model_copy(update={"batch_size": 64})
        head = only(eager(), failures=(other, failure))
        (skip,) = compare_reports(only(eager(), row()), head).skips
        assert skip.reason == "head could not measure it: killed by 11"

    def test_the_base_of_another_comparison_is_no_row(self) -> None:
        report = compare_reports(only(row(), row(4e-5, role="base")), only(row(2.1e-5), row(4e-5, role="base")))
        assert len(report.comparisons) == 1
        assert report.skips == ()

    def test_several_files_of_a_format_meet_by_name(self) -> None:
        base = only(row(target="a.onnx"), row(3e-5, target="b.onnx"), row(target="c.onnx"))
        head = only(row(3e-5, target="b.onnx"), row(2.1e-5, target="a.onnx"))
        report = compare_reports(base, head)
        assert [(each.base, each.target) for each in report.comparisons] == [("a.onnx", "a.onnx"), ("b.onnx", "b.onnx")]
        assert [each.reason for each in report.skips] == ["only base has it"]

    def test_one_file_of_a_format_may_have_another_name(self) -> None:
        report = compare_reports(only(row(target="old.onnx")), only(row(2.1e-5, target="new.onnx")))
        assert [(each.base, each.target) for each in report.comparisons] == [("old.onnx", "new.onnx")]

    def test_a_call_below_the_clock_is_no_division_by_zero(self) -> None:
        nothing = tuple(round_of([0.0] * 5, number, wall_s=1.0) for number in range(6))
        (found,) = compare_reports(only(row()), only(row(rounds=nothing))).comparisons
        assert found.speed.ratio == pytest.approx(2e-5 / 1e-9, rel=0.1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"cpu": "Intel"}, "CPU: AMD EPYC and Intel"),
            ({"physical_cores": 4}, "physical cores: 2 and 4"),
            ({"usable_cpus": 1}, "usable CPUs: 2 and 1"),
            ({"system": "Linux 6.1.0 aarch64"}, "system: Linux x86_64 and Linux aarch64"),
            ({"system": "Darwin 6.1.0 x86_64"}, "system: Linux x86_64 and Darwin x86_64"),
        ],
    )
    def test_other_machines_are_refused_unless_forced(
        self, changes: dict[str, Any], words: str, in_empty_folder: Path
    ) -> None:
        head = HEAD.model_copy(update={"machine": MACHINE.model_copy(update=changes)})
        write_record(BASE, Path("a.json"))
        with pytest.raises(ComparisonError) as error:
            compare_reports("a.json", head)
        assert error.value.reason == f"a.json and head come from different machines ({words})"
        forced = compare_reports(BASE, head, force=True)
        assert forced.notes[0] == f"Different machines, compared with --force: {words}"
        assert len(forced.comparisons) == 4

    @pytest.mark.parametrize(
        "changes", [{"system": "Linux 6.2.0 x86_64"}, {"python": "3.12.0"}, {"memory_bytes": 5}, {"versions": {}}]
    )
    def test_other_versions_are_not_another_machine(self, changes: dict[str, Any]) -> None:
        head = HEAD.model_copy(update={"machine": MACHINE.model_copy(update=changes)})
        notes = text_of(compare_reports(BASE, head).notes)
        assert "Different machines" not in notes
        assert ("Versions differ between base and head: " in notes) == ("memory_bytes" not in changes)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"name": "NVIDIA L4"}, "cuda: NVIDIA H200 and NVIDIA L4"),
            ({"memory_bytes": 24 << 30}, "bytes of memory of cuda: 150323855360 and 25769803776"),
        ],
    )
    def test_another_gpu_is_another_machine(self, changes: dict[str, Any], words: str) -> None:
        base, head = on_gpu(0), on_gpu(100, GPU.model_copy(update=changes))
        with pytest.raises(ComparisonError) as error:
            compare_reports(base, head)
        assert f"({words})" in error.value.reason
        forced = compare_reports(base, head, force=True)
        assert forced.notes == (f"Different machines, compared with --force: {words}",)
        assert forced.accelerators == head.accelerators

    def test_another_driver_is_another_version(self) -> None:
        head = on_gpu(100, GPU.model_copy(update={"driver": "590.10"}))
        (note,) = compare_reports(on_gpu(0), head).notes
        assert note == "Versions differ between base and head: driver of cuda 580.65 and 590.10"

    def test_a_gpu_that_only_one_run_used_makes_no_difference(self) -> None:
        other = GPU.model_copy(update={"device": "cuda:1", "name": "NVIDIA L4"})
        assert compare_reports(on_gpu(0), on_gpu(100, GPU, other)).notes == ()

    def test_an_unknown_gpu_is_told(self) -> None:
        reasons = dict.fromkeys(("name", "memory_bytes", "driver"), "not available here: no pynvml")
        unknown = AcceleratorRecord(device="cuda", unavailable=reasons)
        for head in (on_gpu(100, unknown), on_gpu(100).model_copy(update={"accelerators": ()})):
            assert compare_reports(on_gpu(0), head).notes == ("head does not say which GPU cuda is",)

    def test_without_latencies_there_is_nothing_to_compare(self) -> None:
        for pair in ((new_report("doctor"), HEAD), (BASE, new_report("train"))):
            with pytest.raises(
                ComparisonError, match=r"fmnist-tk (doctor|train) has no latencies in it; pass one that"
            ):
                compare_reports(*pair)

    def test_a_report_and_itself_are_no_two_runs(self) -> None:
        with pytest.raises(ComparisonError, match="hold the same report; pass the reports of two runs"):
            compare_reports(BASE, Report.model_validate_json(BASE.model_dump_json()))

    def test_no_common_row_says_what_each_has(self) -> None:
        with pytest.raises(
            ComparisonError, match="no row in common: eager at batch 1 on cpu, threads 2 and 1 more and onnx"
        ):
            compare_reports(only(eager(), row(batch_size=2)), only(row()))


class TestNotes:
    def test_versions_are_listed(self) -> None:
        versions = {"torch": "2.12.0", "onnxruntime": "1.23.0", "openvino": "2026.1"}
        head = run(100, machine=MACHINE.model_copy(update={"versions": versions}))
        (note,) = compare_reports(BASE, head).notes
        assert note == "Versions differ between base and head: torch 2.11.0 and 2.12.0; openvino none and 2026.1"

    def test_a_noisy_run_is_named_with_its_reason_and_remedy(self) -> None:
        (note,) = compare_reports(BASE, run(100, fitness=fitness(noisy=True))).notes
        assert note.startswith("head is NOISY (the same small work took times that differ by")
        assert note.endswith("); bench again when the machine is idle")
        unsure = [control(size, verdict="CANNOT TELL") for size in (1, 64)]
        (note,) = compare_reports(BASE, run(100, fitness=fitness(noisy=True, controls=unsure))).notes
        assert note.count("eager against itself") == 1
        assert "; and 1 more); bench again" in note

    def test_what_else_makes_a_run_doubtful(self) -> None:
        notes = compare_reports(run(0, interrupted=True), run(100, self_checks=(clock(measured=1.0),))).notes
        assert "base was interrupted" in notes[0]
        assert "head was measured with a clock that failed its self check" in notes[1]

    def test_rows_that_are_not_what_they_seem(self) -> None:
        base = only(row(), row(batch_size=64))
        head = only(row(precision="int8"), row(batch_size=64, verified=False))
        notes = compare_reports(base, head).notes
        assert "onnx at batch 1 on cpu, threads 2 computes in int8, and in float32 in the base" in notes
        assert any(each.startswith("onnx at batch 64 on cpu, threads 2 is not verified") for each in notes)

    def test_one_round_has_no_interval(self) -> None:
        report = compare_reports(only(row()), only(row(rounds=rounds_of(4e-5, count=1))), max_slowdown=0.05)
        assert "Rows of one round have no interval" in text_of(report.notes)
        assert [each.speed.verdict for each in report.comparisons] == ["CANNOT TELL"]
        assert report.passed  # nothing is known, so the gate stays open

    def test_another_model_is_told(self) -> None:
        def of(*sizes: int) -> CheckpointRecord:
            return CheckpointRecord(
                path="x", form="state-dict", config=ModelConfig(layer_sizes=sizes), weights_sha256="0" * 64
            )

        head = run(100, checkpoint=of(784, 16, 10))
        assert "have different layers" in text_of(compare_reports(run(0, checkpoint=of(784, 8, 10)), head).notes)
        assert compare_reports(run(0, checkpoint=of(784, 16, 10)), head).notes == ()

    def test_an_eager_that_changed_by_itself_shows_that_the_machine_did(self) -> None:
        slow = only(eager(5.5e-5), row(2.2e-5))
        note = text_of(compare_reports(only(eager(), row()), slow).notes)
        assert note.startswith("Eager, which is the same in both, is SLOWER (0.9")
        assert note.endswith("fmnist-tk bench --against")
        other = slow.model_copy(update={"machine": MACHINE.model_copy(update={"versions": {"torch": "2.12.0"}})})
        assert "Eager" not in text_of(compare_reports(only(eager(), row()), other).notes)


class TestPercent:
    @pytest.mark.parametrize(
        ("text", "share"),
        [
            ("5%", 0.05),
            ("5 %", 0.05),
            (" 5% ", 0.05),
            ("0.05", 0.05),
            ("0%", 0),
            ("0", 0),
            ("2.5%", 0.025),
            ("150%", 1.5),
        ],
    )
    def test_shares(self, text: str, share: float) -> None:
        assert parse_percent("--threshold", text) == pytest.approx(share)

    @pytest.mark.parametrize(
        "text", ["", "%", "x", "-1%", "-0.1", "nan", "inf", "1e-2", "5%%", "٥%", "1001%", "9" * 400 + "%"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UsageError, match="not a percentage"):
            parse_percent("--threshold", text)

    @pytest.mark.parametrize("text", ["5", "1", "10.0"])
    def test_a_number_that_may_mean_two_things(self, text: str) -> None:
        with pytest.raises(UsageError, match=f"--threshold {text}: .* Write --threshold {text}%"):
            parse_percent("--threshold", text)


class TestCommand:
    @pytest.fixture(autouse=True)
    def files(self, in_empty_folder: Path, cli: Cli) -> Iterator[None]:
        self.cli = cli
        write_record(BASE, Path("base.json"))
        write_record(HEAD, Path("head.json"))
        write_record(run(200, slower=1.2), Path("slow.json"))
        before = {path.name: path.read_bytes() for path in in_empty_folder.iterdir()}
        yield
        assert {name: Path(name).read_bytes() for name in before} == before

    def refused(self, *arguments: object) -> str:
        outcome: Outcome = self.cli("compare", *arguments)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome
        return outcome.err

    def test_two_runs_that_are_the_same(self) -> None:
        outcome = self.cli("compare", "base.json", "head.json", "--max-slowdown", "5%", "--json")
        assert (outcome.code, outcome.err) == (0, "")
        assert [each.speed.verdict for each in outcome.report.comparisons] == ["SAME"] * 4

    def test_a_slowdown_is_exit_1_and_named(self) -> None:
        outcome = self.cli("compare", "base.json", "slow.json", "--max-slowdown", "0.05", "--json")
        assert outcome.code == 1
        slow = [each for each in outcome.report.comparisons if each.too_slow]
        assert [(each.format, each.batch_size) for each in slow] == [("onnx", 1), ("onnx", 64)]
        assert [each.speed.ratio for each in slow] == pytest.approx([1 / 1.2] * 2, rel=0.02)
        assert self.cli("compare", "base.json", "slow.json").code == 0
        assert self.cli("compare", "base.json", "slow.json", "--max-slowdown", "30%").code == 0

    def test_the_threshold_decides_what_is_the_same(self) -> None:
        report = self.cli("compare", "base.json", "slow.json", "--threshold", "40%", "--json").report
        assert [each.speed.verdict for each in report.comparisons] == ["SAME"] * 4

    def test_json_is_all_of_stdout_and_can_be_shown_again(self) -> None:
        outcome = self.cli("compare", "base.json", "slow.json", "--max-slowdown", "5%", "--json", "-o", "c.json")
        assert outcome.code == 1
        assert len(outcome.report.comparisons) == 4
        assert json.loads(Path("c.json").read_text()) == json.loads(outcome.out)
        again = self.cli("report", "c.json")
        assert again.code == 1
        assert again.out == self.cli("compare", "base.json", "slow.json", "--max-slowdown", "5%").out
        Path("c.json").unlink()

    def test_junit_and_markdown_are_written(self) -> None:
        options = ("--max-slowdown", "5%", "--junit", "new/c.xml", "--markdown", "c.md", "-q")
        assert self.cli("compare", "base.json", "slow.json", *options) == Outcome(1, "", "")
        assert 'name="compare cpu"' in Path("new/c.xml").read_text()
        assert Path("new/c.xml").read_text().count('<failure type="slowdown"') == 2
        assert Path("c.md").read_text().startswith("## ❌ Compare: 2 of 4 rows are too slow\n")

    def test_quiet_leaves_the_exit_code(self) -> None:
        assert self.cli("compare", "base.json", "slow.json", "--max-slowdown", "5%", "--quiet") == Outcome(1, "", "")

    def test_no_runtime_is_loaded(self) -> None:
        code = """
import sys
from toolkit.cli import main
try:
    main(["compare", "base.json", "head.json", "-q"])
except SystemExit:
    pass
print(*[name for name in ("torch", "onnxruntime", "onnx") if name in sys.modules])
"""
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"

    def test_one_file_twice(self) -> None:
        assert "base.json" in self.refused("base.json", "base.json")

    def test_a_file_that_is_missing_or_none_of_ours(self) -> None:
        assert "none.json" in self.refused("base.json", "none.json")
        Path("text.json").write_text("epoch 1")
        assert "text.json" in self.refused("text.json", "base.json")
        self.refused("base.json", ".")

    def test_a_report_without_latencies(self) -> None:
        write_record(new_report("doctor"), Path("doctor.json"))
        assert "doctor.json" in self.refused("base.json", "doctor.json")

    def test_other_machines(self) -> None:
        other = HEAD.model_copy(update={"machine": MACHINE.model_copy(update={"cpu": "Intel"})})
        write_record(other, Path("intel.json"))
        assert "--force" in self.refused("base.json", "intel.json")
        assert self.cli("compare", "base.json", "intel.json", "--force").code == 0

    def test_no_common_row(self) -> None:
        write_record(only(row(batch_size=7)), Path("seven.json"))
        assert "seven.json" in self.refused("base.json", "seven.json")

    @pytest.mark.parametrize("option", ["--max-slowdown", "--threshold"])
    def test_a_percentage_that_is_none(self, option: str) -> None:
        assert f"{option} five" in self.refused("base.json", "head.json", option, "five")

    def test_files_are_not_written_over_what_is_read(self) -> None:
        assert "--output base.json" in self.refused("base.json", "head.json", "-o", "base.json")
        assert "--junit head.json" in self.refused("base.json", "head.json", "--junit", "head.json")
        assert "--markdown x" in self.refused("base.json", "head.json", "--junit", "x", "--markdown", "x")

    def test_one_file_is_missing_on_the_command_line(self) -> None:
        assert "HEAD" in self.refused("base.json")
