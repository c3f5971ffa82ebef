"""Which pictures there are and which class each has: from a file of labels, or from one folder per class.

Nothing is raised for what is wrong with a line: all of it is gathered, so that it can be corrected in one go.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolkit.errors import OwnDataError
from toolkit.pictures.folders import HIDDEN, NO_PICTURE, LeftOut, files_below, is_hidden, is_picture, some
from toolkit.pictures.own_data.columns import FROM_ONE, CsvRow, read_table
from toolkit.pictures.own_data.csv_file import read_lines
from toolkit.pictures.own_data.names import Names
from toolkit.plain import decoded
from toolkit.records import LABELS, UnreadableRecord

#: Returns the class that a text means, or the sentence on why it means none.
ReadLabel = Callable[[str], int | str]
_CSV_SUFFIXES: Final = frozenset({".csv", ".tsv", ".txt"})
# What people call the parts of a data set.
_PARTS: Final = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev"})
# Numbers from 1, where a header says so.
_NUMBERS: Final = {str(number + 1): number for number in range(len(LABELS))}
_BEYOND: Final = str(len(LABELS))


@dataclass(frozen=True)
class Listed:
    """A picture and its class.

    Attributes:
        name: Path below the folder, with ``/`` between its parts; or what stands for one.
        label: 0 … 9.
        where: What names it, as in ``labels.csv line 7: shoe.png``.
        order: Place in the order in which problems are told.
        content: A file made of its pixels, where those stand in the table, bright on black; None for the file of its
            name.
    """

    name: str
    label: int
    where: str
    order: int
    content: bytes | None = None


@dataclass(frozen=True, order=True)
class Problem:
    """Something that keeps a data set from being used; ``order`` is its place among the others."""

    order: int
    text: str


@dataclass
class Listing:
    """What was found, in the order of the names, or of the lines that are pictures themselves.

    Attributes:
        pictures: Those that are there and have a class.
        problems: What is wrong.
        notes: What was left out, and what is odd.
    """

    pictures: list[Listed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_pictures(folder: Path, labels: Path | None, read_label: ReadLabel) -> Listing:
    """List the pictures of a folder.

    Args:
        folder: Of the pictures; without ``labels`` it holds one folder per class, named by its number or name.
        labels: CSV of ``file,label``, the files below ``folder``, or of a label and 784 pixels; None for a folder per
            class.
        read_label: Knows what people call the classes.

    Raises:
        OwnDataError: If there is no such folder or file, or nothing is in it.
    """
    if not folder.is_dir():
        reason = "it is a file, not a folder" if folder.exists() else "no such folder"
        table = " with --images, and this file with --labels" if folder.suffix.lower() in _CSV_SUFFIXES else ""
        raise OwnDataError(folder, [reason], f"pass the folder that holds the pictures{table}")
    listing = _from_csv(folder, labels, read_label) if labels else _from_folders(folder, read_label)
    listing.pictures.sort(key=lambda each: (each.name, 0) if each.content is None else ("", each.order))
    return listing


def _from_csv(folder: Path, labels: Path, read_label: ReadLabel) -> Listing:
    names = Names(folder)
    lines = read_lines(folder, labels, lambda text: isinstance(read_label(text), int))
    table = read_table(folder, labels, lines, lambda text: _is_data(text, names, read_label))
    rows, from_one = table.rows, table.from_one
    if not rows and not table.bad:
        raise OwnDataError(folder, [f"{labels.name} names no pictures"], "write a line of file,label for each picture")
    listing = Listing(problems=[Problem(number, text) for number, text in table.bad], notes=table.notes)
    beyond = not from_one and _count_from_one([row.label for row in rows])
    first: dict[str, int] = {}
    for row in rows:
        where = f"{labels.name} line {row.line}"
        name, reason = _name_of(row, labels, names, read_label)
        if reason is None and name in first:
            reason = f"{row.file!r} was named before, in line {first[name]}"
        first.setdefault(name, row.line)
        label = _from_one(row.label) if from_one else read_label(row.label)
        if reason is None and isinstance(label, int):
            listed = where if row.pixels else f"{where}: {decoded(name)}"
            listing.pictures.append(Listed(name, label, listed, row.line, row.pixels))
        elif reason is None and beyond and row.label == _BEYOND:
            continue  # of all of these, one problem below
        else:
            listing.problems.append(Problem(row.line, f"{where}: {reason or label}"))
    if beyond:
        line = next(row.line for row in rows if row.label == _BEYOND)
        listing.problems.append(Problem(line, f"{labels.name} line {line}: {_asked(f'name their column {FROM_ONE}')}"))
    left = sorted(name for name in names.there - first.keys() if is_picture(name))
    if left:
        listing.notes.append(f"{labels.name} does not name {some(left, len(left))}; left out")
    if not (from_one or beyond):
        listing.notes += _note_without_zero([row.label for row in rows], f"name their column {FROM_ONE}")
    return listing


def _is_data(text: str, names: Names, read_label: ReadLabel) -> bool:
    """Say whether a text is a picture or a class: its line names no columns."""
    return is_picture(text) or isinstance(read_label(text), int) or names.find(text)[1] is None


def _name_of(row: CsvRow, labels: Path, names: Names, read_label: ReadLabel) -> tuple[str, str | None]:
    """Return the name of a row's picture, and what is wrong with it or None."""
    if row.pixels:
        return f"{decoded(labels.name)} line {row.line}", None
    if isinstance(read_label(row.file), int) and is_picture(row.label):
        return row.file, f"the columns are file,label in this order, not {row.file},{row.label}"
    return names.find(row.file)


