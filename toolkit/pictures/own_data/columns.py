"""Which column of a table is what: the file, the label, or pixels; by the header, or without one by their order."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Final

from toolkit.errors import OwnDataError
from toolkit.pictures.own_data.csv_file import Line

# By their letters and digits alone; where a header has several, the first of these counts.
_FILES: Final = (
    *("file", "filename", "filepath", "image", "imagefile", "imagefilename", "imagename", "imagepath", "img"),
    *("imgname", "imgpath", "path", "picture", "photo", "name", "imageid", "imgid", "id"),
)
_FROM_ONE: Final = ("labelfrom1", "classfrom1")
_LABELS: Final = (
    *_FROM_ONE,
    "label",
    "class",
    "target",
    "category",
    "y",
    "labelid",
    "classid",
    "labelname",
    "classname",
)
#: How a header says that its labels count from 1.
FROM_ONE: Final = "label_from_1"
# Kaggle has pixel1 … pixel784, for digits pixel0 … pixel783; others write 1x1 … 28x28, or 0 … 783.
_PIXEL: Final = re.compile(r"(?:pixel|p)?(\d+)(?:x(\d+))?")
_PIXELS: Final = 28 * 28
# Fewer columns that are called so are something else.
_FEWEST_PIXELS: Final = 64
# What a picture file of 28 × 28 grey pixels of a byte begins with, in PGM.
_PGM: Final = b"P5 28 28 255\n"
# Of many names, a sentence shows so many.
_SHOWN: Final = 6


@dataclass(frozen=True)
class CsvRow:
    """One picture of a table.

    Attributes:
        line: Its number, from 1.
        file: What names it; empty where its pixels stand in the table.
        label: What its label column has.
        pixels: The bytes of a PGM of 28 × 28 made of its pixels, or None.
    """

    line: int
    file: str
    label: str
    pixels: bytes | None = None


@dataclass(frozen=True)
class Table:
    """Rows of a table, what is wrong with its other lines, and what is to be said of it.

    Attributes:
        rows: In their order.
        bad: Of each line that is none, its number and what is wrong with it.
        notes: Which columns were left out.
        from_one: Whether the header says that labels count from 1.
    """

    rows: list[CsvRow] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    from_one: bool = False


@dataclass(frozen=True)
class _Columns:
    """Places of columns: of the label, and of the file or of the pixels."""

    label: int
    content: tuple[int, ...]

    @property
    def are_pixels(self) -> bool:
        """Whether the picture itself stands in the table."""
        return len(self.content) > 1


def read_table(folder: Path, labels: Path, lines: Iterable[Line], is_data: Callable[[str], bool]) -> Table:
    """Find the columns and return the rows.

    Args:
        folder: Of the pictures; an error names it.
        labels: The file; its name stands before each problem.
        lines: Taken one by one.
        is_data: Says whether a text names a picture or means a class: then its line is no header.

    Raises:
        OwnDataError: If there are other columns than two, and no header that names what is wanted.
    """
    table = Table()
    good = _without_bad(labels, lines, table.bad)
    first = next(good, None)
    if first is None:
        return table
    names = [re.sub(r"[^a-z0-9]", "", each.lower()) for each in _trimmed(first.fields)]
    columns = _named(names, header=not any(map(is_data, first.fields)))
    width = len(names)
    if columns:
        table.notes.extend(_notes(labels, first, names, columns))
        table = replace(table, from_one=names[columns.label] in _FROM_ONE)
    else:
        numbers = all(map(str.isdecimal, names))
        if _pixels(names) and not numbers:
            reason = f"{labels.name} holds pixels, and no column called label"
            raise OwnDataError(folder, [reason], "write that into its first line")
        good = chain([first], good)
        if numbers and width == 1 + _PIXELS:
            columns = _Columns(0, tuple(range(1, width)))
        else:
            if width != 2:
                every = [*good]
                _check_columns(folder, labels, every)
                good, width = iter(every), 2
            columns = _Columns(1, (0,))
    if columns.are_pixels and len(columns.content) != _PIXELS:
        reason = f"{labels.name} has {len(columns.content):,} pixels to a line, not the {_PIXELS} of 28 × 28"
        raise OwnDataError(folder, [reason], "write pictures of another size as files")
    for line in good:
        row = _row(line, columns, width)
        if isinstance(row, str):
            table.bad.append((line.number, f"{labels.name} line {line.number}: {row}"))
        else:
            table.rows.append(row)
    return table


def _without_bad(labels: Path, lines: Iterable[Line], bad: list[tuple[int, str]]) -> Iterator[Line]:
    """Yield the lines that could be parted; the others are told."""
    for line in lines:
        if line.problem:
            bad.append((line.number, f"{labels.name} line {line.number}: {line.problem}"))
        else:
            yield line


def _trimmed(fields: Sequence[str]) -> Sequence[str]:
    """Return fields without empty ones at the end; two stay."""
    return fields[: max([2, *(place + 1 for place, field in enumerate(fields) if field)])]


def _check_columns(folder: Path, labels: Path, lines: Sequence[Line]) -> None:
    """Refuse lines that all have the same columns, if these are not file and label.

    Raises:
        OwnDataError: Naming the columns.
    """
    fields = _trimmed(lines[0].fields)
    if all(len(_trimmed(line.fields)) == len(fields) for line in lines):
        shown = ", ".join(field or "(no name)" for field in fields[:_SHOWN]) + (", …" if len(fields) > _SHOWN else "")
        raise OwnDataError(
            folder,
            [f"{labels.name} has {_columns(fields)} ({shown}), and no header tells which are file and label"],
            "write a first line that names them; pandas leaves its index out by to_csv(index=False)",
        )


def _named(names: Sequence[str], *, header: bool) -> _Columns | None:
    """Return what a header names, or None where it names too little; ``header``: nothing in it could be data."""
    label = next((names.index(name) for name in _LABELS if name in names), None)
    file = next((names.index(name) for name in _FILES if name in names), None)
    if header and len(names) == 2:  # one of two tells the other
        label = label if label is not None else 1 if file is None else 1 - file
        file = 1 - label
    content = _pixels(names) or ((file,) if file is not None else ())
    return _Columns(label, content) if label is not None and content else None


def _pixels(names: Sequence[str]) -> tuple[int, ...]:
    """Return the places of the columns that a header calls pixels, in the order of their numbers."""
    matches = [(_PIXEL.fullmatch(name), place) for place, name in enumerate(names)]
    found = sorted((int(match[1]), int(match[2] or 0), place) for match, place in matches if match)
    return tuple(place for *_, place in found) if len(found) >= _FEWEST_PIXELS else ()


def _notes(labels: Path, first: Line, names: Sequence[str], columns: _Columns) -> list[str]:
    """Return which columns of a header are left out, or that it is taken for one."""
    if not {*names} & {*_FILES, *_LABELS}:
        return [f"{labels.name} line {first.number}, {','.join(first.fields)}, is taken for a header"]
    used = {columns.label, *columns.content}
    left = [field for place, field in enumerate(first.fields) if field and place not in used]
    what = "the pixels" if columns.are_pixels else first.fields[columns.content[0]]
    read = f"of {labels.name} {what} and {first.fields[columns.label]} are read"
    return [f"{read}; left out: {', '.join(left[:_SHOWN])}"] if left else []


def _row(line: Line, columns: _Columns, width: int) -> CsvRow | str:
    """Return a row, or what is wrong with its line."""
    fields = line.fields
    if any(fields[width:]) or max(columns.label, *columns.content) >= len(fields):
        return _wrong_width(_trimmed(fields), width)
    label, content = fields[columns.label], [fields[place] for place in columns.content]
    if not columns.are_pixels:
        return CsvRow(line.number, content[0], label)
    try:
        return CsvRow(line.number, "", label, _PGM + bytes(map(int, content)))
    except ValueError:
        return "its pixels are not all whole numbers from 0 to 255"


def _wrong_width(fields: Sequence[str], width: int) -> str:
    if len(fields) == 1 and (";" in fields[0] or "\t" in fields[0]):
        return "the columns are parted by something else: put a comma between file and label"
    wanted = "the two of file,label" if width == 2 else f"the {width:,} of the header"
    return f"{_columns(fields)}, not {wanted}; put a name with a comma in quotes"


def _columns(fields: Sequence[str]) -> str:
    return f"{len(fields):,} column{'' if len(fields) == 1 else 's'}"
