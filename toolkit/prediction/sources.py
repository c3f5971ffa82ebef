"""Where pictures come from: files, folders, patterns, stdin, the test set. Nothing is opened here but folders."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.data import ImageSet, load_sample, load_test_set, sample_indices
from toolkit.errors import DataNotFoundError, UsageError
from toolkit.pictures import SUFFIXES
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


def printable(path: str | os.PathLike[str]) -> str:
    """Return a path as text that can be written everywhere: a byte that is not UTF-8 becomes a question mark."""
    return os.fsencode(path).decode("utf-8", "replace")


def expand_words(words: Iterable[str]) -> tuple[list[Path], list[UnreadableRecord]]:
    """Return the files and folders that the words of a command line mean, in order, and the words that mean nothing.

    A word that is no file or folder is a pattern, when it has ``*``, ``?`` or ``[``; ``**`` is any depth of folders.
    """
    paths: list[Path] = []
    missing: list[UnreadableRecord] = []
    for word in words:
        is_pattern = glob.has_magic(word) and not os.path.lexists(word)
        matches = glob.glob(word, recursive=True) if is_pattern else []  # noqa: PTH207  Path.glob takes no absolute one
        found = sorted(matches) if is_pattern else [word] * os.path.lexists(word)
        paths += map(Path, found)
        if not found:
            reason = "no file matches this pattern" if is_pattern else "there is no such file or folder"
            missing.append(UnreadableRecord(source=printable(word), reason=reason, remedy="check the path"))
    return paths, missing


def walk(paths: Iterable[Path]) -> Iterator[Source | UnreadableRecord]:
    """Yield the pictures of files and folders.

    A file is taken whatever it is called. Of a folder, and of the folders in it, files with the suffix of a picture are
    taken, sorted by name; hidden ones are not, and a link to a folder is not followed. Only the names of the folders on
    the way down are held in memory.
    """
    for path in paths:
        if path.is_dir():
            yield from _walk_folder(path)
        else:
            yield Source(printable(path), path)


def count_sources(paths: Sequence[Path]) -> int:
    """Return how many pictures `walk` will yield."""
    return sum(1 for _ in walk(paths))


def _walk_folder(folder: Path) -> Iterator[Source | UnreadableRecord]:
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


def sources_of_test_set(numbers: Sequence[int], data: Path | None = None) -> list[Source]:
    """Return images of the test set, with their labels.

    They are taken from the bundled sample when it holds them all, else from the full set.

    Args:
        numbers: Places in the test set, from 0.
        data: Folder of the full set, which is then read; None for the usual places.

    Raises:
        DataError, UsageError: If the full set is needed and not here, or broken.
    """
    bundled = {int(number): place for place, number in enumerate(sample_indices())}
    places = [bundled.get(number) for number in numbers]
    missing = [number for number, place in zip(numbers, places, strict=True) if place is None]
    if data is None and not missing:
        images, chosen = load_sample(), [place for place in places if place is not None]
    else:
        images, chosen = _full_set(data, missing, sorted(bundled)), list(numbers)
    return [
        Source(f"test image {number}", images.images[place], LABELS[images.labels[place]])
        for number, place in zip(numbers, chosen, strict=True)
    ]


def _full_set(data: Path | None, missing: Sequence[int], bundled: Sequence[int]) -> ImageSet:
    try:
        images = load_test_set(data)
    except DataNotFoundError as error:
        some = ", ".join(map(str, bundled[:5]))
        raise UsageError(
            f"--test {missing[0]}: not among the {len(bundled):,} bundled test images ({some}, …), and {error}"
        ) from error
    beyond = [number for number in missing if number >= len(images)]
    if beyond:
        raise UsageError(f"--test {beyond[0]}: the test set has {len(images):,} images; pass 0 to {len(images) - 1}")
    return images
