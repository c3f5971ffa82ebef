import io
import math

import pytest
from rich.console import Console

from made_up_records import BAD, GOOD, parity
from toolkit.records import FailureRecord, Report, SkipRecord
from toolkit.records.units import joules, percent, rate, seconds, size
from toolkit.render.terminal import render_report
from toolkit.system.environment import new_report


def text_of(report: Report, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False)
    for part in render_report(report):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0.0, "0.00 ns"),
        (1.234e-8, "12.3 ns"),
        (9.996e-7, "1.00 µs"),
        (1.8e-5, "18.0 µs"),
        (4.41e-4, "441 µs"),
        (0.0026, "2.60 ms"),
        (0.99999, "1.00 s"),
        (49.0, "49.0 s"),
    ],
)
def test_seconds_get_a_fitting_unit(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999 B"), (2_680_723, "2.68 MB"), (1_500, "1.50 kB"), (3e9, "3.00 GB")]
)
def test_sizes_are_in_powers_of_a_thousand(value: float, text: str) -> None:
    assert size(value) == text


def test_rates_have_three_digits() -> None:
    assert rate(1_146_321.5) == "1,150,000"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00 %"), (4e-4, "0.04 %"), (0.0042, "0.4 %"), (0.0996, "10 %"), (0.57, "57 %"), (math.inf, "∞ %")],
)
def test_shares_are_in_per_cent(value: float, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00 nJ"), (1.2e-5, "12.0 µJ"), (-0.0034, "-3.40 mJ"), (2.5, "2.50 J")]
)
def test_joules_get_a_fitting_unit(value: float, text: str) -> None:
    assert joules(value) == text


def test_parity_is_shown_with_the_cause_of_a_failure() -> None:
    text = text_of(new_report("parity").model_copy(update={"parity": (parity(GOOD, BAD),)}))
    assert "✗ model.onnx: labels: so so" in text


def test_paths_are_no_markup() -> None:
    record = parity(GOOD).model_copy(update={"target": "run/x[bold].onnx"})
    assert "x[bold].onnx" in text_of(new_report("parity").model_copy(update={"parity": (record,)}))


def test_failures_skips_and_notes_are_never_left_out() -> None:
    report = new_report("run").model_copy(
        update={
            "failures": (
                FailureRecord(target="x", format="onnx", device="cpu", batch_size=64, reason="out of [memory]"),
            ),
            "skips": (SkipRecord(what="mps", reason="no GPU", remedy="buy one"),),
            "notes": ("mind the gap",),
            "interrupted": True,
        }
    )
    text = text_of(report)
    assert "✗ x at batch 64: out of [memory]" in text
    assert "skipped mps: no GPU; buy one" in text
    assert "! mind the gap" in text
    assert "Interrupted" in text
