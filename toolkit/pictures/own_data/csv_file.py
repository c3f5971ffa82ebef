"""Lines of a CSV, as spreadsheets, pandas and people write it: what parts its columns is found, not asked."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolkit.errors import OwnDataError

if TYPE_CHECKING:
    import _csv  # the reader's class has no public name

_UNCLOSED: Final = "a quotation mark is missing, and what follows is taken for one name"
# The comma first: it is what is meant where nothing tells.
_DELIMITERS: Final = (",", ";", "\t", "|")
# Lines that are looked at to find what parts the columns.
_FIRST_LINES: Final = 50
# Excel's own line that names what parts the columns.
_EXCEL: Final = "sep="


@dataclass(frozen=True)
class Line:
    """What stands in the columns of a line, without the spaces around, and its number from 1."""

    number: int
    fields: Sequence[str]


def read_lines(folder: Path, labels: Path, is_label: Callable[[str], bool]) -> tuple[list[Line], list[tuple[int, str]]]:
    """Read all lines; empty ones are none.

    Commas, semicolons, tabs or bars, quotes, spaces after commas, a byte-order mark, and line ends of every system are
    understood.

    Args:
        folder: Of the pictures; an error names it.
        labels: UTF-8 text.
        is_label: Says whether a text means a class.

    Returns:
        The lines, a header among them, all as wide as the widest with something in it, as far as they have columns; and
        for each that cannot be parted its number and what is wrong with it.

    Raises:
        OwnDataError: If the file cannot be read, is no text, or is empty.
    """
    text = _text(folder, labels) + "\n"  # so that a quote that nothing closes always takes a line end with it
    lines: list[Line] = []
    bad: list[tuple[int, str]] = []
    reader = _reader(text, _delimiter(text, is_label))
    while True:
        number = reader.line_num + 1  # of the start: a quoted name may hold a line break
        try:
            found = next(reader)
        except StopIteration:
            break
        except csv.Error:  # a field longer than the module allows: a quote that nothing closes
            bad.append((number, f"{labels.name} line {number}: {_UNCLOSED}"))
            break
        fields = [field.strip() for field in found]
        if not any(fields) or (number == 1 and fields[0].lower().startswith(_EXCEL)):
            continue
        if any("\n" in field or "\r" in field for field in found):
            bad.append((number, f"{labels.name} line {number}: {_UNCLOSED}"))
        else:
            lines.append(Line(number, fields))
    if not lines and not bad:
        raise OwnDataError(folder, [f"{labels.name} is empty"], "write a line of file,label for each picture")
    width = max([2, *(place + 1 for line in lines for place, field in enumerate(line.fields) if field)])
    return [Line(line.number, line.fields[:width]) for line in lines], bad


def _reader(text: str, delimiter: str) -> "_csv.Reader":
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def _delimiter(text: str, is_label: Callable[[str], bool]) -> str:
    """Return what parts the columns: by it the most lines have a label, and of equals the most lines have columns."""

    def good(delimiter: str) -> tuple[int, int]:
        try:
            lines = [line for line in islice(_reader(text, delimiter), _FIRST_LINES) if len(line) > 1]
        except csv.Error:
            return 0, 0
        return sum(any(is_label(field) for field in line) for line in lines), len(lines)

    return max(_DELIMITERS, key=good)


def _text(folder: Path, labels: Path) -> str:
    try:
        data = labels.read_bytes()
    except FileNotFoundError as error:
        inside = folder / labels.name
        remedy = f"pass --labels {inside}" if inside.is_file() else "pass the CSV of file,label with --labels"
        raise OwnDataError(folder, [f"{labels}: no such file"], remedy) from error
    except OSError as error:
        reason = f"{labels} cannot be read: {error.strerror or error}"
        raise OwnDataError(folder, [reason], "pass the CSV of file,label with --labels") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        reason = f"{labels.name} line {line}: not UTF-8 text"
        raise OwnDataError(folder, [reason], "save it as CSV in UTF-8") from error
