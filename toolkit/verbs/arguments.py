"""What the plain arguments of the verbs mean: paths, names, numbers, None.

The process that measures imports this, so no runtime is imported before it is needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from toolkit.errors import UsageError
from toolkit.formats import FORMATS, format_of
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.target import Target
from toolkit.system.progress import Progress

if TYPE_CHECKING:
    from toolkit.fashion.checkpoint import Checkpoint
    from toolkit.fashion.checkpoint import Checkpoint as Loaded
    from toolkit.pictures.own_data import OwnPictures
else:

    @runtime_checkable
    class Loaded(Protocol):
        """A `Checkpoint`, known by what it has: to name its class would import torch."""

        record: Any
        state: Any


#: A file or the name of a format; several of these; a folder of artifacts; or None for the default folder.
Artifacts = str | Path | Sequence[str | Path] | None
#: Weights that were loaded; a file of weights; or None for the bundled ones.
Weights = Loaded | str | Path | None
#: Where artifacts lie unless something else is said.
FOLDER: Final = "exported"
MOST_THREADS: Final = 1024
#: Processes or threads that read pictures.
MOST_WORKERS: Final = 256
#: Of one call: more fit into no memory.
MOST_IMAGES: Final = 10**9 - 1
#: Of the order of rounds, and of resampling.
LARGEST_SEED: Final = 2**32 - 1
#: Ten times as slow.
LARGEST_SHARE: Final = 10
#: Of a budget: from what the clock can see to a day; what is longer is a slip of the keyboard.
SECONDS: Final = (0.001, 86_400)


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


def loaded(weights: Weights) -> "Checkpoint":
    """Return the checkpoint that is meant, read from its file if need be."""
    from toolkit.fashion.checkpoint import load_checkpoint

    return load_checkpoint(weights) if weights is None or isinstance(weights, str | Path) else weights


def reference_of(weights: Weights, against: str | Path | None, *, trusted: bool) -> "Checkpoint | Target":
    """Return what artifacts must compute: a file with the suffix of a format is an artifact.

    Raises:
        UsageError: If both are given.
        FormatError, CheckpointError: If it cannot be used.
    """
    if against is not None and weights is not None:
        raise UsageError("--checkpoint and --against are two references", "pass one of them")
    artifact = against or (weights if isinstance(weights, str | Path) and format_of(Path(weights)) else None)
    if artifact is None:
        return loaded(weights)
    (target,), _ = resolve_targets([str(artifact)], Path(FOLDER), "cpu", trusted=trusted)
    return target


def file_of(weights: Weights) -> str | None:
    """Return the file of weights; None for the bundled ones."""
    if weights is None or isinstance(weights, str | Path):
        return None if weights is None else str(weights)
    return None if weights.record.form == "bundled" else weights.record.path


def path_of(given: str | Path | None) -> Path | None:
    """Return a path for a path, and None for None."""
    return None if given is None else Path(given)


def whole(option: str, given: int | Sequence[int] | None, most: int, *, least: int = 1) -> tuple[int, ...]:
    """Return whole numbers, one, several or none, each once.

    Raises:
        UsageError: Naming the option and the number that is not from ``least`` to ``most``.
    """
    numbers = () if given is None else (given,) if isinstance(given, int) else tuple(dict.fromkeys(given))
    for number in numbers:
        if not least <= number <= most:
            raise UsageError(f"{option} {number}: not a whole number from {least} to {most:,}", "pass such a one")
    return numbers


def check_range(least: float, most: float, **numbers: float | None) -> None:
    """Refuse numbers that are outside a range, NaN too; None is no number.

    Raises:
        UsageError: Naming the option.
    """
    for name, value in numbers.items():
        if value is not None and not least <= value <= most:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} {value:g}: not a number from {least:g} to {most:,g}", "pass such a one")


def check_pictures(
    images: str | Path | None, labels: str | Path | None, num_workers: int | None, **excluded: object
) -> None:
    """Refuse what makes no sense with own pictures, or has no effect without them.

    Args:
        images: Their folder.
        labels: Their CSV, or None for one folder per class.
        num_workers: Processes that read them.
        excluded: By the names of options, a true value for each that was given and does not go with ``--images``.

    Raises:
        UsageError: Naming it.
    """
    whole("--num-workers", num_workers, MOST_WORKERS, least=0)
    if images is None:
        given = {"--labels": labels, "--num-workers": num_workers}
        lonely = [name for name, value in given.items() if value is not None]
        if lonely:
            belong = "belongs" if len(lonely) == 1 else "belong"
            raise UsageError(f"{' and '.join(lonely)} {belong} to --images", "pass --images DIR")
        return
    others = [f"--{name.replace('_', '-')}" for name, value in excluded.items() if value]
    if others:
        raise UsageError(
            f"--images is in place of Fashion-MNIST, so {', '.join(others)} would have no effect", "leave one out"
        )


def pictures_of(
    images: str | Path | None, labels: str | Path | None, num_workers: int | None, progress: Progress
) -> "OwnPictures | None":
    """Read the own pictures that `check_pictures` has accepted; None without any.

    Raises:
        OwnDataError: If they cannot be used.
    """
    if images is None:
        return None
    from toolkit.fashion.labels import read_label
    from toolkit.pictures.own_data import own_pictures

    return own_pictures(
        Path(images), path_of(labels), read_label=read_label, num_workers=num_workers or 0, progress=progress
    )
