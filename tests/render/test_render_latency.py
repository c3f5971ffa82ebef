"""A bench at a terminal: which facts are shown where, and what is said of those that are missing."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from made_up import (
    bench,
    clock,
    compared,
    comparison,
    control,
    cpu_bench,
    cuda_bench,
    eager,
    fitness,
    ratio,
    rounds,
    row,
)
from made_up_records import latency
from toolkit.records import Bound, EnergyRecord, Estimate, Report, Scenario
from toolkit.render.terminal import render_report
from toolkit.render.words.bench import slowdown_in_words
from toolkit.render.words.sheet import Column, Remark, Sheet, breaks_between, grouped, listed
from toolkit.system.environment import new_report

WHAT = "It must take no time"


def shown(report: Report, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    _heading, *parts = render_report(report)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def table(text: str, title: str) -> tuple[list[str], list[dict[str, str]]]:
    """The head and the rows of the table below a title, by columns that two blanks keep apart."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    rule = next(number for number in range(start, len(lines)) if lines[number].strip().startswith("───"))
    head = re.split(r"\s{2,}", lines[rule - 1].strip())
    rows = []
    for line in lines[rule + 1 :]:
        if not line.startswith(" "):
            break
        if line.strip():
            rows.append(dict(zip(head, re.split(r"\s{2,}", line.strip()), strict=False)))
    return head, rows


def speeds(report: Report, **changes: Any) -> tuple[list[str], list[dict[str, str]]]:
    return table(shown(report, **changes), "Latency of a call")


