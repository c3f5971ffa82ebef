"""Cost of a call as a line over the batch size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.bench.statistics.intervals import Array, Interval, finite


@dataclass(frozen=True)
class Cost:
    """Seconds per call as a line over the batch size: ``fixed_s + per_image_s * batch``, with 95 % intervals."""

    fixed_s: float
    per_image_s: float
    fixed_interval: Interval
    per_image_interval: Interval

    @property
    def saturates_at(self) -> float | None:
        """Batch size at which the fixed cost is a tenth of the whole; None when an image costs nothing."""
        return 9 * self.fixed_s / self.per_image_s if self.per_image_s > 0 else None


def fit_cost(
    batch_sizes: Sequence[int], seconds: Sequence[float], intervals: Sequence[Interval] | None = None
) -> Cost | None:
    """Fit seconds = fixed + per_image * batch by least squares of the relative error, both at least zero.

    Args:
        batch_sizes: Images per call, ``(n,)``.
        seconds: Median seconds per call, ``(n,)``.
        intervals: 95 % intervals of ``seconds``, ``(n,)``. The cost's intervals come from the scatter about the
            line and from these, whichever gives the wider.

    Returns:
        None with fewer than 3 different sizes, for then nothing scatters about the line.

    Raises:
        ValueError: If lengths differ, or a size or time is not positive.
    """
    sizes, times = finite(batch_sizes), finite(seconds)
    if not len(sizes) == len(times) == len(times if intervals is None else intervals):
        raise ValueError("batch sizes, seconds and intervals differ in number")
    if min(sizes.min(), times.min()) <= 0:
        raise ValueError("a batch size and a time must be above zero")
    if len(np.unique(sizes)) < 3:
        return None
    spread = None
    if intervals is not None:
        spread = np.array([each.high - each.low for each in intervals]) / (2 * norm.ppf(0.975) * times)
    design = np.column_stack([1 / times, sizes / times])
    scale = np.linalg.norm(design, axis=0)  # or the larger column hides the smaller in the tolerance of nnls
    estimate = np.asarray(nnls(design / scale, np.ones(len(times)))[0], np.float64)
    low, high = _linear_bounds(design / scale, spread)
    free = estimate > 0
    if not free.all():  # one is held at zero, and the other is known from a fit without it
        low[free], high[free] = _linear_bounds((design / scale)[:, free], spread)
    fixed, per_image = (
        Interval(float(a), float(b)) for a, b in zip(low.clip(0) / scale, high.clip(0) / scale, strict=True)
    )
    return Cost(float(estimate[0] / scale[0]), float(estimate[1] / scale[1]), fixed, per_image)


def _linear_bounds(design: Array, spread: Array | None) -> tuple[Array, Array]:
    """Return 95 % bounds of the coefficients ``(k,)`` of the unconstrained fit of 1 by ``design`` ``(n, k)``.

    Args:
        design: Regressors over the time, so that every row has the same relative error.
        spread: Relative standard errors of the times ``(n,)``.
    """
    inverse = np.linalg.pinv(design)
    estimate = inverse.sum(axis=1)
    freedom = design.shape[0] - design.shape[1]
    scatter = math.sqrt(float(((1 - design @ estimate) ** 2).sum()) / freedom)
    half = student.ppf(0.975, freedom) * scatter * np.linalg.norm(inverse, axis=1)
    if spread is not None:
        half = np.maximum(half, norm.ppf(0.975) * np.linalg.norm(inverse * spread, axis=1))
    return estimate - half, estimate + half
