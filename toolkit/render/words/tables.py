"""What the tables of a terminal have in common."""

from dataclasses import dataclass
from typing import Final

from rich import box
from rich.align import VerticalAlignMethod
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from toolkit.render.words.sheet import CROSS, NONE, Sheet

#: Sign and style of what passed and of what did not. The sign alone tells the two apart, for terminals without colour.
GOOD: Final = ("✓", "green")
BAD: Final = (CROSS, "bold red")

_STYLES: Final = {NONE: "dim", "FASTER": "green", "SLOWER": "magenta", "CANNOT TELL": "yellow", "baseline": "dim"}


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


def full_width(table: Table, console: Console, options: ConsoleOptions) -> int:
    """Return how many columns of text ``table`` takes when nothing is folded."""
    return Measurement.get(console, options.update(max_width=10_000), table).maximum


@dataclass(frozen=True)
class Fitted:
    """A sheet that moves its columns together where the width is short, and then leaves out spare ones and says so.

    Attributes:
        sheet: What to draw.
        vertical: Where a cell of fewer lines than its row stands.
    """

    sheet: Sheet
    vertical: VerticalAlignMethod = "bottom"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        sheet, left_out = self.sheet, []
        yield Text(sheet.title, style="bold")
        table = _drawn(sheet, self.vertical)
        while full_width(table, console, options) > options.max_width:
            table = _drawn(sheet, self.vertical, padding=(0, 1, 0, 0))
            column = max(sheet.columns, key=lambda each: each.spare)
            if full_width(table, console, options) <= options.max_width or not column.spare:
                break
            left_out.append(column.title)
            sheet = sheet.without(column)
            table = _drawn(sheet, self.vertical)
        yield table
        if left_out:
            yield Text(f"left out, for want of width: {', '.join(reversed(left_out))}", style="dim")


def _drawn(sheet: Sheet, vertical: VerticalAlignMethod, padding: tuple[int, int, int, int] = (0, 1, 0, 1)) -> Table:
    table = make_table(None)
    table.padding = padding
    for column in sheet.columns:
        table.add_column(column.name, justify="right" if column.right else "left", overflow="fold", vertical=vertical)
    for number, words in enumerate(sheet.rows()):
        table.add_row(*map(_text, words), end_section=number in sheet.breaks)
    return table


def _text(word: str) -> Text:
    style = BAD[1] if word.startswith(CROSS) else _STYLES.get(word.strip(), "")
    return Text(word, style=style)
