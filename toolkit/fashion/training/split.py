"""Which pictures are trained on, and which are kept back: the same ones for the same seed."""

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.records import LABELS
from toolkit.workload.images import ImageSet


def hold_back(data: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Part own pictures into those to train on and a test set, class by class.

    Of each class with two pictures or more, ``share`` is held back, rounded, at least one and never all. A class with
    one picture is trained on. What is trained on comes in random order: a recipe that does not shuffle would otherwise
    see one class after the other.

    Args:
        data: All pictures.
        share: Of each class, between 0 and 1.
        seed: Of the choice and the order.

    Returns:
        The training set and the test set.

    Raises:
        UsageError: If no class has two pictures.
    """
    random = np.random.default_rng(seed)
    kept: list[NDArray[np.int64]] = []
    held: list[NDArray[np.int64]] = []
    for number in range(len(LABELS)):
        places = random.permutation(np.flatnonzero(data.labels == number))
        count = min(max(int(share * len(places) + 0.5), 1), len(places) - 1) if len(places) else 0
        held.append(places[:count])
        kept.append(places[count:])
    test = np.sort(np.concatenate(held))
    if not len(test):
        raise UsageError(
            "--images: no class has two pictures, so none can be held back for the test", "put more pictures there"
        )
    return _part(data, random.permutation(np.concatenate(kept))), _part(data, test)


def hold_out(training: ImageSet, count: int, seed: int) -> tuple[ImageSet, ImageSet | None]:
    """Part the training set once more: ``count`` images judge each epoch; None of them for 0.

    Raises:
        UsageError: If nothing would be left to train on.
    """
    if count >= len(training):
        raise UsageError(
            f"--holdout {count}: leaves nothing of {len(training)} images to train on", "pass a smaller number"
        )
    if not count:
        return training, None
    order = np.random.default_rng(seed).permutation(len(training))
    return _part(training, np.sort(order[count:])), _part(training, np.sort(order[:count]))


def split_notes(data: ImageSet, test: ImageSet, share: float, seed: int) -> list[str]:
    """Return what a person must know of a test set of own pictures."""
    counts, tested = (np.bincount(each.labels, minlength=len(LABELS)) for each in (data, test))
    how = f"{100 * share:g}% of each class, held back by seed {seed}"
    notes = [f"tested on {len(test):,} of the own pictures ({how}), not on Fashion-MNIST's test set"]
    missing = [LABELS[i] for i in range(len(LABELS)) if not counts[i]]
    if missing:
        notes.append(f"there are no pictures of {', '.join(missing)}: the model cannot learn what they look like")
    alone = [LABELS[i] for i in range(len(LABELS)) if counts[i] and not tested[i]]
    if alone:
        notes.append(f"of {', '.join(alone)} there is one picture only: it was trained on, so the test has none")
    return notes


def _part(data: ImageSet, chosen: NDArray[np.int64]) -> ImageSet:
    return ImageSet(data.images[chosen], data.labels[chosen])
