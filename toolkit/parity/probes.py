"""Probes: the inputs on which an artifact is compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.data import load_sample

#: Seed of the random probes; it stands in their names.
SEED = 0
_RANDOM_IMAGES = 1024


@dataclass(frozen=True)
class Probe:
    """Inputs and how they are cut into batches.

    Attributes:
        name: As in reports.
        images: ``(N, 1, 28, 28)`` float32.
        batch_sizes: Each is tried over the images; the sizes find a fixed batch or a special case.
    """

    name: str
    images: NDArray[np.float32]
    batch_sizes: tuple[int, ...]


def default_probes() -> tuple[Probe, ...]:
    """Return the bundled sample, and random images inside and outside the range of pictures."""
    random = np.random.default_rng(SEED)
    shape = (_RANDOM_IMAGES, 1, 28, 28)
    return (
        Probe("sample images", load_sample().inputs(), (1000, 64)),
        Probe(f"uniform random (seed {SEED})", random.random(shape, np.float32), (1, 2, 7, 16, 1024)),
        Probe(f"normal random (seed {SEED})", random.standard_normal(shape, np.float32), (3, 8, 64, 500)),
    )
