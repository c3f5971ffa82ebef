"""A bench in words: its tables in order, what compares with what, and under which conditions it was measured."""

from collections.abc import Iterator

from toolkit.records import (
    ClockCheck,
    ComparisonRecord,
    ControlRecord,
    FitnessRecord,
    LatencyRecord,
    RatioRecord,
    Report,
    SelfCheckRecord,
)
from toolkit.records.units import percent, seconds
from toolkit.render.words.sheet import (
    CROSS,
    NONE,
    Content,
    Remark,
    Sheet,
    breaks_between,
    column,
    filled,
    listed,
    mark,
    placed,
    shared,
    threads_in_words,
)
from toolkit.render.words.speeds import (
    cost_sheets,
    fastest_sheets,
    ordered,
    resources_sheet,
    row_name,
    speed_sheets,
    verdict_of,
)

#: More rows than that are counted, not named.
_MOST_NAMED = 4


def bench_contents(report: Report, *, details: bool) -> Iterator[Content]:
    """Yield what a person reads of a bench or a comparison; with ``details`` also what calls cost before and beside."""
    rows = ordered(report)
    if rows:
        yield from speed_sheets(report)
        yield from control_remarks(report)
        yield from gap_remarks(report)
    if not report.latency:  # only the clock was checked, or it forbade the bench
        yield from map(clock_sheet, report.self_checks)
    yield from comparison_contents(report)
    yield from fastest_sheets(report)
    if rows and details:
        yield resources_sheet(report)
        yield from energy_remarks(report)
    if details:
        yield from cost_sheets(report)


def comparison_contents(report: Report) -> Iterator[Content]:
    """Yield the rows beside those that they are compared with, if anything was, and a sentence on each too slow one."""
    rows = sorted(report.comparisons, key=lambda each: (each.batch_size, each.device, each.format))
    if not rows:
        return
    where, words = placed(rows)
    columns = filled(
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
    breaks = breaks_between(each.batch_size for each in rows)
    yield Sheet(f"Speed of head over base{words}, {how}", columns, breaks, comparison_legend(report))
    yield from (Remark(slowdown_in_words(each), "bad") for each in report.comparisons if each.too_slow)


def comparison_legend(report: Report) -> str:
    """Return how the sheet is to be read."""
    same = shared(each.threshold for each in report.comparisons if each.threshold is not None)
    within = f"; SAME: the whole interval is within {percent(float(same))}" if same else ""
    return f"speed is the time of base over that of head: above 1, head is faster{within}"


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


def gap_remarks(report: Report) -> Iterator[Remark]:
    """Tell what a dash in the table of speeds means, and how to get a number there."""
    rows = ordered(report)
    kinds = {row.scenario.kind for row in rows}
    if any(row.p99_s is None for row in rows):
        more = "; raise --budget" if kinds <= {"latency"} else ""
        yield Remark(f"{NONE} in place of p99: ten calls must lie beyond it, so it needs 1,000 calls{more}", "note")
    if any(row.estimate is None or row.estimate.p50_s is None for row in rows):
        yield Remark(f"{NONE} in place of ±: an interval needs two rounds; raise --budget", "note")


def control_remarks(report: Report) -> Iterator[Remark]:
    """Tell what each baseline is against itself: no smaller difference means anything in this run."""
    found = report.fitness.controls if report.fitness else ()
    devices, threads = shared(each.device for each in found), shared(each.threads for each in found)
    for each in found:
        where = ("" if devices else f" on {each.device}") + ("" if threads else f", {threads_in_words(each.threads)}")
        yield Remark(
            f"eager against itself at batch {each.batch_size:,}{where}: {ratio_in_words(each)}, {each.verdict}", "note"
        )


def energy_remarks(report: Report) -> Iterator[Remark]:
    """Tell why rows have no energy, each reason once."""
    rows = [row for row in ordered(report) if row.energy is None and row.no_energy]
    for reason in dict.fromkeys(row.no_energy for row in rows):
        devices = dict.fromkeys(row.device for row in rows if row.no_energy == reason)
        yield Remark(f"no energy per image on {listed(devices)}: {reason}", "note")


def method_remarks(report: Report) -> Iterator[Remark]:
    """Tell how it was measured, and what the clock was found to be worth."""
    words = []
    if report.bench:
        plural = "" if report.bench.rounds == 1 else "s"
        words.append(
            f"{report.bench.rounds} round{plural} within {seconds(report.bench.budget_s)}, in an order drawn with seed "
            f"{report.bench.seed}"
        )
    honest = [each for each in report.self_checks if each.passed]
    if honest and report.latency:
        added = listed(f"{seconds(each.overhead_s)} to a call on {each.device}" for each in honest)
        words.append(f"measuring adds {added}")
    if any(row.device.startswith("cuda") for row in report.latency):
        words.append("TF32 off for float32 rows")
    if words:
        yield Remark("; ".join(words), "note")
    for record in report.self_checks:
        for check in record.checks:
            if not check.passed:
                yield Remark(failed_clock_check(record, check), "bad")


def fitness_remarks(fitness: FitnessRecord | None) -> Iterator[Remark]:
    """Tell whether the machine was fit, with a remedy for each reason why not."""
    if fitness is None:
        return
    if not fitness.reasons:
        spread = fitness.canary_spread
        steady = "" if spread is None else f": the same small work differed by {percent(spread)}"
        yield Remark(f"The machine was fit (VALID{steady})", "good")
    for reason in fitness.reasons:
        yield Remark(f"NOISY: {reason.sentence}; {reason.remedy}", "warning")
    for remark in fitness.remarks:
        yield Remark(f"{remark.sentence}; {remark.remedy}", "note")


def row_warnings(report: Report) -> Iterator[Remark]:
    """Tell which rows are to be read with care, and what to do."""
    rows = [row for row in report.latency if row.role == "row"]
    restless = [row for row in report.latency if not row.settled]
    if restless:
        advice = "leave it out, or bench it alone" if len(restless) == 1 else "leave them out, or bench each alone"
        yield Remark(
            f"{_named(restless, report)} used the CPU while waiting for a turn, which slows the others; {advice}",
            "warning",
        )
    unsure = [row for row in rows if verdict_of(row) == "CANNOT TELL"]
    if unsure:
        yield Remark(
            f"{_named(unsure, report)}: the interval is too wide for a verdict (CANNOT TELL); raise --budget, "
            "or use a quieter machine",
            "warning",
        )


def _named(rows: list[LatencyRecord], report: Report) -> str:
    """Return the rows by name, or how many they are: ``onnx at batch 1 and eager at batch 64``.

    Device and threads are told where the rows of the report differ in them.
    """
    if len(rows) > _MOST_NAMED:
        return f"{len(rows)} rows"
    devices, threads = shared(row.device for row in report.latency), shared(row.threads for row in report.latency)
    return listed(
        f"{row_name(row)} at batch {row.batch_size:,}"
        + ("" if devices else f" on {row.device}")
        + ("" if threads else f", {threads_in_words(row.threads)}")
        for row in rows
    )


def clock_sheet(record: SelfCheckRecord) -> Sheet:
    """Return every check of the clock on a device."""
    checks = record.checks
    verdict = f"honest; measuring adds {seconds(record.overhead_s)} to a call" if record.passed else "wrong"
    columns = (
        column(checks, "check", lambda each: f"{mark(each.passed)} {each.name}", right=False),
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
