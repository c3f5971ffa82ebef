"""Predict: what a model says of pictures, one after another, however many."""

import io
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import SkipValidation

from toolkit.errors import UsageError, first_line
from toolkit.fashion.data import sources_of_test_set
from toolkit.fashion.labels import read_label
from toolkit.pictures.folders import LeftOut
from toolkit.pictures.picture import Invert
from toolkit.pictures.sources import Found, Source, expand_words, sources_of_own_pictures, walk
from toolkit.pictures.stream import predict_each
from toolkit.plain import decoded
from toolkit.records import PredictionRecord, Report, UnreadableRecord
from toolkit.system.arguments import checked
from toolkit.system.environment import new_report
from toolkit.verbs.arguments import FOLDER, MOST_IMAGES, MOST_WORKERS, check_pictures, path_of, whole
from toolkit.verbs.predictor import Predictor, open_predictor

#: A file, a folder or a pattern; the bytes of a file, an opened picture, or pixels: an array or a tensor ``(28, 28)``
#: or ``(1, 28, 28)`` uint8; or a picture that has a name of its own.
Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | Source
# A file or a folder, a picture, or what makes one when it is its turn.
_Place = Path | Found | Callable[[], Found]
_SHAPE = (28, 28)
_REMEDY = "pass a path, the bytes of a file, a PIL image, or (28, 28) uint8, bright on black"


@dataclass(eq=False)
class Predictions(Iterator[PredictionRecord | UnreadableRecord]):
    """What a model says of pictures, each when it is asked for: a few batches are in memory, never all of them.

    Attributes:
        model: Which one predicts, and why.
        report: Of predict, with everything that is known before the first picture.
        records: Of the pictures, in order.
        batch_size: Pictures per call of the model; so many become known at once.
        total: How many pictures there are; None where that is not known before they come.
        paths: The files and folders that are read for them, where that is known before.
    """

    model: Predictor
    report: Report
    records: Generator[PredictionRecord | UnreadableRecord, None, None]
    batch_size: int
    total: int | None
    paths: tuple[Path, ...]

    def __next__(self) -> PredictionRecord | UnreadableRecord:
        """Return what is said of the next picture."""
        return next(self.records)

    def close(self) -> None:
        """Read and predict no more."""
        self.records.close()


@checked
def predict(
    pictures: Annotated[Iterable[Picture], SkipValidation] = (),
    *,
    test: int | Sequence[int] = (),
    data: str | Path | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    num_workers: int | None = None,
    artifact: str | Path | None = None,
    folder: str | Path = FOLDER,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    invert: Invert = "auto",
    batch_size: int = 64,
    trust: bool = False,
) -> Predictions:
    """Say what is on pictures.

    Args:
        pictures: Each a file, a folder or a pattern; or the bytes of a file, a PIL image, or pixels ``(28, 28)`` uint8,
            bright on black, as an array or a tensor on the CPU. An array ``(N, 28, 28)`` is N pictures.
        test: Images of the test set by their number, from 0; they come last.
        data: Folder of Fashion-MNIST, for ``test``; None for the bundled sample, then the usual places.
        images: Folder of own pictures whose labels are known: with ``labels``, or one folder per class.
        labels: CSV of ``file,label`` for ``images``.
        num_workers: Threads that read pictures; None for as many as there are CPUs.
        artifact: A format, an artifact's file, a checkpoint's file, ``eager`` or ``bundled``. None for ``checkpoint``
            if there is one, else the fastest verified artifact in ``folder``, else the bundled checkpoint.
        folder: Of the artifacts; it need not be there.
        checkpoint: Weights to run in eager PyTorch; beside an artifact what it must have been verified against.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: On the CPU; None leaves it to the runtime.
        invert: Whether files show a garment dark on bright: ``auto`` looks at each, ``yes`` or ``no`` decides.
        batch_size: Pictures per call of the model.
        trust: Whether to open artifacts that ask for more than to compute; still in a process apart that writes
            nothing.

    Returns:
        An iterator over a record per picture, in order: a `PredictionRecord` with ``label``, ``probability`` and the
        five most probable ``scores``; of a picture that cannot be read an `UnreadableRecord` with ``reason`` and
        ``remedy``, and the others go on. Its ``model`` says which one was taken, and why.

    Raises:
        UsageError: If ``pictures`` is one picture, not several; if nothing is there of what it names; or if a value
            makes no sense.
        OwnDataError: If ``labels`` and ``images`` do not go together.
        DataError: If images of the test set are not here.
        ToolkitError: If the model cannot be used, or gives up between two pictures.

    Example:
        >>> import toolkit
        >>> from toolkit.fashion.data import load_sample
        >>> [boot] = toolkit.predict(load_sample().images[:1], artifact="bundled")
        >>> boot.label, f"{boot.probability:.0%}"
        ('Ankle boot', '94%')
    """
    whole("--num-workers", num_workers, MOST_WORKERS)
    whole("--batch", batch_size, MOST_IMAGES)
    check_pictures(images, labels, None)
    numbers = whole("--test", test, MOST_IMAGES, least=0)
    if data and not numbers:
        raise UsageError("--data is for --test: pictures need no data set", "leave it out")
    own, notes = sources_of_own_pictures(Path(images), path_of(labels), read_label) if images else ([], ())
    labelled = [*own, *(sources_of_test_set(numbers, path_of(data)) if numbers else [])]
    places = chain(_places(_several(pictures)), labelled)
    known = [*places] if hasattr(pictures, "__len__") else None  # what comes one by one may never end
    left = LeftOut()
    total = None if known is None else _count(known, left)
    model = open_predictor(
        None if artifact is None else str(artifact),
        Path(folder),
        checkpoint=path_of(checkpoint),
        device=device,
        threads=threads,
        trusted=trust,
    )
    # What is passed over was told when the pictures were counted.
    sources = walk((each() if callable(each) else each for each in (places if known is None else known)), LeftOut())
    records = predict_each(model.probabilities, sources, invert=invert, batch_size=batch_size, workers=num_workers)
    report = new_report("predict").changed(
        predictor=model.record, notes=(*([model.warning] if model.warning else []), *notes, *left.notes())
    )
    return Predictions(model, report, records, batch_size, total, tuple(_paths(known or ())))


