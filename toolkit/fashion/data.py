"""Fashion-MNIST: find, verify, fetch, load. Whatever the source, the bytes are the published ones."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, redirect_stderr
from importlib.resources import files
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from toolkit.errors import DataError, DataNotFoundError, OutputError, UsageError
from toolkit.pictures.sources import Source
from toolkit.records import LABELS, PIXELS, DataRecord
from toolkit.system.files import make_folder
from toolkit.system.scratch import scratch_folder
from toolkit.workload.images import ImageSet

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

#: SHA-256 of the unpacked IDX files.
SHA256: Final = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
URL: Final = "https://github.com/zalandoresearch/fashion-mnist"
SYSTEM_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
ENVIRONMENT_VARIABLE: Final = "FMNIST_TK_DATA"
_IMAGES_HEADER_BYTES, _LABELS_HEADER_BYTES = 16, 8
# Where the four files may lie below a folder: in it, or as torchvision and its subclass keep them.
_LAYOUTS = ("", "FashionMNIST/raw", "raw")


def load_sample() -> ImageSet:
    """Return the bundled sample: 1,000 test images, 100 of each class."""
    stored = _stored_sample()
    return ImageSet(stored["images"], stored["labels"].astype(np.int64))


def sample_indices() -> NDArray[np.int64]:
    """Return which images of the test set the bundled sample holds: ``(1000,)`` int64, in its order."""
    return _stored_sample()["indices"].astype(np.int64)


def _stored_sample() -> dict[str, NDArray[Any]]:
    with np.load(BytesIO((files("toolkit.fashion.assets") / "sample.npz").read_bytes())) as stored:
        return dict(stored)


def load_data(folder: Path | None = None, *, workers: int = 2, download: bool = True) -> tuple[ImageSet, ImageSet]:
    """Return the 60,000 training and the 10,000 test images.

    Args:
        folder: Where to look, and nowhere else; None for the places of `places`.
        workers: Files unpacked and verified at the same time.
        download: Whether to let torchvision fetch the files when they are nowhere.

    Raises:
        DataError: If a file is truncated, swapped or foreign.
        DataNotFoundError: If the files are nowhere and cannot be fetched.
        UsageError: If ``folder`` is no folder.
    """
    paths = find_files(folder) or (download_files() if download and folder is None else None)
    if paths is None:
        raise _nowhere(folder)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        unpacked = dict(zip(paths, pool.map(read_verified, paths.values(), paths.keys()), strict=True))
    return _image_set(unpacked, "train"), _image_set(unpacked, "t10k")


def load_test_set(folder: Path | None = None) -> ImageSet:
    """Return the 10,000 test images from this machine; nothing is downloaded, and the training images are not read.

    Args:
        folder: As in `load_data`.

    Raises:
        DataError, DataNotFoundError, UsageError: As `load_data`.
    """
    paths = find_files(folder)
    if paths is None:
        raise _nowhere(folder)
    return _image_set(
        {name: read_verified(path, name) for name, path in paths.items() if name.startswith("t10k")}, "t10k"
    )


def _nowhere(folder: Path | None) -> DataNotFoundError:
    return DataNotFoundError(f"not in {folder}" if folder else "not in any of the usual places", URL)


def places() -> list[Path]:
    """Return the folders where Fashion-MNIST is looked for when none is given, first match wins."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    return [*([Path(given)] if given else []), cache_folder(), SYSTEM_FOLDER]


def cache_folder() -> Path:
    """Return the user's cache folder of this tool."""
    return user_cache_path("fmnist-tk")


def describe_data(folder: Path | None = None) -> tuple[DataRecord, ...]:
    """Return for ``folder``, or each of `places`, whether the four files are there; their bytes are not read."""
    records = []
    for place in [folder] if folder else places():
        paths = files_in(place)
        detail = "all four files" if len(paths) == len(SHA256) else f"{len(paths)} of {len(SHA256)} files"
        records.append(DataRecord(place=str(place), complete=len(paths) == len(SHA256), detail=detail))
    return tuple(records)


