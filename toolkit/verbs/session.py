"""Sessions: ``toolkit.open_session`` and ``toolkit.compute_logits``."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toolkit.errors import UsageError, first_line
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats import Session, open_model
from toolkit.formats.resolve import resolve_targets
from toolkit.records import LABELS, Precision
from toolkit.system.arguments import checked
from toolkit.system.devices import resolve_device
from toolkit.verbs.arguments import FOLDER, MOST_THREADS, whole

_IMAGE: Final = (1, 28, 28)


@checked
def open_session(
    artifact: str | Path | Checkpoint,
    *,
    folder: str | Path = FOLDER,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision | None = None,
    trust: bool = False,
) -> Session:
    """Open an artifact on exactly one device, ready for `compute_logits`.

    Whether it computes the right function is not asked: that is what `check_parity` is for.

    Args:
        artifact: A file or the name of a format; or a checkpoint, which is run in eager PyTorch.
        folder: Where the artifact lies if it is named by its format.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; nothing falls back to the CPU by itself.
        threads: On the CPU; None leaves it to the runtime. libtorch has one number for the whole process.
        precision: The arithmetic that is expected; None for the format's own. Another one does not open.
        trust: Whether to open an artifact that asks for more than to compute; still in a process apart that writes
            nothing.

    Returns:
        A session, with its ``precision`` and ``signature``. Its four steps can be called by themselves, as a
        benchmark does: ``to_device(images)``, ``run(batch)``, ``synchronize()``, ``to_host(logits)``.

    Raises:
        FormatError: If the artifact is not there, is damaged, asks for more than to compute, or does not run as asked
            for.
        DeviceUnavailableError: If the device is not here.

    Example:
        >>> import toolkit
        >>> session = toolkit.open_session("exported/model.onnx", threads=1)
        >>> session.precision, session.signature.outputs[0].shape
        ('float32', ('batch', 10))
    """
    whole("--threads", threads, MOST_THREADS)
    device = resolve_device(device)
    if isinstance(artifact, Checkpoint):
        return open_model(artifact.model(), device, threads)
    (target,), _ = resolve_targets([str(artifact)], Path(folder), device, precision, trusted=trust)
    return target.open(device, threads)


def compute_logits(session: Session, images: ArrayLike) -> NDArray[np.float32]:
    """Return what a session says of images.

    Args:
        session: From `open_session`.
        images: An array, a tensor on the CPU, or what NumPy makes an array of: ``(N, 28, 28)``, ``(N, 1, 28, 28)`` or
            one of ``(28, 28)``, the garment bright on a black background: uint8 of 0 to 255, or floats of 0 to 1.

    Returns:
        Logits ``(N, 10)`` float32, the raw scores in the order of `toolkit.records.LABELS`; ``(1, 10)`` for one image.

    Raises:
        UsageError: If the images have another shape, another dtype or another range.

    Example:
        >>> import numpy as np, toolkit
        >>> session = toolkit.open_session("exported/model.onnx")
        >>> black = np.zeros((3, 28, 28), np.uint8)
        >>> toolkit.compute_logits(session, black).shape
        (3, 10)
    """
    if not callable(getattr(session, "to_host", None)):
        raise UsageError(f"session is of type {type(session).__name__}", "pass what toolkit.open_session returns")
    try:
        array = np.asarray(images)
    except Exception as error:  # a list of different lengths, a tensor on a GPU or one that wants a gradient
        raise UsageError(f"images are no array: {first_line(error)}", "pass (N, 28, 28) or (N, 1, 28, 28)") from error
    if array.shape[1:] not in {_IMAGE, _IMAGE[1:]} and array.shape != _IMAGE[1:]:
        raise UsageError(f"images have the shape {array.shape}", "pass (N, 28, 28) or (N, 1, 28, 28)")
    pixels = array.reshape(-1, *_IMAGE)
    if not len(pixels):
        return np.empty((0, len(LABELS)), np.float32)
    if pixels.dtype == np.uint8:
        pixels = pixels / np.float32(255)
    elif not np.issubdtype(pixels.dtype, np.floating):
        raise UsageError(f"images are of {pixels.dtype}", "pass uint8 from 0 to 255, or floats from 0 to 1")
    elif not (pixels.min() >= 0 and pixels.max() <= 1):  # NaN is outside, too
        raise UsageError(
            f"images go from {pixels.min():g} to {pixels.max():g}", "pass floats from 0 to 1, or uint8 from 0 to 255"
        )
    logits = session.run(session.to_device(np.ascontiguousarray(pixels, np.float32)))
    session.synchronize()
    return session.to_host(logits)