def _count_from_one(labels: Collection[str]) -> bool:
    """Say whether numbers seem to count from 1: the one beyond the last class is among them, and 0 is not."""
    return _BEYOND in labels and "0" not in labels


def _asked(remedy: str) -> str:
    return f"{_BEYOND} is no class, and nothing is 0: do the labels count from 1? Then {remedy}"


def _note_without_zero(labels: Collection[str], remedy: str) -> list[str]:
    """Return the note that numbers without 0 might count from 1; of names, or of one class, nothing can be told."""
    if len({*labels}) < 2 or "0" in labels or not all(map(str.isdecimal, labels)):
        return []
    return [f"no picture is of class 0 ({LABELS[0]}); if the labels count from 1, {remedy}"]


def _from_one(text: str) -> int | str:
    if not text:
        return "the label is missing"
    return _NUMBERS.get(text, f"the label {text!r} is no class: the header says that they count from 1 to {_BEYOND}")


def _from_folders(folder: Path, read_label: ReadLabel) -> Listing:
    listing, left = Listing(), LeftOut()
    inside: list[Path] = []
    try:
        every = sorted(folder.iterdir())
    except OSError as error:
        reason = f"the folder cannot be read ({error.strerror or error})"
        raise OwnDataError(folder, [reason], "check its permissions") from error
    for path in every:
        if is_hidden(path.name):
            left.add(path.name, HIDDEN)
        else:
            inside.append(path)
    folders = [path for path in inside if path.is_dir()]
    loose = [path.name for path in inside if not path.is_dir()]
    labels = {path: read_label(decoded(path.name)) for path in folders}
    sentences = {
        path: _why_no_class(path, label, read_label) for path, label in labels.items() if isinstance(label, str)
    }
    if _count_from_one([path.name for path in folders]):
        sentences |= {path: _asked("name the folders by class") for path in sentences if path.name == _BEYOND}
    if len(sentences) == len(labels):
        problems = [*sentences.values()] or [_why_nothing(inside, loose)]
        remedy = _label_remedy(folder, inside)
        raise OwnDataError(folder, problems, remedy)
    for number, (path, label) in enumerate(labels.items()):
        if isinstance(label, int):
            _take_folder(listing, left, path, label, number)
        else:
            listing.problems.append(Problem(number, sentences[path]))
    for name in loose:
        left.add(name, "in no class's folder" if is_picture(name) else NO_PICTURE)
    listing.notes += [*left.notes(), *_note_without_zero([path.name for path in folders], "name the folders by class")]
    if not listing.pictures and not listing.problems:
        raise OwnDataError(folder, ["the folders of its classes hold no pictures"], "put pictures into them")
    return listing


def _take_folder(listing: Listing, left: LeftOut, path: Path, label: int, order: int) -> None:
    """Take the pictures of a class's folder."""
    for each in files_below(path, left, within=path.parent):
        if isinstance(each, UnreadableRecord):
            listing.problems.append(Problem(order, f"{each.source}: {each.reason}"))
        elif is_picture(each.name):
            name = each.relative_to(path.parent).as_posix()
            listing.pictures.append(Listed(name, label, decoded(name), order))


def _why_no_class(path: Path, sentence: str, read_label: ReadLabel) -> str:
    """Return what is wrong with a folder that is no class: one that holds the classes is to be pointed at itself."""
    holds = False
    with suppress(OSError):  # one that cannot be read is no class all the same
        holds = any(isinstance(read_label(decoded(each.name)), int) for each in path.iterdir() if each.is_dir())
    if path.name.lower() in _PARTS or holds:
        return f"the folder {decoded(path.name)!r} is no class but a part of the data: pass --images {path}"
    return sentence.replace("the label", "the folder", 1)


def _why_nothing(inside: Sequence[Path], loose: Sequence[str]) -> str:
    if not inside:
        return "the folder is empty"
    return f"it holds {'pictures' if any(map(is_picture, loose)) else 'files'}, but no folder for a class"


def _label_remedy(folder: Path, inside: Sequence[Path]) -> str:
    tables = [path for path in inside if path.suffix.lower() in _CSV_SUFFIXES and path.is_file()]
    hint = f"pass --labels {tables[0]}" if tables else "pass --labels CSV"
    return f"{hint}, or make a folder in {folder.name or folder} for each class, such as 0 or ankle-boot"