class TestSpeeds:
    def test_rows_stand_by_batch_and_then_by_median(self) -> None:
        rows = (
            eager(4e-5, batch_size=64),
            eager(5e-5),
            row(2e-5, ratio(2.5)),
            row(1e-5, ratio(4), batch_size=64),
        )
        _, lines = speeds(bench(*rows))
        assert [(each["batch"], each["format"]) for each in lines] == [
            ("1", "onnx"),
            ("1", "eager"),
            ("64", "onnx"),
            ("64", "eager"),
        ]
        assert [each["× eager"] for each in lines] == ["2.50", "1.00", "4.00", "1.00"]
        assert [each["verdict"] for each in lines] == ["FASTER", "baseline", "FASTER", "baseline"]

    def test_every_column_that_was_asked_for_is_there(self) -> None:
        head, _ = speeds(cuda_bench(), width=200)
        assert head == [
            *("batch", "format", "device", "precision", "threads", "p50 ±", "p99", "images/s", "× eager"),
            *("% of limit", "load", "memory", "verdict"),
        ]

    def test_what_all_rows_share_stands_in_the_title(self) -> None:
        assert "throughput on cpu, float32, 2 threads, all verified\n" in shown(bench(row(), eager()))
        mixed = shown(bench(row(device="cuda"), eager(threads=1)))
        assert "Latency of a call and throughput, float32, all verified\n" in mixed
        head, lines = table(mixed, "Latency of a call")
        assert "precision" not in head
        assert {(each["device"], each["threads"]) for each in lines} == {("cuda", "2"), ("cpu", "1")}

    @pytest.mark.parametrize(
        ("interval", "text"),
        [((1.9e-5, 2.1e-5), "20.0 µs ±5.0 %"), ((1.999e-5, 2.001e-5), "20.0 µs ±0.05 %"), (None, "20.0 µs      —")],
    )
    def test_the_median_comes_with_its_uncertainty(self, interval: tuple[float, float] | None, text: str) -> None:
        estimate = Estimate(p50_s=interval, p90_s=None, p99_s=None)
        made = latency([2e-5] * 20, estimate=estimate)
        told = shown(bench(made))
        assert text in told
        assert ("in place of ±: an interval needs two rounds; raise --budget" in told) == (interval is None)

    def test_a_row_that_was_not_summarized_says_so(self) -> None:
        told = shown(new_report("bench").model_copy(update={"latency": (latency([2e-5] * 5),)}))
        assert "20.0 µs      —" in told

    @pytest.mark.parametrize(("calls", "dash"), [(83, True), (84, False)])
    def test_p99_needs_a_thousand_calls(self, calls: int, dash: bool) -> None:
        told = shown(bench(row(calls=calls)))  # twelve rounds
        assert (
            "in place of p99: ten calls must lie beyond it, so it needs 1,000 calls; raise --budget" in told
        ) == dash

    def test_a_row_that_may_be_wrong_has_no_verdict(self) -> None:
        rows = (row(1e-5, ratio(5), verified=False), row(2e-5, ratio(2.5), verified=False, mismatch="off by 39"))
        told = shown(bench(*rows, eager()))
        assert "all verified" not in told
        _, lines = table(told, "Latency of a call")
        assert [each["verdict"] for each in lines] == ["✗ unverified", "✗ mismatch", "baseline"]

    @pytest.mark.parametrize(
        ("noisy", "bound_s", "text"),
        [(False, 1e-5, "50 % memory"), (False, 4e-5, "200 % memory"), (True, 1e-5, "50 % memory"), (True, 4e-5, None)],
    )
    def test_more_than_the_limit_is_not_shown_of_a_noisy_run(self, noisy: bool, bound_s: float, text: str) -> None:
        rows = row(rounds=rounds(2e-5, spread=0), bound=Bound(seconds=bound_s, kind="memory")), eager()
        _, lines = speeds(bench(*rows, fitness=fitness(noisy=noisy)))
        assert lines[0]["% of limit"] == text or (text is None and lines[0]["% of limit"] == "—")

    def test_without_limits_there_is_no_column_for_them(self) -> None:
        head, _ = speeds(bench(row(bound=None), eager(bound=None)))
        assert "% of limit" not in head

    @pytest.mark.parametrize(
        ("scenario", "title"),
        [
            ({"kind": "throughput"}, "Seconds per call in a full pipeline, and throughput on cpu"),
            (
                {"kind": "paced", "interval_s": 0.01},
                "Time from the scheduled arrival to the end of the call, one every 10.0 ms,",
            ),
            (
                {"kind": "poisson", "interval_s": 0.002},
                "end of the call, at random and every 2.00 ms on average, on cpu",
            ),
            ({"kind": "cold"}, "Import, load and first call in a new process on cpu"),
        ],
    )
    def test_the_title_says_what_the_time_means(self, scenario: dict[str, Any], title: str) -> None:
        made = Scenario.model_validate(scenario)
        told = shown(bench(row(scenario=made), eager(scenario=made)))
        assert title in told
        assert "Latency of a call" not in told

    def test_two_scenarios_are_two_tables(self) -> None:
        told = shown(bench(row(), row(scenario=Scenario(kind="cold"))))
        assert told.index("Latency of a call") < told.index("Import, load and first call")

    def test_a_base_is_marked_and_a_control_is_a_line(self) -> None:
        rows = (eager(), eager(4.99e-5, role="control"), row(2e-5, ratio(2.5)), row(2.1e-5, ratio(2.4), role="base"))
        told = shown(bench(*rows, fitness=fitness(controls=[control()])))
        _, lines = table(told, "Latency of a call")
        assert [each["format"] for each in lines] == ["onnx", "onnx (base)", "eager"]
        assert "eager against itself at batch 1: 1.003 (0.998 to 1.008), SAME\n" in told

    def test_controls_of_several_places_say_which(self) -> None:
        told = shown(cuda_bench())
        assert "eager against itself at batch 1 on cpu, 16 threads: 1.003" in told
        assert "eager against itself at batch 1 on cuda, 1 thread: 0.999" in told


