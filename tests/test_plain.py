"""No name of a file, however hostile, steers what shows it, whichever way it goes out."""

import csv
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from made_up import row
from made_up_parity import bad
from toolkit.errors import CheckpointError, OwnDataError, PictureError, ToolkitError, UsageError
from toolkit.plain import cell, decoded, plain
from toolkit.records import FailureRecord, PredictionRecord, Report, ScoreRecord, SkipRecord, UnreadableRecord, to_json
from toolkit.render.files.github import annotations
from toolkit.render.files.junit import junit_xml
from toolkit.render.files.latency_csv import latency_csv
from toolkit.render.files.markdown import report_markdown
from toolkit.render.files.prediction_files import predictions_csv
from toolkit.render.notebook import one_screen, whole_page
from toolkit.render.page import report_page
from toolkit.render.terminal import render_report
from toolkit.render.words.plain import Plain
from toolkit.render.words.prediction import one_line, unreadable_line
from toolkit.render.words.saved import SavedReport
from toolkit.system.environment import new_report

PIECES: Final = (
    *("\n", "\r", "\r\n", "\t", "\x0b", "\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x7f", "\x00", "\x85", "\u2028"),
    *(
        "\u202e",
        "\ufeff",
        "::error::owned",
        "::set-output name=a::b",
        "##[error]owned",
        "#",
        ":",
        "=1+1",
        "-1",
        "@SUM(A1)",
    ),
    *("|", "`", "<b>", "]]>", "&", ",", ";", '"', "'", "%", " ", "ä", "\u00a0", "a.png"),
)
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
# As Unicode has them: controls, what joins or turns, and surrogates; and the commands of a runner of jobs.
STEERING: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|##\\[")
COMMAND: Final = re.compile(r"^\s*::", re.MULTILINE)
BAG: Final = (ScoreRecord(label="Bag", probability=1),)


def report_of(name: str) -> Report:
    """A report that has a name wherever one can stand."""
    return new_report("predict").changed(
        predictions=(PredictionRecord(source=name, scores=BAG, remark=name),),
        unreadable=(UnreadableRecord(source=name, reason=name, remedy=name),),
        parity=(bad(name),),
        failures=(FailureRecord(target=name, format="onnx", device="cpu", reason=name),),
        latency=(row(target=name),),
        skips=(SkipRecord(what=name, reason=name, remedy=name),),
        notes=(name,),
    )


def on_a_terminal(report: Report) -> str:
    console = Console(file=io.StringIO(), width=70, color_system=None, highlight=False, markup=False)
    for part in render_report(report, whole=True):
        console.print(Plain(part))
    return console.file.getvalue()  # type: ignore[attr-defined]  # StringIO has it


WAYS: Final[dict[str, Callable[[str], str]]] = {
    "terminal": lambda name: on_a_terminal(report_of(name)),
    "a line": lambda name: one_line(report_of(name).predictions[0]),
    "an error line": lambda name: unreadable_line(report_of(name).unreadable[0]),
    "markdown": lambda name: report_markdown(report_of(name)),
    "CSV of pictures": lambda name: predictions_csv(report_of(name)),
    "CSV of latencies": lambda name: latency_csv([SavedReport(name, report_of(name))]),
    "annotations": lambda name: "\n".join(annotations(report_of(name))),
    "JUnit": lambda name: junit_xml(report_of(name)),
    "page": lambda name: report_page([SavedReport(name, report_of(name))]),
    "JSON": lambda name: to_json(report_of(name)),
    "prompt": lambda name: one_screen(report_of(name)),
    "notebook": lambda name: whole_page(report_of(name)),
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=30)
@given(name=names)
@example(name="::error::owned.png")
@example(name="a\n::error::owned.png")
@example(name="##[error]owned.png")
def test_no_way_out_lets_a_name_steer(way: str, name: str) -> None:
    text = WAYS[way](name)
    assert not STEERING.search(text)
    if way == "annotations":
        lines = text.split("\n")
        assert len(lines) == len(WAYS[way]("a.png").split("\n"))
        assert all(line.startswith(("::error ", "::warning ")) for line in lines)
    else:
        assert not COMMAND.search(text)


@settings(max_examples=30)
@given(name=names)
def test_cells_are_text_on_one_line_and_no_formulas(name: str) -> None:
    for way in ("CSV of pictures", "CSV of latencies"):
        text = WAYS[way](name)
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert text.count("\n") == len(rows)
        assert len({*map(len, rows)}) == 1
        assert not any(
            each.lstrip().startswith(("=", "+", "-", "@")) for line in rows for each in line if not is_number(each)
        )


def is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text))


@given(name=names | st.text(max_size=20))
def test_an_error_is_one_plain_line_with_plain_fields(name: str) -> None:
    errors: tuple[ToolkitError, ...] = (
        UsageError(f"{name}:", f"pass {name}"),
        PictureError(name, name),
        OwnDataError(Path(name), [name, name]),
        CheckpointError(Path(name), name),
    )
    for error in errors:
        for text in (str(error), error.reason, error.statement, error.remedy):
            assert "\n" not in text
            assert not STEERING.search(text)


@given(name=names | st.text(max_size=20))
def test_plain_text_is_plain_already(name: str) -> None:
    once = plain(name)
    assert plain(once) == once
    assert "\n" not in plain(name, lines=False)
    assert cell(cell(name)) in {cell(name), f"'{cell(name)}"}
    if name.isprintable() and not COMMAND.search(name) and "##[" not in name:
        assert once == name


def test_a_path_is_text_whatever_its_bytes() -> None:
    assert decoded(os.fsdecode(b"a\xff\n.png")) == "a\ufffd\n.png"
