"""How words and lists that come out of a file are drawn: plain, shortened, and as wide as there is room."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from rich.align import VerticalAlignMethod
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from toolkit.render.words.plain import plain
from toolkit.render.words.sheet import NONE, Sheet
from toolkit.render.words.tables import Fitted

T = TypeVar("T")

# Of a longer list the middle is left out: how a graph begins and how it ends tells most.
_HEAD, _TAIL = 40, 20
# A table of a terminal this wide or wider has room for whole names.
WIDE: Final = 120
LONGEST_VALUE: Final = 200


def shortened(text: str, most: int) -> str:
    """Return ``text`` in at most ``most`` characters: a long one loses its middle, since names differ at the ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def fitted(sheet: Sheet, vertical: VerticalAlignMethod = "bottom") -> RenderableType:
    """Return a sheet of words that a file brought along."""
    columns = tuple(replace(each, cells=tuple(map(plain, each.cells))) for each in sheet.columns)
    return Fitted(replace(sheet, columns=columns), vertical)


@dataclass(frozen=True)
class Sized:
    """A table that is made for the width there is."""

    make: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.make(options.max_width)


def both_ends(rows: Sequence[T], whole: bool) -> Sequence[T]:
    """Return the rows to show: all, or of a long list both its ends."""
    return rows if whole or len(rows) <= _HEAD + _TAIL else [*rows[:_HEAD], *rows[-_TAIL:]]


def hidden_rows(count: int, what: str, whole: bool) -> Iterator[RenderableType]:
    """Say how many rows `both_ends` has left out, if any."""
    if not whole and count > _HEAD + _TAIL:
        yield Text(f"{count - _HEAD - _TAIL:,} {what} in the middle are hidden; show them with --all", style="dim")


def shape_in_words(sizes: Iterable[int | str | None]) -> str:
    """Return sizes in brackets; one that is free and has no name is ``?``."""
    return f"({', '.join('?' if each is None else str(each) for each in sizes)})"


def number_in_words(value: float | None, digits: int = 4) -> str:
    """Return a number with so many digits."""
    return NONE if value is None else f"{value:.{digits}g}"
