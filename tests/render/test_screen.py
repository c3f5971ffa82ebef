"""The first screen: what answers, and never more than 25 lines of 80 columns."""

import io
from typing import Any

import pytest
from rich.console import Console

from made_up import bench, clock, comparison, cpu_bench, cuda_bench, eager, everything, fitness, ratio, row
from made_up_parity import bad, good
from toolkit.records import ArtifactRecord, FailureRecord, RatioRecord, Report, SkipRecord
from toolkit.render.words.answer import answer
from toolkit.render.words.screen import first_screen, has_first_screen
from toolkit.render.words.sheet import Sheet
from toolkit.render.words.speeds import speed_in_words
from toolkit.system.environment import new_report


def screen(report: Report) -> list[str]:
    console = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    for part in first_screen(report):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def parity(*records: Any, **changes: Any) -> Report:
    return new_report("parity").changed(parity=records, **changes)


MANY = [
    each
    for size in range(1, 30)
    for each in (eager(batch_size=size), row(batch_size=size), row(3e-5, batch_size=size, format="torchscript"))
]
LONG = FailureRecord(target="x", format="x", device="cpu", reason="why " * 200)
SLOW = comparison(0.5, too_slow=True, allowed_slowdown=0.1)
REPORTS = {
    "a quiet run": cpu_bench(command="run", parity=(good(), good("model.onnx"))),
    "a noisy run": cpu_bench(command="run", fitness=fitness(noisy=True)),
    "everything": everything(),
    "two devices": cuda_bench(),
    "many batch sizes": bench(*MANY),
    "many artifacts": parity(*(good(f"exported/{number}.onnx") for number in range(40))),
    "many failures": parity(*(bad(f"exported/{number}.onnx") for number in range(40))),
    "long words": bench(
        eager(),
        failures=(FailureRecord(target="x", format="x", device="cpu", reason="why " * 200),),
        notes=("n " * 400,),
    ),
    "many notes": bench(row(), eager(), notes=tuple(f"note {number}" for number in range(40))),
    "a comparison": bench(
        row(), eager(), comparisons=(comparison(), comparison(0.5, too_slow=True, allowed_slowdown=0.1))
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_line_of_a_command_below_it_fits_on_25_lines_of_80_columns(name: str) -> None:
    lines = screen(REPORTS[name])
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", REPORTS)
def test_it_is_one_table_and_ends_in_the_answer(name: str) -> None:
    report = REPORTS[name]
    *parts, last = first_screen(report)
    assert [isinstance(part, Sheet) for part in parts].count(True) == 1
    assert not isinstance(last, Sheet)
    assert last.text == answer(report) or last.text.endswith(" …")
    assert last.tone == ("good" if report.passed else "bad")


def test_all_rows_of_four_formats_at_three_batch_sizes_are_there() -> None:
    text = "\n".join(screen(REPORTS["a noisy run"]))
    assert "--details" not in text
    for name in ("onnx", "torchscript", "eager", "torch-export"):
        assert text.count(f"   {name} ") == 3
    for column in ("p99", "images/s", "% of limit", "load", "memory"):
        assert column not in text


def test_where_rows_do_not_fit_those_that_tell_most_stay() -> None:
    wrong = row(9e-5, batch_size=29, format="wrong", verified=False)
    lines = screen(bench(*MANY, wrong))
    assert any("wrong" in line and "✗ unverified" in line for line in lines)
    assert not any(" torchscript " in line for line in lines)
    kept = sum(line.startswith("    ") and "µs" in line for line in lines)
    assert f"{len(MANY) + 1 - kept} more rows with --details" in lines


def test_what_does_not_fit_is_counted() -> None:
    lines = screen(REPORTS["many failures"])
    rows = sum("3 of 8 failed" in line for line in lines)
    (line,) = [line for line in lines if "--details" in line]
    assert line.startswith(f"{40 - rows} more rows and ")


def test_an_artifact_that_passed_is_a_line() -> None:
    lines = screen(parity(good("exported/model.onnx"), good("exported/model.pt2", device="cuda")))
    assert [line.split() for line in lines if "✓ model" in line] == [
        ["✓", "model.onnx", "(cpu)", "10", "passed", "1.17", "×", "(≤", "8", "×)"],
        ["✓", "model.pt2", "(cuda)", "10", "passed", "1.17", "×", "(≤", "8", "×)"],
    ]
    assert len(lines) == 8


def test_an_artifact_that_failed_names_its_cause_in_its_line_and_below() -> None:
    lines = screen(parity(good("exported/a.onnx"), bad("exported/b.onnx")))
    assert any("✗ b.onnx" in line and "3 of 8 failed" in line and "✗ row independence" in line for line in lines)
    assert any(line.startswith("✗ b.onnx: row independence on sample images: a row") for line in lines)
    assert "  where: linear_relu_stack.2 (node linear_1) is the first layer that is off" in lines
    assert not any("39 ×" in line for line in lines)


def test_artifacts_without_parity_are_listed_with_their_size() -> None:
    record = ArtifactRecord(
        format="onnx", file="model.onnx", size_bytes=2_680_000, sha256="a" * 64, weights_sha256="b" * 64, checkpoint="m"
    )
    report = new_report("export").changed(artifacts=(record,))
    assert [line.split() for line in screen(report) if "model.onnx" in line] == [["onnx", "model.onnx", "2.68", "MB"]]
    assert any("2.68 MB" in line for line in screen(report.changed(parity=(good("exported/model.onnx"),))))


def test_noisy_is_one_line_with_the_first_reason_and_how_many_more() -> None:
    (line,) = [line for line in screen(REPORTS["a noisy run"]) if "NOISY: " in line]
    assert line.startswith("! NOISY: the same small work took times that differ")


def test_skips_are_told_last() -> None:
    skip = SkipRecord(what="onnx", reason="a package is missing", remedy="install it")
    *_, told, _ = first_screen(parity(good(), skips=(skip,), notes=("mind",)))
    assert not isinstance(told, Sheet)
    assert told.text == "skipped onnx: a package is missing; install it"


@pytest.mark.parametrize(
    ("report", "has"),
    [
        (cpu_bench(), True),
        (parity(good()), True),
        (bench(bench=None, fitness=None, self_checks=(clock(),)), False),
        (new_report("doctor"), False),
        (new_report("compare").changed(comparisons=(comparison(),)), False),
    ],
)
def test_what_is_short_anyway_has_no_first_screen(report: Report, has: bool) -> None:
    assert has_first_screen(report) == has


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        (ratio(2.87), "2.87"),
        (ratio(0.5, "SLOWER"), "0.50"),
        (ratio(0.0042, "SLOWER"), "0.0042"),
        (ratio(146.4), "146"),
        (RatioRecord(ratio=146, low=1.6, high=434, verdict="FASTER"), "1.60 to 434"),
        (RatioRecord(ratio=1.03, low=0.99, high=1.07, verdict="CANNOT TELL"), "0.99 to 1.07"),
        (RatioRecord(ratio=1.03, low=None, high=None, verdict="CANNOT TELL"), "—"),
    ],
)
def test_a_speed_is_a_number_only_where_that_says_something(speed: RatioRecord, words: str) -> None:
    assert speed_in_words(speed) == words