def _several(pictures: Any) -> Iterator[Any]:
    """Return an iterator over pictures.

    Raises:
        UsageError: If they are one: the letters of a path would be taken for paths, the rows of an image for images.
    """
    one = isinstance(pictures, str | bytes | os.PathLike | Image.Image) or getattr(pictures, "shape", ()) == _SHAPE
    if one:
        raise UsageError("predict takes several pictures, this is one:", "pass [picture]")
    try:
        return iter(pictures)
    except TypeError as error:
        raise UsageError(f"pictures: {type(pictures).__name__} is not several", "pass a list of them") from error


def _places(pictures: Iterator[Any]) -> Iterator[_Place]:
    """Yield what pictures mean; a word may mean several files and folders, or nothing that is there."""
    for number, picture in enumerate(pictures):
        name = f"image {number}"
        if isinstance(picture, str | os.PathLike):
            yield from _named(os.fsdecode(picture))
        elif isinstance(picture, Source):
            yield picture
        elif isinstance(picture, bytes):
            yield Source(name, picture)
        elif isinstance(picture, Image.Image):
            yield partial(_opened, name, picture)
        else:
            yield partial(_pixels, name, picture)


def _named(word: str) -> Iterable[Path | Found]:
    if "\0" in word:  # the system would take it for the end
        return [UnreadableRecord(source=decoded(word), reason="has a NUL in its name", remedy="check the path")]
    return expand_words([word])


def _paths(places: Iterable[_Place]) -> Iterator[Path]:
    for each in places:
        path = each.content if isinstance(each, Source) else each
        if isinstance(path, Path):
            yield path


def _count(places: Iterable[_Place], left: LeftOut) -> int:
    """Return how many pictures there are, of which none is opened; what is passed over is told to ``left``.

    Raises:
        UsageError: If all that is named is not there.
    """
    problem, total = None, 0
    for each in places:
        for found in (Source("", b""),) if callable(each) else walk([each], left):
            if isinstance(found, UnreadableRecord):
                problem = problem or found
            else:
                total += 1
    if problem and not total:
        raise UsageError(f"Nothing to predict: {problem.source}: {problem.reason}", problem.remedy)
    return total


def _opened(name: str, image: Image.Image) -> Found:
    """Return an opened picture as the bytes of a file, so that it is read as one."""
    file = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        (upright if upright.mode in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"} else upright.convert("RGB")).save(
            file, "PNG"
        )
    except Exception as error:  # noqa: BLE001  Pillow reads the file only now, and raises what it likes
        return UnreadableRecord(source=name, reason=f"cannot be read ({first_line(error)})", remedy=_REMEDY)
    return Source(name, file.getvalue())


def _pixels(name: str, image: Any) -> Found:
    """Return the pixels of an array or a tensor."""
    if not hasattr(image, "shape"):
        return UnreadableRecord(source=name, reason=f"is of type {type(image).__name__}", remedy=_REMEDY)
    try:
        pixels = np.asarray(image)
    except Exception as error:  # noqa: BLE001  a tensor on a GPU, or one that wants a gradient
        return UnreadableRecord(source=name, reason=f"is no array: {first_line(error)}", remedy=_REMEDY)
    if pixels.dtype != np.uint8 or pixels.shape not in {_SHAPE, (1, *_SHAPE)}:
        reason = f"is an array {pixels.shape} of {pixels.dtype}"
        return UnreadableRecord(source=name, reason=reason, remedy="pass (28, 28) uint8, bright on black")
    return Source(name, pixels.reshape(_SHAPE))
