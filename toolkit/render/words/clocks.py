"""What a self check found out about the clock, in words."""

from toolkit.records import ClockCheck, SelfCheckRecord
from toolkit.records.units import seconds
from toolkit.render.words.sheet import CROSS, Sheet, column

_TICK = "✓"


def clock_sheet(record: SelfCheckRecord) -> Sheet:
    """Return every check of the clock on a device."""
    checks = record.checks
    verdict = f"honest; measuring adds {seconds(record.overhead_s)} to a call" if record.passed else "wrong"
    columns = (
        column(checks, "check", lambda each: f"{_TICK if each.passed else CROSS} {each.name}", right=False),
        column(checks, "measured", measured_in_words),
        column(checks, "limit", limit_in_words, right=False),
        column(checks, "what must hold", lambda each: each.detail.rstrip("."), right=False, spare=1),
    )
    return Sheet(f"The clock on {record.device}: {verdict}", columns)


def failed_clock_check(record: SelfCheckRecord, check: ClockCheck) -> str:
    """Return one sentence on a check that failed."""
    return (
        f"the clock on {record.device} is wrong: {check.name}: {measured_in_words(check)}, allowed is "
        f"{limit_in_words(check)}. {check.detail}"
    )


def measured_in_words(check: ClockCheck) -> str:
    """Return what was measured, with its unit."""
    return "nothing" if check.measured is None else _amount(check, check.measured)


def limit_in_words(check: ClockCheck) -> str:
    """Return ``at most 1.00 µs``."""
    return f"{check.bound} {_amount(check, check.limit)}"


def _amount(check: ClockCheck, value: float) -> str:
    return seconds(value) if check.unit == "s" else f"{value:.3g}"
