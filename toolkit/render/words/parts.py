"""What commands other than parity and bench found, in the terminal's words, for those who draw no terminal.

Page and Markdown draw sheets and remarks. Here the tables of a terminal become sheets and its lines remarks, so that
there is one set of words. Only predictions have a sheet of their own: bars and lines by the thousand are of a terminal.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from toolkit.records import Report
from toolkit.render.words.conditions import Remark
from toolkit.render.words.contents import WIDE, Sized
from toolkit.render.words.dataset import dataset_tables
from toolkit.render.words.doctor import doctor_tables
from toolkit.render.words.gallery import gallery_parts
from toolkit.render.words.inspection import inspection_tables
from toolkit.render.words.own_pictures import own_pictures_lines
from toolkit.render.words.plain import plain
from toolkit.render.words.prediction import FEW, predictor_line, report_tally, said_sheet, tally_parts
from toolkit.render.words.sheet import Column, Sheet
from toolkit.render.words.tables import BAD, GOOD, Fitted
from toolkit.render.words.training import training_tables
from toolkit.render.words.two_files import comparison_tables

# As many predictions are told one by one; a page or a comment of ten thousand would not be read.
_MOST: Final = 100
_TONES: Final[dict[str, Literal["good", "bad", "warning"]]] = {GOOD[0]: "good", BAD[0]: "bad", "!": "warning"}

Said = Sheet | Remark


@dataclass(frozen=True)
class Part:
    """A part of a report.

    Attributes:
        id: Its own within a report.
        title: Of its heading.
        said: Its tables and sentences, in order.
    """

    id: str
    title: str
    said: tuple[Said, ...]


def other_parts(report: Report, *, whole: bool) -> Iterator[Part]:
    """Yield the parts that a report has beside parity and bench, in the order of the terminal.

    Args:
        report: Of any command.
        whole: Whether long lists of what is inside files are told to their end.
    """
    if report.training:
        yield _part("training", "Training", training_tables(report.training))
    if report.doctor:
        yield _part("doctor", "What works here", doctor_tables(report.doctor))
    if report.fetched or report.places or (report.datasets and not report.gallery):
        lines = map(Text, own_pictures_lines(report))
        yield _part("data", "Pictures", [*lines, *dataset_tables(report)])
    if report.gallery:
        yield _part("gallery", "Chosen pictures", gallery_parts(report))
    if len(report.inspected) == 2:
        yield _part("inspected", "Two files beside one another", comparison_tables(report, whole=whole))
    elif report.inspected:
        yield _part("inspected", "Inside of files", inspection_tables(report, whole=whole))
    if report.predictor and not report.gallery:  # which has said what a model takes its pictures for
        yield Part("predictions", "Predictions", tuple(_predictions(report)))


def _part(id: str, title: str, shown: Iterable[RenderableType]) -> Part:
    said = (each for one in shown for each in _said(one))
    # A table without a title is the only one of its part.
    named = (replace(each, title=title) if isinstance(each, Sheet) and not each.title else each for each in said)
    return Part(id, title, tuple(named))


def _predictions(report: Report) -> Iterator[Said]:
    assert report.predictor is not None  # the caller has looked
    yield from _said(predictor_line(report.predictor))
    if report.predictions:
        yield said_sheet(report.predictions[:_MOST], "What the model says")
    if len(report.predictions) > _MOST:
        rest = len(report.predictions) - _MOST
        yield Remark(f"{rest:,} more pictures are left out here; the report as JSON has all of them", "note")
    count = len(report.predictions) + len(report.unreadable)
    for each in tally_parts(report_tally(report), many=count > FEW):
        yield from _said(each)


def _said(shown: RenderableType) -> Iterator[Said]:
    """Yield what a renderable of a terminal says.

    Raises:
        TypeError: If it is of a kind that has no words.
    """
    if isinstance(shown, Sized):
        yield from _said(shown.make(WIDE))
    elif isinstance(shown, Fitted):
        yield shown.sheet
    elif isinstance(shown, Table):
        yield _sheet(shown)
    elif isinstance(shown, Text):
        yield _remark(shown.plain)
    else:
        raise TypeError(f"{type(shown).__name__} is drawn, not said")


def _sheet(table: Table) -> Sheet:
    columns = tuple(
        Column(_words(each.header), tuple(map(_words, each.cells)), each.justify == "right") for each in table.columns
    )
    breaks = frozenset(number for number, row in enumerate(table.rows) if row.end_section)
    return Sheet(_words(table.title or ""), columns, breaks)


def _words(shown: RenderableType) -> str:
    return plain(shown.plain if isinstance(shown, Text) else str(shown))


def _remark(line: str) -> Remark:
    """Return a line of a terminal; the sign that it begins with is its tone, which has another sign elsewhere."""
    sign, _, rest = plain(line).partition(" ")
    tone = _TONES.get(sign)
    return Remark(rest, tone) if tone else Remark(plain(line), "note")
