"""Predict: what a model says of pictures."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import PictureError, UsageError
from toolkit.pictures.picture import Invert, check_invert
from toolkit.pictures.sources import Source, printable
from toolkit.pictures.stream import check_count, predict_each
from toolkit.records import PredictionRecord, UnreadableRecord
from toolkit.verbs.predictor import Predictor, open_predictor

__all__ = ["Predictor", "open_predictor", "predict", "predict_each"]


def predict(
    images: Iterable[str | os.PathLike[str] | bytes | NDArray[np.uint8]],
    *,
    artifact: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] = "exported",
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    invert: Invert = "auto",
    batch_size: int = 64,
) -> list[PredictionRecord]:
    """Say what is on pictures.

    Which model was taken is not told here; open one with `open_predictor` to know, or to use it more than once.

    Args:
        images: Each the path of a picture, the bytes of its file, or pixels ``(28, 28)`` uint8, bright on black. An
            array ``(N, 28, 28)`` is N images.
        artifact: A format, an artifact's file, a checkpoint's file, ``eager`` or ``bundled``. None for ``checkpoint``
            if there is one, else the fastest verified artifact in ``folder``, else the bundled checkpoint.
        folder: Of the artifacts; it need not be there.
        checkpoint: Weights to run in eager PyTorch; beside an artifact what it must have been verified against.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: On the CPU; None leaves it to the runtime.
        invert: Whether files show a garment dark on bright: ``auto`` looks at each, ``yes`` or ``no`` decides.
        batch_size: Images per call of the model.

    Returns:
        A record per image, in order, with ``label``, ``probability`` and the five most probable ``scores``.

    Raises:
        UsageError: If ``images`` is one path or the bytes of one file, not several, or a number or ``invert`` makes no
            sense.
        PictureError: If a picture cannot be read, or an array is not of that shape and type.
        ToolkitError: If the model cannot be used.

    Example:
        >>> import toolkit
        >>> from toolkit.fashion.data import load_sample
        >>> [boot] = toolkit.predict(load_sample().images[:1], artifact="bundled")
        >>> boot.label, f"{boot.probability:.0%}"
        ('Ankle boot', '94%')
    """
    if isinstance(images, str | bytes | os.PathLike):  # the letters of a path would be taken for paths
        raise UsageError("predict takes several images, this is one:", "pass [image]")
    check_invert(invert)  # before a model is opened
    check_count("batch_size", batch_size)
    model = open_predictor(
        None if artifact is None else os.fspath(artifact),
        Path(folder),
        checkpoint=Path(checkpoint) if checkpoint else None,
        device=device,
        threads=threads,
    )
    found = []
    for each in predict_each(model.probabilities, _sources(images), invert=invert, batch_size=batch_size):
        if isinstance(each, UnreadableRecord):
            raise PictureError(each.source, each.reason, each.remedy)
        found.append(each)
    return found


def _sources(images: Iterable[str | os.PathLike[str] | bytes | NDArray[np.uint8]]) -> Iterator[Source]:
    for number, image in enumerate(images):
        if isinstance(image, np.ndarray):
            if image.shape != (28, 28) or image.dtype != np.uint8:
                reason = f"is an array {image.shape} of {image.dtype}"
                raise PictureError(f"image {number}", reason, "pass (28, 28) uint8, bright on black")
            yield Source(f"image {number}", image)
        elif isinstance(image, bytes):
            yield Source(f"image {number}", image)
        else:
            yield Source(printable(os.fspath(image)), Path(image))
