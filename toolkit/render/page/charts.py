"""The charts of one report: speed over the batch size, the spread of calls, the machine's limit, accuracy and speed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from markupsafe import Markup

from toolkit.records import LatencyRecord, Report, quantile
from toolkit.records.units import fraction, percent, rate, scaled, seconds
from toolkit.render.page.blocks import Chart, Charts
from toolkit.render.page.scales import Axis, log_axis, share_axis, stepped_axis
from toolkit.render.page.series import Styles, grouped, series_names
from toolkit.render.page.svg import (
    TALL_ROW,
    Hint,
    Line,
    Point,
    Series,
    Style,
    area,
    box,
    element,
    marker,
    plot,
    row_place,
    rows,
    words,
)
from toolkit.render.words.sheet import NONE, shared
from toolkit.render.words.speeds import Rated, is_noisy, median_in_words, ordered, rated_rows, share_in_words

# Calls that a histogram needs to have a shape, and the bars along a whole axis.
_FOR_SHAPE: Final = 100
_BINS: Final = 80
# Calls that a quartile needs so that ten lie beyond it, as percentiles do in records.
_FOR_QUARTILES: Final = 40
_MARK = 12
# Percentage points around accuracies that are all the same.
_AROUND = 0.01


def speed_charts(report: Report, styles: Styles) -> Charts | None:
    """Return latency and throughput over the batch size, with intervals; None where nothing was timed."""
    groups = grouped(report)
    if not groups:
        return None
    every = [row for group in groups.values() for row in group]
    batch = stepped_axis("images per call", [row.batch_size for row in every], lambda value: f"{value:,.0f}")
    ends = [end for row in every for end in (row.median_s, *interval_of(row))]
    one_call = shared(row.scenario.kind for row in every) != "throughput"
    latency = plot(
        "Median seconds per call over images per call, both logarithmic, by format",
        [Series(styles[name], [_latency(name, row) for row in group]) for name, group in groups.items()],
        batch,
        log_axis("", ends, tick_seconds),
    )
    throughput = plot(
        "Images per second over images per call, both logarithmic, by format",
        [Series(styles[name], [_throughput(name, row) for row in group]) for name, group in groups.items()],
        batch,
        log_axis("", [row.throughput_images_per_s for row in every], tick_rate),
    )
    title = "Latency: median time of a call" if one_call else "Time of a call in a full pipeline"
    return Charts(
        (Chart(title, latency), Chart("Throughput: images per second", throughput)),
        legend(list(groups), styles),
        "Bars span the 95 % interval of the median; where none is seen, it is narrower than the mark.",
    )


def spread_charts(report: Report, styles: Styles) -> Charts | None:
    """Return for each batch size how the times of calls are distributed; None where nothing was timed."""
    names, charts = series_names(report), []
    for size, of_size in groupby(ordered(report), key=attrgetter("batch_size")):
        group = list(of_size)
        ends = [end for row in group for end in _ends(row)]
        axis = log_axis("time of a call", ends, tick_seconds)
        lines = [_spread(names[id(row)], row, axis, styles[names[id(row)]]) for row in group]
        title = f"Distribution of the times of calls at batch {size:,}, by format"
        charts.append(Chart(f"Batch {size:,}", rows(title, lines, axis, height=TALL_ROW)))
    if not charts:
        return None
    note = (
        "The hill is the histogram of all calls that count, from 100 calls on; the bar holds the middle half, the "
        "upright line is the median of all, the marks are the medians of the rounds: apart where the machine drifted."
    )
    return Charts(tuple(charts), (), note)


def limit_charts(report: Report, styles: Styles) -> Charts | None:
    """Return the share of the machine's limit that each row reaches; None where no limit was measured."""
    names, noisy = series_names(report), is_noisy(report)
    axis = Axis("share of the machine’s limit", 0, 1, _TENTHS, log=False)
    charts = []
    rows_of = (row for row in ordered(report) if share_in_words(row, noisy=noisy) != NONE)
    for size, group in groupby(rows_of, key=attrgetter("batch_size")):
        lines = [_bar(names[id(row)], row, axis, styles[names[id(row)]]) for row in group]
        title = f"Share of the machine's limit that each format reaches at batch {size:,}"
        charts.append(Chart(f"Batch {size:,}", rows(title, lines, axis, height=TALL_ROW - 16)))
    return Charts(tuple(charts)) if charts else None


def frontier_charts(report: Report, styles: Styles) -> Charts | None:
    """Return accuracy over the latency of one image and over throughput; None where one of them is not known."""
    rated, names = rated_rows(report), series_names(report)
    if not rated:
        return None
    sizes = sorted({each.row.batch_size for each in rated})
    accuracies = [each.accuracy for each in rated]
    up = share_axis("", min(accuracies) - _AROUND, max(accuracies) + _AROUND, lambda value: f"{100 * value:.3g} %")
    charts = []
    for size, latency in ((sizes[0], True), (sizes[-1], False)):
        here = [(names[id(each.row)], each) for each in rated if each.row.batch_size == size]
        of = attrgetter("median_s" if latency else "throughput_images_per_s")
        title = f"Accuracy and {'latency' if latency else 'throughput'} at batch {size:,}"
        label, tick = ("time of a call", tick_seconds) if latency else ("images/s", tick_rate)
        across = log_axis(label, [of(each.row) for _, each in here], tick)
        series = [Series(styles[name], [Point(of(each.row), each.accuracy, _rated(each))]) for name, each in here]
        charts.append(Chart(title, plot(f"{title}, by format", series, across, up)))
    return Charts(tuple(charts), legend([names[id(each.row)] for each in rated], styles))


