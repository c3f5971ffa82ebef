"""Judging lower precision: not by rounding, but by what it does to the classification; and judging again."""

from dataclasses import dataclass

import numpy as np

from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS, MOST_DIFFERENCE_OF_LOWER, behaviour_limit
from toolkit.records import CheckRecord, ParityRecord, QualityRecord, Report, check_order
from toolkit.workload.noise import MOST_NOISE

# Checks that `judge_quality` makes; they can be made again from a saved record.
_QUALITY_CHECKS = ("noise", "accuracy", "significance", "agreement")


@dataclass(frozen=True)
class Gates:
    """What a row declared with lower precision must keep.

    Attributes:
        max_drop_points: Largest drop of accuracy, in percentage points.
        min_agreement: Smallest fraction of equal top-1 labels with the reference.
        significance: An accuracy that is worse with a p-value below this fails even within ``max_drop_points``;
            0 turns that off.
    """

    max_drop_points: float = 0.5
    min_agreement: float = 0.98
    significance: float = 0.05


def judge_quality(quality: QualityRecord, gates: Gates) -> tuple[CheckRecord, ...]:
    """Return the checks of a row declared with lower precision; a pure function of what was measured."""
    low, high = quality.drop_interval_points
    where = f"{quality.images:,} images ({quality.source})"
    p_value = mcnemar(quality.lost, quality.gained)
    return (
        check_noise(where, quality.relative_noise),
        CheckRecord(
            name="accuracy",
            probe=where,
            measured=quality.drop_points,
            limit=gates.max_drop_points,
            unit="percentage points of accuracy lost",
            detail=f"accuracy {quality.accuracy:.2%}, the reference's {quality.reference_accuracy:.2%}: a drop of "
            f"{quality.drop_points:.2f} points, 95 % interval {low:.2f} to {high:.2f}",
        ),
        CheckRecord(
            name="significance",
            probe=where,
            measured=p_value,
            limit=gates.significance,
            bound="at least",
            unit="p-value (exact McNemar, one-sided)",
            detail=f"{quality.lost} images lost, {quality.gained} gained: with no real difference so many or more "
            f"lost would come with probability {p_value:.3g}",
        ),
        CheckRecord(
            name="agreement",
            probe=where,
            measured=quality.agreement,
            limit=gates.min_agreement,
            bound="at least",
            unit="of top-1 labels equal the reference's",
            detail=f"{quality.images - quality.disagreements:,} of {quality.images:,} labels agree; probabilities "
            f"change by {quality.mean_probability_change:.2g} on average, {quality.max_probability_change:.2g} at most",
        ),
    )


def check_noise(probe: str, measured: float | None) -> CheckRecord:
    """Check by what `relative_noise` returned that logits are still those logits, whatever labels they give."""
    decibels = "" if not measured else f", SQNR {-20 * np.log10(measured):.1f} dB"
    return CheckRecord(
        name="noise",
        probe=probe,
        measured=measured,
        limit=MOST_NOISE,
        unit="of the logits' size is error",
        detail=f"the error is {'not finite' if measured is None else f'{measured:.3g}'} of the logits' size{decibels}",
    )


def mcnemar(lost: int, gained: int) -> float:
    """Return the one-sided p-value of the exact test of McNemar (1947): are images rather lost than gained?

    Among the images that only one of the two gets right, each is equally likely the other's when nothing
    differs, so ``lost`` is binomial with 1/2.
    """
    from scipy.stats import binomtest  # 0.4 to 0.5 s to import, needed only here

    return float(binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue) if lost + gained else 1.0


def rejudge(report: Report, gates: Gates) -> Report:
    """Return a saved report with every check judged anew from what was measured, by today's limits; nothing is run."""
    return report.changed(parity=tuple(_rejudged(record, gates) for record in report.parity))


def _rejudged(record: ParityRecord, gates: Gates) -> ParityRecord:
    kept = [_by_todays_limit(check, record) for check in record.checks if not _of_quality(check, record)]
    new = judge_quality(record.quality, gates) if record.quality else ()
    return record.changed(checks=tuple(sorted([*kept, *new], key=lambda each: check_order(each.name))))


def _of_quality(check: CheckRecord, record: ParityRecord) -> bool:
    """Say whether `judge_quality` makes this check anew."""
    return record.quality is not None and check.name in _QUALITY_CHECKS and "images (" in (check.probe or "")


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
