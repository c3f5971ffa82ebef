"""Under which conditions a bench measured, sentence by sentence: method, clock, machine, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from toolkit.records import FitnessRecord, LatencyRecord, Report
from toolkit.records.units import percent, seconds
from toolkit.render.words.clocks import failed_clock_check
from toolkit.render.words.comparisons import ratio_in_words
from toolkit.render.words.sheet import NONE, listed, shared, threads_in_words
from toolkit.render.words.speeds import ordered, row_name, verdict_of

#: More rows than that are counted, not named.
_MOST_NAMED = 4


@dataclass(frozen=True)
class Remark:
    """A sentence about a bench; a warning ends in advice."""

    text: str
    tone: Literal["good", "bad", "warning", "note"]


def gaps(report: Report) -> Iterator[Remark]:
    """Tell what a dash in the table of speeds means, and how to get a number there."""
    rows = ordered(report)
    kinds = {row.scenario.kind for row in rows}
    if any(row.p99_s is None for row in rows):
        more = "; raise --budget" if kinds <= {"latency"} else ""
        yield Remark(f"{NONE} in place of p99: ten calls must lie beyond it, so it needs 1,000 calls{more}", "note")
    if any(row.estimate is None or row.estimate.p50_s is None for row in rows):
        yield Remark(f"{NONE} in place of ±: an interval needs two rounds; raise --budget", "note")


def controls(report: Report) -> Iterator[Remark]:
    """Tell what each baseline is against itself: no smaller difference means anything in this run."""
    found = report.fitness.controls if report.fitness else ()
    devices, threads = shared(each.device for each in found), shared(each.threads for each in found)
    for each in found:
        where = ("" if devices else f" on {each.device}") + ("" if threads else f", {threads_in_words(each.threads)}")
        yield Remark(
            f"eager against itself at batch {each.batch_size:,}{where}: {ratio_in_words(each)}, {each.verdict}", "note"
        )


def missing_energy(report: Report) -> Iterator[Remark]:
    """Tell why rows have no energy, each reason once."""
    rows = [row for row in ordered(report) if row.energy is None and row.no_energy]
    for reason in dict.fromkeys(row.no_energy for row in rows):
        devices = dict.fromkeys(row.device for row in rows if row.no_energy == reason)
        yield Remark(f"no energy per image on {listed(devices)}: {reason}", "note")


def method(report: Report) -> Iterator[Remark]:
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
        told = [f"{seconds(each.overhead_s)} to a call on {each.device}" for each in honest]
        words.append(f"measuring adds {listed(told)}")
    if any(row.device.startswith("cuda") for row in report.latency):
        words.append("TF32 off for float32 rows")
    if words:
        yield Remark("; ".join(words), "note")
    for record in report.self_checks:
        for check in record.checks:
            if not check.passed:
                yield Remark(failed_clock_check(record, check), "bad")


def machine(fitness: FitnessRecord | None) -> Iterator[Remark]:
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


def warnings(report: Report) -> Iterator[Remark]:
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
