"""Predict: what a model says of pictures."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import SkipValidation

from toolkit.errors import UsageError, first_line
from toolkit.fashion.data import sources_of_test_set
from toolkit.fashion.labels import read_label
from toolkit.pictures.picture import Invert
from toolkit.pictures.sources import Found, Source, expand_words, sources_of_own_pictures
from toolkit.pictures.stream import check_count, predict_each
from toolkit.plain import decoded
from toolkit.records import PredictionRecord, UnreadableRecord
from toolkit.system.arguments import checked
from toolkit.verbs.arguments import FOLDER, MOST_THREADS, check_pictures, whole
from toolkit.verbs.predictor import Predictor, open_predictor

__all__ = ["Predictor", "find_places", "open_predictor", "predict", "predict_each"]

#: A file, the bytes of one, an opened picture, or pixels: an array or a tensor ``(28, 28)`` or ``(1, 28, 28)`` uint8.
Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
_SHAPE = (28, 28)
_REMEDY = "pass a path, the bytes of a file, a PIL image, or (28, 28) uint8, bright on black"


@checked
def predict(
    images: Annotated[Iterable[Picture], SkipValidation],
    *,
    artifact: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] = FOLDER,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    invert: Invert = "auto",
    batch_size: int = 64,
) -> list[PredictionRecord | UnreadableRecord]:
    """Say what is on pictures.

    Which model was taken is not told here; open one with `open_predictor` to know, or to use it more than once.

    Args:
        images: Each the path of a picture, the bytes of its file, a PIL image, or pixels ``(28, 28)`` uint8, bright on
            black, as an array or a tensor on the CPU. An array ``(N, 28, 28)`` is N images.
        artifact: A format, an artifact's file, a checkpoint's file, ``eager`` or ``bundled``. None for ``checkpoint``
            if there is one, else the fastest verified artifact in ``folder``, else the bundled checkpoint.
        folder: Of the artifacts; it need not be there.
        checkpoint: Weights to run in eager PyTorch; beside an artifact what it must have been verified against.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: On the CPU; None leaves it to the runtime.
        invert: Whether files show a garment dark on bright: ``auto`` looks at each, ``yes`` or ``no`` decides.
        batch_size: Images per call of the model.

    Returns:
        A record per image, in order: a `PredictionRecord` with ``label``, ``probability`` and the five most probable
        ``scores``; of an image that cannot be read an `UnreadableRecord` with ``reason`` and ``remedy``, and the others
        go on.

    Raises:
        UsageError: If ``images`` is one image, not several, or a number or ``invert`` makes no sense.
        ToolkitError: If the model cannot be used.

    Example:
        >>> import toolkit
        >>> from toolkit.fashion.data import load_sample
        >>> [boot] = toolkit.predict(load_sample().images[:1], artifact="bundled")
        >>> boot.label, f"{boot.probability:.0%}"
        ('Ankle boot', '94%')
    """
    whole("threads", threads, MOST_THREADS)
    check_count("batch_size", batch_size)
    sources = _sources(_several(images))
    model = open_predictor(
        None if artifact is None else os.fspath(artifact),
        Path(folder),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        device=device,
        threads=threads,
    )
    return list(predict_each(model.probabilities, sources, invert=invert, batch_size=batch_size))


def find_places(
    words: Sequence[str | Source],
    *,
    test: Sequence[int] = (),
    data: Path | None = None,
    images: Path | None = None,
    labels: Path | None = None,
) -> tuple[list[Path | Found], tuple[str, ...]]:
    """Return what words name, in their order, own labelled pictures and test images last; and notes on it.

    Args:
        words: Files, folders and patterns, or pictures themselves.
        test: Numbers of images of the test set.
        data: Folder of Fashion-MNIST, for ``test``.
        images: Folder of own labelled pictures.
        labels: CSV of ``file,label`` for ``images``; None for one folder per class.

    Raises:
        UsageError: If it names nothing, or what is named makes no sense.
        OwnDataError: If labels and pictures do not go together.
        DataError: If test images are needed and not here.
    """
    check_pictures(images, labels, None)
    if data and not test:
        raise UsageError("--data is for --test: pictures need no data set", "leave it out")
    if not words and not test and images is None:
        raise UsageError("predict needs an IMAGE:", "pass files, folders, patterns, - for stdin, or --test 0")
    places: list[Path | Found] = []
    for word in words:
        places += expand_words([word]) if isinstance(word, str) else [word]
    own, notes = sources_of_own_pictures(images, labels, read_label) if images else ([], ())
    return [*places, *own, *(sources_of_test_set(test, data) if test else [])], notes


def _several(images: Any) -> Iterator[Any]:
    """Return an iterator over images.

    Raises:
        UsageError: If they are one: the letters of a path would be taken for paths, the rows of an image for images.
    """
    one = isinstance(images, str | bytes | os.PathLike | Image.Image) or getattr(images, "shape", ()) == _SHAPE
    if one:
        raise UsageError("predict takes several images, this is one:", "pass [image]")
    try:
        return iter(images)
    except TypeError as error:
        raise UsageError(f"images: {type(images).__name__} is not several images", "pass a list of them") from error


def _sources(images: Iterator[Any]) -> Iterator[Found]:
    for number, image in enumerate(images):
        name = f"image {number}"
        if isinstance(image, str | os.PathLike):
            yield _file(os.fsdecode(image))
        elif isinstance(image, bytes):
            yield Source(name, image)
        elif isinstance(image, Image.Image):
            yield _opened(name, image)
        else:
            yield _pixels(name, image)


def _file(path: str) -> Found:
    if "\0" in path:  # the system would take it for the end
        return UnreadableRecord(source=decoded(path), reason="has a NUL in its name", remedy="check the path")
    return Source(decoded(path), Path(path))


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
