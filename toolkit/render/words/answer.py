"""The answer of a report in one sentence: what is fastest, whether it is right, whether the machine was fit."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from toolkit.records import FastestRecord, Report
from toolkit.records.units import fraction, seconds
from toolkit.render.words.parity import explain, target_names
from toolkit.render.words.sheet import NONE, listed, shared
from toolkit.render.words.speeds import equals_of, is_noisy, ordered, ratio_of
from toolkit.render.words.two_files import files_verdict

# More batch sizes than that are told by the first and the last.
_MOST_NAMED: Final = 4
_OWN: Final = ("the ", "at ", "all ", "it ")


def answer(report: Report) -> str:
    """Return what a person wants to know first; of a report that measured nothing, what its command did."""
    clauses = [*_fastest(report), *_parity(report), *_machine(report)]
    if not clauses and report.training:
        right = fraction(report.training.test_accuracy)
        clauses = [f"{right} of the test images are classified as labelled after training"]
    if not clauses and len(report.inspected) == 2:
        clauses = [files_verdict(report)]
    if not clauses:
        clauses = [f"fmnist-tk {report.command} {'ended without a failure' if report.passed else 'found failures'}"]
    if report.interrupted:
        clauses.append("it was interrupted, so only what was finished before is here")
    sentence = "; ".join(clauses)
    # A name, of a file or of this tool, is written as it is.
    return f"{sentence[0].upper() if sentence.startswith(_OWN) else sentence[0]}{sentence[1:]}."


def _fastest(report: Report) -> Iterator[str]:
    """Yield a clause for each device, of the rows that compute as the checkpoint does; then for lower precision."""
    every = sorted(report.fastest, key=lambda each: (not each.exact, each.device, each.batch_size))
    one_device = shared(row.device for row in ordered(report)) is not None
    for (exact, device), group in groupby(every, key=lambda each: (each.exact, each.device)):
        ranked = list(group)
        where = "" if one_device else f" on {device}"
        kind = "" if exact else " of reduced precision"
        if len(ranked) > 1 and shared(each.format for each in ranked):
            gained = [_gain(each, report) for each in ranked]
            gains = listed(gained) if len(gained) <= _MOST_NAMED else f"{gained[0]} to {gained[-1]}"
            yield f"at every batch size{where} the fastest verified format{kind} is {ranked[0].format}: {gains}"
        else:
            gains = listed(f"{each.format}, {_gain(each, report)}" for each in ranked)
            yield f"the fastest verified format{kind}{where} is {gains}"


def _gain(each: FastestRecord, report: Report) -> str:
    """Return ``18.7 µs a call at batch 1 (2.87 × eager's speed)``, and what it cannot be told apart from."""
    ratio, equals = ratio_of(each, report), equals_of(each)
    unsure = any(row.baseline and row.format in each.as_fast for row in report.latency)
    gain = "" if each.baseline or unsure or ratio == NONE else f"{ratio} × eager"
    more = ", ".join(filter(None, (gain, equals)))
    return f"{seconds(each.median_s)} at batch {each.batch_size:,}{f' ({more})' if more else ''}"


def _parity(report: Report) -> Iterator[str]:
    count, failed = len(report.parity), list(explain(report.parity))
    if failed:
        named = listed(dict.fromkeys(f"{each.target} ({each.check.name})" for each in failed))
        do = "does" if len(failed) == 1 else "do"
        yield f"{len(failed)} of {count} artifacts {do} not match the reference: {named}"
    elif count:
        lower = list(dict.fromkeys(each.declared for each in report.parity if each.declared != "float32"))
        who, plural = (target_names(report.parity)[0], "s") if count == 1 else (f"all {count} artifacts", "")
        if lower:
            yield f"{who} keep{plural} the reference's accuracy in {listed(lower)}"
        else:
            yield f"{who} compute{plural} the reference's function"


def _machine(report: Report) -> Iterator[str]:
    if report.failures:
        targets = listed(dict.fromkeys(each.target for each in report.failures))
        yield f"{targets} could not be measured" if report.bench else f"{targets} could not be made or checked"
    slow = [each for each in report.comparisons if each.too_slow]
    if slow:
        yield f"{len(slow)} of {len(report.comparisons)} rows are slower than is allowed"
    wrong = [each.device for each in report.self_checks if not each.passed]
    if wrong:
        yield f"the clock is wrong on {listed(wrong)}"
    if report.fitness:
        yield (
            "the machine was NOISY, so read the speeds with care" if is_noisy(report) else "the machine was fit (VALID)"
        )
