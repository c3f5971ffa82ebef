"""Where pictures come from: files, folders, patterns, stdin. Nothing is opened here but folders."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import OwnDataError
from toolkit.pictures.own_data.listing import ReadLabel, list_pictures
from toolkit.pictures.picture import SUFFIXES
from toolkit.records import LABELS, UnreadableRecord

#: What stands for stdin among the pictures.
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """A picture that nobody has looked at yet.

    Attributes:
        name: As it appears in results.
        content: A file, the bytes of one, or pixels ``(28, 28)`` uint8 that are taken as they are.
        actual: Its label, where that is known.
    """

    name: str
    content: Path | bytes | NDArray[np.uint8]
    actual: str | None = None


#: A picture, or a place that has none.
Found = Source | UnreadableRecord


def printable(path: str | os.PathLike[str]) -> str:
    """Return a path as text that can be written everywhere: a byte that is not UTF-8 becomes a question mark."""
    return os.fsencode(path).decode("utf-8", "replace")


def expand_words(words: Iterable[str]) -> list[Path | UnreadableRecord]:
    """Return the files and folders that the words of a command line mean, in order; a word may mean nothing.

    A word that is no file or folder is a pattern when it has ``*``, ``?`` or ``[``; ``**`` is any depth of folders.
    What lies in a folder that the same pattern matches is left to that folder, so that each picture comes once.
    """
    found: list[Path | UnreadableRecord] = []
    for word in words:
        if os.path.lexists(word):
            found.append(Path(word))
            continue
        matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        found += _outermost(map(Path, matches))
        if not matches:
            reason = "no file matches this pattern" if glob.has_magic(word) else "there is no such file or folder"
            found.append(UnreadableRecord(source=printable(word), reason=reason, remedy="check the path"))
    return found


def _outermost(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield sorted paths without those that lie in a folder among them."""
    folders: set[Path] = set()
    for path in paths:
        if folders.isdisjoint(path.parents):
            if path.is_dir():
                folders.add(path)
            yield path


def walk(places: Iterable[Path | Found]) -> Iterator[Found]:
    """Yield the pictures of files and folders; what is no path is passed on.

    A file is taken whatever it is called. Of a folder, and of the folders in it, files with the suffix of a picture are
    taken, sorted by name; hidden ones are not, and a link to a folder is not followed. Only the names of the folders on
    the way down are held in memory.
    """
    for place in places:
        if not isinstance(place, Path):
            yield place
        elif place.is_dir():
            empty = True
            for each in _walk_folder(place):
                empty = False
                yield each
            if empty:
                reason = f"there is no picture in this folder ({', '.join(sorted(SUFFIXES))})"
                yield UnreadableRecord(source=printable(place), reason=reason, remedy="pass another folder")
        else:
            yield Source(printable(place), place)


def _walk_folder(folder: Path) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            visible = ((each.name, each.is_dir(follow_symlinks=False)) for each in entries if each.name[0] != ".")
            kept = sorted(each for each in visible if each[1] or Path(each[0]).suffix.lower() in SUFFIXES)
    except OSError as error:
        reason = f"the folder cannot be read ({error.strerror or error})"
        yield UnreadableRecord(source=printable(folder), reason=reason, remedy="check its permissions")
        return
    for name, is_folder in kept:
        path = folder / name
        if is_folder:
            yield from _walk_folder(path)
        elif not path.is_dir():  # nor a link to a folder that is called like a picture
            yield Source(printable(path), path)


def sources_of_own_pictures(
    images: Path, labels: Path | None, read_label: ReadLabel
) -> tuple[list[Source], tuple[str, ...]]:
    """Return own labelled pictures in the order of their names, and what is to be noted of them.

    Whether a picture can be read shows when it is its turn.

    Args:
        images: As in `toolkit.pictures.own_data.own_pictures`.
        labels: As there.
        read_label: As there.

    Raises:
        OwnDataError: Naming every line and file that makes no sense.
    """
    listing = list_pictures(images, labels, read_label)
    if listing.problems:
        raise OwnDataError(images, [problem.text for problem in sorted(listing.problems)])
    paths = ((images / each.name, LABELS[each.label]) for each in listing.pictures)
    return [Source(printable(path), path, label) for path, label in paths], tuple(listing.notes)
