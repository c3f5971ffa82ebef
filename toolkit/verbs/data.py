"""Data: where Fashion-MNIST is, how it gets here, and pictures of it to look at."""

from pathlib import Path

from toolkit.errors import UsageError
from toolkit.fashion import places
from toolkit.fashion.gallery import Gallery, Part, choose_samples, find_wrong, open_pool
from toolkit.fashion.labels import find_label, near_label
from toolkit.records import LABELS, Report
from toolkit.system.arguments import checked
from toolkit.system.progress import Progress, silent
from toolkit.verbs.arguments import FOLDER, LARGEST_SEED, MOST_IMAGES, path_of, whole
from toolkit.verbs.predictor import open_predictor


@checked
def check_data(folder: str | Path | None = None) -> Report:
    """Say where Fashion-MNIST is, how many pictures of each class it has, and that its bytes are the published ones.

    Args:
        folder: Where to look, and nowhere else; None for all places. Nothing is downloaded.

    Returns:
        A report with both parts and the bundled sample in ``datasets``. If the full set is in none of the places, that
        is a skip with its remedy: nothing but training needs it.

    Raises:
        DataError, DataNotFoundError: If a copy is incomplete or damaged, or the files are not in ``folder``.
        UsageError: If ``folder`` is no folder.

    Example:
        >>> import toolkit
        >>> sample = toolkit.check_data().datasets[-1]
        >>> sample.name, sum(sample.class_counts)
        ('Fashion-MNIST, sample', 1000)
    """
    return places.describe_places(path_of(folder))


@checked
def fetch_data(folder: str | Path | None = None, *, progress: Progress = silent, bars: bool = False) -> Report:
    """Put Fashion-MNIST into a folder: copied from elsewhere on this machine if it is there, else downloaded.

    Args:
        folder: For the four files; None for the cache, where everything finds them.
        progress: Called as ``progress(task, done, total, detail)`` before each step.
        bars: Whether torchvision may draw bars on stderr while it downloads.

    Returns:
        A report that says in ``fetched`` where the files are and how they came; they are verified.

    Raises:
        DataNotFoundError: If the files are nowhere here and the download fails.
        OutputError: If the folder cannot be written.
        UsageError: If ``folder`` is a file.

    Example:
        >>> import toolkit
        >>> try:
        ...     toolkit.fetch_data("model.pth")
        ... except toolkit.ToolkitError as error:
        ...     print(error.remedy)
        pass the folder for the four files
    """
    return places.fetch_data(path_of(folder), progress=progress, bars=bars)


@checked
def choose_pictures(
    label: str | int | None = None,
    *,
    wrong: str | Path | None = None,
    part: Part = "test",
    count: int = 9,
    seed: int | None = None,
    data: str | Path | None = None,
    folder: str | Path = FOLDER,
    device: str = "cpu",
    progress: Progress = silent,
) -> Gallery:
    """Choose labelled pictures of Fashion-MNIST, by chance or those that a model gets wrong.

    Args:
        label: The only class to choose from, its name or 0 to 9; None for all.
        wrong: A format, an artifact's or a checkpoint's file, of which the mistakes are chosen, the most confident
            first; None for a choice by chance.
        part: ``test`` or ``train``. Without the full data set the bundled sample stands for the test set.
        count: How many; fewer if there are not so many.
        seed: Of the choice by chance; None for a new one, which the report names.
        data: Folder of Fashion-MNIST; None for the usual places. Nothing is downloaded.
        folder: Where the artifact lies that is named by its format.
        device: Where ``wrong`` runs: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        progress: Called as ``progress(task, done, total, detail)`` while ``wrong`` judges.

    Returns:
        ``images``, ``(n, 28, 28)`` uint8, and ``report``, which describes them in ``gallery``, with what was said of
        them in ``predictions``, in the same order.

    Raises:
        DataError, DataNotFoundError: If the data cannot be used, or is not here.
        FormatError, CheckpointError, DeviceUnavailableError: If ``wrong`` cannot be used.
        UsageError: If a value makes no sense or would have no effect.

    Example:
        >>> import toolkit
        >>> gallery = toolkit.choose_pictures("boot", count=2, seed=1)
        >>> gallery.images.shape, [each.label for each in gallery.report.gallery.shown]
        ((2, 28, 28), ['Ankle boot', 'Ankle boot'])
    """
    number = None if label is None else _class_number(str(label))
    whole("--count", count, MOST_IMAGES)
    whole("--seed", seed, LARGEST_SEED, least=0)
    if wrong is None:
        if device != "cpu":
            raise UsageError("--device is for the model of --wrong", "pass --wrong ARTIFACT too, or leave it out")
        if Path(folder) != Path(FOLDER):
            raise UsageError("--folder is of the artifact of --wrong", "pass --wrong ARTIFACT too, or leave it out")
        return choose_samples(open_pool(part, path_of(data)), count=count, label=number, seed=seed)
    if seed is not None:
        raise UsageError("--seed is of a choice by chance, and --wrong makes none", "leave one of them out")
    pool = open_pool(part, path_of(data))
    predictor = open_predictor(str(wrong), Path(folder), device=device)
    gallery = find_wrong(pool, predictor, count=count, label=number, progress=progress)
    notes = (predictor.warning,) if predictor.warning else ()
    return Gallery(gallery.report.changed(notes=notes), gallery.images)


def _class_number(text: str) -> int:
    number = find_label(text)
    if number is None:
        near = near_label(text)
        hint = f" (did you mean {near!r}?)" if near else ""
        classes = ", ".join(f"{number} {name}" for number, name in enumerate(LABELS))
        raise UsageError(f"--class {text}: no such class{hint}", f"pass one of {classes}")
    return number