def legend(names: Sequence[str], styles: Styles) -> tuple[tuple[str, Style, Markup], ...]:
    """Return each name with its style and its mark."""
    ranked = sorted(dict.fromkeys(names), key=lambda name: styles[name].number)
    return tuple((name, styles[name], marker(_MARK, _MARK / 2, styles[name])) for name in ranked)


def tick_seconds(value: float) -> str:
    """Return a round duration without digits that say nothing: ``20 µs``."""
    return scaled(value, "s", lambda number: f"{number:.3g}")


def tick_rate(value: float) -> str:
    """Return a round number of images per second: ``20 k``."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if value >= factor * 0.9995:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"


_TENTHS: Final = tuple((each / 100, f"{each} %") for each in (0, 20, 40, 60, 80, 100))


def interval_of(row: LatencyRecord) -> tuple[float, ...]:
    """Return the 95 % interval of a median in seconds; nothing where there is none."""
    return row.estimate.p50_s if row.estimate and row.estimate.p50_s else ()


def _latency(name: str, row: LatencyRecord) -> Point:
    low, high = interval_of(row) or (None, None)
    hint = f"{name}, batch {row.batch_size:,}\np50 {' '.join(median_in_words(row).split())}"
    if low is not None:
        hint += f"\n95 %: {seconds(low)} to {seconds(high)}"
    return Point(row.batch_size, row.median_s, hint, low, high)


def _throughput(name: str, row: LatencyRecord) -> Point:
    per_s = row.throughput_images_per_s
    return Point(row.batch_size, per_s, f"{name}, batch {row.batch_size:,}\n{rate(per_s)} images/s")


def _ends(row: LatencyRecord) -> Iterator[float]:
    """Yield what the axis of a row must hold: its medians by round, the middle of its calls."""
    times = row.times_s
    yield from (quantile(part.seconds(), 0.5) for part in row.rounds)
    if len(times) >= _FOR_SHAPE:
        yield from (quantile(times, 0.02), quantile(times, 0.95))


def _spread(name: str, row: LatencyRecord, axis: Axis, style: Style) -> Line:
    times = row.times_s
    base = TALL_ROW - 14
    marks = [_hill(times, axis, style, base)] if len(times) >= _FOR_SHAPE else []
    lines = [f"{name}: {len(times):,} calls", f"p50 {seconds(row.median_s)}"]
    middle = row_place(axis, row.median_s)
    if len(times) >= _FOR_QUARTILES:
        first, third = quantile(times, 0.25), quantile(times, 0.75)
        left, right = row_place(axis, first), row_place(axis, third)
        marks.append(box("half", style, (left, right), (base - 3, 6)))
        lines.append(f"middle half {seconds(first)} to {seconds(third)}")
    if row.p99_s is not None:
        lines.append(f"p99 {seconds(row.p99_s)}")
    medians = [quantile(part.seconds(), 0.5) for part in row.rounds]
    marks += [marker(row_place(axis, each), base, style, 2.2) for each in medians]
    marks.append(box("median", style, (middle - 1, middle + 1), (base - 8, 16)))
    lines.append(f"rounds {seconds(min(medians))} to {seconds(max(medians))}")
    reach = max(abs(row_place(axis, each) - middle) for each in medians)
    return Line(name, Markup("").join(marks), (Hint(middle, base - 6, "\n".join(lines), (max(reach, 16), 16)),))


def _hill(times: Sequence[float], axis: Axis, style: Style, base: float) -> Markup:
    """Return the histogram of calls, as high as the row has room; calls beyond the ends of the axis are not drawn."""
    counts = [0] * _BINS
    for each in times:
        if axis.low <= each < axis.high:
            counts[min(int(axis.place(each) * _BINS), _BINS - 1)] += 1
    highest, left = max(*counts, 1), row_place(axis, axis.low)
    wide = (row_place(axis, axis.high) - left) / _BINS
    points = [(left, base)]
    for number, count in enumerate(counts):
        top = base - (base - 15) * count / highest
        points += [(left + number * wide, top), (left + (number + 1) * wide, top)]
    return area([*points, (left + _BINS * wide, base)], style)


def _bar(name: str, row: LatencyRecord, axis: Axis, style: Style) -> Line:
    share = row.share_of_limit or 0.0
    assert row.bound is not None  # `share_in_words` has looked
    left, right = row_place(axis, 0), row_place(axis, share)
    hint = (
        f"{name}: {percent(share)} of the limit\np50 {seconds(row.median_s)}, least {seconds(row.bound.seconds)}\n"
        f"set by {row.bound.kind}"
    )
    bar = box("bar", style, (left, right), (17, 12))
    text = percent(share)
    room = right + 6 if share < 0.88 else right - 44
    number = words(room, 27, text) if share < 0.88 else element("g", words(room, 27, text), class_="inside")
    return Line(name, bar + number, (Hint((left + right) / 2, 23, hint, (max((right - left) / 2, 10), 10)),))


def _rated(each: Rated) -> str:
    row = each.row
    return (
        f"{row.format}, batch {row.batch_size:,}\n{fraction(each.accuracy)} of {each.images:,} images\n"
        f"p50 {seconds(row.median_s)}\n{rate(row.throughput_images_per_s)} images/s"
    )
