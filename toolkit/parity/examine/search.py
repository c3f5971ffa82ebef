"""A search for the image on which an artifact is furthest from the reference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.reference import Expectation, ReferenceModel, expectation
from toolkit.workload.images import Float32Array

# The budget: so many images are climbed from at once, each from its own start, for so many steps.
_CLIMBERS, _STEPS = 96, 20
_SIDE = 28


@dataclass(frozen=True)
class Search:
    """What a search has seen.

    Attributes:
        images: ``(N, 1, 28, 28)`` float32 in [0, 1]: every image that was tried.
        actual: ``(N, 10)``: what the artifact gave.
        expected: What the reference says. The unit is taken over all images tried, also for its own search, so that an
            artifact is not judged on images chosen against it alone.
    """

    images: Float32Array
    actual: NDArray[Any]
    expected: Expectation


def search(
    infer: Callable[[Float32Array], NDArray[Any]],
    reference: ReferenceModel,
    sample: Float32Array,
    seed: int,
    usual: float = 0.0,
) -> Search:
    """Climb from random and real images towards a larger error, each from its own start.

    Every step changes each image a little or much (a block, noise, a mixture with another one) and keeps what
    has the larger error: random-restart hill climbing. It costs about 2,000 images.

    Args:
        infer: The artifact.
        reference: What it is compared with.
        sample: Real images to start from, ``(N, 1, 28, 28)`` float32.
        seed: Of all choices.
        usual: As for `expectation`.
    """
    random = np.random.default_rng(seed)
    climbers = _starts(random, sample)
    images, actual, expected, own = [], [], [], []
    best = np.full(len(climbers), -1.0)
    candidates = climbers
    for _ in range(_STEPS):
        images.append(candidates)
        actual.append(infer(candidates))
        expected.append(reference.logits(candidates))
        own.append(reference.float32_errors(candidates, expected[-1]))
        errors = np.abs(actual[-1].astype(np.float64) - expected[-1]).max(1)
        better = ~(errors <= best)  # so that NaN is the best of all
        climbers = np.where(better[:, None, None, None], candidates, climbers)
        best = np.where(better, errors, best)
        candidates = _changed(random, climbers)
    return Search(
        np.concatenate(images),
        np.concatenate(actual),
        expectation(np.concatenate(expected), np.concatenate(own), usual),
    )


def _starts(random: np.random.Generator, sample: Float32Array) -> Float32Array:
    third = _CLIMBERS // 3
    shape = (third, 1, _SIDE, _SIDE)
    real = sample[random.choice(len(sample), third, replace=False)]
    dense = random.random(shape, np.float32)
    binary = (random.random(shape) < random.random((third, 1, 1, 1))).astype(np.float32)
    return np.concatenate([real, dense, binary])


def _changed(random: np.random.Generator, images: Float32Array) -> Float32Array:
    """Return each image with one change, of a kind and size drawn at random; all stay in [0, 1]."""
    changed = images.copy()
    kinds = random.integers(0, 4, len(images))
    for i, kind in enumerate(kinds):
        top, left = random.integers(0, _SIDE, 2)
        block = (i, 0, slice(top, top + random.integers(1, 15)), slice(left, left + random.integers(1, 15)))
        if kind == 0:
            changed[block] = random.integers(0, 2)
        elif kind == 1:
            changed[block] = random.random(changed[block].shape, np.float32)
        elif kind == 2:
            changed[block] = images[(random.integers(0, len(images)), *block[1:])]
        else:
            changed[i] += random.normal(0, 0.1, changed[i].shape).astype(np.float32)
    return np.clip(changed, 0, 1)
