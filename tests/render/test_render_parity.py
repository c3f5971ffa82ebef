"""Parity at a terminal, and the words that Markdown, JUnit and annotations share with it."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from made_up_parity import (
    ALONE,
    WHERE,
    bad,
    counted,
    good,
    labels,
    lower,
    measured,
    record,
    unopened,
)
from toolkit.records import ParityRecord
from toolkit.render.terminal import render_report
from toolkit.render.words.parity import check_sheets, explain, target_names
from toolkit.system.environment import new_report


def text_of(*records: ParityRecord, width: int = 100, **options: Any) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, markup=False, highlight=False, **options)
    _heading, *parts = render_report(new_report("parity").changed(parity=records))
    for part in parts:
        console.print(part)
    return file.getvalue()


def rows_of(*records: ParityRecord) -> dict[str, list[str]]:
    """The words of each check, by its label."""
    (sheet,) = check_sheets(records)
    return {name: words for name, *words in sheet.rows()}


def row_of(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    return line.strip().removeprefix(name).split()


def test_one_row_per_check_and_one_column_per_target() -> None:
    text = text_of(good(), bad(), unopened())
    assert text.splitlines()[0] == "Parity on cpu, float32, 2 threads, against the checkpoint"
    assert text.splitlines()[1].strip() == "1 × is eager's own rounding; the worst over all probes"
    assert row_of(text, "check") == ["model.ts.pt", "✗", "model.onnx", "✗", "model.pt2", "limit"]
    assert row_of(text, "opens") == ["✓", "✓", "✗"]
    assert row_of(text, "finite") == ["✓", "✓", "—"]
    assert row_of(text, "values") == ["1.17", "×", "✗", "39.1", "×", "—", "≤", "8", "×"]
    assert row_of(text, "labels") == ["0", "unexplained", "✗", "3", "unexplained", "—", "0"]
    assert row_of(text, "row independence") == ["0.50", "×", "✗", "40.0", "×", "—", "≤", "8", "×"]


def test_rows_come_in_the_order_of_reports_and_only_what_was_asked() -> None:
    assert [*rows_of(record("m.onnx", labels(0), measured("values", 1), counted("opens")))] == [
        "opens",
        "values",
        "labels",
    ]


def test_every_failed_target_is_explained_below() -> None:
    text = text_of(good(), bad(), unopened(), width=200)
    below = [line.rstrip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(below) if line.startswith("✗ model.onnx"))
    assert below[start:] == [
        f"✗ model.onnx: row independence on sample images: {ALONE}",
        f"    where: {WHERE}",
        "    reproduction: repro/model-onnx",
        "    also failed: values, labels",
        "✗ model.pt2: opens: member data/weights/0 has a wrong CRC; export it again",
    ]


def test_nothing_is_said_of_targets_that_pass() -> None:
    assert list(explain([good()])) == []
    assert "✗" not in text_of(good())


def test_the_worst_probe_is_shown_and_a_failure_before_all() -> None:
    at_least = {"bound": "at least", "unit": "fraction of labels"}
    cells = rows_of(
        record("a.onnx", measured("values", 1), measured("values", 7), measured("values", 3)),
        record("b.onnx", measured("values", 7, limit=10), measured("values", 6, limit=5)),
        record("c.onnx", measured("values", 70), measured("values", None)),
        record("d.onnx", measured("agreement", 0.9, limit=0.8, **at_least), measured("agreement", 0.95, **at_least)),
    )
    assert cells["values"][:4] == ["7.00 ×", "✗ 6.00 ×", "✗", "—"]
    assert cells["agreement, fraction of labels"][:4] == ["—", "—", "—", "✗ 0.95"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ×"),
        (0.001, "< 0.01 ×"),
        (1.0, "1.00 ×"),
        (7.999, "8.00 ×"),
        (9.996, "✗ 10.0 ×"),
        (99.96, "✗ 100 ×"),
        (1107.2, "✗ 1,107 ×"),
        (2.5e9, "✗ 2.5e+09 ×"),
    ],
)
def test_ratios_have_three_digits(value: float, text: str) -> None:
    assert rows_of(record("m.onnx", measured("values", value)))["values"][0] == text


def test_lower_precisions_have_a_table_of_their_own_with_their_quality() -> None:
    text = text_of(good(), lower())
    assert "Parity on cpu, float32, 2 threads" in text
    assert "Parity on cpu, int8, 2 threads" in text
    assert "1 × is its own error" in text
    assert row_of(text, "accuracy, points lost") == ["0.3", "≤", "1"]
    assert row_of(text, "agreement, fraction of labels") == ["0.991", "≥", "0.98"]
    assert row_of(text, "images") == ["1,000", "(sample)"]
    assert row_of(text, "accuracy of the reference") == ["91.20%"]
    assert row_of(text, "accuracy lost, points") == ["0.30"]
    low, _, high = row_of(text, "… with 95 % confidence")
    assert float(low) < 0.3 < float(high)
    assert row_of(text, "labels agree") == ["99.10%"]
    assert row_of(text, "largest change of a probability") == ["0.087"]
    assert row_of(text, "signal to noise of the logits") == ["31.4", "dB"]


def test_a_target_that_runs_in_another_precision_says_so() -> None:
    assert "model.ts.pt in tf32" in text_of(good(precision="tf32"))


def test_units_that_differ_stand_in_the_rows() -> None:
    text = text_of(record("m.onnx", measured("values", 1), measured("determinism", 1, unit="× its own error")))
    assert "1 × is" not in text
    assert "values, × eager's own rounding" in text
    assert "determinism, × its own error" in text


def test_limits_that_differ_are_all_shown() -> None:
    rows = rows_of(record("m.onnx", measured("values", 1), measured("values", 1, limit=2)))
    assert rows["values"][-1] == "≤ 8 × / ≤ 2 ×"


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert target_names([good("a/m.onnx"), good("a/n.onnx")]) == ["m.onnx", "n.onnx"]
    assert target_names([good("a/m.onnx"), good("b/m.onnx")]) == ["a/m.onnx", "b/m.onnx"]
    assert target_names([good("a/m.onnx"), good("a/m.onnx", device="cuda")]) == ["m.onnx (cpu)", "m.onnx (cuda)"]
    assert "Parity on cpu and cuda" in text_of(good(), good(device="cuda"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threads": 1}, "1 thread, against"),
        ({"threads": None}, "threads as the runtime takes"),
        ({"against": "old/model.onnx", "weights_sha256": None}, "against old/model.onnx"),
    ],
)
def test_the_title_says_by_what_rule(changes: dict[str, Any], words: str) -> None:
    assert words in text_of(good(**changes))


def test_references_that_differ_are_told_apart() -> None:
    text = text_of(good("a.onnx"), good("b.onnx", weights_sha256="c" * 64))
    assert "the checkpoint bbbbbbbbbbbb…" in text
    assert "the checkpoint cccccccccccc…" in text


@pytest.mark.parametrize("width", [80, 100, 140, 40])
def test_tables_never_get_wider_than_the_terminal_or_100_columns(width: int) -> None:
    records = [bad(f"exported/a-rather-long-name-{number}.onnx", divergence=None) for number in range(7)]
    lines = text_of(*records, width=width).splitlines()
    table = [line for line in lines if not line.startswith("✗ ")]
    assert max(map(len, lines)) <= width
    assert max(len(line.rstrip()) for line in table) <= 100
    heads = [line for line in lines if line.strip().startswith("check ")]
    assert 2 <= len(heads) <= 7
    if width >= 80:
        for number in range(7):
            assert any(f"✗ a-rather-long-name-{number}.onnx" in line for line in heads)


def test_at_most_four_targets_stand_side_by_side() -> None:
    text = text_of(*(good(f"{number}.pt") for number in range(5)))
    assert [row.split()[1:] for row in text.splitlines() if row.strip().startswith("check")] == [
        ["0.pt", "1.pt", "2.pt", "3.pt", "limit"],
        ["4.pt", "limit"],
    ]


def test_without_colour_a_sign_tells_and_with_colour_both_do(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = text_of(good(), bad(), force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[32m *✓\x1b\[0m", coloured)
    assert re.search(r"\x1b\[1;31m *✗ 39.1 ×\x1b\[0m", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = text_of(good(), bad(), force_terminal=True, color_system="standard")
    assert "[32m" not in plain
    assert "31m" not in plain
    assert "✗ 39.1 ×" in plain


def test_names_and_details_are_no_markup() -> None:
    text = text_of(record("run[a]b.onnx", counted("opens", 1, "[red]not[/red] a zip")))
    assert "✗ run[a]b.onnx: opens: [red]not[/red] a zip" in text
