"""Where Fashion-MNIST is, and how it comes there: what `data info` and `data fetch` do."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from toolkit.errors import DataError, DataNotFoundError, UsageError
from toolkit.fashion.data import (
    SHA256,
    cache_folder,
    copy_files,
    describe_data,
    download_files,
    files_in,
    find_files,
    load_data,
    load_sample,
    places,
    read_verified,
)
from toolkit.records import LABELS, DatasetFileRecord, DatasetRecord, FetchRecord, Report, SkipRecord
from toolkit.system.environment import new_report
from toolkit.system.progress import Progress, silent
from toolkit.workload.images import ImageSet

#: How the two parts and the sample are called in reports.
TRAINING_SET, TEST_SET, SAMPLE = "Fashion-MNIST, training set", "Fashion-MNIST, test set", "Fashion-MNIST, sample"
BUNDLED_PLACE = "bundled with fmnist-tk"
_REMEDY = "run fmnist-tk data fetch, install the Debian package dataset-fashion-mnist, or pass --data DIR"


def describe_places(folder: Path | None = None) -> Report:
    """Say where Fashion-MNIST is, how many pictures of each class it has, and that its bytes are the published ones.

    Args:
        folder: Where to look, and nowhere else; None for all places.

    Returns:
        A report with both parts and the bundled sample. If the full set is in none of the places, that is a skip
        with its remedy: nothing but training needs it.

    Raises:
        DataError: If a copy is incomplete or its bytes are others.
        DataNotFoundError: If the files are not in ``folder``.
        UsageError: If ``folder`` is no folder.
    """
    try:
        datasets, skips = _parts(folder), []
    except DataNotFoundError as error:
        if folder:
            raise
        datasets, skips = (), [SkipRecord(what="the full data set", reason=error.reason, remedy=_REMEDY)]
    sample = describe_set(SAMPLE, BUNDLED_PLACE, load_sample())
    return new_report("data info").changed(
        places=describe_data(folder), datasets=(*datasets, sample), skips=tuple(skips)
    )


def describe_set(name: str, place: str, images: ImageSet, files: Iterable[DatasetFileRecord] = ()) -> DatasetRecord:
    """Return the record of a set of labelled pictures."""
    counts = np.bincount(images.labels, minlength=len(LABELS))
    return DatasetRecord(name=name, place=place, class_counts=tuple(map(int, counts)), files=tuple(files))


def fetch_data(target: Path | None = None, *, progress: Progress = silent, bars: bool = False) -> Report:
    """Put the four verified files into a folder: copied from another place on this machine, or downloaded.

    A copy in the folder that is incomplete or broken is replaced. Nothing is changed when all is there.

    Args:
        target: The folder; None for the cache.
        progress: Told what is being done.
        bars: Whether torchvision may draw bars on stderr while it downloads.

    Raises:
        DataNotFoundError: If the files are nowhere here and the download fails.
        OutputError: If the folder cannot be written.
        UsageError: If ``target`` is a file.
    """
    target = target or cache_folder()
    if target.exists() and not target.is_dir():
        raise UsageError(f"--out {target}: it is a file, not a folder", "pass the folder for the four files")
    progress("fetch", 0, 1, f"Looking in {target}")
    fetched = _settled(target)
    if fetched is None:
        source = next((place for place in places() if place.resolve() != target.resolve() and _is_whole(place)), None)
        progress("fetch", 0, 1, f"Copying from {source}" if source else "Downloading, about 30 MB")
        paths = copy_files(files_in(source), target) if source else download_files(target, bars=bars)
        fetched = FetchRecord(
            place=str(_folder_of(paths)),
            how="copied" if source else "downloaded",
            source=str(source) if source else None,
        )
    progress("fetch", 1, 1)
    return new_report("data fetch").changed(fetched=fetched, datasets=_parts(target))


def _settled(target: Path) -> FetchRecord | None:
    return FetchRecord(place=str(_folder_of(files_in(target))), how="already there") if _is_whole(target) else None


def _is_whole(place: Path) -> bool:
    """Say whether all four files are in a place, and none of them broken."""
    paths = files_in(place)
    try:
        for name, path in paths.items():
            read_verified(path, name)
    except DataError:
        return False
    return len(paths) == len(SHA256)


def _folder_of(paths: dict[str, Path]) -> Path:
    return next(iter(paths.values())).parent


def _parts(folder: Path | None) -> tuple[DatasetRecord, ...]:
    """Read all four files and describe both parts."""
    training, test = load_data(folder, download=False)
    paths = find_files(folder) or {}  # load_data has just found them, and compared their digests
    records = [
        DatasetFileRecord(path=str(path), sha256=SHA256[name], as_published=True) for name, path in paths.items()
    ]
    place = str(_folder_of(paths))
    return (
        describe_set(TRAINING_SET, place, training, records[:2]),
        describe_set(TEST_SET, place, test, records[2:]),
    )
