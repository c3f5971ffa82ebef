"""What a section of the page is made of. A template draws each kind; nothing here knows of markup but charts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markupsafe import Markup

from toolkit.render.page.svg import Style
from toolkit.render.words.conditions import Remark
from toolkit.render.words.matrix import Matrix
from toolkit.render.words.sheet import CROSS, Sheet

Tone = Literal["", "good", "bad", "warning", "quiet"]
_TONES: Final[dict[str, Tone]] = {
    "FASTER": "good",
    "✓": "good",
    "CANNOT TELL": "warning",
    "NOISY": "warning",
    "baseline": "quiet",
    "—": "quiet",
}


@dataclass(frozen=True)
class Cell:
    """A word in a table; ``heat`` shades it, from 0 to 9."""

    text: str
    tone: Tone = ""
    heat: int | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Head:
    """The head of a column; numbers stand to the right."""

    text: str
    right: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first ``heads`` cells of each row name it. ``breaks``: rows after which something else begins."""

    caption: str
    columns: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    heads: int = 1
    breaks: frozenset[int] = frozenset()
    note: str = ""
    kind: Literal["table", "confusion"] = "table"


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class Charts:
    """Charts beside one another that share a legend."""

    charts: tuple[Chart, ...]
    legend: tuple[tuple[str, Style, Markup], ...] = ()
    note: str = ""
    kind: Literal["charts"] = "charts"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Missing:
    """Why a part is not there, and the command that gives it."""

    text: str
    command: str
    kind: Literal["missing"] = "missing"


@dataclass(frozen=True)
class Lines:
    """Parts that are not there, by their titles."""

    lines: tuple[tuple[str, Missing], ...]
    kind: Literal["lines"] = "lines"


@dataclass(frozen=True)
class Remarks:
    """Sentences with a sign for their tone."""

    remarks: tuple[Remark, ...]
    kind: Literal["remarks"] = "remarks"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    facts: tuple[tuple[str, str], ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Commands:
    """What can be typed again, each with what it is."""

    commands: tuple[tuple[str, str], ...]
    kind: Literal["commands"] = "commands"


@dataclass(frozen=True)
class Failure:
    """Why something failed: a name, the cause, further facts, and the command that shows it again."""

    target: str
    cause: str
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Failures:
    """What failed and why."""

    failures: tuple[Failure, ...]
    kind: Literal["failures"] = "failures"


@dataclass(frozen=True)
class Picture:
    """An image of 28 by 28 pixels as a data URI, what it is taken for and what it is."""

    uri: str
    name: str
    predicted: str
    probability: str
    actual: str


@dataclass(frozen=True)
class Pictures:
    """Images in a grid."""

    caption: str
    pictures: tuple[Picture, ...]
    kind: Literal["pictures"] = "pictures"


Block = Table | Charts | Text | Missing | Lines | Remarks | Facts | Commands | Failures | Pictures


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading; ``id`` is its own within a report."""

    id: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def is_missing(self) -> bool:
        """Whether it only tells which command would give it."""
        return len(self.blocks) == 1 and isinstance(self.blocks[0], Missing)


def section(id: str, title: str, blocks: Iterable[Block]) -> Section:
    """Return a section of the blocks that have something in them."""
    return Section(id, title, tuple(each for each in blocks if not (isinstance(each, Remarks) and not each.remarks)))


def sheet_table(sheet: Sheet, note: str = "") -> Table:
    """Return a sheet as a table; rows are named by batch and format where these come first."""
    names = [column.title for column in sheet.columns[:2]]
    return Table(
        sheet.title,
        tuple(Head(column.title, column.right) for column in sheet.columns),
        tuple(tuple(Cell(word, tone_of(word)) for word in words) for words in sheet.rows()),
        heads=2 if names == ["batch", "format"] else 1,
        breaks=sheet.breaks,
        note=note,
    )


def matrix_table(matrix: Matrix) -> Table:
    """Return a matrix of parity as a table."""
    limits = any(row.limit for row in matrix.rows)
    rows = []
    for row in matrix.rows:
        cells = [Cell(cell.text, _passed(cell.passed, cell.text)) for cell in row.cells]
        rows.append((Cell(row.name), *cells, *([Cell(row.limit, "quiet")] if limits else [])))
    columns = [Head(cell.text, right=True) for cell in matrix.columns]
    return Table(
        matrix.title,
        (Head(matrix.corner or "measure"), *columns, *([Head("limit", right=True)] if limits else [])),
        tuple(rows),
        note=matrix.legend,
    )


def plain_table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """Return a table of words."""
    columns = tuple(Head(each, each in right) for each in heads)
    return Table(caption, columns, tuple(tuple(Cell(word, tone_of(word)) for word in row) for row in rows))


def tone_of(word: str) -> Tone:
    """Return what a word says by itself."""
    return "bad" if word.startswith(CROSS) else _TONES.get(word.strip(), "")


def _passed(passed: bool | None, text: str) -> Tone:
    if passed is None:
        return "quiet"
    return "bad" if not passed else "good" if text == "✓" else ""
