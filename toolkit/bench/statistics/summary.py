"""What the rounds of a bench say: intervals, ratios to eager, controls, costs, comparisons. Pure.

Where the memory of a process lies makes a row faster or slower for the life of the process: no number of rounds shows
it, only other processes of the same row do.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from toolkit.bench.statistics import (
    Ratio,
    median_interval,
    paired_ratio,
    quantile_interval,
    samples_needed,
    slowdown_exceeds,
    verdict,
)
from toolkit.bench.statistics.cost import fit_cost
from toolkit.bench.statistics.intervals import Interval
from toolkit.records import (
    ComparisonRecord,
    ControlRecord,
    CostRecord,
    Estimate,
    LatencyRecord,
    RatioRecord,
    Report,
    quantile,
)

Pair = tuple[float, float]
#: What rows share that are compared: `LatencyRecord.key`.
Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Summary:
    """Rows with their intervals and ratios, and what follows from several of them."""

    rows: tuple[LatencyRecord, ...]
    controls: tuple[ControlRecord, ...]
    costs: tuple[CostRecord, ...]


def conclude(report: Report, rounds: int, allowed: float | None = None) -> tuple[Report, tuple[ControlRecord, ...]]:
    """Return a report with what follows from its latencies, of so many finished rounds; and the controls."""
    how = report.bench
    assert how is not None  # the caller has measured, or looked
    summary = summarize(report.latency, threshold=how.threshold, seed=how.seed)
    comparisons = paired_comparisons(
        summary.rows, summary.controls, threshold=how.threshold, seed=how.seed, allowed=allowed
    )
    bench = how.changed(rounds=rounds)
    found = report.changed(latency=summary.rows, costs=summary.costs, comparisons=comparisons, bench=bench)
    return found, summary.controls


def summarize(rows: Sequence[LatencyRecord], *, threshold: float, seed: int) -> Summary:
    """Compute what follows from the rounds of all rows of one run; ``seed`` is of the resampling."""
    baselines = {row.key: row for row in rows if row.baseline and row.role == "row"}
    controls = tuple(_controls(rows, baselines, threshold, seed))
    spreads = _spreads(rows)
    summed = []
    for row in rows:
        noise = 0.0 if row.role == "control" else noise_of(row, controls)
        to_eager = _to_eager(row, baselines, threshold, noise, seed)
        summed.append(row.changed(estimate=_estimate(row, spreads[row.key], seed), to_eager=to_eager))
    return Summary(tuple(summed), controls, tuple(_costs(summed)))


def noise_of(row: LatencyRecord, controls: Iterable[ControlRecord]) -> float:
    """Return by how much two processes of eager differed where ``row`` was measured; 0 where that was not measured."""
    where = row.device, row.threads, row.batch_size
    return next((each.noise for each in controls if (each.device, each.threads, each.batch_size) == where), 0.0)


def paired_comparisons(
    rows: Sequence[LatencyRecord],
    controls: Sequence[ControlRecord],
    *,
    threshold: float,
    seed: int,
    allowed: float | None,
) -> tuple[ComparisonRecord, ...]:
    """Compare each row with its base of the same run, paired within rounds.

    Args:
        rows: Of both roles; a row and its base have format, device, threads and batch size in common.
        controls: Of the same run.
        threshold: Differences up to this do not matter.
        seed: Of the resampling.
        allowed: The slowdown that is allowed, 0.05 for 5 %; None if nothing was asked.
    """
    bases = [row for row in rows if row.role == "base"]
    spreads = _spreads(rows)
    found = []
    for row in rows:
        base = _base_of(row, bases) if row.role == "row" else None
        ratio = ratio_of(base, row, seed) if base else None
        if base and ratio:
            noise = max(noise_of(row, controls), process_noise(spreads[row.key], _processes(row)))
            found.append(
                comparison_record(base, row, ratio, noise=noise, paired=True, threshold=threshold, allowed=allowed)
            )
    return tuple(found)


def _base_of(row: LatencyRecord, bases: Sequence[LatencyRecord]) -> LatencyRecord | None:
    """Return the row that ``row`` is compared with: of its format, and of its file's name if there are several."""
    fitting = [each for each in bases if (each.format, each.key) == (row.format, row.key)]
    named = [each for each in fitting if Path(each.target).name == Path(row.target).name]
    return next(iter(named or (fitting if len(fitting) == 1 else ())), None)


def comparison_record(
    base: LatencyRecord,
    head: LatencyRecord,
    ratio: Ratio,
    *,
    noise: float,
    paired: bool,
    threshold: float,
    allowed: float | None,
) -> ComparisonRecord:
    """Return the record of two rows whose ratio is known."""
    return ComparisonRecord(
        target=head.target,
        base=base.target,
        format=head.format,
        device=head.device,
        threads=head.threads,
        batch_size=head.batch_size,
        paired=paired,
        median_s=head.median_s,
        base_median_s=base.median_s,
        threshold=threshold,
        speed=_record(ratio, threshold, noise),
        allowed_slowdown=allowed,
        too_slow=allowed is not None and slowdown_exceeds(ratio, allowed, noise),
    )


