"""Rows beside those that they are compared with, in words: what terminal, Markdown, JUnit and annotations say alike."""

from toolkit.records import ComparisonRecord, ControlRecord, RatioRecord, Report
from toolkit.records.units import percent, seconds
from toolkit.render.words.sheet import (
    CROSS,
    NONE,
    Sheet,
    breaks_between,
    column,
    placed,
    shared,
    threads_in_words,
    told,
)


def comparison_sheet(report: Report) -> Sheet | None:
    """Return the rows beside those that they are compared with; None if nothing was compared."""
    rows = sorted(report.comparisons, key=lambda each: (each.batch_size, each.device, each.format))
    if not rows:
        return None
    where, words = placed(rows)
    columns = told(
        column(rows, "batch", lambda each: f"{each.batch_size:,}"),
        column(rows, "format", lambda each: each.format, right=False),
        *where,
        column(rows, "base", lambda each: seconds(each.base_median_s)),
        column(rows, "head", lambda each: seconds(each.median_s)),
        column(rows, "speed (95 % interval)", lambda each: ratio_in_words(each.speed)),
        column(rows, "verdict", _verdict, right=False),
        column(rows, "allowed", _allowed),
    )
    how = "in the same rounds" if all(each.paired for each in rows) else "in separate runs"
    return Sheet(f"Speed of head over base{words}, {how}", columns, breaks_between(each.batch_size for each in rows))


def comparison_legend(report: Report) -> str:
    """Return how the sheet is to be read."""
    same = shared(each.threshold for each in report.comparisons if each.threshold is not None)
    told_same = f"; SAME: the whole interval is within {percent(float(same))}" if same else ""
    return f"speed is the time of base over that of head: above 1, head is faster{told_same}"


def ratio_in_words(ratio: RatioRecord | ControlRecord) -> str:
    """Return ``1.050 (1.031 to 1.070)``, or the ratio alone where there is no interval."""
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.3f} ({NONE})"
    return f"{ratio.ratio:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def comparison_name(each: ComparisonRecord) -> str:
    """Return ``onnx at batch 64 on cpu, 2 threads``."""
    return f"{each.format} at batch {each.batch_size:,} on {each.device}, {threads_in_words(each.threads)}"


def slowdown_in_words(each: ComparisonRecord) -> str:
    """Return one sentence on a row that is too slow."""
    speed = each.speed
    interval = f" ({_longer(speed.high)} to {_longer(speed.low)})" if speed.low and speed.high else ""
    return (
        f"{comparison_name(each)}: a call takes {_longer(speed.ratio)} longer than in the base{interval}, "
        f"and --max-slowdown allows {percent(each.allowed_slowdown or 0.0)}"
    )


def counted_verdicts(report: Report) -> str:
    """Return ``1 SLOWER, 3 SAME``: how often each verdict was given, the ones that matter first."""
    given = [each.speed.verdict for each in report.comparisons]
    order = ("SLOWER", "FASTER", "CANNOT TELL", "SAME")
    return ", ".join(f"{given.count(verdict)} {verdict}" for verdict in order if verdict in given)


def _verdict(each: ComparisonRecord) -> str:
    return f"{CROSS} {each.speed.verdict}" if each.too_slow else each.speed.verdict


def _allowed(each: ComparisonRecord) -> str:
    return NONE if each.allowed_slowdown is None else f"{percent(each.allowed_slowdown)} slower"


def _longer(speed: float) -> str:
    """Return how much longer a call takes at this speed."""
    return percent(max(1 / speed - 1, 0.0))
