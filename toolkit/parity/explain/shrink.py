"""Shrink a failing batch to what a person can read. Pure: it knows a predicate, and nothing of artifacts.

Delta debugging after Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on
Software Engineering 28(2), 2002: of their ddmin the step to complements, in chunks from halves down to single items.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.workload.images import Float32Array

# Most faults show on one image, and the first is the caller's best guess; the others are found by halving too.
_SINGLES: Final = 16
# Of the calls: rows may take so much, and so much is kept for the values, which are the least of it.
_FOR_ROWS, _FOR_VALUES = 0.5, 0.1


def shrink(batch: Float32Array, fails: Callable[[Float32Array], bool], budget: int = 600) -> Float32Array:
    """Return as few images with as few non-zero pixels of as simple values as still fail.

    First the images: a single one, the first given first, or as many as the fault needs. Then pixels are set to 0, in
    all images at once, and what remains to 1 where that still fails. Values of 1 are not taken when they make an image
    larger in sum than every given one: rounding grows with it, and the limit was that of the given images.

    Args:
        batch: Images ``(N, 1, 28, 28)`` float32 that fail; NaN and infinity count as non-zero.
        fails: Whether a batch ``(M, 1, 28, 28)`` float32, M >= 1, shows the fault. It gets a copy each time.
        budget: Most calls of ``fails``, at least 1.

    Returns:
        A new array ``(M, 1, 28, 28)`` float32 for which ``fails`` returned True when it was asked. Unless the budget
        ran out, no single pixel can be set to 0 without losing the fault. The same arguments give the same result.

    Raises:
        ValueError: If ``batch`` does not fail to begin with.
    """
    trials = _Trials(fails, budget)
    if not trials(batch):
        raise ValueError("the batch does not fail, so there is nothing to shrink")
    few = batch[_rows(batch, trials, int(budget * _FOR_ROWS))]
    sparse = _sparse(few, trials, trials.left - int(budget * _FOR_VALUES))
    plain = _plain(sparse, trials, _size(batch))
    return _sparse(plain, trials, trials.left)  # larger values may do with fewer pixels


class _Trials:
    """A predicate that can be called so many times; then it says no, and whatever is best stays."""

    def __init__(self, fails: Callable[[Float32Array], bool], budget: int) -> None:
        self._fails, self.left = fails, budget

    def __call__(self, batch: Float32Array) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        return self._fails(batch.copy())


def _rows(batch: Float32Array, trials: _Trials, calls: int) -> list[int]:
    """Return the indices of the images that are needed."""
    least = trials.left - calls
    for row in range(min(len(batch), _SINGLES) if len(batch) > 1 else 0):
        if trials(batch[[row]]):
            return [row]
    return _needed(range(len(batch)), lambda rows: bool(rows) and trials(batch[rows]), trials, least)


def _sparse(batch: Float32Array, trials: _Trials, calls: int) -> Float32Array:
    """Return ``batch`` with every pixel set to 0 that is not needed: in all images at once, then in each."""
    least = trials.left - calls

    def only(pixels: Sequence[int]) -> Float32Array:
        flat, kept = batch.reshape(len(batch), -1), np.zeros_like(batch).reshape(len(batch), -1)
        kept[:, pixels] = flat[:, pixels]
        return kept.reshape(batch.shape)

    common = only(_needed(_where((batch != 0).any(axis=0)), lambda pixels: trials(only(pixels)), trials, least))
    if len(batch) == 1:
        return common

    def single(places: Sequence[int]) -> Float32Array:
        kept = np.zeros_like(batch).reshape(-1)
        kept[places] = common.reshape(-1)[places]
        return kept.reshape(batch.shape)

    return single(_needed(_where(common != 0), lambda places: trials(single(places)), trials, least))


def _plain(batch: Float32Array, trials: _Trials, largest: float) -> Float32Array:
    """Return ``batch`` with every non-zero pixel set to 1 that need not have its own value."""

    def own(pixels: Sequence[int]) -> Float32Array:
        simple = np.where(batch != 0, np.float32(1), batch).reshape(len(batch), -1)
        simple[:, pixels] = batch.reshape(len(batch), -1)[:, pixels]
        return simple.reshape(batch.shape)

    def still(pixels: Sequence[int]) -> bool:
        return _size(own(pixels)) <= largest and trials(own(pixels))

    return own(_needed(_where(((batch != 0) & (batch != 1)).any(axis=0)), still, trials, 0))


def _needed(items: Sequence[int], still: Callable[[list[int]], bool], trials: _Trials, least: int) -> list[int]:
    """Return the items without which it no longer fails, as far as the calls allow.

    Args:
        items: All of them; with all, it fails.
        still: Whether it fails with these alone, in their order.
        trials: Counts the calls.
        least: RecordedCalls that must be left for others.
    """
    kept = list(items)
    if not kept or (trials.left > least and still([])):
        return []
    size = max(len(kept) // 2, 1)
    while len(kept) > 1:
        before = len(kept)
        for start in range((before - 1) // size * size, -1, -size):  # the first one is the best guess: it goes last
            rest = kept[:start] + kept[start + size :]
            if trials.left <= least:
                return kept
            if rest and still(rest):
                kept = rest
        if size == 1 and len(kept) == before:  # nothing more can go, one at a time
            break
        size = max(size // 2, 1)
    return kept


def _where(mask: NDArray[np.bool_]) -> list[int]:
    """Return the flat indices at which ``mask`` holds."""
    return [int(each) for each in np.flatnonzero(mask)]


def _size(batch: Float32Array) -> float:
    """Return the largest sum of absolute values of an image; what is not finite does not count."""
    finite = np.where(np.isfinite(batch), np.abs(batch), np.float32(0)).astype(np.float64)
    return float(finite.reshape(len(batch), -1).sum(axis=1).max())
