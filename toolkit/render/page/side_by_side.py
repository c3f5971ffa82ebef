"""Several reports side by side: what each is, the same rows of all, and charts with a mark for each report."""

from collections.abc import Iterator, Sequence
from itertools import chain, count, islice, product
from string import ascii_uppercase
from typing import Final

from markupsafe import Markup

from toolkit.records import LatencyRecord, Report
from toolkit.records.units import fraction
from toolkit.render.page.blocks import Block, Chart, Charts, Missing
from toolkit.render.page.charts import interval_of, legend, tick_seconds
from toolkit.render.page.scales import Axis, log_axis
from toolkit.render.page.series import Styles, numbered, series_names
from toolkit.render.page.svg import ROW, Hint, Line, box, marker, row_place, rows
from toolkit.render.words.saved import SavedReport, moment, runtimes, short_names
from toolkit.render.words.sheet import NONE, Column, Remark, Sheet, breaks_between, filled, listed, mark, sheet_of
from toolkit.render.words.speeds import evaluation_of, is_noisy, median_in_words, ordered

#: What is the same row in several reports: its batch size, and the name of its series.
Key = tuple[int, str]
_HEIGHT: Final = ROW + 14


def letters(number: int) -> list[str]:
    """Return ``A``, ``B`` … ``Z``, ``AA`` …: short names for reports."""
    words = chain.from_iterable(product(ascii_uppercase, repeat=length) for length in count(1))
    return ["".join(word) for word in islice(words, number)]


def side_by_side(saved: Sequence[SavedReport]) -> Iterator[Block | Remark]:
    """Yield what tells two or more reports apart and what they have in common."""
    names, series = letters(len(saved)), series_names(*(each.report for each in saved))
    found = [{(row.batch_size, series[id(row)]): row for row in ordered(each.report)} for each in saved]
    yield _overview(saved, names)
    yield from _caution(saved)
    keys = sorted({key for rows_of in found for key in rows_of})
    if not keys:
        yield Missing("None of these reports has timed anything. This does:", "fmnist-tk bench -o bench.json")
        return
    common = [key for key in keys if sum(key in rows_of for rows_of in found) > 1]
    if common:
        yield _charts(common, found, names)
    else:
        yield "No two of these reports have a row in common: other batch sizes, formats, devices or threads."
    yield _table(keys, found, saved, names)


def _overview(saved: Sequence[SavedReport], names: Sequence[str]) -> Sheet:
    return sheet_of(
        "The reports",
        list(zip(names, short_names([each.file for each in saved]), (each.report for each in saved), strict=True)),
        {
            "report": lambda each: each[0],
            "file": lambda each: each[1],
            "made": lambda each: moment(each[2]),
            "command": lambda each: each[2].command,
            "processor": lambda each: each[2].machine.cpu,
            "devices": lambda each: ", ".join(dict.fromkeys(row.device for row in ordered(each[2]))) or NONE,
            "runtimes": lambda each: runtimes(each[2]) or NONE,
            "passed": lambda each: mark(each[2].passed),
            "fit": lambda each: each[2].fitness.verdict if each[2].fitness else NONE,
        },
    )


def _caution(saved: Sequence[SavedReport]) -> Iterator[Remark]:
    """Tell what makes the numbers of two reports less comparable than those of one."""
    timed = [each.report for each in saved if each.report.latency]
    if len(timed) > 1:
        yield Remark(
            "Rows of different reports were not measured in the same rounds: differences of a few per cent may be the "
            "machine’s. fmnist-tk compare BASE HEAD gives them intervals and verdicts",
            "note",
        )
    weights = {report.checkpoint.weights_sha256 for report in timed if report.checkpoint}
    if len(weights) > 1:
        yield Remark("The reports are of different weights", "warning")
    noisy = [name for name, each in zip(letters(len(saved)), saved, strict=True) if is_noisy(each.report)]
    if noisy:
        yield Remark(f"The machine was NOISY in {listed(noisy)}", "warning")


def _charts(keys: Sequence[Key], found: Sequence[dict[Key, LatencyRecord]], names: Sequence[str]) -> Charts:
    styles, charts = numbered(names), []
    for size in dict.fromkeys(key[0] for key in keys):
        rows_of = {
            key: [(name, by_key[key]) for name, by_key in zip(names, found, strict=True) if key in by_key]
            for key in keys
            if key[0] == size
        }
        ends = [end for each in rows_of.values() for _, row in each for end in (row.median_s, *interval_of(row))]
        axis = log_axis("median time of a call", ends, tick_seconds)
        lines = [_line(name, of_reports, axis, styles) for (_, name), of_reports in rows_of.items()]
        title = f"Median time of a call at batch {size:,} by format, a mark for each report"
        charts.append(Chart(f"Batch {size:,}", rows(title, lines, axis, height=_HEIGHT)))
    return Charts(
        tuple(charts),
        legend([name for name, by_key in zip(names, found, strict=True) if by_key.keys() & set(keys)], styles),
        "Bars span the 95 % interval of the median.",
    )


def _line(name: str, of_reports: Sequence[tuple[str, LatencyRecord]], axis: Axis, styles: Styles) -> Line:
    """Return a row with a mark for each report that has it."""
    marks, hints = [Markup("")], []
    for report, row in of_reports:
        left, interval = row_place(axis, row.median_s), interval_of(row)
        if interval:
            ends = row_place(axis, interval[0]), row_place(axis, interval[1])
            marks.append(box("half", styles[report], ends, (25, 2)))
        marks.append(marker(left, 26, styles[report], 5))
        hints.append(Hint(left, 26, f"{report}: {name}\np50 {' '.join(median_in_words(row).split())}"))
    return Line(name, Markup("").join(marks), tuple(hints))


def _table(
    keys: Sequence[Key], found: Sequence[dict[Key, LatencyRecord]], saved: Sequence[SavedReport], names: Sequence[str]
) -> Sheet:
    """Return the medians of each row in each report, with its accuracy where that is known."""
    columns = []
    for name, each, by_key in zip(names, saved, found, strict=True):
        of_keys = [by_key.get(key) for key in keys]
        medians = tuple(" ".join(median_in_words(row).split()) if row else NONE for row in of_keys)
        accuracies = tuple(_accuracy(row, each.report) for row in of_keys)
        columns += [Column(f"{name}: p50", medians, right=True), Column(f"{name}: accuracy", accuracies, right=True)]
    batches = Column("batch", tuple(f"{batch:,}" for batch, _ in keys), right=True)
    return Sheet(
        "The same rows in each report",
        (batches, Column("format", tuple(name for _, name in keys)), *filled(*columns)),
        breaks_between(batch for batch, _ in keys),
    )


def _accuracy(row: LatencyRecord | None, report: Report) -> str:
    found = evaluation_of(row, report) if row else None
    return fraction(found.accuracy) if found else NONE
