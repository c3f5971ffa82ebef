"""Lines of a CSV, as spreadsheets, pandas and people write it: what parts its columns is found, not asked."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
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
    """What stands in the columns of a line, without the spaces around, and its number from 1.

    Attributes:
        number: Of its start.
        fields: Empty where it cannot be parted.
        problem: Why it cannot, else empty.
    """

    number: int
    fields: Sequence[str] = ()
    problem: str = ""


def read_lines(folder: Path, labels: Path, is_label: Callable[[str], bool]) -> Iterator[Line]:
    """Yield all lines, a header among them; empty ones are none.

    Commas, semicolons, tabs or bars, quotes, spaces after commas, a byte-order mark, and line ends of every system are
    understood. The file is in memory, but never all of its fields: a table of pixels has millions.

    Args:
        folder: Of the pictures; an error names it.
        labels: UTF-8 text.
        is_label: Says whether a text means a class.

    Raises:
        OwnDataError: If the file cannot be read, is no text, or is empty.
    """
    data = _data(folder, labels) + b"\n"  # so that a quote that nothing closes always takes a line end with it
    reader, empty = _reader(data, _delimiter(data, is_label)), True
    while True:
        number = reader.line_num + 1  # a quoted name may hold a line break
        try:
            found = next(reader, None)
        except csv.Error:  # a field longer than the module allows: a quote that nothing closes
            yield Line(number, problem=_UNCLOSED)
            return
        if found is None:
            break
        fields = [field.strip() for field in found]
        if not any(fields) or (number == 1 and fields[0].lower().startswith(_EXCEL)):
            continue
        empty = False
        unclosed = any("\n" in field or "\r" in field for field in found)
        yield Line(number, problem=_UNCLOSED) if unclosed else Line(number, fields)
    if empty:
        raise OwnDataError(folder, [f"{labels.name} is empty"], "write a line of file,label for each picture")


def _reader(data: bytes, delimiter: str) -> "_csv.Reader":
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True)


def _delimiter(data: bytes, is_label: Callable[[str], bool]) -> str:
    """Return what parts the columns: by it the most lines have a label, and of equals the most lines have columns."""

    def good(delimiter: str) -> tuple[int, int]:
        try:
            lines = [line for line in islice(_reader(data, delimiter), _FIRST_LINES) if len(line) > 1]
        except csv.Error:
            return 0, 0
        return sum(any(is_label(field) for field in line) for line in lines), len(lines)

    return max(_DELIMITERS, key=good)


def _data(folder: Path, labels: Path) -> bytes:
    """Return the bytes of a text."""
    if labels.is_char_device() or labels.is_block_device():  # one that never ends would fill the memory
        raise OwnDataError(folder, [f"{labels} is a device, not a file"], "pass the CSV of file,label with --labels")
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
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        reason = f"{labels.name} line {line}: not UTF-8 text"
        raise OwnDataError(folder, [reason], "save it as CSV in UTF-8") from error
    return data
