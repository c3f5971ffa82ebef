"""Accuracy beside speed: which rows have both, and which of them no other beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from toolkit.records import EvaluationRecord, LatencyRecord, ParityRecord, Report
from toolkit.render.words.speeds import EAGER, ordered


@dataclass(frozen=True)
class Rated:
    """A row whose accuracy is known."""

    row: LatencyRecord
    accuracy: float
    images: int


def rated_rows(report: Report) -> list[Rated]:
    """Return the rows that parity has evaluated; eager has the accuracy of the reference, whose weights it has."""
    return [
        Rated(row, found.accuracy, found.images)
        for row in ordered(report)
        if (found := evaluation_of(row, report)) is not None
    ]


def evaluation_of(row: LatencyRecord, report: Report) -> EvaluationRecord | None:
    """Return how what a row is of classifies labelled images; None where that is not in the report.

    An artifact that was evaluated on several devices counts on its own, else on the first.
    """
    if row.role != "row":
        return None
    if row.format.startswith(EAGER):
        return report.evaluation
    found = [each for each in report.parity if _is_of(each, row) and each.evaluation]
    best = next((each for each in found if each.device == row.device), next(iter(found), None))
    return best.evaluation if best else None


def frontier(rated: Sequence[Rated]) -> list[Rated]:
    """Return the rows of one batch size that no other row of it beats in latency without losing accuracy."""
    return [
        each
        for each in rated
        if not any(
            other.row.median_s < each.row.median_s and other.accuracy >= each.accuracy
            for other in rated
            if other.row.batch_size == each.row.batch_size
        )
    ]


def _is_of(record: ParityRecord, row: LatencyRecord) -> bool:
    return record.format == row.format and PurePath(record.target).name == PurePath(row.target).name
