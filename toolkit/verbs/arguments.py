"""What the plain arguments of the Python API mean: paths, names, None."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from toolkit.errors import UsageError
from toolkit.fashion.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from toolkit.fashion.labels import read_label
from toolkit.formats import FORMATS, format_of
from toolkit.formats.target import Target, resolve_targets
from toolkit.pictures.own_data import OwnPictures, own_pictures
from toolkit.records import Precision
from toolkit.system.progress import Progress

#: A file or the name of a format; several of these; a folder of artifacts; or None for the default folder.
Artifacts = str | Path | Sequence[str | Path] | None
#: Weights that were loaded; a file of weights; or None for the bundled ones.
Weights = Checkpoint | str | Path | None
#: Where artifacts lie unless something else is said, as on the command line.
FOLDER: Final = "exported"
MOST_THREADS: Final = 1024


def names_of(artifacts: Artifacts, folder: str | Path) -> tuple[list[str], Path]:
    """Return the names of artifacts, none for all, and the folder in which formats are looked for."""
    if artifacts is None:
        return [], Path(folder)
    if isinstance(artifacts, str | Path):
        is_folder = artifacts not in FORMATS and Path(artifacts).is_dir()
        return ([], Path(artifacts)) if is_folder else ([str(artifacts)], Path(folder))
    if not artifacts:
        raise UsageError("No artifacts are named", "pass some, or None for all of the folder")
    return [str(each) for each in artifacts], Path(folder)


def loaded(weights: Weights) -> Checkpoint:
    """Return the checkpoint that is meant, read from its file if need be."""
    return weights if isinstance(weights, Checkpoint) else load_checkpoint(weights)


def reference_of(weights: Weights) -> Checkpoint | Target:
    """Return what artifacts must compute: a file with the suffix of a format is an artifact."""
    if isinstance(weights, str | Path) and format_of(Path(weights)):
        (target,), _ = resolve_targets([str(weights)], Path(FOLDER), "cpu")
        return target
    return loaded(weights)


def file_of(weights: Weights) -> str | None:
    """Return the file of weights; None for the bundled ones."""
    if isinstance(weights, Checkpoint):
        return None if weights.record.form == BUNDLED else weights.record.path
    return None if weights is None else str(weights)


def path_of(given: str | Path | None) -> Path | None:
    """Return a path for a path, and None for None."""
    return None if given is None else Path(given)


def check_session(threads: int | None, precision: str | None) -> None:
    """Refuse what no session can have: nobody checks types at run time.

    Raises:
        UsageError: Naming what can be had.
    """
    if precision is not None and precision not in get_args(Precision):
        raise UsageError(f"precision={precision!r}:", f"choose one of {', '.join(get_args(Precision))}")
    if threads is not None:
        check_whole("threads", [threads], MOST_THREADS)


def check_whole(name: str, numbers: Sequence[int], most: int) -> None:
    """Refuse what is not a whole number from 1 to ``most``.

    Raises:
        UsageError: Naming the argument and the number.
    """
    for number in numbers:
        if not isinstance(number, int) or not 1 <= number <= most:
            raise UsageError(f"{name}: {number!r} is not a whole number from 1 to {most:,}", "pass such a one")


def pictures_of(
    images: str | Path | None, labels: str | Path | None, progress: Progress, **excluded: object
) -> OwnPictures | None:
    """Return the own pictures that are meant; None without any.

    Args:
        images: Their folder.
        labels: Their CSV, or None for one folder per class.
        progress: Told how many have been read.
        excluded: What does not go with them, by its name, true where it was given.

    Raises:
        UsageError: If something does not go together.
        OwnDataError: If they cannot be used.
    """
    if images is None:
        if labels is not None:
            raise UsageError("labels belong to images", "pass images as well")
        return None
    for name, value in excluded.items():
        if value:
            raise UsageError(f"images are in place of Fashion-MNIST, so {name} would have no effect", "leave one out")
    return own_pictures(Path(images), path_of(labels), read_label=read_label, progress=progress)
