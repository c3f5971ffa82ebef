"""Rows of a CSV of ``file,label``, as spreadsheets, pandas and people write it."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolkit.errors import OwnDataError

_COLUMNS: Final = 2
_UNCLOSED: Final = "a quotation mark is missing, and what follows is taken for one name"


@dataclass(frozen=True)
class CsvRow:
    """One line: what stands in its two columns, without the spaces around, and its number from 1."""

    line: int
    file: str
    label: str


def read_rows(folder: Path, labels: Path) -> tuple[list[CsvRow], list[tuple[int, str]]]:
    """Read all rows; empty lines are none.

    Quotes, spaces after commas, a byte-order mark, and line ends of every system are understood.

    Args:
        folder: Of the pictures; an error names it.
        labels: UTF-8 text.

    Returns:
        The rows of two columns in their order, a header among them, and for each other line its number and what is
        wrong with it.

    Raises:
        OwnDataError: If the file cannot be read, is no text, or is empty.
    """
    text = _text(folder, labels) + "\n"  # so that a quote that nothing closes always takes a line end with it
    rows: list[CsvRow] = []
    bad: list[tuple[int, str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    while True:
        line = reader.line_num + 1  # of the start: a quoted name may hold a line break
        try:
            found = next(reader)
        except StopIteration:
            break
        except csv.Error:  # a field longer than the module allows: a quote that nothing closes
            bad.append((line, f"{labels.name} line {line}: {_UNCLOSED}"))
            break
        fields = [field.strip() for field in found]
        if not any(fields):
            continue
        if any("\n" in field or "\r" in field for field in found):
            bad.append((line, f"{labels.name} line {line}: {_UNCLOSED}"))
        elif len(fields) == _COLUMNS:
            rows.append(CsvRow(line, *fields))
        else:
            bad.append((line, f"{labels.name} line {line}: {_wrong_width(fields)}"))
    if not rows and not bad:
        raise OwnDataError(folder, [f"{labels.name} is empty"], "write a line of file,label for each picture")
    return rows, bad


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


def _wrong_width(fields: list[str]) -> str:
    if len(fields) == 1 and (";" in fields[0] or "\t" in fields[0]):
        return "the columns are parted by something else: put a comma between file and label"
    count = f"{len(fields)} column{'' if len(fields) == 1 else 's'}"
    return f"{count}, not the two of file,label; put a name with a comma in quotes"
