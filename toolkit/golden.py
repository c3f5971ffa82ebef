"""``golden.npz``: a few inputs and their float64 logits, so that an artifact can be checked anywhere."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.data import load_sample
from toolkit.files import write_bytes
from toolkit.parity.checks import LIMIT_IN_UNITS
from toolkit.parity.reference import Reference

_IMAGES = 16


@dataclass(frozen=True)
class Golden:
    """Attributes.

    inputs: ``(16, 1, 28, 28)`` float32, images of the bundled sample, every class among them.
    logits: ``(16, 10)`` float64, the reference's.
    limit: Largest allowed ``|d|``, in logit units, for a float32 artifact.
    """

    inputs: NDArray[np.float32]
    logits: NDArray[np.float64]
    limit: float


def make_golden(reference: Reference) -> Golden:
    """Compute the golden logits; the limit is taken over the whole sample, 16 images say too little."""
    inputs = load_sample().inputs()
    expected = reference.logits(inputs)
    chosen = np.linspace(0, len(inputs) - 1, _IMAGES).astype(int)
    limit = LIMIT_IN_UNITS * reference.unit(inputs, expected)
    return Golden(inputs[chosen], expected[chosen], limit)


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
