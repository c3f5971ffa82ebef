"""Which pictures there are and which class each has: from a file of labels, or from one folder per class.

Nothing is raised for what is wrong with a line: all of it is gathered, so that it can be corrected in one go.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolkit.errors import OwnDataError
from toolkit.pictures.own_data.csv_file import CsvRow, read_rows
from toolkit.pictures.picture import SUFFIXES

#: Returns the class that a text means, or the sentence on why it means none.
ReadLabel = Callable[[str], int | str]
# Of many names, a sentence shows so many.
_SHOWN = 3
_CSV_SUFFIXES: Final = frozenset({".csv", ".tsv", ".txt"})


@dataclass(frozen=True)
class Listed:
    """A picture and its class.

    Attributes:
        name: Path below the folder, with ``/`` between its parts.
        label: 0 … 9.
        where: What names it, as in ``labels.csv line 7: shoe.png``.
        order: Place in the order in which problems are told.
    """

    name: str
    label: int
    where: str
    order: int


@dataclass(frozen=True, order=True)
class Problem:
    """Something that keeps a data set from being used; ``order`` is its place among the others."""

    order: int
    text: str


@dataclass
class Listing:
    """What was found, in the order of the names.

    Attributes:
        pictures: Those that are there and have a class.
        problems: What is wrong.
        notes: What was left out.
    """

    pictures: list[Listed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_pictures(folder: Path, labels: Path | None, read_label: ReadLabel) -> Listing:
    """List the pictures of a folder.

    Args:
        folder: Of the pictures; without ``labels`` it holds one folder per class, named by its number or name.
        labels: CSV of ``file,label``, the files below ``folder``; None for a folder per class.
        read_label: Knows what people call the classes.

    Raises:
        OwnDataError: If there is no such folder or file, or nothing is in it.
    """
    if not folder.is_dir():
        reason = "it is a file, not a folder" if folder.exists() else "no such folder"
        raise OwnDataError(folder, [reason], "pass the folder that holds the pictures")
    listing = _from_csv(folder, labels, read_label) if labels else _from_folders(folder, read_label)
    listing.pictures.sort(key=lambda picture: picture.name)
    return listing


def _from_csv(folder: Path, labels: Path, read_label: ReadLabel) -> Listing:
    rows, bad = read_rows(folder, labels)
    listing = Listing(problems=[Problem(number, text) for number, text in bad])
    there = {path.relative_to(folder).as_posix() for path in _files(folder)}
    if rows and _is_header(rows[0], folder, read_label):
        rows = rows[1:]
    if not rows and not bad:
        raise OwnDataError(folder, [f"{labels.name} names no pictures"], "write a line of file,label for each picture")
    first: dict[str, int] = {}
    folded = {name.casefold(): name for name in there}
    for row in rows:
        where = f"{labels.name} line {row.line}"
        name, reason = _file_of(row, folder, folded, read_label)
        if reason is None and name in first:
            reason = f"{row.file!r} was named before, in line {first[name]}"
        first.setdefault(name, row.line)
        label = read_label(row.label)
        if reason is None and isinstance(label, int):
            listing.pictures.append(Listed(name, label, f"{where}: {name}", row.line))
        else:
            listing.problems.append(Problem(row.line, f"{where}: {reason or label}"))
    left = sorted(name for name in there - first.keys() if _is_picture(name))
    if left:
        listing.notes.append(f"{labels.name} does not name {_some(left)}; left out")
    return listing


def readable(name: str) -> str:
    """Return a path as text that can be written: what is not UTF-8 in it becomes the sign for that."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_header(row: CsvRow, folder: Path, read_label: ReadLabel) -> bool:
    """Say whether the first line names the columns: no picture stands in it, and no class."""
    named = _is_picture(row.file) or _is_file(folder / row.file)
    return not named and all(isinstance(read_label(text), str) for text in (row.label, row.file))


def _file_of(row: CsvRow, folder: Path, folded: dict[str, str], read_label: ReadLabel) -> tuple[str, str | None]:
    """Return the name of a row's file below the folder, and what is wrong with it or None.

    Args:
        row: The row.
        folder: Of the pictures.
        folded: Names of the files that are there by their lower case.
        read_label: Knows what people call the classes.
    """
    path = Path(row.file)
    name = path.as_posix()
    if not row.file:
        return name, "the file is missing"
    if isinstance(read_label(row.file), int) and _is_picture(row.label):
        return name, f"the columns are file,label in this order, not {row.file},{row.label}"
    if path.is_absolute() or ".." in path.parts or Path(row.file.replace("\\", "/")).is_absolute():
        return name, f"{row.file!r} is outside the folder; write paths below {folder}"
    if _is_file(folder / path):
        return name, None
    near = folded.get(name.replace("\\", "/").casefold())
    hint = f": did you mean {near!r}?" if near else ""
    return name, f"{row.file!r} is not there{hint}"


def _is_file(path: Path) -> bool:
    """Say whether there is a file; a name that is too long for one has none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _from_folders(folder: Path, read_label: ReadLabel) -> Listing:
    listing = Listing()
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    folders = [path for path in inside if path.is_dir()]
    loose = [path.name for path in inside if path.is_file() and _is_picture(path.name)]
    labels = {path: read_label(readable(path.name)) for path in folders}
    if not any(isinstance(label, int) for label in labels.values()):
        remedy = _label_remedy(folder, inside)
        raise OwnDataError(folder, [_why_no_classes(inside, list(labels.values()), loose)], remedy)
    for number, (path, label) in enumerate(labels.items()):
        if isinstance(label, str):
            listing.problems.append(Problem(number, _of_folder(label)))
            continue
        files = list(_files(path))
        found = [each for each in files if _is_picture(each.name)]
        others = [each.relative_to(folder).as_posix() for each in files if not _is_picture(each.name)]
        if others:
            listing.notes.append(f"{_some(others)} {_be(others)} no picture by name; left out")
        if not found:
            listing.notes.append(f"the folder {readable(path.name)} holds no pictures")
        for each in found:
            name = each.relative_to(folder).as_posix()
            listing.pictures.append(Listed(name, label, readable(name), number))
    if loose:
        listing.notes.append(f"{_some(loose)} {_be(loose)} in no class's folder; left out")
    if not listing.pictures and not listing.problems:
        raise OwnDataError(folder, ["the folders of its classes hold no pictures"], "put pictures into them")
    return listing


def _why_no_classes(inside: Sequence[Path], labels: Sequence[int | str], loose: Sequence[str]) -> str:
    if not inside:
        return "the folder is empty"
    if labels:
        return "; ".join(_of_folder(str(label)) for label in labels[:_SHOWN])
    return f"it holds {'pictures' if loose else 'files'}, but no folder for a class"


def _of_folder(sentence: str) -> str:
    """Return what `ReadLabel` says of a text that is the name of a folder."""
    return sentence.replace("the label", "the folder", 1)


def _label_remedy(folder: Path, inside: Sequence[Path]) -> str:
    tables = [path for path in inside if path.suffix.lower() in _CSV_SUFFIXES and path.is_file()]
    hint = f"pass --labels {tables[0]}" if tables else "pass --labels CSV"
    return f"{hint}, or make a folder in {folder.name or folder} for each class, such as 0 or ankle-boot"


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, hidden ones apart, in the same order everywhere."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _some(names: Sequence[str]) -> str:
    """Return a few of the names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(map(readable, names[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
