"""Parity as Markdown in GitHub's flavour, for the summary of a job or a comment."""

import re
from collections.abc import Iterator
from typing import Final

from toolkit.records import Report
from toolkit.render.explanation import Explanation, explain, repeat_command
from toolkit.render.matrix import Cell, Matrix, check_matrices

# Any ASCII punctuation may be escaped (CommonMark 0.31, section 2.4); these begin something or end a cell.
_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>#|~$&]")


def parity_markdown(report: Report) -> str:
    """Return the parity of a report: verdict, the matrix of checks and targets, and why each failed target failed.

    Args:
        report: Of any command; what is not parity, failures or skips is left out.

    Returns:
        Markdown in GitHub's flavour that ends in a newline. Details are escaped, so that they show as they are.
    """
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {_verdict(report)}"
    for checks, quality in check_matrices(report.parity):
        yield from _table(checks)
        if quality:
            yield from _table(quality)
    explanations = list(explain(report.parity))
    if explanations or report.failures:
        yield "\n### Failures\n"
    for explanation in explanations:
        yield from _failure(report, explanation)
    for failure in report.failures:
        yield f"- {_code(failure.target)}: {_escaped(failure.reason)}"
    if report.skips:
        yield "\n### Skipped\n"
    for skip in report.skips:
        yield f"- {_escaped(skip.what)}: {_escaped(skip.reason)}; {_escaped(skip.remedy)}"


def _verdict(report: Report) -> str:
    count = len(report.parity)
    failed = sum(not record.passed for record in report.parity)
    if failed:
        return f"❌ Parity: {failed} of {count} {'artifact' if count == 1 else 'artifacts'} failed"
    if report.failures:
        rows = len(report.failures)
        return f"❌ Parity passed, but {rows} {'row' if rows == 1 else 'rows'} could not be measured"
    if not count:
        return "Parity: nothing was checked"
    return f"✅ Parity: {'the artifact' if count == 1 else f'all {count} artifacts'} passed"


def _table(matrix: Matrix) -> Iterator[str]:
    limits = any(row.limit for row in matrix.rows)
    yield f"\n{_escaped(matrix.title)}" + (f" ({_escaped(matrix.legend)})" if matrix.legend else "") + "\n"
    yield _row(matrix.corner, *map(_cell, matrix.columns), *(["limit"] if limits else []))
    yield _row(":--", *["--:"] * (len(matrix.columns) + limits))
    for row in matrix.rows:
        yield _row(_escaped(row.name), *map(_cell, row.cells), *([_escaped(row.limit)] if limits else []))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    return f"**{_escaped(cell.text)}**" if cell.passed is False else _escaped(cell.text)


def _failure(report: Report, explanation: Explanation) -> Iterator[str]:
    yield f"- **{_escaped(explanation.target)}**: {_escaped(explanation.cause)}"
    for label, text in explanation.lines():
        yield f"  - {label}: {_code(text) if text == explanation.reproduction else _escaped(text)}"
    yield f"  - repeat with: {_code(repeat_command(report, explanation.record))}"


def _escaped(text: str) -> str:
    """Return ``text`` on one line, as Markdown that shows it as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def _code(text: str) -> str:
    """Return ``text`` on one line as code, between more backticks than stand together in it."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"
