"""The first screen of a report: one table, what must be known, and the answer last. The rest is for a second look."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import shorten
from typing import Final

from toolkit.records import Report
from toolkit.records.units import size
from toolkit.render.words.answer import answer
from toolkit.render.words.bench import comparison_contents
from toolkit.render.words.parity import artifact_lines, explain
from toolkit.render.words.parts import artifact_sheets
from toolkit.render.words.sheet import CROSS, Content, Remark, Sheet, breaks_between, listed
from toolkit.render.words.speeds import ordered, speed_sheets

#: Of the screen; the last one is for what a command says after its answer.
LINES: Final = 25
_WIDTH: Final = 80
_COMMANDS: Final = {"run", "parity", "bench", "export"}
# Columns that are for a second look.
_DETAILS: Final = {"p99", "images/s", "% of limit", "load", "memory", "SHA-256"}
# Of a table: title, a blank line, head, rule, and a blank line at the end; and the least that it is cut to.
_AROUND_ROWS, _FEWEST_ROWS, _FEWEST_LINES = 5, 4, 12
_LONGEST_REMARK, _LONGEST_ANSWER = 2 * _WIDTH, 6 * _WIDTH


def has_first_screen(report: Report) -> bool:
    """Say whether a report has so much to tell that its answer deserves a screen of its own."""
    return report.command in _COMMANDS and bool(report.latency or report.parity or report.artifacts)


def first_screen(report: Report) -> Iterator[Content]:
    """Yield one table, what failed or must be known, and the answer: at most 24 lines of 80 columns."""
    last = Remark(shorten(answer(report), _LONGEST_ANSWER, placeholder=" …"), "good" if report.passed else "bad")
    sheet, remarks = _sheet(report), list(_remarks(report))
    rows = list(range(len(sheet.columns[0].cells))) if sheet else []
    for room in (LINES - 1 - _lines(last), LINES - 2 - _lines(last)):  # if all does not fit, a line says so
        shown = _fitting(remarks, room - (min(_height(sheet), _FEWEST_LINES) if sheet else 0))
        kept = _most_telling(sheet, report, room - sum(map(_lines, shown))) if sheet else []
        left_out = {"row": len(rows) - len(kept), "remark": len(remarks) - len(shown)}
        if not any(left_out.values()):
            break
    if sheet:
        yield _with_rows(sheet, kept)
    yield from shown
    counted = [f"{count} more {what}{'' if count == 1 else 's'}" for what, count in left_out.items() if count]
    if counted:
        yield Remark(f"{listed(counted)} with --details", "note")
    yield last


def _sheet(report: Report) -> Sheet | None:
    """Return the table that answers: what was compared, else how fast rows are, else which artifacts are right."""
    if report.parity and not report.latency:
        return artifact_lines(report.parity, {each.file: size(each.size_bytes) for each in report.artifacts})
    contents = (*comparison_contents(report), *speed_sheets(report), *artifact_sheets(report, shortly=True))
    sheet = next((each for each in contents if isinstance(each, Sheet)), None)
    if sheet is None:
        return None
    # Where rows differ in their device, threads follow from it.
    return sheet.without({*_DETAILS, "threads"} if any(each.title == "device" for each in sheet.columns) else _DETAILS)


def _most_telling(sheet: Sheet, report: Report, room: int) -> list[int]:
    """Return the numbers of the rows that tell most: what is wrong, what is fastest, the baselines, then the others."""
    best = {(f"{each.batch_size:,}", each.format) for each in report.fastest}
    baselines = {row.format for row in ordered(report) if row.baseline}

    def rank(row: tuple[str, ...]) -> int:
        return 0 if any(word.startswith(CROSS) for word in row) else 1 if row[:2] in best else 3 - (row[1] in baselines)

    rows = list(sheet.rows())
    kept = sorted(range(len(rows)), key=lambda number: rank(rows[number]))
    while len(kept) > _FEWEST_ROWS and _height(_with_rows(sheet, sorted(kept))) > room:
        kept.pop()
    return sorted(kept)


def _with_rows(sheet: Sheet, kept: Sequence[int]) -> Sheet:
    columns = tuple(replace(each, cells=tuple(each.cells[number] for number in kept)) for each in sheet.columns)
    batches = columns[0].cells if sheet.names == 2 else ()
    return replace(sheet, columns=columns, breaks=breaks_between(batches))


def _height(sheet: Sheet) -> int:
    legend = -(-len(sheet.legend) // _WIDTH)
    return _AROUND_ROWS + legend + len(sheet.columns[0].cells) + len(sheet.breaks)


def _remarks(report: Report) -> Iterator[Remark]:
    """Yield what failed and why, what must be known, and what was left out; what matters most comes first."""
    failed = list(explain(report.parity))
    for each in failed:
        yield _short(Remark(f"{each.target}: {each.cause}", "bad"))
        facts, place = dict(each.lines()), each.record.divergence
        if place and place.layer:  # how far that is off is another number, for a second look
            node = f" (node {place.node})" if place.node else ""
            facts["where"] = f"{place.layer}{node} is the first layer that is off"
        yield from (_short(Remark(f"  {label}: {text}")) for label, text in facts.items())
    for failure in report.failures:
        if not any(failure.target == each.target for each in failed):  # which has been explained
            batch = f" at batch {failure.batch_size:,}" if failure.batch_size else ""
            yield _short(Remark(f"{failure.target}{batch}: {failure.reason}", "bad"))
    yield from (_short(Remark(f"{row.target}: {row.mismatch}", "bad")) for row in report.latency if row.mismatch)
    yield from (_short(each) for each in comparison_contents(report) if isinstance(each, Remark))
    if report.fitness and report.fitness.reasons:
        first, *others = report.fitness.reasons  # causes come before symptoms
        more = f" (and {len(others)} more)" if others else ""
        text = shorten(f"NOISY: {first.sentence}", _WIDTH - len(f"! {more}"), placeholder=" …")
        yield Remark(f"{text}{more}", "warning")
    yield from (_short(Remark(note, "warning")) for note in report.notes)
    yield from (_short(Remark(f"skipped {each.what}: {each.reason}; {each.remedy}")) for each in report.skips)


def _short(remark: Remark) -> Remark:
    if len(remark.text) <= _LONGEST_REMARK:
        return remark
    return replace(remark, text=shorten(remark.text, _LONGEST_REMARK, placeholder=" …"))


def _fitting(remarks: Sequence[Remark], room: int) -> Sequence[Remark]:
    """Return as many remarks as there is room for."""
    kept = len(remarks)
    while kept and sum(map(_lines, remarks[:kept])) > room:
        kept -= 1
    return remarks[:kept]


def _lines(remark: Remark) -> int:
    """Return how many lines a remark takes at most: lines end where a word does."""
    return 1 if len(remark.text) <= _WIDTH - 2 else -(-len(remark.text) // (_WIDTH - 9))