class TestFastest:
    def test_it_names_what_cannot_be_told_apart(self) -> None:
        rows = (row(2e-5), row(2.01e-5, format="torch-export"), row(2.02e-5, format="torchscript"), eager())
        assert "onnx (cannot be told apart from torch-export and torchscript)" in shown(bench(*rows))
        told = shown(bench(row(), row(2.001e-5, threads=1)))
        assert "onnx (cannot be told apart from onnx on 1 thread)" in told

    def test_an_interval_wider_than_its_median_is_not_counted_out(self) -> None:
        wide = row(estimate=Estimate(p50_s=(1e-6, 8e-4), p90_s=None, p99_s=None))
        assert "µs >100 %" in shown(bench(wide))

    def test_the_ratio_is_the_one_of_the_row(self) -> None:
        told = shown(bench(row(2e-5, ratio(2.34)), eager(5e-5)))
        _, lines = table(told, "Fastest verified")
        assert lines[0]["× eager"] == "2.34"

    def test_reduced_precision_stands_apart(self) -> None:
        told = shown(cuda_bench())
        _, exact = table(told, "Fastest verified in float32")
        _, reduced = table(told, "Fastest verified of reduced precision on cuda, tf32, 1 thread")
        assert [(each["device"], each["format"]) for each in exact] == [("cpu", "onnx"), ("cuda", "eager-cudagraph")]
        assert [each["format"] for each in reduced] == ["onnx"]

    def test_nothing_verified_is_nothing_ranked(self) -> None:
        assert "Fastest" not in shown(bench(row(verified=False)))


class TestBeside:
    def test_columns_that_no_row_has_are_left_out(self) -> None:
        told = shown(cpu_bench())
        start = told.index("Before and beside the calls on cpu, float32, 2 threads")
        part = told[start : told.index("A call as a fixed cost")]
        for word in ("import", "load", "first", "steady", "copy", "memory", "file"):
            assert word in part
        for word in ("device", "energy\n", "alone"):
            assert word not in part

    def test_two_files_of_one_format_are_told_apart_by_their_precision(self) -> None:
        told = shown(bench(row(2e-5), row(1e-5, target="model.int8.onnx", precision="int8")))
        tables = {line.split(" on ")[0]: place for place, line in enumerate(told.splitlines()) if " on cpu" in line}
        for title in ("Latency of a call and throughput", "Before and beside the calls"):
            rows = " ".join(told.splitlines()[tables[title] :][:8])
            assert "float32" in rows
            assert "int8" in rows

    def test_every_column_that_was_asked_for_is_there(self) -> None:
        told = shown(cuda_bench(), width=200)
        head = " ".join(told[told.index("Before and beside") :].splitlines()[2:4])
        for word in ("device", "time", "memory", "energy", "per image", "file", "size", "copy", "in", "out", "import"):
            assert word in head
        assert "12.0 µJ" in told
        assert "512 MB" in told

    def test_the_median_over_rounds_is_shown_of_what_a_round_has_once(self) -> None:
        parts = [
            each.model_copy(update={"copy_in_s": s})
            for each, s in zip(rounds(2e-5, 3, 3), (1e-6, 5e-6, 2e-6), strict=True)
        ]
        assert "2.00 µs" in shown(bench(row(rounds=tuple(parts))))

    def test_missing_energy_has_its_reason_once(self) -> None:
        told = shown(bench(row(), row(batch_size=64), eager(no_energy="not available here: it is off")))
        assert told.count("no energy per image on cpu: not available here: no RAPL counters") == 1
        assert told.count("no energy per image on cpu: not available here: it is off") == 1
        energy = EnergyRecord(joules=1, images=1000, idle_power_w=1)
        assert "no energy" not in shown(bench(row(energy=energy, no_energy=None)))

    def test_costs_have_intervals_and_where_they_saturate(self) -> None:
        _, lines = table(shown(cpu_bench()), "A call as a fixed cost")
        assert lines[0] == {
            "format": "onnx",
            "fixed cost": "16.0 µs (14.4 µs to 17.6 µs)",
            "cost per image": "2.70 µs (2.60 µs to 2.80 µs)",
            "saturates at batch": "53",
        }
        free = cpu_bench().costs[0].model_copy(update={"saturates_at": None})
        assert "saturates" not in shown(bench(costs=(free,)))