def find_files(folder: Path | None) -> dict[str, Path] | None:
    """Return the four files by name, or None when they are nowhere; their bytes are not read.

    Args:
        folder: As in `load_data`.

    Raises:
        DataError: If a place holds some of the files, but not all.
        UsageError: If ``folder``, or the one that the environment names, is no folder.
    """
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--data {folder}: no such folder", "pass the folder that holds the four IDX files")
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if folder is None and given and not Path(given).is_dir():
        raise UsageError(f"${ENVIRONMENT_VARIABLE} {given}: no such folder", "correct the variable or unset it")
    for place in [folder] if folder else places():
        paths = files_in(place)
        if len(paths) == len(SHA256):
            return paths
        if paths:  # a part is a sign of a broken copy, which another place must not hide
            missing = ", ".join(name for name in SHA256 if name not in paths)
            raise DataError(place, f"has some files of Fashion-MNIST, but not {missing}")
    return None


def files_in(place: Path) -> dict[str, Path]:
    """Return the files of Fashion-MNIST in ``place`` by name, unpacked ones before gzipped ones."""
    for layout in _LAYOUTS:
        found = {
            name: path
            for name in SHA256
            for path in (place / layout / f"{name}.gz", place / layout / name)
            if path.is_file()
        }
        if found:
            return found
    return {}


def read_verified(path: Path, name: str) -> bytes:
    """Return the unpacked bytes of a file after their digest was compared.

    Raises:
        DataError: If they are not the published ones of ``name``.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"cannot be unpacked, it is truncated or damaged ({error})") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest == SHA256[name]:
        return data
    other = next((each for each, known in SHA256.items() if known == digest), None)
    if other:
        raise DataError(path, f"is swapped: it holds {other}")
    raise DataError(path, f"is not Fashion-MNIST's {name}: SHA-256 {digest[:12]}…, expected {SHA256[name][:12]}…")


def _image_set(unpacked: dict[str, bytes], part: str) -> ImageSet:
    """Read the IDX files of a part; their headers are known from their digests."""
    images = np.frombuffer(unpacked[f"{part}-images-idx3-ubyte"], np.uint8, offset=_IMAGES_HEADER_BYTES)
    labels = np.frombuffer(unpacked[f"{part}-labels-idx1-ubyte"], np.uint8, offset=_LABELS_HEADER_BYTES)
    # Copies: torch will not share memory that cannot be written.
    return ImageSet(images.reshape(-1, 28, PIXELS // 28).copy(), labels.astype(np.int64))


def download_files(target: Path | None = None, *, bars: bool = True) -> dict[str, Path]:
    """Let torchvision download the four files into ``target``, by default the cache, and return where they are.

    Args:
        target: The folder; None for the cache.
        bars: Whether torchvision may draw bars on stderr.

    Raises:
        DataError: If what came is not Fashion-MNIST.
        DataNotFoundError: If the download fails, as it does offline.
        OutputError: If ``target`` cannot be written.
    """

    def fill(folder: Path) -> None:
        try:
            from torchvision.datasets import FashionMNIST  # it does not import beside another build's torch

            with nullcontext() if bars else redirect_stderr(StringIO()):
                FashionMNIST(str(folder), download=True)
        except (RuntimeError, OSError, ImportError) as error:
            raise DataNotFoundError(f"the download failed: {str(error).splitlines()[-1]}", URL, tried=True) from error
        for name, path in files_in(folder).items():
            read_verified(path, name)

    return _put(target or cache_folder(), fill)


def copy_files(source: dict[str, Path], target: Path) -> dict[str, Path]:
    """Verify the four files of ``source``, write them unpacked into ``target`` and return where they are.

    Raises:
        DataError: If one of them is not the published one.
        OutputError: If ``target`` cannot be written.
    """

    def fill(folder: Path) -> None:
        for name, path in source.items():
            unpacked = read_verified(path, name)
            (folder / name).write_bytes(unpacked)

    return _put(target, fill)


def _put(target: Path, fill: Callable[[Path], None]) -> dict[str, Path]:
    """Move what ``fill`` leaves in a folder of its own into ``target`` when it has ended well, and not before."""
    make_folder(target)
    try:
        with scratch_folder("download", target) as temporary:
            fill(temporary)
            for path in files_in(temporary).values():
                path.replace(target / path.name)
    except OSError as error:
        raise OutputError(target, error.strerror or str(error)) from error
    return files_in(target)


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
        reason = f"--test {missing[0]}: not among the {len(bundled):,} bundled test images ({some}, …)"
        raise UsageError(f"{reason}, and {error.statement}", error.remedy) from error
    beyond = [number for number in missing if number >= len(images)]
    if beyond:
        raise UsageError(f"--test {beyond[0]}: the test set has {len(images):,} images", f"pass 0 to {len(images) - 1}")
    return images
