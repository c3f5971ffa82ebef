"""Judging again: the measurements of a saved report, by today's limits and other gates, without running anything."""

from toolkit.parity.quality import QUALITY_CHECKS, Gates, judge_quality
from toolkit.parity.tolerance import LIMIT_IN_UNITS
from toolkit.records import CheckRecord, ParityRecord, Report, check_order


def rejudge(report: Report, gates: Gates) -> Report:
    """Return the report with every check judged anew from what was measured.

    Args:
        report: A saved report with parity records.
        gates: What lower precision must keep.
    """
    return report.model_copy(update={"parity": tuple(_rejudged(record, gates) for record in report.parity)})


def _rejudged(record: ParityRecord, gates: Gates) -> ParityRecord:
    kept = [_by_todays_limit(check) for check in record.checks if check.name not in QUALITY_CHECKS]
    new = judge_quality(record.quality, gates) if record.quality else ()
    return record.model_copy(update={"checks": tuple(sorted([*kept, *new], key=lambda each: check_order(each.name)))})


def _by_todays_limit(check: CheckRecord) -> CheckRecord:
    return check.model_copy(update={"limit": LIMIT_IN_UNITS}) if check.name == "values" else check
