"""Predictions as JSON and CSV, written as they come: what is in memory does not grow with the pictures."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from toolkit.plain import cell
from toolkit.records import PredictionRecord, Report, UnreadableRecord, to_json

#: Writes text somewhere.
Write = Callable[[str], object]
_OPEN, _CLOSE = ' "predictions": [', "],\n"
_PLACES: Final = ("second", "third", "fourth", "fifth")
#: Of the CSV; ``error`` is filled for a picture that could not be read, whose other columns are empty.
COLUMNS: Final = (
    "source",
    "label",
    "probability",
    *(name for place in _PLACES for name in (place, f"{place}_probability")),
    "inverted",
    "actual",
    "error",
    "remark",
)


class PredictionWriter(Protocol):
    """A place for predictions: begun once, ended once, never without its end."""

    def begin(self, report: Report, /) -> None:
        """Write what is known before the first prediction."""

    def add(self, record: PredictionRecord | UnreadableRecord) -> None:
        """Write one more."""

    def end(self, report: Report, /) -> None:
        """Write the rest; ``report`` has everything but the predictions."""


class JsonWriter:
    """Writes the same text as `to_json` of the whole report."""

    def __init__(self, write: Write) -> None:
        self._write, self._empty = write, True

    def begin(self, report: Report) -> None:
        """Write the report up to its first prediction."""
        self._write(_around_predictions(report)[0])

    def add(self, record: PredictionRecord | UnreadableRecord) -> None:
        """Write a prediction; what could not be read comes later in a report."""
        if isinstance(record, PredictionRecord):
            comma, self._empty = "" if self._empty else ",", False
            lines = to_json(record).rstrip().replace("\n", "\n  ")
            self._write(f"{comma}\n  {lines}")  # at once: an interrupt leaves a whole prediction or none

    def end(self, report: Report) -> None:
        """Write what follows the last prediction."""
        self._write(("" if self._empty else "\n ") + _around_predictions(report)[1])


class CsvWriter:
    """Writes a line for each picture, in order; see `COLUMNS`. No name of a file is a formula to a spreadsheet."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def begin(self, _report: Report, /) -> None:
        """Write the names of the columns."""
        self._write(_csv(COLUMNS))

    def add(self, record: PredictionRecord | UnreadableRecord) -> None:
        """Write a picture."""
        self._write(_csv(_cells(record)))

    def end(self, _report: Report, /) -> None:
        """Write nothing: the lines are all there is."""


def predictions_csv(report: Report) -> str:
    """Return the predictions of a report as CSV, with a line of names at the top."""
    lines = [_csv(COLUMNS), *(_csv(_cells(each)) for each in report.predictions)]
    return "".join([*lines, *(_csv(_cells(each)) for each in report.unreadable)])


def _around_predictions(report: Report) -> tuple[str, str]:
    """Return the JSON of a report without predictions, before and after the place where they belong."""
    before, found, after = to_json(report.changed(predictions=())).partition(_OPEN + _CLOSE)
    assert found, "a record has its fields in order, one to a line"
    return before + _OPEN, _CLOSE + after


def _cells(record: PredictionRecord | UnreadableRecord) -> Iterator[str]:
    yield record.source
    if isinstance(record, UnreadableRecord):
        yield from ("" for _ in COLUMNS[3:])
        yield f"{record.reason}; {record.remedy}"
        yield ""
        return
    for score in record.scores:
        yield score.label
        yield f"{score.probability:.6g}"
    yield from ("" for _ in range(2 * (len(_PLACES) + 1 - len(record.scores))))
    yield "" if record.inverted is None else "yes" if record.inverted else "no"
    yield record.actual or ""
    yield ""
    yield record.remark or ""


def _csv(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(cell, cells))
    return line.getvalue()
