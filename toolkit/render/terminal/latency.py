"""A bench at a terminal: how fast, how sure, at what cost, and under which conditions."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from toolkit.records import Report
from toolkit.render.words.beside import beside_sheet, cost_sheet
from toolkit.render.words.clocks import clock_sheet
from toolkit.render.words.comparisons import comparison_legend, comparison_sheet, slowdown_in_words
from toolkit.render.words.conditions import Remark, controls, gaps, machine, method, missing_energy, warnings
from toolkit.render.words.speeds import fastest_sheets, ordered, speed_sheets
from toolkit.render.words.tables import BAD, GOOD, Fitted

_DRAWN: Final = {
    "good": (f"{GOOD[0]} ", "green"),
    "bad": (f"{BAD[0]} ", "red"),
    "warning": ("! ", "yellow"),
    "note": ("", "dim"),
}


def latency_tables(report: Report) -> Iterator[RenderableType]:
    """Yield what a person reads of a bench or a comparison, part by part; what the report does not have is left out.

    Args:
        report: Of any command.
    """
    if ordered(report):
        yield from map(Fitted, speed_sheets(report))
        yield from _lines(controls(report))
        yield from _lines(gaps(report))
    yield from _comparisons(report)
    yield from map(Fitted, fastest_sheets(report))
    if ordered(report):
        yield Fitted(beside_sheet(report))
        yield from _lines(missing_energy(report))
    costs = cost_sheet(report)
    if costs:
        yield Fitted(costs)
    if not report.latency:  # fmnist-tk bench --selfcheck, or a bench that its clock forbade
        yield from map(Fitted, map(clock_sheet, report.self_checks))
    for part in (method(report), machine(report.fitness), warnings(report)):
        yield from _lines(part)


def _comparisons(report: Report) -> Iterator[RenderableType]:
    sheet = comparison_sheet(report)
    if sheet:
        yield Fitted(sheet)
        yield Text(comparison_legend(report), style="dim")
    for each in report.comparisons:
        if each.too_slow:
            yield from _lines([Remark(slowdown_in_words(each), "bad")])


def _lines(remarks: Iterable[Remark]) -> Iterator[Text]:
    for remark in remarks:
        sign, style = _DRAWN[remark.tone]
        yield Text(f"{sign}{remark.text}", style=style)
