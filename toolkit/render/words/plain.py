"""Text of files and names of files, as it may be shown: nothing in it steers a terminal or a spreadsheet."""

from dataclasses import dataclass
from typing import Final
from unicodedata import category

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

Value = str | int | float | bool | None
# What a spreadsheet would take for a formula when it begins a cell; the apostrophe makes it text there.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def plain(text: str, *, lines: bool = True) -> str:
    """Return a text without what would steer the terminal that shows it; without ``lines`` on one line."""
    if text.isprintable():
        return text
    return "".join(
        each if _is_plain(each) or (lines and each == "\n") else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def _is_plain(character: str) -> bool:
    return character.isprintable() or category(character) == "Zs"  # a space that does not break is not printable


@dataclass(frozen=True)
class Plain:
    """A part of a report whose words may be anybody's, drawn without what would steer the terminal.

    What rich itself sends as control, such as a picture in the terminal, stays.
    """

    part: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self.part, options):
            yield Segment(text if control else plain(text), style, control)


def cell(value: Value) -> Value:
    """Return a value as a cell of CSV: a text that a spreadsheet would take for a formula begins with an apostrophe."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", "\n")  # csv quotes the one, not the other
    return f"'{text}" if value.startswith(_FORMULA) else text
