"""Several reports side by side: what each is, the same rows of all, and charts with a mark for each report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Final

from markupsafe import Markup

from toolkit.records import LatencyRecord, Report
from toolkit.records.units import fraction
from toolkit.render.page.blocks import Block, Cell, Chart, Charts, Head, Missing, Remarks, Table, Text, plain_table
from toolkit.render.page.charts import legend, tick_seconds
from toolkit.render.page.scales import Axis, log_axis
from toolkit.render.page.series import Styles, numbered
from toolkit.render.page.svg import ROW, Hint, Line, box, marker, row_place, rows
from toolkit.render.words.accuracy import evaluation_of
from toolkit.render.words.conditions import Remark
from toolkit.render.words.saved import SavedReport, moment, short_names
from toolkit.render.words.sheet import NONE, listed, threads_in_words
from toolkit.render.words.speeds import is_noisy, median_in_words, ordered, row_name

#: What is the same row in several reports.
Key = tuple[int, str, str, int, str, str, str]
_HEIGHT: Final = ROW + 14


def letters(count: int) -> list[str]:
    """Return ``A``, ``B`` … ``Z``, ``AA`` …: short names for reports."""
    names = []
    for number in range(count):
        name, rest = "", number
        while True:
            name, rest = ascii_uppercase[rest % 26] + name, rest // 26 - 1
            if rest < 0:
                break
        names.append(name)
    return names


def together(saved: Sequence[SavedReport]) -> Iterator[Block]:
    """Yield what tells several reports apart and what they have in common.

    Args:
        saved: At least two.
    """
    names = letters(len(saved))
    yield _overview(saved, names)
    yield Remarks(tuple(_caution(saved)))
    found = _found([each.report for each in saved])
    keys = sorted({key for rows_of in found for key in rows_of})
    if not keys:
        yield Missing("None of these reports has timed anything. This does:", "fmnist-tk bench -o bench.json")
        return
    common = [key for key in keys if sum(key in rows_of for rows_of in found) > 1]
    if common:
        yield _charts(common, found, names)
    else:
        yield Text("No two of these reports have a row in common: other batch sizes, formats, devices or threads.")
    yield _table(keys, found, saved, names)


def _found(reports: Sequence[Report]) -> list[dict[Key, LatencyRecord]]:
    """Return the rows of each report by what makes them the same in another one.

    That is not the file, which may be elsewhere for each report; unless one report has two files of a format, which
    nothing else would tell apart.
    """
    counts = [Counter(_facts(row) for row in ordered(each)) for each in reports]
    several = {facts for counted in counts for facts, count in counted.items() if count > 1}
    return [
        {(*_facts(row), row.target if _facts(row) in several else ""): row for row in ordered(each)} for each in reports
    ]


def _facts(row: LatencyRecord) -> tuple[int, str, str, int, str, str]:
    return row.batch_size, row_name(row), row.device, row.threads, row.precision, row.scenario.kind


def _overview(saved: Sequence[SavedReport], names: Sequence[str]) -> Table:
    devices = [
        listed(dict.fromkeys(row.device for row in ordered(each.report))) if each.report.latency else NONE
        for each in saved
    ]
    return plain_table(
        "The reports",
        ("report", "file", "made", "command", "processor", "devices", "runtimes", "passed", "fit"),
        [
            (
                name,
                file,
                moment(each.report),
                each.report.command,
                each.report.machine.cpu,
                device,
                _runtimes(each.report),
                "✓" if each.report.passed else "✗",
                each.report.fitness.verdict if each.report.fitness else NONE,
            )
            for name, file, device, each in zip(names, short_names(saved), devices, saved, strict=True)
        ],
    )


def _runtimes(report: Report) -> str:
    versions = report.machine.versions
    return ", ".join(f"{name} {versions[name]}" for name in ("torch", "onnxruntime") if name in versions) or NONE


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
        group = [key for key in keys if key[0] == size]
        rows_of = [
            (key, name, by_key[key])
            for key in group
            for name, by_key in zip(names, found, strict=True)
            if key in by_key
        ]
        ends = [end for _, _, row in rows_of for end in (row.median_s, *_interval(row))]
        axis = log_axis("median time of a call", ends, tick_seconds)
        lines = [
            _line(key_in_words(key, group), [(name, row) for of, name, row in rows_of if of == key], axis, styles)
            for key in group
        ]
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
        left, interval = row_place(axis, row.median_s), _interval(row)
        if interval:
            ends = row_place(axis, interval[0]), row_place(axis, interval[1])
            marks.append(box("half", styles[report], ends, (25, 2)))
        marks.append(marker(left, 26, styles[report], 5))
        hints.append(Hint(left, 26, f"{report}: {name}\np50 {' '.join(median_in_words(row).split())}"))
    return Line(name, Markup("").join(marks), tuple(hints))


def key_in_words(key: Key, among: Sequence[Key]) -> str:
    """Return the format of a row, that in which the others differ from one another, and its file if that tells it."""
    words = {2: key[2], 3: threads_in_words(key[3]), 4: key[4], 5: key[5]}
    differing = [words[place] for place in words if len({each[place] for each in among}) > 1]
    return ", ".join([key[1], *differing, *filter(None, key[6:])])


def _table(
    keys: Sequence[Key], found: Sequence[dict[Key, LatencyRecord]], saved: Sequence[SavedReport], names: Sequence[str]
) -> Table:
    """Return the medians of each row in each report, with its accuracy where that is known."""
    lines = []
    for key in keys:
        cells = [Cell(f"{key[0]:,}"), Cell(key_in_words(key, keys))]
        for each, by_key in zip(saved, found, strict=True):
            row = by_key.get(key)
            cells.append(Cell(" ".join(median_in_words(row).split()) if row else NONE, "" if row else "quiet"))
            evaluation = evaluation_of(row, each.report) if row else None
            cells.append(Cell(fraction(evaluation.accuracy) if evaluation else NONE, "" if evaluation else "quiet"))
        lines.append(tuple(cells))
    heads = [Head(text, right=True) for name in names for text in (f"{name}: p50", f"{name}: accuracy")]
    breaks = frozenset(i for i in range(len(keys) - 1) if keys[i][0] != keys[i + 1][0])
    columns = (Head("batch", right=True), Head("format"), *heads)
    shown = [i for i in range(len(columns)) if i < 2 or any(line[i].text != NONE for line in lines)]
    return Table(
        "The same rows in each report",
        tuple(columns[i] for i in shown),
        tuple(tuple(line[i] for i in shown) for line in lines),
        heads=2,
        breaks=breaks,
    )


def _interval(row: LatencyRecord) -> tuple[float, ...]:
    return row.estimate.p50_s if row.estimate and row.estimate.p50_s else ()
