"""Tables and sentences of words: page and Markdown read their fields, and in a terminal they draw themselves.

A word that begins with ``✗`` is bad news wherever it is drawn; the sign alone tells, also without colour. Here nothing
is scaled and nothing judged.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

#: Stands where a row has nothing to say.
NONE: Final = "—"
#: Head of the column that is told beside each of many: what is allowed.
LIMIT: Final = "limit"
#: What passed, and what begins bad news.
TICK: Final = "✓"
CROSS: Final = "✗"

Tone = Literal["good", "bad", "warning", "note", ""]

# Wider, and the eye loses its row.
_WIDEST: Final = 100
_SIGNS: Final[dict[Tone, str]] = {"good": f"{TICK} ", "bad": f"{CROSS} ", "warning": "! ", "note": "", "": ""}
_STYLES: Final[dict[Tone, str]] = {"good": "green", "bad": "red", "warning": "yellow", "note": "dim", "": ""}
_WORDS: Final = {
    NONE: "dim",
    TICK: "green",
    "FASTER": "green",
    "SLOWER": "magenta",
    "CANNOT TELL": "yellow",
    "baseline": "dim",
}


class Placed(Protocol):
    """What was measured somewhere."""

    @property
    def device(self) -> str:
        """Where it ran."""

    @property
    def threads(self) -> int:
        """On how many threads."""


@dataclass(frozen=True)
class Column:
    """A column of words.

    Attributes:
        name: Its head; a line break where that may be broken.
        cells: A word per row.
        right: Whether they are numbers.
        spare: Of a sheet that is too wide the column with the highest is left out first; 0: never.
    """

    name: str
    cells: tuple[str, ...]
    right: bool = False
    spare: int = 0

    @property
    def title(self) -> str:
        """The head on one line."""
        return " ".join(self.name.split())


@dataclass(frozen=True)
class Sheet:
    """A table of words.

    Attributes:
        title: What all rows have in common.
        columns: As many cells in each as there are rows.
        breaks: Numbers of the rows after which something else begins.
        legend: How it is to be read, where that is not plain.
        across: So many columns stand beside the first at a time, where they are alike; None if they are not.
    """

    title: str
    columns: tuple[Column, ...]
    breaks: frozenset[int] = frozenset()
    legend: str = ""
    across: int | None = None

    @property
    def names(self) -> int:
        """So many columns name their row."""
        return 2 if [column.title for column in self.columns[:2]] == ["batch", "format"] else 1

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the words of each row."""
        return zip(*(column.cells for column in self.columns), strict=True)

    def without(self, titles: Collection[str]) -> "Sheet":
        """Return the sheet without the columns of some titles."""
        return replace(self, columns=tuple(column for column in self.columns if column.title not in titles))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield Text(self.title, style="bold")
        if self.legend:
            yield Text(self.legend, style="dim")
        if self.across is None:
            yield from self._narrowed(console, options)
        else:
            yield from self._side_by_side(console, options, self.across)

    def _narrowed(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Move the columns together where the width is short, then leave out spare ones and say so."""
        sheet, left_out = self, list[str]()
        table = sheet._table()
        while _width(table, console, options) > options.max_width:
            table = sheet._table(padding=(0, 1, 0, 0))
            column = max(sheet.columns, key=lambda each: each.spare)
            if _width(table, console, options) <= options.max_width or not column.spare:
                break
            left_out.append(column.title)
            sheet = sheet.without({column.title})
            table = sheet._table()
        yield table
        if left_out:
            yield Text(f"left out, for want of width: {', '.join(reversed(left_out))}", style="dim")

    def _side_by_side(self, console: Console, options: ConsoleOptions, across: int) -> RenderResult:
        """Make several tables, one below the other, where the columns do not fit beside one another."""
        columns = [each for each in self.columns[1:] if each.title != LIMIT]
        limits = [each for each in self.columns if each.title == LIMIT]
        width, start = min(options.max_width, _WIDEST), 0
        while start < len(columns):
            stop = min(start + across, len(columns))
            while True:
                part = replace(self, columns=(self.columns[0], *columns[start:stop], *limits))._table()
                if stop == start + 1 or _width(part, console, options) <= width:
                    break
                stop -= 1
            yield part
            start = stop

    def _table(self, padding: tuple[int, int, int, int] = (0, 1, 0, 1)) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
        # Of a row whose words have several lines, the numbers stand below, beside the last.
        vertical: Literal["top", "bottom"] = "bottom" if any(each.right for each in self.columns[1:]) else "top"
        for each in self.columns:
            justify: Literal["left", "right"] = "right" if each.right else "left"
            head = Text(each.name, style="bold red" if each.name.startswith(CROSS) else "")
            style = "dim" if each.title == LIMIT else ""
            table.add_column(head, justify=justify, overflow="fold", vertical=vertical, style=style)
        for number, words in enumerate(self.rows()):
            table.add_row(*map(_styled, words), end_section=number in self.breaks)
        return table


def _width(table: Table, console: Console, options: ConsoleOptions) -> int:
    """Return how many columns of text ``table`` takes when nothing is folded."""
    return Measurement.get(console, options.update(max_width=10_000), table).maximum


def _styled(word: str) -> Text:
    return Text(word, style="bold red" if word.startswith(CROSS) else _WORDS.get(word.strip(), ""))


@dataclass(frozen=True)
class Remark:
    """A sentence; a warning ends in advice."""

    text: str
    tone: Tone = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"{_SIGNS[self.tone]}{self.text}", style=_STYLES[self.tone])


#: What can be said anywhere: in a terminal, on a page, in Markdown.
Content = Sheet | Remark


def grouped(contents: Iterable[T | Remark]) -> Iterator[T | tuple[Remark, ...]]:
    """Yield sentences that follow one another together, and all else as it is."""
    remarks: list[Remark] = []
    for each in contents:
        if isinstance(each, Remark):
            remarks.append(each)
            continue
        if remarks:
            yield tuple(remarks)
            remarks = []
        yield each
    if remarks:
        yield tuple(remarks)


def mark(passed: bool) -> str:
    """Return a check mark or a cross."""
    return TICK if passed else CROSS


def filled(*columns: Column) -> tuple[Column, ...]:
    """Return the columns in which at least one row has something to say."""
    return tuple(column for column in columns if any(cell != NONE for cell in column.cells))


def shared(values: Iterable[object]) -> str | None:
    """Return what all rows have in common, to be told once in the title and not in a column; None if they differ."""
    different = dict.fromkeys(map(str, values))
    return next(iter(different)) if len(different) == 1 else None


def breaks_between(values: Iterable[object]) -> frozenset[int]:
    """Return the numbers of the rows after which the value is another; none if each row has a value of its own."""
    listed = list(values)
    if len(set(listed)) == len(listed):
        return frozenset()
    return frozenset(i for i in range(len(listed) - 1) if listed[i] != listed[i + 1])


def column(rows: Sequence[T], name: str, word: Callable[[T], str], *, right: bool = True, spare: int = 0) -> Column:
    """Return a column with what ``word`` says of each row."""
    return Column(name, tuple(map(word, rows)), right, spare)


def sheet_of(
    title: str, rows: Sequence[T], words: Mapping[str, Callable[[T], str]], right: Collection[str] = ()
) -> Sheet:
    """Return a sheet with a column by its head for each of ``words``; those in ``right`` are numbers."""
    return Sheet(title, tuple(column(rows, name, word, right=name in right) for name, word in words.items()))


def placed(rows: Sequence[Placed], precisions: Sequence[str] = ()) -> tuple[tuple[Column, ...], str]:
    """Tell where rows were measured, once where it is the same for all.

    Args:
        rows: What has a device and a number of threads.
        precisions: Of the rows, or empty if that is not to be told.

    Returns:
        Columns for that in which the rows differ, and words for the title that tell the rest: `` on cpu, 2 threads``.
    """
    columns, words = [], ""
    device = shared(row.device for row in rows)
    if device is None:
        columns.append(column(rows, "device", lambda row: row.device, right=False))
    else:
        words = f" on {device}"
    precision = shared(precisions)
    if precision is None and precisions:
        columns.append(Column("precision", tuple(precisions)))
    elif precision is not None:
        words += f", {precision}"
    threads = shared(row.threads for row in rows)
    if threads is None:
        columns.append(column(rows, "threads", lambda row: str(row.threads)))
    else:
        words += f", {threads_in_words(int(threads))}"
    return tuple(columns), words


def threads_in_words(count: int) -> str:
    """Return ``1 thread`` or ``2 threads``."""
    return f"{count} thread{'' if count == 1 else 's'}"


def listed(words: Iterable[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
