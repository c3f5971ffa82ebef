"""Own pictures with labels, in place of a data set: a folder and a CSV, or a folder per class.

Everything is looked at before anything starts: what is wrong is told at once, each with its file and line.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import OwnDataError
from toolkit.pictures.folders import some
from toolkit.pictures.own_data.decoding import Decoded, decode
from toolkit.pictures.own_data.listing import Listed, Problem, ReadLabel, list_pictures
from toolkit.pictures.picture import Invert
from toolkit.plain import decoded
from toolkit.records import LABELS, DatasetFileRecord, DatasetRecord
from toolkit.system.files import sha256_of
from toolkit.system.progress import Progress, silent
from toolkit.workload.images import ImageSet

__all__ = ["OwnPictures", "own_pictures"]

_TOLD_EVERY: Final = 100


@dataclass(frozen=True)
class OwnPictures:
    """Own pictures, all of them read.

    Attributes:
        data: The pictures and their labels, in the order of the names.
        names: Their paths below the folder, with ``/`` between the parts.
        inverted: ``(N,)`` bool: which were dark on bright.
        record: What a report says of them.
        notes: What was left out, and what is odd.
    """

    data: ImageSet
    names: tuple[str, ...]
    inverted: NDArray[np.bool_]
    record: DatasetRecord
    notes: tuple[str, ...]


def own_pictures(
    images: Path,
    labels: Path | None = None,
    *,
    read_label: ReadLabel,
    num_workers: int = 0,
    invert: Invert = "auto",
    progress: Progress = silent,
) -> OwnPictures:
    """Read own pictures and their labels, and make sure that all of them can be used.

    Args:
        images: Folder of the pictures; without ``labels`` it holds one folder per class, named by number or name.
        labels: CSV of ``file,label`` in UTF-8, with or without a header; the files are below ``images``, a label is a
            number or the name of a class. Or one of a label and 784 pixels, as Kaggle has the data set.
        read_label: Knows what people call the classes.
        num_workers: Processes that read pictures at the same time; 0 for this one alone. The result is the same. From a
            script of one's own, numbers above 0 need its ``if __name__ == "__main__":``, as for a `DataLoader`.
        invert: Whether the garments are dark on bright; ``auto`` looks at each picture.
        progress: Told how many have been read.

    Raises:
        OwnDataError: Naming everything that is wrong: files that are missing, unreadable, named twice, or outside the
            folder; labels that are no class; lines that are not two columns; or that there is nothing.
    """
    listing = list_pictures(images, labels, read_label)
    total = len(listing.pictures)
    read: list[Decoded] = []
    progress("pictures", 0, total)
    for each in decode(images, listing.pictures, num_workers=num_workers, invert=invert):
        read.append(each)
        if len(read) % _TOLD_EVERY == 0 or len(read) == total:
            progress("pictures", len(read), total)
    pairs = list(zip(listing.pictures, read, strict=True))
    broken = [Problem(each.order, f"{each.where}: {found.reason}") for each, found in pairs if found.pixels is None]
    problems = sorted([*listing.problems, *broken], key=lambda problem: problem.order)
    if problems:
        raise OwnDataError(images, [problem.text for problem in problems])
    return _put_together(images, labels, listing.pictures, read, listing.notes)


def _put_together(
    images: Path, labels: Path | None, pictures: Sequence[Listed], read: Sequence[Decoded], notes: Sequence[str]
) -> OwnPictures:
    numbers = np.array([each.label for each in pictures], np.int64)
    pixels = np.stack([found.pixels for found in read if found.pixels is not None])
    inverted = np.array([found.inverted for found in read], np.bool_)
    counts = np.bincount(numbers, minlength=len(LABELS))
    digests = [found.sha256 for found in read]
    files = () if labels is None else (_file_record(labels),)
    record = DatasetRecord(
        name=decoded(images),
        place=decoded(images.absolute()),
        class_counts=tuple(int(count) for count in counts),
        files=files,
        sha256=_digest(pictures, digests),
        inverted=int(inverted.sum()),
    )
    return OwnPictures(
        ImageSet(pixels, numbers),
        tuple(each.name for each in pictures),
        inverted,
        record,
        (*notes, *_oddities(numbers, inverted, digests), *_remarks(pictures, read)),
    )


def _file_record(labels: Path) -> DatasetFileRecord:
    return DatasetFileRecord(path=decoded(labels.absolute()), sha256=sha256_of(labels), as_published=None)


def _digest(pictures: Sequence[Listed], digests: Sequence[str]) -> str:
    """Return one digest of all files and their labels, whatever the folder is called and how the CSV is written."""
    lines = [f"{sha256} {each.label} {each.name}\n" for each, sha256 in zip(pictures, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _oddities(labels: NDArray[np.int64], inverted: NDArray[np.bool_], digests: Sequence[str]) -> list[str]:
    """Return notes on pictures that can be used and may not be meant so."""
    notes = []
    dark, total = int(inverted.sum()), len(labels)
    if 0 < dark < total:
        notes.append(f"{dark:,} of {total:,} pictures are dark on bright and were inverted, the others were not")
    copies = total - len(set(digests))
    if copies:
        classes = Counter(digest for digest, _ in {*zip(digests, labels.tolist(), strict=True)})
        torn = sum(count > 1 for count in classes.values())
        also = f"; {torn:,} of them have several labels" if torn else ""
        notes.append(f"{copies:,} of {total:,} pictures are copies of others, byte for byte{also}")
    return notes


def _remarks(pictures: Sequence[Listed], read: Sequence[Decoded]) -> list[str]:
    """Return what is to be said of single pictures, each remark once with their names."""
    names: dict[str, list[str]] = {}
    for listed, found in zip(pictures, read, strict=True):
        if found.remark:
            names.setdefault(found.remark, []).append(listed.name)
    return [f"{some(each, len(each))}: {remark}" for remark, each in names.items()]
