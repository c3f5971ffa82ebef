"""Parity for people at a terminal: a matrix to be read in ten seconds, then why each failed target failed."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from toolkit.records import ParityRecord
from toolkit.render.words.explanation import Explanation, explain
from toolkit.render.words.matrix import Cell, Matrix, check_matrices
from toolkit.render.words.tables import BAD, GOOD, full_width, make_table

# More than that, and the eye loses its row or its column.
_MOST_TARGETS = 4
_WIDEST_COLUMNS = 100
_INDENT = 4


def parity_tables(records: tuple[ParityRecord, ...]) -> Iterator[RenderableType]:
    """Yield the matrix of checks and targets, the quality of lower precisions, and what failed and why."""
    for checks, quality in check_matrices(records):
        yield _SideBySide(checks)
        if quality:
            yield _SideBySide(quality)
    for explanation in explain(records):
        yield from _explained(explanation)


@dataclass(frozen=True)
class _SideBySide:
    """A matrix that becomes several tables, one below the other, where its targets do not fit beside one another."""

    matrix: Matrix

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.matrix.title, style="bold")
        if self.matrix.legend:
            yield Text(self.matrix.legend, style="dim")
        width, start = min(options.max_width, _WIDEST_COLUMNS), 0
        while start < len(self.matrix.columns):
            stop = min(start + _MOST_TARGETS, len(self.matrix.columns))
            while stop > start + 1 and full_width(_cut(self.matrix, start, stop), console, options) > width:
                stop -= 1
            yield _cut(self.matrix, start, stop)
            start = stop


def _cut(matrix: Matrix, start: int, stop: int) -> Table:
    """Return the table of the targets from ``start`` to before ``stop``."""
    table = make_table(None, matrix.corner)
    for column in matrix.columns[start:stop]:
        table.add_column(_text(column), justify="right", overflow="fold")
    limits = any(row.limit for row in matrix.rows)
    if limits:
        table.add_column("limit", justify="right", overflow="fold", style="dim")
    for row in matrix.rows:
        table.add_row(row.name, *map(_text, row.cells[start:stop]), *([row.limit] if limits else []))
    return table


def _text(cell: Cell) -> Text:
    if cell.passed is None:
        return Text(cell.text, style="dim")
    style = BAD[1] if not cell.passed else GOOD[1] if cell.text == GOOD[0] else ""
    return Text(cell.text, style=style)


def _explained(explanation: Explanation) -> Iterator[RenderableType]:
    yield Text(f"{BAD[0]} {explanation.target}: {explanation.cause}", style="red")
    for label, text in explanation.lines():
        yield Padding(Text.assemble((f"{label}: ", "dim"), text), (0, 0, 0, _INDENT), expand=False)