class TestConditions:
    def test_one_line_tells_how_it_was_measured(self) -> None:
        told = shown(bench(row()))
        assert (
            "12 rounds within 30.0 s, in an order drawn with seed 7; measuring adds 250 ns to a call on cpu\n" in told
        )
        assert "TF32" not in told
        told = " ".join(shown(cuda_bench()).split())
        assert "adds 250 ns to a call on cpu and 310 ns to a call on cuda; TF32 off for float32 rows" in told

    def test_a_clock_that_is_wrong_is_told_and_not_praised(self) -> None:
        told = shown(bench(row(), self_checks=(clock(measured=3e-6),)))
        sentence = "overhead: 3.00 µs, allowed is at most 1.00 µs. It must take no time."
        assert f"✗ the clock on cpu is wrong: {sentence}" in told
        assert "measuring adds" not in told
        assert "linear" not in told

    def test_without_rows_the_self_check_is_told_in_full(self) -> None:
        told = shown(bench(bench=None, fitness=None, self_checks=(clock(), clock("mps", None))))
        _, honest = table(told, "The clock on cpu: honest; measuring adds 250 ns to a call")
        assert honest == [
            {"check": "✓ overhead", "measured": "250 ns", "limit": "at most 1.00 µs", "what must hold": WHAT},
            {"check": "✓ linear", "measured": "2.01", "limit": "at most 2.2", "what must hold": WHAT},
        ]
        _, wrong = table(told, "The clock on mps: wrong")
        assert [each["check"] for each in wrong] == ["✗ overhead", "✓ linear"]
        assert wrong[0]["measured"] == "nothing"
        assert "✗ the clock on mps is wrong: overhead: nothing, allowed is" in told

    def test_the_machine_s_verdict_is_shown_and_a_noisy_one_takes_nothing_away(self) -> None:
        assert "✓ The machine was fit (VALID: the same small work differed by" in shown(bench(row()))
        told = " ".join(shown(bench(row(), eager(), fitness=fitness(noisy=True))).split())
        assert "! NOISY: the same small work took times that differ" in told
        assert "end other work" in told
        assert "FASTER" in " ".join(shown(bench(row(2e-5, ratio(2)), fitness=fitness(noisy=True))).split())

    def test_warnings_end_in_advice(self) -> None:
        rows = (row(2e-5, ratio(1.01, "CANNOT TELL")), eager(settled=False))
        lines = " ".join(shown(bench(*rows)).split()).split("! ")[1:]
        assert lines[0].startswith("eager at batch 1 used the CPU while waiting for a turn")
        assert lines[0].strip().endswith("leave it out, or bench it alone")
        assert lines[1].startswith("onnx at batch 1: the interval is too wide for a verdict (CANNOT TELL)")
        assert lines[1].endswith("raise --budget, or use a quieter machine")

    def test_many_rows_are_counted_not_named(self) -> None:
        rows = [row(batch_size=size, settled=False) for size in range(1, 6)]
        assert "! 5 rows used the CPU" in shown(bench(*rows))
        assert "each alone" in shown(bench(*rows))

    def test_threads_are_named_where_rows_differ_in_them(self) -> None:
        rows = [row(to_eager=ratio(1.0, "CANNOT TELL"), threads=1), row(threads=2), row(threads=2, settled=False)]
        told = " ".join(shown(bench(*rows)).split())
        assert "onnx at batch 1, 1 thread: the interval is too wide" in told
        assert "onnx at batch 1, 2 threads used the CPU" in told
        unlike = fitness(controls=(control(threads=1, verdict="SLOWER"), control(threads=2)))
        told = " ".join(shown(bench(*rows, fitness=unlike)).split())
        assert "eager against itself is SLOWER at batch 1 on cpu, 1 thread: ratio 1.003" in told


