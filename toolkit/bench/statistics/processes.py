"""What one process of a row has in common with no other: where its memory lies makes it faster or slower for its life.

No number of rounds shows it, only other processes of the same row do. Pure functions of records.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from toolkit.bench.statistics.intervals import Interval
from toolkit.records import LatencyRecord, quantile


def process_spread(rows: Sequence[LatencyRecord]) -> tuple[float, int] | None:
    """Return how much processes of the same row differ: standard deviation of log seconds, and its degrees of freedom.

    It is the residual of a two-way analysis of variance (Davison 2003, section 9.2) of the medians of each row and
    process: what rows differ by, and what the machine did to all rows while these processes lived, is not in it.

    Args:
        rows: Of one device, number of threads and batch size; those with fewer processes than others do not count.

    Returns:
        None with fewer than two rows or processes.
    """
    medians = [_medians(row) for row in rows]
    processes = max(map(len, medians), default=0)
    table = np.array([each for each in medians if len(each) == processes])
    if processes < 2 or len(table) < 2:
        return None
    residuals = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    freedom = (len(table) - 1) * (processes - 1)
    return math.sqrt(float((residuals**2).sum()) / freedom), freedom


def with_processes(interval: Interval, point: float, spread: tuple[float, int], processes: int) -> Interval:
    """Return an interval that also holds what other processes would have given.

    Args:
        interval: Over rounds, in seconds.
        point: The median, in seconds.
        spread: Of `process_spread`.
        processes: That the row had.
    """
    deviation, freedom = spread
    half = float(student.ppf(0.975, freedom)) * deviation / math.sqrt(processes)
    below = math.hypot(math.log(point / interval.low), half) if interval.low > 0 else math.inf
    above = math.hypot(math.log(interval.high / point), half)
    return Interval(point * math.exp(-below), point * math.exp(min(above, 700.0)))


def process_noise(spread: tuple[float, int] | None, processes: int) -> float:
    """Return by how much two rows of one program may differ by their processes, in 95 % of the runs: 0.03 is 3 %.

    Args:
        spread: Of `process_spread`; None gives 0, for nothing is known then.
        processes: That each row had.
    """
    if spread is None:
        return 0.0
    deviation, freedom = spread
    return math.expm1(min(float(student.ppf(0.975, freedom)) * deviation * math.sqrt(2 / processes), 10.0))


def _medians(row: LatencyRecord) -> list[float]:
    """Return the logarithm of the median of each process of a row."""
    times: dict[int, list[float]] = {}
    for each in row.rounds:
        times.setdefault(each.process, []).extend(each.seconds())
    return [math.log(max(quantile(each, 0.5), 1e-9)) for each in times.values()]
