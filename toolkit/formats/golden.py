"""``golden.npz``: a few inputs and their float64 logits, so that an artifact can be checked anywhere."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    """Read what `write_golden` wrote."""
    with np.load(path) as stored:
        return Golden(stored["inputs"], stored["logits"], float(stored["limit"]))