class TestComparisons:
    def test_they_have_a_table_of_their_own(self) -> None:
        gate = {"allowed_slowdown": 0.05}
        rows = comparison(**gate, too_slow=True), comparison(1.2, "FASTER", batch_size=64, **gate)
        told = shown(bench(row(), row(role="base"), comparisons=rows))
        _, lines = table(told, "Speed of head over base on cpu, 2 threads, in separate runs")
        assert lines[0] == {
            "batch": "1",
            "format": "onnx",
            "base": "18.4 µs",
            "head": "20.0 µs",
            "speed (95 % interval)": "0.920 (0.911 to 0.929)",
            "verdict": "✗ SLOWER",
            "allowed": "5.0 % slower",
        }
        assert lines[1]["verdict"] == "FASTER"
        assert "SAME: the whole interval is within 2.0 %" in told
        assert (
            "✗ onnx at batch 1 on cpu, 2 threads: a call takes 8.7 % longer than in the base (7.6 % to 9.8 %), "
            "and --max-slowdown allows 5.0 %"
        ) in " ".join(told.split())

    def test_what_nothing_was_said_of_has_no_column(self) -> None:
        told = shown(compared(comparison(median_s=None, base_median_s=None, threshold=None, paired=True)))
        head, _ = table(told, "Speed of head over base on cpu, 2 threads, in the same rounds")
        assert head == ["batch", "format", "speed (95 % interval)", "verdict"]
        assert "SAME:" not in told

    def test_without_an_interval_there_is_the_ratio(self) -> None:
        alone = ratio(0.5, "CANNOT TELL").model_copy(update={"low": None, "high": None})
        assert "0.500 (—)" in shown(compared(comparison(speed=alone)))
        assert "takes 100 % longer than in the base, and" in slowdown_in_words(comparison(speed=alone))

    def test_devices_that_differ_are_columns(self) -> None:
        told = shown(compared(comparison(), comparison(device="cuda", threads=1)))
        head, _ = table(told, "Speed of head over base, in separate runs")
        assert head[2:4] == ["device", "threads"]


class TestWidth:
    @pytest.mark.parametrize("made", [cpu_bench(), cuda_bench()], ids=["cpu", "cuda"])
    def test_nothing_is_folded_in_files(self, made: Report) -> None:
        told = shown(made, width=140)
        assert len(table(told, "Latency of a call")[1]) == len(
            [each for each in made.latency if each.role != "control"]
        )
        assert all(len(line) <= 140 for line in told.splitlines())

    @pytest.mark.parametrize("width", [20, 40, 80, 100])
    def test_any_width_is_possible(self, width: int) -> None:
        for made in (cpu_bench(), cuda_bench(), compared(comparison())):
            assert all(len(line) <= width for line in shown(made, width=width).splitlines())

    def test_what_has_no_room_is_named(self) -> None:
        told = shown(cpu_bench(), width=80)
        head, lines = table(told, "Latency of a call")
        assert head == ["batch", "format", "p50 ±", "p99", "× eager", "verdict"]
        assert len(lines) == 12
        assert "left out, for want of width: images/s, % of limit, memory, load\n" in told

    def test_columns_come_closer_before_any_is_left_out(self) -> None:
        sheet = Sheet("t", tuple(Column(name, (name,), spare=number) for number, name in enumerate("abc")))
        assert self.printed(sheet, 11) == ["t", " a   b   c", " ─────────", " a   b   c"]
        assert self.printed(sheet, 10) == ["t", " a  b  c", " ───────", " a  b  c"]
        assert self.printed(sheet, 8)[1:] == [" a   b", " ─────", " a   b", "left", "out, for", "want of", "width: c"]

    @staticmethod
    def printed(sheet: Sheet, width: int) -> list[str]:
        console = Console(file=io.StringIO(), width=width)
        console.print(sheet)
        assert isinstance(console.file, io.StringIO)
        return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_sentences_that_follow_one_another_come_together_and_in_their_place() -> None:
    one, other, sheet = Remark("one"), Remark("other", "bad"), Sheet("t", ())
    assert list(grouped([one, other, sheet, sheet, one])) == [(one, other), sheet, sheet, (one,)]


def test_words_are_listed_and_sections_found() -> None:
    assert [listed(words) for words in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert breaks_between([1, 1, 64, 64]) == {1}
    assert breaks_between([1, 64, 1024]) == frozenset()


def test_a_report_of_another_command_has_nothing_of_this() -> None:
    assert shown(new_report("doctor")) == ""
