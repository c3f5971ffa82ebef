"""Judging lower precision: not by rounding, but by what it does to the classification."""

from dataclasses import dataclass

import numpy as np

from toolkit.records import CheckRecord, QualityRecord
from toolkit.workload.noise import MOST_NOISE

#: Checks that `judge_quality` makes; they can be made again from a saved record.
QUALITY_CHECKS = ("noise", "accuracy", "significance", "agreement")


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
    """Check that logits of lower precision are still those logits, whatever labels they give.

    Args:
        probe: Name of the probe.
        measured: As `relative_noise` returns it.
    """
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
