"""Parity records as a matrix of words: one row per check, one column per target. Terminal and Markdown draw it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolkit.records import CheckName, CheckRecord, ParityRecord, QualityRecord, check_order
from toolkit.records.units import fraction
from toolkit.render.words.explanation import target_names

_NONE = "—"
_TIMES = "× "
_SHORT_SHA = 12


@dataclass(frozen=True)
class Cell:
    """A word in a matrix; ``passed`` is None where nothing was asked, so that nothing passed or failed."""

    text: str
    passed: bool | None = None


@dataclass(frozen=True)
class Row:
    """What one check says of every target; ``limit`` is empty where the check counts problems and none is allowed."""

    name: str
    cells: tuple[Cell, ...]
    limit: str = ""


@dataclass(frozen=True)
class Matrix:
    """Targets that were judged by the same rule: the same precision, threads and reference.

    Attributes:
        title: What the targets have in common.
        legend: What a person must know to read the cells; may be empty.
        corner: Head of the column of names.
        columns: The targets.
        rows: As many cells in each as there are columns.
    """

    title: str
    legend: str
    corner: str
    columns: tuple[Cell, ...]
    rows: tuple[Row, ...]


def check_matrices(records: Sequence[ParityRecord]) -> Iterator[tuple[Matrix, Matrix | None]]:
    """Yield the matrix of checks of each group of targets, and the one of their quality if that was measured."""
    named = dict(zip(map(id, records), target_names(records), strict=True))
    many_weights = len({record.weights_sha256 for record in records if record.against is None}) > 1
    groups: dict[object, list[ParityRecord]] = {}
    for record in records:
        key = (record.declared, record.threads, record.weights_sha256, record.against)
        groups.setdefault(key, []).append(record)
    for group in groups.values():
        names = [named[id(record)] for record in group]
        yield _checks(group, names, many_weights=many_weights), _quality(group, names)


def reference_of(record: ParityRecord, *, with_sha: bool = True) -> str:
    """Return what a record was compared with, in words."""
    if record.against:
        return record.against
    sha = f" {record.weights_sha256[:_SHORT_SHA]}…" if with_sha and record.weights_sha256 else ""
    return f"the checkpoint{sha}"


def _checks(group: list[ParityRecord], names: list[str], *, many_weights: bool) -> Matrix:
    first = group[0]
    devices = " and ".join(dict.fromkeys(record.device for record in group))
    plural = "" if first.threads == 1 else "s"
    threads = "threads as the runtime takes" if first.threads is None else f"{first.threads} thread{plural}"
    units = {unit for record in group for check in record.checks if (unit := _times_of(check))}
    legend = f"1 × is {next(iter(units)).removeprefix(_TIMES)}; the worst over all probes" if len(units) == 1 else ""
    accuracy, of_images = _accuracy(group)
    order = sorted({check.name for record in group for check in record.checks}, key=check_order)
    return Matrix(
        title=f"Parity on {devices}, {first.declared}, {threads}, against {reference_of(first, with_sha=many_weights)}",
        legend="; ".join(filter(None, (legend, of_images))),
        corner="check",
        columns=tuple(_column(record, name) for record, name in zip(group, names, strict=True)),
        rows=(*(_row(name, group, unit_told=len(units) <= 1) for name in order), *accuracy),
    )


def _column(record: ParityRecord, name: str) -> Cell:
    other = f" in {record.precision}" if record.precision not in {None, record.declared} else ""
    return Cell(f"{'' if record.passed else '✗ '}{name}{other}", record.passed)


def _row(name: CheckName, group: list[ParityRecord], *, unit_told: bool) -> Row:
    """Return a row; ``unit_told`` says that the legend tells what × means."""
    asked = [[check for check in record.checks if check.name == name] for record in group]
    # Counted problems need no unit, labels have theirs in the cell, and of × the legend tells.
    units = dict.fromkeys(
        check.unit
        for checks in asked
        for check in checks
        if not _counts_problems(check) and check.name != "labels" and not (unit_told and _times_of(check))
    )
    limits = dict.fromkeys(limit for checks in asked for check in checks if (limit := _limit(check)))
    return Row(
        name=f"{name}, {' or '.join(units)}" if units else name,
        cells=tuple(_cell(checks) for checks in asked),
        limit=" / ".join(limits),
    )


def _accuracy(group: list[ParityRecord]) -> tuple[tuple[Row, ...], str]:
    """Return a row with the accuracy on labelled images, and which these are.

    None and nothing where the matrix of quality tells it, or no target was evaluated.
    """
    found = [record.evaluation for record in group]
    images = dict.fromkeys(each.images_in_words for each in found if each)
    if len(images) != 1 or any(record.quality for record in group):
        return (), ""
    (words,) = images
    cells = (Cell(fraction(each.accuracy) if each else _NONE) for each in found)
    return (Row("accuracy", tuple(cells)),), f"accuracy is of {words}"


def _cell(checks: list[CheckRecord]) -> Cell:
    if not checks:
        return Cell(_NONE)
    worst = min(checks, key=_badness)
    if _counts_problems(worst):
        return Cell("✓" if worst.passed else "✗", worst.passed)
    text = "" if worst.measured is None else _amount(worst, worst.measured)
    return Cell(text if worst.passed else f"✗ {text}".rstrip(), worst.passed)


def _badness(check: CheckRecord) -> tuple[bool, bool, float]:
    """Order answers from bad to good: failed ones first, among them those without a number."""
    value = check.measured or 0.0
    return check.passed, check.measured is not None, -value if check.bound == "at most" else value


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
    return f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def _quality(group: list[ParityRecord], names: list[str]) -> Matrix | None:
    found = [(name, record.quality) for name, record in zip(names, group, strict=True) if record.quality]
    if not found:
        return None
    columns = [_quality_words(quality) for _, quality in found]
    return Matrix(
        title="Quality beside the float64 reference, on the same labelled images",
        legend="",
        corner="",
        columns=tuple(Cell(name) for name, _ in found),
        rows=tuple(Row(label, tuple(Cell(words[label], passed=True) for words in columns)) for label in columns[0]),
    )


def _quality_words(quality: QualityRecord) -> dict[str, str]:
    low, high = quality.drop_interval_points
    return {
        "images": f"{quality.images:,} ({quality.source})",
        "accuracy of the reference": f"{quality.reference_accuracy:.2%}",
        "accuracy": f"{quality.accuracy:.2%}",
        "accuracy lost, points": f"{quality.drop_points:.2f}",
        "… with 95 % confidence": f"{low:.2f} to {high:.2f}",
        "labels agree": f"{quality.agreement:.2%}",
        "mean change of a probability": f"{quality.mean_probability_change:.2g}",
        "largest change of a probability": f"{quality.max_probability_change:.2g}",
        "signal to noise of the logits": _NONE if quality.sqnr_db is None else f"{quality.sqnr_db:.1f} dB",
    }
