"""Parity in words: what each check says of each target, and why a target failed; for terminal, page, files alike."""

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath
from typing import Final

from toolkit.records import (
    CheckName,
    CheckRecord,
    ParityRecord,
    QualityRecord,
    Report,
    ReproductionRecord,
    badness,
    check_order,
)
from toolkit.records.units import fraction, three_digits
from toolkit.render.words.saved import short_names
from toolkit.render.words.sheet import CROSS, LIMIT, NONE, Column, Sheet, column, filled, mark, shared, threads_in_words

_TIMES: Final = "× "
_SHORT_SHA: Final = 12
# More targets side by side than that, and the eye loses its column.
_ACROSS: Final = 4
# Measures of a lower precision, in order.
_QUALITY: Final[dict[str, Callable[[QualityRecord], str]]] = {
    "images": lambda each: f"{each.images:,} ({each.source})",
    "accuracy of the reference": lambda each: f"{each.reference_accuracy:.2%}",
    "accuracy": lambda each: f"{each.accuracy:.2%}",
    "accuracy lost, points": lambda each: f"{each.drop_points:.2f}",
    "… with 95 % confidence": lambda each: "{:.2f} to {:.2f}".format(*each.drop_interval_points),
    "labels agree": lambda each: f"{each.agreement:.2%}",
    "mean change of a probability": lambda each: f"{each.mean_probability_change:.2g}",
    "largest change of a probability": lambda each: f"{each.max_probability_change:.2g}",
    "signal to noise of the logits": lambda each: NONE if each.sqnr_db is None else f"{each.sqnr_db:.1f} dB",
}


@dataclass(frozen=True)
class Explanation:
    """Why a target failed, most specific first.

    Attributes:
        target: As the matrix calls it.
        record: What is explained.
        check: The failed check that names the cause.
        cause: That check, its probe and what it found: a sentence.
        where: Where the target leaves the reference, or None if that was not looked for.
        reproduction: Folder of the reproduction, or why there is none; None if none was asked for.
        also: Names of the other failed checks.
    """

    target: str
    record: ParityRecord
    check: CheckRecord
    cause: str
    where: str | None
    reproduction: str | None
    also: tuple[CheckName, ...]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the further facts as label and text."""
        if self.where:
            yield "where", self.where
        if self.reproduction:
            yield "reproduction", self.reproduction
        if self.also:
            yield "also failed", ", ".join(self.also)


def target_names(records: Sequence[ParityRecord]) -> list[str]:
    """Return how each record is called: by its file, and by its device when there are several."""
    several = len({record.device for record in records}) > 1
    names = zip(short_names([record.target for record in records]), records, strict=True)
    return [f"{file} ({record.device})" if several else file for file, record in names]


def explain(records: Sequence[ParityRecord]) -> Iterator[Explanation]:
    """Yield the explanation of every target that failed."""
    for record, name in zip(records, target_names(records), strict=True):
        check = record.failure
        if check:
            failed = {each.name for each in record.checks if not each.passed} - {check.name}
            yield Explanation(
                target=name,
                record=record,
                check=check,
                cause=f"{question(check)}: {check.detail}",
                where=record.divergence.detail if record.divergence else None,
                reproduction=_reproduction(record.reproduction),
                also=tuple(sorted(failed, key=check_order)),
            )


def _gates(record: ParityRecord) -> list[str]:
    """Return the options that say by which gates a lower precision was judged."""
    options = {"accuracy": "--max-drop", "agreement": "--min-agreement", "significance": "--significance"}
    limits = {check.name: check.limit for check in record.checks}
    return [word for name, option in options.items() if name in limits for word in (option, f"{limits[name]:g}")]


def _reproduction(record: ReproductionRecord | None) -> str | None:
    if record is None:
        return None
    if record.folder and record.shown:
        return record.folder
    return f"{record.folder}, which proves nothing: {record.note}" if record.folder else f"none: {record.note}"


def question(check: CheckRecord) -> str:
    """Return what was asked, on which inputs: ``values on sample images``."""
    return f"{check.name} on {check.probe}" if check.probe else check.name


def repeat_command(report: Report, record: ParityRecord) -> str:
    """Return the command that checks one artifact again, quoted for a POSIX shell."""
    words = ["fmnist-tk", "parity", record.target, "--device", record.device]
    if record.threads is not None:
        words += ["--threads", str(record.threads)]
    if record.declared != "float32":
        words += ["--precision", record.declared, *_gates(record)]
    if record.seed:
        words += ["--seed", str(record.seed)]
    if any(check.probe == "test set" for check in record.checks):
        words.append("--full")
    else:
        words += [word for dataset in report.datasets for word in dataset.words()]
    if record.against is not None:
        words += ["--against", record.against]
    elif report.checkpoint and report.checkpoint.form != "bundled":
        words += ["--checkpoint", report.checkpoint.path]
    return shlex.join(words)


def artifact_lines(records: Sequence[ParityRecord], sizes: Mapping[str, str]) -> Sheet:
    """Return a line for each artifact, of which there is at least one; ``sizes`` are of files just written, by name."""
    names = dict(zip(map(id, records), target_names(records), strict=True))
    against, precision = shared(map(reference_of, records)), shared(each.declared for each in records)
    columns = filled(
        column(records, "artifact", lambda each: f"{mark(each.passed)} {names[id(each)]}", right=False),
        column(records, "size", lambda each: sizes.get(PurePath(each.target).name, NONE)),
        Column("precision", tuple(NONE if precision else each.declared for each in records)),
        Column("against", tuple(NONE if against else reference_of(each) for each in records)),
        column(records, "checks", lambda each: _counted([check.passed for check in each.checks])),
        column(records, "largest error", _largest_error),
        column(records, "accuracy", lambda each: fraction(each.evaluation.accuracy) if each.evaluation else NONE),
        column(records, "failed", lambda each: f"{CROSS} {each.cause}" if each.cause else NONE, right=False),
    )
    devices = " and ".join(dict.fromkeys(each.device for each in records))
    title = f"Parity on {devices}{f', {precision}' if precision else ''}"
    return Sheet(f"{title}, against {reference_of(records[0], with_sha=False)}" if against else title, columns)


def _counted(passed: Sequence[bool]) -> str:
    return f"{len(passed)} passed" if all(passed) else f"{passed.count(False)} of {len(passed)} failed"


def _largest_error(record: ParityRecord) -> str:
    """Return ``1.07 × (≤ 8 ×)``: in units of eager's own rounding, beside what is allowed."""
    worst = min((check for check in record.checks if check.name == "values"), key=badness, default=None)
    return NONE if worst is None or worst.measured is None else f"{_amount(worst, worst.measured)} ({_limit(worst)})"


