"""What the tables of a terminal have in common."""

from collections.abc import Iterable
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

#: Sign and style of what passed and of what did not. The sign alone tells the two apart, for terminals without colour.
GOOD: Final = ("✓", "green")
BAD: Final = ("✗", "bold red")


def make_table(title: str | None, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns named in ``right`` hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def mark(passed: bool) -> Text:
    """Return a green check mark or a red cross."""
    sign, style = GOOD if passed else BAD
    return Text(sign, style=style)


def shared(values: Iterable[object]) -> str | None:
    """Return what all rows have in common, to be told once in the title and not in a column; None if they differ."""
    different = dict.fromkeys(map(str, values))
    return next(iter(different)) if len(different) == 1 else None
