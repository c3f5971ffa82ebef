"""Judging again: the measurements of a saved report, by today's limits and other gates, without running anything."""

from toolkit.parity.rules.quality import QUALITY_CHECKS, Gates, judge_quality
from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS, MOST_DIFFERENCE_OF_LOWER, behaviour_limit
from toolkit.records import CheckRecord, ParityRecord, Report, check_order
from toolkit.workload.noise import MOST_NOISE


def rejudge(report: Report, gates: Gates) -> Report:
    """Return the report with every check judged anew from what was measured.

    Args:
        report: A saved report with parity records.
        gates: What lower precision must keep.
    """
    return report.changed(parity=tuple(_rejudged(record, gates) for record in report.parity))


def _rejudged(record: ParityRecord, gates: Gates) -> ParityRecord:
    kept = [_by_todays_limit(check, record) for check in record.checks if not _of_quality(check, record)]
    new = judge_quality(record.quality, gates) if record.quality else ()
    return record.changed(checks=tuple(sorted([*kept, *new], key=lambda each: check_order(each.name))))


def _of_quality(check: CheckRecord, record: ParityRecord) -> bool:
    """Say whether `judge_quality` makes this check anew."""
    return record.quality is not None and check.name in QUALITY_CHECKS and "images (" in (check.probe or "")


def _by_todays_limit(check: CheckRecord, record: ParityRecord) -> CheckRecord:
    """Return a check with the limit of this version: a file may say anything."""
    if check.name == "noise":
        limit = MOST_NOISE
    elif check.name in {"determinism", "row independence"}:
        lower = record.declared != "float32"
        limit = MOST_DIFFERENCE_OF_LOWER if lower else behaviour_limit(record.error_ratio or 0.0)
    else:
        limit = LIMIT_IN_UNITS if check.name == "values" else 0.0
    return check.changed(limit=limit, bound="at most")