def check_sheets(records: Sequence[ParityRecord]) -> Iterator[Sheet]:
    """Yield what each check says of each target, and their quality if that was measured.

    A sheet has a row per check and a column per target, and is of targets that were judged by the same rule: the same
    precision, threads and reference.
    """
    named = dict(zip(map(id, records), target_names(records), strict=True))
    many_weights = len({record.weights_sha256 for record in records if record.against is None}) > 1
    groups: dict[object, list[ParityRecord]] = {}
    for record in records:
        key = (record.declared, record.threads, record.weights_sha256, record.against)
        groups.setdefault(key, []).append(record)
    for group in groups.values():
        names = [named[id(record)] for record in group]
        yield _checks(group, names, many_weights=many_weights)
        yield from _quality(group, names)


def reference_of(record: ParityRecord, *, with_sha: bool = True) -> str:
    """Return what a record was compared with, in words."""
    if record.against:
        return record.against
    sha = f" {record.weights_sha256[:_SHORT_SHA]}…" if with_sha and record.weights_sha256 else ""
    return f"the checkpoint{sha}"


def _checks(group: list[ParityRecord], names: list[str], *, many_weights: bool) -> Sheet:
    first = group[0]
    devices = " and ".join(dict.fromkeys(record.device for record in group))
    threads = "threads as the runtime takes" if first.threads is None else threads_in_words(first.threads)
    units = {unit for record in group for check in record.checks if (unit := _times_of(check))}
    legend = f"1 × is {next(iter(units)).removeprefix(_TIMES)}; the worst over all probes" if len(units) == 1 else ""
    order = sorted({check.name for record in group for check in record.checks}, key=check_order)
    asked = [[[each for each in record.checks if each.name == name] for record in group] for name in order]
    labels = [_label(name, checks, unit_known=len(units) <= 1) for name, checks in zip(order, asked, strict=True)]
    limits = [" / ".join(dict.fromkeys(_limit(each) for each in chain(*checks) if _limit(each))) for checks in asked]
    words = [[_cell(each) for each in checks] for checks in asked]
    accuracies, of_images = _accuracies(group)
    if accuracies:
        labels, limits, words = [*labels, "accuracy"], [*limits, ""], [*words, accuracies]
    columns = [
        Column(_head(name, record), tuple(row[place] for row in words), right=True)
        for place, (name, record) in enumerate(zip(names, group, strict=True))
    ]
    return Sheet(
        f"Parity on {devices}, {first.declared}, {threads}, against {reference_of(first, with_sha=many_weights)}",
        (
            Column("check", tuple(labels)),
            *columns,
            *([Column(LIMIT, tuple(limits), right=True)] if any(limits) else []),
        ),
        legend="; ".join(filter(None, (legend, of_images))),
        across=_ACROSS,
    )


