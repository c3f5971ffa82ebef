"""Where pictures come from: files, folders, patterns, stdin. Nothing is opened here but folders."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import OwnDataError
from toolkit.pictures.folders import LeftOut, files_below, is_picture
from toolkit.pictures.own_data.listing import Listed, ReadLabel, list_pictures
from toolkit.pictures.picture import SUFFIXES
from toolkit.plain import decoded
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
        of_table: Whether the content is pixels of a table.
    """

    name: str
    content: Path | bytes | NDArray[np.uint8]
    actual: str | None = None
    of_table: bool = False


#: A picture, or a place that has none.
Found = Source | UnreadableRecord


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
            found.append(UnreadableRecord(source=decoded(word), reason=reason, remedy="check the path"))
    return found


def _outermost(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield sorted paths without those that lie in a folder among them."""
    folders: set[Path] = set()
    for path in paths:
        if folders.isdisjoint(path.parents):
            if path.is_dir():
                folders.add(path)
            yield path


def walk(places: Iterable[Path | Found], left: LeftOut) -> Iterator[Found]:
    """Yield the pictures of files and folders; what is no path is passed on.

    A file is taken whatever it is called. Of a folder, and of the folders in it, files with the suffix of a picture are
    taken, sorted by name; hidden ones are not, and a link to a folder is not followed.

    Args:
        places: Files, folders, pictures.
        left: Told what is passed over.
    """
    for place in places:
        if not isinstance(place, Path):
            yield place
        elif place.is_dir():
            empty = True
            for each in files_below(place, left):
                if isinstance(each, UnreadableRecord):
                    yield each
                    empty = False
                elif is_picture(each.name):
                    yield Source(decoded(each), each)
                    empty = False
            if empty:
                reason = f"there is no picture in this folder ({', '.join(sorted(SUFFIXES))})"
                yield UnreadableRecord(source=decoded(place), reason=reason, remedy="pass another folder")
        else:
            yield Source(decoded(place), place)


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
    return [_source(images, each) for each in listing.pictures], tuple(listing.notes)


def _source(images: Path, listed: Listed) -> Source:
    if listed.content:
        return Source(listed.name, listed.content, LABELS[listed.label], of_table=True)
    return Source(decoded(images / listed.name), images / listed.name, LABELS[listed.label])