def ratio_of(base: LatencyRecord, row: LatencyRecord, seed: int) -> Ratio | None:
    """Return the speed of a row over that of another of the same run; None when they share no round."""
    of_base = {each.number: each.seconds() for each in base.rounds}
    pairs = [(of_base[each.number], each.seconds()) for each in row.rounds if each.number in of_base]
    # A call of no duration at all is below what the clock can see; one nanosecond is not a lie then.
    pairs = [tuple([max(value, 1e-9) for value in side] for side in pair) for pair in pairs]  # type: ignore[misc]  # of two
    return paired_ratio([a for a, _ in pairs], [b for _, b in pairs], seed=seed) if pairs else None


def _spreads(rows: Sequence[LatencyRecord]) -> dict[Key, tuple[float, int] | None]:
    """Return for each group of rows how much processes of one row differ."""
    groups: dict[Key, list[LatencyRecord]] = {}
    for row in rows:
        groups.setdefault(row.key, []).append(row)
    return {key: process_spread(group) for key, group in groups.items()}


def _processes(row: LatencyRecord) -> int:
    return len({each.process for each in row.rounds})


def _estimate(row: LatencyRecord, spread: tuple[float, int] | None, seed: int) -> Estimate:
    interval = median_interval([each.seconds() for each in row.rounds], seed=seed)
    if interval and spread and row.median_s > 0:
        interval = with_processes(interval, row.median_s, spread, _processes(row))
    return Estimate(p50_s=_pair(interval), p90_s=_pair(_quantile(row, 0.9)), p99_s=_pair(_quantile(row, 0.99)))


def _quantile(row: LatencyRecord, q: float) -> Interval | None:
    return quantile_interval(row.times_s, q) if len(row.times_s) >= samples_needed(q) else None


def _to_eager(
    row: LatencyRecord, baselines: dict[Key, LatencyRecord], threshold: float, noise: float, seed: int
) -> RatioRecord | None:
    baseline = baselines.get(row.key)
    if baseline is None or row is baseline:
        return None
    ratio = ratio_of(baseline, row, seed)
    return _record(ratio, threshold, noise) if ratio else None


def _record(ratio: Ratio, threshold: float, noise: float) -> RatioRecord:
    interval = ratio.interval
    return RatioRecord(
        ratio=ratio.point,
        low=interval and max(interval.low, 1e-300),
        high=interval and interval.high,
        verdict=verdict(ratio, threshold, noise),
    )


def _controls(
    rows: Iterable[LatencyRecord], baselines: dict[Key, LatencyRecord], threshold: float, seed: int
) -> Iterator[ControlRecord]:
    for row in rows:
        ratio = ratio_of(baselines[row.key], row, seed) if row.role == "control" and row.key in baselines else None
        if ratio:
            found = _record(ratio, threshold, 0.0).model_dump()
            yield ControlRecord(device=row.device, threads=row.threads, batch_size=row.batch_size, **found)


def _costs(rows: Iterable[LatencyRecord]) -> Iterator[CostRecord]:
    groups: dict[tuple[str, str, int], list[LatencyRecord]] = {}
    for row in rows:
        if row.role == "row" and row.scenario.kind == "latency" and row.median_s > 0:
            groups.setdefault((row.target, row.device, row.threads), []).append(row)
    for group in groups.values():
        intervals = [Interval(*row.estimate.p50_s) for row in group if row.estimate and row.estimate.p50_s]
        cost = fit_cost(
            [row.batch_size for row in group],
            [row.median_s for row in group],
            intervals if len(intervals) == len(group) else None,
        )
        if cost:
            yield CostRecord(
                target=group[0].target,
                format=group[0].format,
                device=group[0].device,
                threads=group[0].threads,
                fixed_s=cost.fixed_s,
                fixed_interval_s=(cost.fixed_interval.low, cost.fixed_interval.high),
                per_image_s=cost.per_image_s,
                per_image_interval_s=(cost.per_image_interval.low, cost.per_image_interval.high),
                saturates_at=cost.saturates_at,
            )


def _pair(interval: Interval | None) -> Pair | None:
    return None if interval is None else (interval.low, interval.high)


def process_spread(rows: Sequence[LatencyRecord]) -> tuple[float, int] | None:
    """Return how much processes of the same row differ: standard deviation of log seconds, and its degrees of freedom.

    It is the residual of a two-way analysis of variance (Davison 2003, section 9.2) of the medians of each row and
    process: what rows differ by, and what the machine did to all rows while these processes lived, is not in it.
    Rows are of one device, number of threads and batch size; those with fewer processes than others do not count.

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
    """Return an interval about a median in seconds, widened by `process_spread`: other processes give other times."""
    deviation, freedom = spread
    half = float(student.ppf(0.975, freedom)) * deviation / math.sqrt(processes)
    below = math.hypot(math.log(point / interval.low), half) if interval.low > 0 else math.inf
    above = math.hypot(math.log(interval.high / point), half)
    return Interval(point * math.exp(-below), point * math.exp(min(above, 700.0)))


def process_noise(spread: tuple[float, int] | None, processes: int) -> float:
    """Return by how much two rows of one program, of so many processes each, may differ in 95 % of the runs.

    0.03 is 3 %. Where `process_spread` is not known, neither is this, and it is 0.
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