def _head(name: str, record: ParityRecord) -> str:
    other = f" in {record.precision}" if record.precision not in {None, record.declared} else ""
    return f"{'' if record.passed else f'{CROSS} '}{name}{other}"


def _label(name: CheckName, asked: list[list[CheckRecord]], *, unit_known: bool) -> str:
    """Return the name of a check with its units; ``unit_known`` says that the legend tells what × means."""
    # Counted problems need no unit, labels have theirs in the cell, and of × the legend tells.
    units = dict.fromkeys(
        check.unit
        for check in chain(*asked)
        if not _counts_problems(check) and check.name != "labels" and not (unit_known and _times_of(check))
    )
    return f"{name}, {' or '.join(units)}" if units else name


def _accuracies(group: list[ParityRecord]) -> tuple[list[str], str]:
    """Return the accuracy of each on labelled images, and which these are.

    Nothing where the sheet of quality tells it, or no target was evaluated.
    """
    found = [record.evaluation for record in group]
    images = dict.fromkeys(each.images_in_words for each in found if each)
    if len(images) != 1 or any(record.quality for record in group):
        return [], ""
    return [fraction(each.accuracy) if each else NONE for each in found], f"accuracy is of {next(iter(images))}"


def _cell(checks: list[CheckRecord]) -> str:
    if not checks:
        return NONE
    worst = min(checks, key=badness)
    if _counts_problems(worst):
        return mark(worst.passed)
    text = "" if worst.measured is None else _amount(worst, worst.measured)
    return text if worst.passed else f"{CROSS} {text}".rstrip()


def _counts_problems(check: CheckRecord) -> bool:
    return check.bound == "at most" and check.limit == 0 and check.name != "labels"


def _times_of(check: CheckRecord) -> str | None:
    return check.unit if check.unit.startswith(_TIMES) else None


def _amount(check: CheckRecord, value: float) -> str:
    if check.name == "labels":
        return f"{value:,.0f} unexplained"
    return f"{_times(value)} ×" if _times_of(check) else f"{value:.4g}"


def _limit(check: CheckRecord) -> str:
    if _counts_problems(check):
        return ""
    if check.name == "labels":
        return f"{check.limit:g}"
    return f"{'≤' if check.bound == 'at most' else '≥'} {check.limit:g}{' ×' if _times_of(check) else ''}"


def _times(value: float) -> str:
    """Return a ratio with three digits where they fit."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if value < 0.005:
        return "< 0.01"
    if value >= 999_999.5:
        return f"{value:.2g}"
    return three_digits(value)


def _quality(group: list[ParityRecord], names: list[str]) -> Iterator[Sheet]:
    found = [(name, each.quality) for name, each in zip(names, group, strict=True) if each.quality]
    if found:
        columns = (Column(name, tuple(word(each) for word in _QUALITY.values()), right=True) for name, each in found)
        title = "Quality beside the float64 reference, on the same labelled images"
        yield Sheet(title, (Column("measure", tuple(_QUALITY)), *columns), across=_ACROSS)
