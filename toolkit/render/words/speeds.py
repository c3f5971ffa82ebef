"""How fast each row is, in words: its latency, and the fastest of them. Terminal and Markdown draw it."""

from collections.abc import Iterator, Sequence
from typing import Final

from toolkit.records import FastestRecord, LatencyRecord, Report, Scenario
from toolkit.records.units import percent, rate, seconds, size
from toolkit.render.words.sheet import CROSS, NONE, Sheet, breaks_between, column, listed, placed, told

#: Format of the baseline: the checkpoint in eager PyTorch, float32.
EAGER: Final = "eager"
#: As long as ``±0.4 %``, so that the medians before it stand below one another.
_HALF_WIDTH: Final = 6


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
    columns = told(
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
    if _is_baseline(row):
        return "baseline"
    return row.to_eager.verdict if row.to_eager else NONE


def _is_baseline(row: LatencyRecord) -> bool:
    return row.format == EAGER and row.role == "row"


def _times_eager(row: LatencyRecord) -> str:
    if _is_baseline(row):
        return "1.00"
    return f"{row.to_eager.ratio:.2f}" if row.to_eager else NONE


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
    told_above = len(placed(ordered(report))[0]) == 0  # where all rows ran is in the title of the first table
    columns = told(
        column(ranked, "batch", lambda each: f"{each.batch_size:,}"),
        column(ranked, "format", _with_equals, right=False),
        *where,
        column(ranked, "p50", lambda each: seconds(each.median_s)),
        column(ranked, "× eager", lambda each: ratio_of(each, report)),
    )
    return Sheet(
        title if told_above else f"{title}{words}", columns, breaks_between(each.batch_size for each in ranked)
    )


def ratio_of(fastest: FastestRecord, report: Report) -> str:
    """Return the ratio that the row has in the table of speeds, which is paired within rounds; else that of medians."""
    for row in report.latency:
        if row.role == "row" and (row.target, row.format, row.device, row.threads, row.precision, row.batch_size) == (
            fastest.target,
            fastest.format,
            fastest.device,
            fastest.threads,
            fastest.precision,
            fastest.batch_size,
        ):
            found = _times_eager(row)
            if found != NONE:
                return found
    return NONE if fastest.ratio_to_eager is None else f"{fastest.ratio_to_eager:.2f}"


def _with_equals(fastest: FastestRecord) -> str:
    """Return the format, with those that are as fast: ``onnx (torch-export is as fast)``."""
    equals = equals_of(fastest)
    return f"{fastest.format} ({equals})" if equals else fastest.format


def equals_of(fastest: FastestRecord) -> str:
    """Return which other formats are as fast, in words; empty when none is."""
    others = list(dict.fromkeys(fastest.as_fast))
    return f"{listed(others)} {'is' if len(others) == 1 else 'are'} as fast" if others else ""
