"""Intervals from rounds: the arithmetic under `toolkit.bench.statistics`, on arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

Array = NDArray[np.float64]
#: With 6 rounds the expanded bootstrap reads the 0.24 % tail, which then has 24 resamples.
_RESAMPLES: Final = 9_999


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included.

    Raises:
        ValueError: If ``low`` is above ``high``, or one is not a number.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"an interval cannot go from {self.low} to {self.high}")


def check_fraction(value: float) -> None:
    """Raise ValueError unless 0 < ``value`` < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{value} is not between 0 and 1")


def finite(values: Sequence[float], least: float = -math.inf) -> Array:
    """Return an array ``(n,)`` float64 of at least one finite number, none below ``least``.

    Raises:
        ValueError: If it would not be that.
    """
    array = np.asarray(values, np.float64)
    if array.size == 0 or not np.isfinite(array).all() or array.min() < least:
        raise ValueError(f"expected finite numbers of at least {least}, found {array}")
    return array


def resample(count: int, seed: int | tuple[int, ...]) -> NDArray[np.int64]:
    """Draw rounds with replacement: ``(resamples, count)``; with seed ``(n, 1)`` others than with ``n``."""
    return np.random.default_rng(seed).integers(count, size=(_RESAMPLES, count))


def expanded_percentiles(estimates: Array, rounds: int, confidence: float) -> Interval:
    """Return the percentile interval, expanded because a resample of n scatters like n - 1 and normally, not as t."""
    tail = norm.cdf(math.sqrt(rounds / (rounds - 1)) * student.ppf((1 - confidence) / 2, rounds - 1))
    low, high = np.quantile(estimates, [tail, 1 - tail])
    return Interval(float(low), float(high))


def student_interval(values: Array, confidence: float) -> Interval | None:
    """Return Student's interval for the mean, with few rounds as good as the median; None for one value."""
    if len(values) < 2:
        return None
    error = values.std(ddof=1) / math.sqrt(len(values))
    half = error * student.ppf((1 + confidence) / 2, len(values) - 1)
    return Interval(float(values.mean() - half), float(values.mean() + half))


def welch_interval(a: Array, b: Array, confidence: float) -> Interval | None:
    """Return an interval for the mean of ``a`` less that of ``b``, whose spread may differ; None if one has one value.

    Welch estimates the degrees of freedom, from two values no better than these are; those of the smaller sample are
    never more, so the interval is never narrower than his.
    """
    if min(len(a), len(b)) < 2:
        return None
    error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    half = error * student.ppf((1 + confidence) / 2, min(len(a), len(b)) - 1)
    return Interval(float(a.mean() - b.mean() - half), float(a.mean() - b.mean() + half))


def pooled_medians(ordered: Sequence[Array], picks: NDArray[np.int64]) -> Array:
    """Return the median over all calls of each resample ``(resamples,)``; by bisection, since a trace can be long.

    ``ordered`` has the sorted calls of each round, ``picks`` the numbers of the rounds in each resample.
    """
    weights = np.stack([(picks == number).sum(axis=1) for number in range(len(ordered))])
    total = weights.T @ np.array([len(each) for each in ordered])
    # Whatever the weights, the median lies between the least and the greatest median of a round.
    low = min(each[(len(each) - 1) // 2] for each in ordered)
    high = max(each[len(each) // 2] for each in ordered)
    pooled = np.unique(np.concatenate([each[(each >= low) & (each <= high)] for each in ordered]))
    below = np.stack([np.searchsorted(each, pooled, side="right") for each in ordered])

    def ranked(rank: NDArray[np.int64]) -> Array:
        first, last = np.zeros(len(rank), np.int64), np.full(len(rank), len(pooled) - 1)
        while (first < last).any():
            middle = (first + last) // 2
            reached = (weights * below[:, middle]).sum(axis=0) > rank
            first, last = np.where(reached, first, middle + 1), np.where(reached, middle, last)
        return np.asarray(pooled[first], np.float64)

    return (ranked((total - 1) // 2) + ranked(total // 2)) / 2
