"""``golden.npz``: a few inputs and their float64 logits, so that an artifact can be checked anywhere."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import first_line
from toolkit.formats.archives import ZIP_ERRORS, refuse_bomb
from toolkit.system.files import write_bytes


@dataclass(frozen=True)
class Golden:
    """Inputs and what must come out.

    Attributes:
        inputs: ``(N, 1, 28, 28)`` float32: 16 images of the bundled sample, or own pictures that bench was given.
        logits: ``(N, 10)`` float64, the reference's.
        limit: Largest allowed ``|d|``, in logit units, for a float32 artifact.
    """

    inputs: NDArray[np.float32]
    logits: NDArray[np.float64]
    limit: float


def write_golden(golden: Golden, path: Path) -> None:
    """Write ``inputs``, ``logits`` and ``limit`` as a NumPy archive, the same bytes for the same numbers.

    Raises:
        OutputError: If it cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inputs=golden.inputs, logits=golden.logits, limit=np.float64(golden.limit))
    write_bytes(path, buffer.getvalue())


def read_golden(path: Path) -> Golden:
    """Read what `write_golden` wrote.

    Raises:
        ValueError: If it is something else, or would unpack to far more than its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(archive)
        return _read(path)
    except (KeyError, *ZIP_ERRORS) as error:
        raise ValueError(f"{path.name} is not what the toolkit writes ({first_line(error)})") from error


def _read(path: Path) -> Golden:
    with np.load(path) as stored:
        return Golden(stored["inputs"], stored["logits"], float(stored["limit"]))
