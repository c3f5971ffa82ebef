"""Text of anybody, such as the name of a file, on its way out: nothing in it steers what shows it.

Every way out asks this one module: errors, terminals, pages, Markdown, CSV, JUnit, annotations. It stands below all
rooms, because errors need it. JSON alone keeps names as they are: it has an escape of its own for every character.
"""

import os
import re
from typing import Final
from unicodedata import category

Value = str | int | float | bool | None
_SIGN: Final = "\N{REPLACEMENT CHARACTER}"
# The runner of GitHub Actions takes a line that begins with :: for a command, and ##[ wherever it stands.
_COMMAND: Final = re.compile(r"(?m)^(\s*):(?=:)|#(?=#\[)")
# What a spreadsheet would take for a formula when it begins a cell; the apostrophe makes it text there.
_FORMULA: Final = ("=", "+", "-", "@")


def plain(text: str, *, lines: bool = True) -> str:
    """Return a text without what would steer a terminal or a runner of jobs; without ``lines`` on one line."""
    if not text.isprintable():
        text = "".join(each if _is_plain(each) or (lines and each == "\n") else _SIGN for each in text)
    return _COMMAND.sub(rf"\1{_SIGN}", text) if "::" in text or "##[" in text else text


def _is_plain(character: str) -> bool:
    return character.isprintable() or category(character) == "Zs"  # a space that does not break is not printable


def cell(value: Value) -> Value:
    """Return a value as a cell of CSV: plain, on one line, and no formula to a spreadsheet."""
    if not isinstance(value, str):
        return value
    text = plain(value, lines=False)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def decoded(path: str | os.PathLike[str]) -> str:
    """Return a path as text that JSON takes: a byte that is not UTF-8 becomes the sign for that."""
    return os.fsencode(path).decode("utf-8", "replace")
