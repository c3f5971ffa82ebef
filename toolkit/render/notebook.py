"""A report where Python shows a value: one screen of text at a prompt, all of its tables in a notebook."""

import io
from collections.abc import Iterable
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

from toolkit.records import Report
from toolkit.render.terminal import render_report
from toolkit.render.words.answer import answer
from toolkit.render.words.bench import bench_contents
from toolkit.render.words.plain import Plain

_COLUMNS, _LINES = 80, 25
_COLUMNS_OF_A_PAGE: Final = 120
_PAGE: Final = '<pre style="line-height:1.2;overflow-x:auto">{code}</pre>'


def one_screen(report: Report) -> str:
    """Return the answer of a report, its main table and what else there is, on 25 lines of 80 columns at most."""
    console = _console(_COLUMNS)
    # What answers first: what was timed, if anything was.
    _print(console, report, bench_contents(report, details=False) if report.latency else render_report(report))
    text: io.StringIO = console.file  # type: ignore[assignment]  # as it was given
    lines = [line.rstrip() for line in text.getvalue().rstrip().splitlines()]
    more = len(lines) - (_LINES - 2)
    if more > 0:
        lines = [*lines[: _LINES - 3], f"… and {more + 1} more lines"]
    return "\n".join([*lines, "", _rest(report)])


def whole_page(report: Report) -> str:
    """Return all that a terminal shows of a report as HTML."""
    console = _console(_COLUMNS_OF_A_PAGE)
    _print(console, report, render_report(report))
    return console.export_html(inline_styles=True, code_format=_PAGE)


def _rest(report: Report) -> str:
    """Return how much is in a report that does not fit on a screen."""
    counts = {"failures": report.failures, "skips": report.skips, "notes": report.notes}
    counted = ", ".join(f"{len(each)} in .{name}" for name, each in counts.items() if each)
    return f"<Report of {report.command}, passed={report.passed}{f', {counted}' if counted else ''}>"


def _console(width: int) -> Console:
    return Console(file=io.StringIO(), record=True, width=width, highlight=False, markup=False, color_system=None)


def _print(console: Console, report: Report, parts: Iterable[RenderableType]) -> None:
    for each in (Text(answer(report)), Text(""), *parts):
        console.print(Plain(each))
