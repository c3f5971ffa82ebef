"""Tables of words, column by column, which terminal and Markdown draw alike. Here nothing is scaled and nothing judged.

A word that begins with ``✗`` is bad news wherever it is drawn; the sign alone tells, also without colour.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

#: Stands where a row has nothing to say.
NONE: Final = "—"
#: Begins what is bad news.
CROSS: Final = "✗"


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
    """

    title: str
    columns: tuple[Column, ...]
    breaks: frozenset[int] = frozenset()

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the words of each row."""
        return zip(*(column.cells for column in self.columns), strict=True)

    def without(self, left_out: Column) -> "Sheet":
        """Return the sheet without a column."""
        return replace(self, columns=tuple(column for column in self.columns if column is not left_out))


def told(*columns: Column) -> tuple[Column, ...]:
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
