"""A report as Markdown in GitHub's flavour, for the summary of a job or a comment."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from toolkit.plain import plain
from toolkit.records import Report
from toolkit.records.units import percent
from toolkit.render.words.answer import answer
from toolkit.render.words.bench import bench_contents, counted_verdicts, fitness_remarks, method_remarks, row_warnings
from toolkit.render.words.parity import Explanation, check_sheets, explain, repeat_command
from toolkit.render.words.parts import other_parts
from toolkit.render.words.saved import SavedReport, moment, short_names
from toolkit.render.words.sheet import CROSS, Content, Sheet, grouped, listed
from toolkit.render.words.speeds import is_noisy, ordered

# Any ASCII punctuation may be escaped (CommonMark 0.31, section 2.4); these begin something or end a cell.
_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>#|~$&]")
_SIGNS: Final = {"good": "✅ ", "bad": "❌ ", "warning": "⚠️ ", "note": "", "": ""}


def report_markdown(report: Report) -> str:
    """Return a report as Markdown: a heading with the verdict, the tables of each part, then what went wrong and why.

    It ends in a newline; details are escaped, so that they show as they are.
    """
    return "\n".join(_lines(report)) + "\n"


def reports_markdown(saved: Sequence[SavedReport]) -> str:
    """Return several reports as Markdown, one after the other, each under the name of its file; of one the report."""
    if len(saved) == 1:
        return report_markdown(saved[0].report)
    parts = []
    for name, each in zip(short_names([each.file for each in saved]), saved, strict=True):
        origin = f"fmnist-tk {each.report.command} on {each.report.machine.cpu}, {moment(each.report)}"
        parts.append(f"# {_escaped(name)}\n\n{_escaped(origin)}\n\n{report_markdown(each.report)}")
    return "\n".join(parts)


def is_bench(report: Report) -> bool:
    """Say whether something was measured, or was to be."""
    return bool(report.latency or report.bench or report.self_checks)


def _lines(report: Report) -> Iterator[str]:
    parts = list(other_parts(report, whole=False))
    if report.parity or not (parts or is_bench(report) or report.comparisons):
        yield f"## {_parity_verdict(report)}"
        yield from _contents(check_sheets(report.parity))
    if is_bench(report) or report.comparisons:
        end = ", interrupted" if report.interrupted else ""
        yield f"## {_bench_verdict(report) + end if is_bench(report) else _compare_verdict(report)}"
        yield from _contents(bench_contents(report, details=False))
    if is_bench(report):
        yield from _contents((*fitness_remarks(report.fitness), *row_warnings(report), *method_remarks(report)))
    if not (report.parity or is_bench(report) or report.comparisons) and parts:
        yield f"## {'✅' if report.passed else '❌'} {_escaped(answer(report)).rstrip('.')}"
    for part in parts:
        yield f"\n### {part.title}"
        yield from _contents(part.contents)
    yield from _remainder(report)


def _remainder(report: Report) -> Iterator[str]:
    """Yield what failed, what was skipped, and what else a person must know."""
    explanations = list(explain(report.parity))
    if explanations or report.failures or report.unreadable:
        yield "\n### Failures\n"
    for explanation in explanations:
        yield from _failure(report, explanation)
    for failure in report.failures:
        yield f"- {_code(failure.target)}: {_escaped(failure.reason)}"
    for broken in report.unreadable:
        yield f"- {_code(broken.source)}: {_escaped(broken.reason)}; {_escaped(broken.remedy)}"
    if report.skips:
        yield "\n### Skipped\n"
    for skip in report.skips:
        yield f"- {_escaped(skip.what)}: {_escaped(skip.reason)}; {_escaped(skip.remedy)}"
    notes = [*report.notes, *(["Interrupted: only what was finished before is here"] if report.interrupted else [])]
    if notes:
        yield "\n### Notes\n"
    for note in notes:
        yield f"- {_escaped(note)}"


def _contents(contents: Iterable[Content]) -> Iterator[str]:
    """Yield tables, and lists of sentences with the blank line before them that Markdown wants."""
    for each in grouped(contents):
        if isinstance(each, Sheet):
            yield from _sheet(each)
        else:
            yield from ("", *(f"- {_SIGNS[remark.tone]}{_escaped(remark.text)}" for remark in each))


def _parity_verdict(report: Report) -> str:
    count = len(report.parity)
    failed = sum(not record.passed for record in report.parity)
    if failed:
        return f"❌ Parity: {failed} of {count} {'artifact' if count == 1 else 'artifacts'} failed"
    if report.failures and not is_bench(report):
        rows = len(report.failures)
        return f"❌ Parity passed, but {rows} {'row' if rows == 1 else 'rows'} could not be measured"
    if not count:
        return "Parity: nothing was checked"
    return f"✅ Parity: {'the artifact' if count == 1 else f'all {count} artifacts'} passed"


def _bench_verdict(report: Report) -> str:
    wrong = [record.device for record in report.self_checks if not record.passed]
    rows, failed = len(ordered(report)), len(report.failures)
    if wrong:
        return f"❌ Bench: the clock is wrong on {listed(wrong)}"
    if failed:
        return f"❌ Bench: {failed} of {rows + failed} rows could not be measured"
    if any(each.too_slow for each in report.comparisons):
        return f"❌ Bench: {_too_slow(report)}"
    if not rows:
        return "Bench: no row was measured" if report.bench else "✅ Bench: the clock is honest"
    counted = f"{rows} row{'' if rows == 1 else 's'}"
    if is_noisy(report):
        return f"⚠️ Bench: {counted}, but the machine was NOISY"
    return f"✅ Bench: {counted}{', the machine was fit (VALID)' if report.fitness else ''}"


def _compare_verdict(report: Report) -> str:
    if any(each.too_slow for each in report.comparisons):
        return f"❌ Compare: {_too_slow(report)}"
    allowed = [each.allowed_slowdown for each in report.comparisons if each.allowed_slowdown is not None]
    if allowed:
        return f"✅ Compare: no row is surely more than {percent(max(allowed))} slower ({counted_verdicts(report)})"
    return f"Compare: {counted_verdicts(report)}"


def _too_slow(report: Report) -> str:
    count = sum(each.too_slow for each in report.comparisons)
    return f"{count} of {len(report.comparisons)} rows {'is' if count == 1 else 'are'} too slow"


def _sheet(sheet: Sheet) -> Iterator[str]:
    yield f"\n{_escaped(sheet.title)}" + (f" ({_escaped(sheet.legend)})" if sheet.legend else "") + "\n"
    yield _row(*(_word(column.title) for column in sheet.columns))
    yield _row(*("--:" if column.right else ":--" for column in sheet.columns))
    for words in sheet.rows():
        yield _row(*map(_word, words))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _word(word: str) -> str:
    return f"**{_escaped(word)}**" if word.startswith(CROSS) else _escaped(word)


def _failure(report: Report, explanation: Explanation) -> Iterator[str]:
    yield f"- **{_escaped(explanation.target)}**: {_escaped(explanation.cause)}"
    for label, text in explanation.lines():
        yield f"  - {label}: {_code(text) if text == explanation.reproduction else _escaped(text)}"
    yield f"  - repeat with: {_code(repeat_command(report, explanation.record))}"


def _escaped(text: str) -> str:
    """Return ``text`` on one line, as Markdown that shows it as it is."""
    return _SPECIAL.sub(r"\\\g<0>", plain(" ".join(text.split())))


def _code(text: str) -> str:
    """Return ``text`` on one line as code, between more backticks than stand together in it."""
    line = plain(" ".join(text.split()))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"
