"""Statistics of bench: pure functions of times in seconds. Nothing here reads a clock or prints.

The arithmetic is in `intervals`; `cost` fits a line. docs/benchmarking.md, section Statistics, has
sources and reasons.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Final

import numpy as np
from scipy.stats import binom, rankdata

from toolkit.bench.statistics.intervals import (
    Interval,
    check_fraction,
    expanded_percentiles,
    finite,
    pooled_medians,
    resample,
    student_interval,
    welch_interval,
)
from toolkit.records import Verdict

#: Seconds per call, by round. The calls of a round are consecutive; round i of one row is measured beside round i
#: of every other.
RoundTimes = Sequence[Sequence[float]]

#: Calls that must lie beyond a percentile, as in `toolkit.records.bench`: 100 for p90, 1,000 for p99.
_BEYOND: Final = 10
#: No resample leaves the range of the round medians, and the range of five covers 1 - 2 / 2**5 = 93.75 % at best.
_MIN_BOOTSTRAP: Final = 6
#: CallTimes per batch in MSER-5.
_BATCH: Final = 5
#: Among fewer batches chance looks like a warm-up.
_MIN_BATCHES: Final = 4


@dataclass(frozen=True)
class Ratio:
    """The speed of one row over that of another: 1.05 is 5 % faster. ``interval`` is None with one common round."""

    point: float
    interval: Interval | None


def quantile_interval(values: Sequence[float], q: float, confidence: float = 0.95) -> Interval | None:
    """Return the interval between two order statistics that covers the ``q`` quantile, whatever the distribution.

    Args:
        values: Seconds per call, in any order, taken to be independent.
        q: In (0, 1): 0.99 for p99.
        confidence: In (0, 1); each tail may miss half of the rest.

    Returns:
        None when no value is surely enough above, or below, the quantile.

    Raises:
        ValueError: If ``q``, ``confidence`` or a value is out of range.
    """
    check_fraction(q)
    check_fraction(confidence)
    ordered = np.sort(finite(values))
    tail = (1 - confidence) / 2 * (1 + 1e-9)  # a tail of exactly that is kept, whatever its rounding
    low, high = int(binom.ppf(tail, len(ordered), q)), int(binom.ppf(1 - tail, len(ordered), q)) + 1
    if low < 1 or high > len(ordered):
        return None
    return Interval(float(ordered[low - 1]), float(ordered[high - 1]))


def samples_needed(q: float, confidence: float = 0.95) -> int:
    """Return how many calls a percentile needs to be printed: 6 for p50, 100 for p90, 1,000 for p99.

    So many that `quantile_interval` has both ends and, for every quantile but the median, that ten calls are
    expected beyond it.

    Raises:
        ValueError: If ``q`` or ``confidence`` is not in (0, 1).
    """
    check_fraction(q)
    check_fraction(confidence)
    rarer = min(q, 1 - q)
    # The interval has both ends when all values lie on one side of the quantile with at most half of the rest.
    both_ends = math.ceil(round(math.log((1 - confidence) / 2) / math.log1p(-rarer), 9))
    beyond = 0 if q == 0.5 else math.ceil(round(_BEYOND / rarer, 9))  # 1 - 0.9 is a little less than 0.1
    return max(both_ends, beyond)


def median_interval(rounds: RoundTimes, confidence: float = 0.95, seed: int = 0) -> Interval | None:
    """Return an interval for the median over all calls that respects that the calls of a round are alike.

    With 6 rounds or more, whole rounds are resampled (percentile bootstrap, expanded as Hesterberg (2015) says).
    With 2 to 5 it is Student's interval of the round medians, wide as it must be; the range of the round medians
    would cover the truth in 50 %, 75 %, 87.5 % and 93.75 % of the runs at best.

    Args:
        rounds: Seconds per call, at least one call per round.
        confidence: In (0, 1).
        seed: Of the resampling.

    Returns:
        In seconds; None with one round, which says nothing of how rounds differ.

    Raises:
        ValueError: If there is no round, an empty one, or a time that is negative or not finite.
    """
    check_fraction(confidence)
    ordered = [np.sort(finite(each, least=0.0)) for each in rounds]
    if not ordered:
        raise ValueError("there are no rounds")
    if len(ordered) < _MIN_BOOTSTRAP:
        found = student_interval(np.array([np.median(each) for each in ordered]), confidence)
        centre = float(np.median(np.concatenate(ordered)))  # outside it when a far round has most of the calls
        return found and Interval(max(min(found.low, centre), 0.0), max(found.high, centre))
    return expanded_percentiles(pooled_medians(ordered, resample(len(ordered), seed)), len(ordered), confidence)


def paired_ratio(base: RoundTimes, other: RoundTimes, confidence: float = 0.95, seed: int = 0) -> Ratio:
    """Return the speed of ``other`` over ``base``: the time of base over the time of other, paired within rounds.

    Each round gives the logarithm of the ratio of its two medians. The point is exp of their median, because one
    disturbed round would carry a mean away; the interval resamples rounds as `median_interval` does.

    Args:
        base: Seconds per call of the baseline.
        other: Seconds per call of the other row. Only rounds in which both have a call count.
        confidence: In (0, 1).
        seed: Of the resampling. Swapping the two rows gives exactly the inverse.

    Raises:
        ValueError: If no round is common, or a time is not positive.
    """
    check_fraction(confidence)
    pairs = [(a, b) for a, b in zip(base, other, strict=False) if len(a) and len(b)]
    if not pairs:
        raise ValueError("the two rows have no round in common")
    logs = np.array([_log_median(a) - _log_median(b) for a, b in pairs])
    if len(logs) < _MIN_BOOTSTRAP:
        found = student_interval(logs, confidence)
    else:
        found = expanded_percentiles(np.median(logs[resample(len(logs), seed)], axis=1), len(logs), confidence)
    return Ratio(math.exp(np.median(logs)), found and Interval(_exp(found.low), _exp(found.high)))


def independent_ratio(base: RoundTimes, head: RoundTimes, confidence: float = 0.95, seed: int = 0) -> Ratio:
    """Return the speed of ``head`` over ``base``, which were measured in two runs: the time of base over that of head.

    Each round gives the logarithm of its median; the point is exp of the difference of the two medians of these. With
    6 rounds or more in both runs, the rounds of each are resampled by themselves; with fewer it is Welch's interval.
    What differs between the two runs as a whole, as another load of the machine does, is not in the interval.

    Args:
        base: Seconds per call of the one run; rounds without a call are left out.
        head: Seconds per call of the other run.
        confidence: In (0, 1).
        seed: Of the resampling.

    Raises:
        ValueError: If a run has no round with a call, or a time is not positive.
    """
    check_fraction(confidence)
    logs, other = (np.array([_log_median(each) for each in rounds if len(each)]) for rounds in (base, head))
    fewest = min(len(logs), len(other))
    if not fewest:
        raise ValueError("one of the two runs has no round with a call")
    point = float(np.median(logs) - np.median(other))
    if fewest < _MIN_BOOTSTRAP:
        found = welch_interval(logs, other, confidence)
        found = found and Interval(min(found.low, point), max(found.high, point))  # it is about the means
    else:
        first = np.median(logs[resample(len(logs), seed)], axis=1)
        second = np.median(other[resample(len(other), (seed, 1))], axis=1)
        found = expanded_percentiles(first - second, fewest, confidence)
    return Ratio(_exp(point), found and Interval(_exp(found.low), _exp(found.high)))


def verdict(ratio: Ratio, threshold: float = 0.02, noise: float = 0.0) -> Verdict:
    """Say what a ratio means at a practical threshold.

    SAME when the whole interval lies in [1/(1 + threshold), 1 + threshold]. FASTER when the interval lies above 1
    and the point above 1 + threshold; SLOWER is FASTER with the rows swapped. Everything else is CANNOT TELL.
    So a true slowdown of 5 % is SLOWER once it is measured well enough, and one of 0.5 % is SAME.

    Where two processes of the same program already differ by ``noise``, a difference up to that says nothing of the
    programs: then the point must lie beyond it, too, and with more noise than ``threshold`` nothing is SAME.

    Args:
        ratio: To judge.
        threshold: Differences up to this do not matter.
        noise: By how much the control differed: 0.03 is 3 %.

    Raises:
        ValueError: If ``threshold`` or ``noise`` is negative.
    """
    if not min(threshold, noise) >= 0:
        raise ValueError(f"the threshold is {threshold}, the noise {noise}; they must not be negative")
    if ratio.interval is None:
        return "CANNOT TELL"
    low, high, beyond = ratio.interval.low, ratio.interval.high, 1 + max(threshold, noise)
    if low * (1 + threshold) >= 1 and high <= 1 + threshold:
        return "SAME" if noise <= threshold else "CANNOT TELL"
    if low > 1 and ratio.point > beyond:
        return "FASTER"
    if high < 1 and ratio.point * beyond < 1:
        return "SLOWER"
    return "CANNOT TELL"


def slowdown_exceeds(ratio: Ratio, allowed: float, noise: float = 0.0) -> bool:
    """Return whether the whole interval is a slowdown of more than ``allowed``: 0.05 lets a call take 5 % longer.

    Without an interval nothing is known, and the gate stays open. By how much the control differed, ``noise``, so much
    more is let pass.

    Raises:
        ValueError: If ``allowed`` or ``noise`` is negative.
    """
    if not min(allowed, noise) >= 0:
        raise ValueError(f"the allowed slowdown is {allowed}, the noise {noise}; they must not be negative")
    return ratio.interval is not None and ratio.interval.high * (1 + allowed) * (1 + noise) < 1


def steady_from(trace: Sequence[float]) -> int:
    """Return the index from which a trace is steady; a multiple of 5, at most half of the trace.

    MSER-5 (White 1997): cut where the squared standard error of the mean of the rest is least. It is taken over
    ranks of medians of 5 calls, not over their means: then neither one slow call nor a burst of them can pass for
    a warm-up, however slow they are. Of fewer than 20 calls nothing is cut.

    Raises:
        ValueError: If the trace is empty or a time is not finite.
    """
    values = finite(trace)
    count = len(values) // _BATCH
    if count < _MIN_BATCHES:
        return 0
    ranks = np.asarray(rankdata(np.median(values[: count * _BATCH].reshape(count, _BATCH), axis=1)), np.float64)
    backward = ranks[::-1] - ranks.mean()
    kept = np.arange(1, count + 1)
    scores = ((np.cumsum(backward**2) - np.cumsum(backward) ** 2 / kept) / kept**2)[::-1]
    scores = scores[: len(values) // 2 // _BATCH + 1]
    return _BATCH * int(scores.argmin())


def histogram(values_ns: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return (nanoseconds, number of calls) by rising value. Every value is kept; their order is lost.

    Raises:
        TypeError: If a value is not a whole number.
    """
    return tuple(sorted(Counter(map(index, values_ns)).items()))


def _log_median(times: Sequence[float]) -> float:
    array = finite(times)
    if array.min() <= 0:
        raise ValueError("a ratio needs times above zero")
    return math.log(np.median(array))


def _exp(value: float) -> float:
    return math.exp(max(min(value, 700.0), -700.0))  # rounds far apart give a Student interval beyond every float
