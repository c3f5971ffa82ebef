"""Rows of a bench in words: how fast each is, which is fastest, what else it costs, how accurate it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import PurePath
from typing import Final

from toolkit.records import (
    CostRecord,
    EvaluationRecord,
    FastestRecord,
    LatencyRecord,
    RatioRecord,
    Report,
    RoundRecord,
    Scenario,
    quantile,
)
from toolkit.records.units import joules, percent, rate, seconds, size, times
from toolkit.render.words.sheet import CROSS, NONE, Column, Sheet, breaks_between, column, filled, listed, placed

#: As long as ``±0.4 %``, so that the medians before it stand below one another.
_HALF_WIDTH: Final = 6
# From here on the ends of an interval say more than its middle.
_WIDE: Final = 1.5
_OF_ROUNDS: Final[tuple[tuple[str, Callable[[RoundRecord], float | None], int], ...]] = (
    ("copy\nin", lambda each: each.copy_in_s, 3),
    ("copy\nout", lambda each: each.copy_out_s, 3),
    ("device\ntime", lambda each: each.device_s, 0),
    ("call\nalone", lambda each: each.service_s, 0),
)
_WHAT: Final = attrgetter("target", "format", "device", "threads", "precision", "batch_size")


def ordered(report: Report) -> list[LatencyRecord]:
    """Return the rows that a person reads, by batch and then by median; controls have lines of their own."""
    rows = [row for row in report.latency if row.role != "control"]
    return sorted(rows, key=lambda row: (row.batch_size, row.median_s))


def row_name(row: LatencyRecord) -> str:
    """Return the format of a row, and its role where that is not the usual one."""
    return row.format if row.role == "row" else f"{row.format} ({row.role})"


def is_noisy(report: Report) -> bool:
    """Say whether the machine was found to be unfit."""
    return report.fitness is not None and report.fitness.verdict == "NOISY"


def speed_sheets(report: Report) -> Iterator[Sheet]:
    """Yield the latencies by batch and median, a sheet per scenario."""
    rows = ordered(report)
    for scenario in dict.fromkeys(row.scenario for row in rows):
        yield _speeds(scenario, [row for row in rows if row.scenario == scenario], noisy=is_noisy(report))


def scenario_in_words(scenario: Scenario) -> str:
    """Return what the time of a call means."""
    gap = scenario.interval_s or 0.0
    return {
        "latency": "Latency of a call and throughput",
        "throughput": "Seconds per call in a full pipeline, and throughput",
        "paced": f"Time from the scheduled arrival to the end of the call, one every {seconds(gap)},",
        "poisson": "Time from the scheduled arrival to the end of the call, "
        f"at random and every {seconds(gap)} on average,",
        "cold": "Import, load and first call in a new process",
    }[scenario.kind]


def _speeds(scenario: Scenario, rows: list[LatencyRecord], *, noisy: bool) -> Sheet:
    where, words = placed(rows, [row.precision for row in rows])
    columns = filled(
        column(rows, "batch", lambda row: f"{row.batch_size:,}"),
        column(rows, "format", row_name, right=False),
        *where,
        column(rows, "p50 ±", median_in_words),
        column(rows, "p99", lambda row: seconds(row.p99_s), spare=1),
        column(rows, "images/s", lambda row: rate(row.throughput_images_per_s), spare=2),
        column(rows, "× eager", _times_eager),
        column(rows, "% of limit", lambda row: share_in_words(row, noisy=noisy), spare=3),
        column(rows, "load", lambda row: seconds(row.cold.load_s), spare=5),
        column(rows, "memory", lambda row: memory_in_words(row.peak_memory_bytes), spare=4),
        column(rows, "verdict", _verdict, right=False),
    )
    verified = ", all verified" if all(row.verified for row in rows) else ""
    title = f"{scenario_in_words(scenario)}{words}{verified}"
    return Sheet(title, columns, breaks_between(row.batch_size for row in rows))


def median_in_words(row: LatencyRecord) -> str:
    """Return ``18.7 µs ±0.4 %``: the median and the half width of its 95 % interval over it."""
    interval = row.estimate.p50_s if row.estimate else None
    if interval is None or not row.median_s:
        return f"{seconds(row.median_s)} {NONE:>{_HALF_WIDTH}}"
    half = (interval[1] - interval[0]) / 2 / row.median_s
    words = f"±{percent(half)}" if half <= 1 else ">100 %"  # how much more, nobody needs to know
    return f"{seconds(row.median_s)} {words:>{_HALF_WIDTH}}"


def memory_in_words(grown: int | None) -> str:
    """Return by how much memory grew."""
    return NONE if grown is None else f"+{size(grown)}"


def verdict_of(row: LatencyRecord) -> str:
    """Return ``FASTER`` and the like, what takes the place of that, or that nothing can be said."""
    if is_baseline(row):
        return "baseline"
    return row.to_eager.verdict if row.to_eager else NONE


def is_baseline(row: LatencyRecord) -> bool:
    """Say whether others are compared with this row."""
    return row.baseline and row.role == "row"


def _times_eager(row: LatencyRecord) -> str:
    if is_baseline(row):
        return "1.00"
    return speed_in_words(row.to_eager) if row.to_eager else NONE


def speed_in_words(speed: RatioRecord) -> str:
    """Return ``2.87``; the interval alone, ``1.60 to 434``, where that is wide or holds no answer; NONE without one."""
    if speed.low is None or speed.high is None:
        return NONE
    if speed.verdict == "CANNOT TELL" or speed.high > _WIDE * speed.low:
        return f"{times(speed.low)} to {times(speed.high)}"
    return times(speed.ratio)


def _verdict(row: LatencyRecord) -> str:
    """Return what the speed is worth; first that it is worth nothing."""
    if row.mismatch:
        return f"{CROSS} mismatch"
    return verdict_of(row) if row.verified else f"{CROSS} unverified"


def share_in_words(row: LatencyRecord, *, noisy: bool) -> str:
    """Return the share and what sets the limit; nothing where a busy machine had lowered the limit itself."""
    share = row.share_of_limit
    if share is None or row.bound is None or (noisy and share > 1):
        return NONE
    return f"{percent(share)} {row.bound.kind}"


def fastest_sheets(report: Report) -> Iterator[Sheet]:
    """Yield the fastest verified rows: those that compute as the checkpoint does, and those of reduced precision."""
    exact = [each for each in report.fastest if each.exact]
    reduced = [each for each in report.fastest if not each.exact]
    if exact:
        yield _fastest(f"Fastest verified{' in float32' if reduced else ''}", exact, report)
    if reduced:
        yield _fastest("Fastest verified of reduced precision", reduced, report)


def _fastest(title: str, fastest: Sequence[FastestRecord], report: Report) -> Sheet:
    ranked = sorted(fastest, key=lambda each: (each.batch_size, each.device))
    where, words = placed(ranked, [] if ranked[0].exact else [each.precision for each in ranked])
    known = len(placed(ordered(report))[0]) == 0  # where all rows ran is in the title of the first table
    columns = filled(
        column(ranked, "batch", lambda each: f"{each.batch_size:,}"),
        column(ranked, "format", _with_equals, right=False),
        *where,
        column(ranked, "p50", lambda each: seconds(each.median_s)),
        column(ranked, "× eager", lambda each: ratio_of(each, report)),
    )
    breaks = breaks_between(each.batch_size for each in ranked)
    return Sheet(title if known else f"{title}{words}", columns, breaks)


def ratio_of(fastest: FastestRecord, report: Report) -> str:
    """Return the speed that the row has in the table of speeds."""
    rows = (row for row in report.latency if row.role == "row" and _WHAT(row) == _WHAT(fastest))
    return next(map(_times_eager, rows), NONE)


def _with_equals(fastest: FastestRecord) -> str:
    """Return the format and what it cannot be told apart from."""
    equals = equals_of(fastest)
    return f"{fastest.format} ({equals})" if equals else fastest.format


def equals_of(fastest: FastestRecord) -> str:
    """Return ``cannot be told apart from eager``; empty where all others are slower."""
    others = list(dict.fromkeys(fastest.as_fast))
    return f"cannot be told apart from {listed(others)}" if others else ""


def resources_sheet(report: Report) -> Sheet:
    """Return what comes before the calls of at least one row, and beside them; columns that no row has are left out."""
    rows = ordered(report)
    where, words = placed(rows, [row.precision for row in rows])
    columns = filled(
        column(rows, "batch", lambda row: f"{row.batch_size:,}"),
        column(rows, "format", row_name, right=False),
        *where,
        column(rows, "import", lambda row: seconds(row.cold.import_s)),
        column(rows, "load", lambda row: seconds(row.cold.load_s)),
        column(rows, "first\ncall", lambda row: seconds(row.cold.first_call_s)),
        column(rows, "to\nsteady", lambda row: seconds(row.cold.steady_s), spare=2),
        *(
            Column(name, tuple(_median(row, of) for row in rows), right=True, spare=spare)
            for name, of, spare in _OF_ROUNDS
        ),
        column(rows, "memory", lambda row: memory_in_words(row.peak_memory_bytes)),
        column(rows, "device\nmemory", lambda row: _size(row.device_memory_bytes)),
        column(rows, "file\nsize", lambda row: _size(row.file_bytes), spare=4),
        column(rows, "energy\nper image", lambda row: joules(row.energy.joules_per_image) if row.energy else NONE),
    )
    return Sheet(f"Before and beside the calls{words}", columns, breaks_between(row.batch_size for row in rows))


def _median(row: LatencyRecord, of: Callable[[RoundRecord], float | None]) -> str:
    """Return the median over rounds of what each round has as a median."""
    values = [value for part in row.rounds if (value := of(part)) is not None]
    return seconds(quantile(values, 0.5)) if values else NONE


def _size(value: int | None) -> str:
    return NONE if value is None else size(value)


def cost_sheets(report: Report) -> Iterator[Sheet]:
    """Yield latency as a line over the batch size, where it was fitted."""
    costs = report.costs
    if not costs:
        return
    where, words = placed(costs)
    several = len({each.target for each in costs}) > len({each.format for each in costs})
    name = "target" if several else "format"  # of two files of one format, the format tells neither
    columns = filled(
        column(costs, name, attrgetter(name), right=False),
        *where,
        column(costs, "fixed cost", lambda each: _with_interval(each.fixed_s, each.fixed_interval_s)),
        column(costs, "cost per image", lambda each: _with_interval(each.per_image_s, each.per_image_interval_s)),
        column(costs, "saturates at batch", _saturation),
    )
    yield Sheet(f"A call as a fixed cost and a cost per image (with 95 % intervals){words}", columns)


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{seconds(value)} ({seconds(interval[0])} to {seconds(interval[1])})"


def _saturation(cost: CostRecord) -> str:
    """Return the batch size from which on nine tenths of a call are its images."""
    return NONE if cost.saturates_at is None else f"{max(cost.saturates_at, 1):,.0f}"


@dataclass(frozen=True)
class Rated:
    """A row whose accuracy is known."""

    row: LatencyRecord
    accuracy: float
    images: int


def rated_rows(report: Report) -> list[Rated]:
    """Return the rows that parity has evaluated; eager has the accuracy of the reference, whose weights it has."""
    return [
        Rated(row, found.accuracy, found.images)
        for row in ordered(report)
        if (found := evaluation_of(row, report)) is not None
    ]


def evaluation_of(row: LatencyRecord, report: Report) -> EvaluationRecord | None:
    """Return how what a row is of classifies labelled images; None where that is not in the report.

    An artifact that was evaluated on several devices counts on its own, else on the first.
    """
    if row.role != "row":
        return None
    if row.file_bytes is None:  # the checkpoint itself
        return report.evaluation
    name = PurePath(row.target).name
    of_row = (each for each in report.parity if each.format == row.format and PurePath(each.target).name == name)
    found = [each for each in of_row if each.evaluation]
    best = next((each for each in found if each.device == row.device), next(iter(found), None))
    return best.evaluation if best else None


def frontier(rated: Sequence[Rated]) -> list[Rated]:
    """Return the rows of one batch size that no other row of it beats in latency without losing accuracy."""
    return [
        each
        for each in rated
        if not any(
            other.row.median_s < each.row.median_s and other.accuracy >= each.accuracy
            for other in rated
            if other.row.batch_size == each.row.batch_size
        )
    ]
