"""The sections of a report that tell how fast: speed, spread, distance to the limit, accuracy beside speed."""

from collections.abc import Iterator
from functools import partial

from toolkit.records import LatencyRecord, Report, quantile
from toolkit.records.units import fraction, rate, seconds, size
from toolkit.render.page.blocks import Block, Missing, Section, section
from toolkit.render.page.charts import frontier_charts, limit_charts, speed_charts, spread_charts
from toolkit.render.page.series import Styles, series_names
from toolkit.render.words.bench import bench_contents
from toolkit.render.words.sheet import NONE, TICK, Remark, Sheet, column, sheet_of
from toolkit.render.words.speeds import frontier, is_noisy, ordered, rated_rows, share_in_words

_BENCH = "fmnist-tk bench -o bench.json"
_RUN = "fmnist-tk run"


def timing_sections(report: Report, styles: Styles) -> Iterator[Section]:
    """Yield what was measured of speed, in the order in which a person asks."""
    yield section("speed", "Latency and throughput", _speed(report, styles))
    yield section("spread", "Distribution of latencies", _spread(report, styles))
    yield section("limit", "Distance to the machine’s limit", _limit(report, styles))
    yield section("frontier", "Accuracy against latency", _frontier(report, styles))


def _speed(report: Report, styles: Styles) -> Iterator[Block | Remark]:
    yield speed_charts(report, styles) or Missing(
        "This report has timed nothing. This times what parity has passed:", _BENCH
    )
    yield from bench_contents(report, details=True)


def _spread(report: Report, styles: Styles) -> Iterator[Block]:
    charts = spread_charts(report, styles)
    if not charts:
        yield Missing("No call was timed. This times them and keeps each time:", _BENCH)
        return
    yield charts
    names, rows = series_names(report), ordered(report)
    percentiles = (1, 10, 25, 50, 75, 90, 99)
    yield Sheet(
        "Quantiles of the calls that count; a percentile is told where ten calls lie beyond it",
        (
            column(rows, "batch", lambda row: f"{row.batch_size:,}"),
            column(rows, "format", lambda row: names[id(row)], right=False),
            column(rows, "calls", lambda row: f"{len(row.times_s):,}"),
            column(rows, "rounds", lambda row: str(len(row.rounds))),
            *(column(rows, f"p{share}", partial(_percentile, percentage=share)) for share in percentiles),
            column(rows, "median of rounds", _rounds),
        ),
    )


def _percentile(row: LatencyRecord, percentage: int) -> str:
    """Return a percentile where ten calls lie beyond it, on the nearer side."""
    if percentage == 50:
        return seconds(row.median_s)
    if percentage > 50:
        return seconds(row.percentile_s(percentage))
    mirrored = row.percentile_s(100 - percentage) is not None
    return seconds(quantile(row.times_s, percentage / 100)) if mirrored else NONE


def _rounds(row: LatencyRecord) -> str:
    medians = [quantile(part.seconds(), 0.5) for part in row.rounds]
    return f"{seconds(min(medians))} to {seconds(max(medians))}"


def _limit(report: Report, styles: Styles) -> Iterator[Block | Remark]:
    charts = limit_charts(report, styles)
    if not charts:
        reason = "No row has a limit to be held against" if ordered(report) else "This report has timed nothing"
        yield Missing(f"{reason}. This measures the machine’s limits beside the rows:", f"{_BENCH} --limits")
        return
    yield (
        "The least time of a call is that of its arithmetic at the machine’s fastest measured product, or that of "
        "reading its weights and activations at the measured bandwidth, whichever is longer."
    )
    yield charts
    names, noisy = series_names(report), is_noisy(report)
    rows = [row for row in ordered(report) if row.bound]
    if any(share_in_words(row, noisy=noisy) == NONE for row in rows):
        yield Remark("Shares above 100 % are left out: a NOISY machine had lowered its own limit", "note")
    yield sheet_of(
        "Rows beside the least time that this machine needs",
        rows,
        {
            "batch": lambda row: f"{row.batch_size:,}",
            "format": lambda row: names[id(row)],
            "p50": lambda row: seconds(row.median_s),
            "least": lambda row: seconds(row.bound.seconds if row.bound else None),
            "of limit, set by": lambda row: share_in_words(row, noisy=noisy),
        },
        right=("batch", "p50", "least", "of limit, set by"),
    )
    yield from _peaks(report)


def _peaks(report: Report) -> Iterator[Block]:
    products = [(each, peak) for each in report.limits for peak in each.peaks]
    if products:
        yield sheet_of(
            "Fastest matrix product of each runtime",
            products,
            {
                "runtime": lambda each: each[1].runtime,
                "precision": lambda each: each[1].precision,
                "device": lambda each: each[0].device,
                "threads": lambda each: str(each[0].threads),
                "GFLOP/s": lambda each: f"{each[1].flop_per_s / 1e9:,.0f}",
                "shape": lambda each: " × ".join(f"{side:,}" for side in each[1].shape),
            },
            right=("threads", "GFLOP/s", "shape"),
        )
    reads = [(each, found) for each in report.limits for found in each.bandwidths]
    if reads:
        yield sheet_of(
            "How fast memory is read",
            reads,
            {
                "working set": lambda each: size(each[1].working_set_bytes),
                "device": lambda each: each[0].device,
                "threads": lambda each: str(each[0].threads),
                "GB/s": lambda each: f"{each[1].bytes_per_s / 1e9:,.0f}",
            },
            right=("threads", "GB/s"),
        )


def _frontier(report: Report, styles: Styles) -> Iterator[Block]:
    charts = frontier_charts(report, styles)
    if not charts:
        if ordered(report):
            yield Missing("Rows were timed, but not evaluated on labelled images. This does both:", _RUN)
        else:
            yield Missing("This needs rows that were timed and evaluated on labelled images. This does both:", _RUN)
        return
    rated, names = rated_rows(report), series_names(report)
    best = {id(each) for each in frontier(rated)}
    if len({each.accuracy for each in rated}) == 1:
        same = f"All of them classify {fraction(rated[0].accuracy)} of {rated[0].images:,} images as labelled"
        yield f"{same}: nothing is paid for speed here."
    yield charts
    yield sheet_of(
        "Accuracy and speed; on the frontier: no other row of the batch size is faster without losing accuracy",
        rated,
        {
            "batch": lambda each: f"{each.row.batch_size:,}",
            "format": lambda each: names[id(each.row)],
            "accuracy": lambda each: fraction(each.accuracy),
            "p50": lambda each: seconds(each.row.median_s),
            "images/s": lambda each: rate(each.row.throughput_images_per_s),
            "on the frontier": lambda each: TICK if id(each) in best else NONE,
        },
        right=("batch", "accuracy", "p50", "images/s"),
    )
