"""Records of parity: checks, the quality of a lower precision, where an artifact diverges."""

import math
from typing import Final, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt, computed_field, model_validator

from toolkit.records.base import Check, Device, Precision, Record, Sha256
from toolkit.records.evaluation import EvaluationRecord, ImageSource

#: Names of the checks, in the order in which a report shows them.
CheckName = Literal[
    "opens",
    "integrity",
    "signature",
    "batch sizes",
    "shape",
    "dtype",
    "finite",
    "values",
    "labels",
    "noise",
    "accuracy",
    "significance",
    "agreement",
    "contract",
    "input kept",
    "determinism",
    "row independence",
]
_ORDER: Final[tuple[CheckName, ...]] = get_args(CheckName)
_VALUES, _BEHAVIOUR = _ORDER.index("values"), _ORDER.index("input kept")
# When several fail, the most specific one names the cause: a file that is not the exported one explains wrong values,
# as do outputs that change from call to call or with the neighbours in the batch. So behaviour, which reports show
# last, comes before values and all that follows from them.
_CAUSES: Final = (*_ORDER[:_VALUES], *_ORDER[_BEHAVIOUR:], *_ORDER[_VALUES:_BEHAVIOUR])
# 97.5 % quantile of the normal distribution: intervals here cover 95 %.
_Z95: Final = 1.959963984540054


class CheckRecord(Check):
    """One question put to an artifact, and the answer."""

    name: CheckName
    probe: str | None = Field(default=None, description="The inputs it was checked on; null for none.")
    facts: dict[str, float] = Field(default_factory=dict, description="More numbers behind the answer.")


class QualityRecord(Record):
    """How well an artifact of lower precision classifies, beside the float64 reference on the same labelled images."""

    source: ImageSource = Field(description="Which images.")
    images: PositiveInt
    reference_right: NonNegativeInt = Field(description="Images that the reference classifies as labelled.")
    lost: NonNegativeInt = Field(description="Right in the reference, wrong in the artifact.")
    gained: NonNegativeInt = Field(description="Wrong in the reference, right in the artifact.")
    disagreements: NonNegativeInt = Field(description="Images whose top-1 label is not the reference's.")
    mean_probability_change: float = Field(ge=0, description="Mean |d| of a class probability (softmax).")
    max_probability_change: float = Field(ge=0, description="Largest |d| of a class probability (softmax).")
    relative_noise: float | None = Field(
        ge=0, description="sqrt(sum d^2 / sum y^2) of the worst class; null when its reference is zero and it is not."
    )

    @model_validator(mode="after")
    def _adds_up(self) -> "QualityRecord":
        wrong = self.images - self.reference_right
        if self.lost > self.reference_right or self.gained > wrong or self.disagreements > self.images:
            raise ValueError("more images lost, gained or changed than there are")
        if self.lost + self.gained > self.disagreements:
            raise ValueError("an image lost or gained is one on which the labels disagree")
        return self

    @computed_field
    @property
    def reference_accuracy(self) -> float:
        """Fraction of images that the reference classifies as labelled."""
        return self.reference_right / self.images

    @computed_field
    @property
    def accuracy(self) -> float:
        """Fraction of images that the artifact classifies as labelled."""
        return (self.reference_right - self.lost + self.gained) / self.images

    @computed_field
    @property
    def drop_points(self) -> float:
        """Accuracy lost, in percentage points; negative for a gain."""
        return 100 * (self.lost - self.gained) / self.images

    @computed_field
    @property
    def drop_interval_points(self) -> tuple[float, float]:
        """95 % confidence interval of the drop in the population, in percentage points.

        The adjusted Wald interval for paired proportions of Bonett and Price (2012), which keeps its coverage
        when few images change.
        """
        lost, gained = (self.lost + 1) / (self.images + 2), (self.gained + 1) / (self.images + 2)
        half = _Z95 * math.sqrt((lost + gained - (lost - gained) ** 2) / (self.images + 2))
        return 100 * max(lost - gained - half, -1.0), 100 * min(lost - gained + half, 1.0)

    @computed_field
    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantisation noise of the worst class in decibels; null without noise or without a signal."""
        return -20 * math.log10(self.relative_noise) if self.relative_noise else None

    @computed_field
    @property
    def agreement(self) -> float:
        """Fraction of images whose top-1 label is the reference's."""
        return 1 - self.disagreements / self.images


class DivergenceRecord(Record):
    """Where an artifact leaves the reference: the first layer whose output is outside the limit."""

    layer: str | None = Field(description="Name of the reference's layer; null when it could not be found.")
    node: str | None = Field(default=None, description="The artifact's own name of the place.")
    error_ratio: float | None = Field(
        default=None, description="Error there in units of eager float32's own; null when not finite or not comparable."
    )
    detail: str = Field(description="One sentence for people.")


class ReproductionRecord(Record):
    """What came of making a folder that shows a failure without this toolkit."""

    folder: str | None = Field(description="Null when there is none.")
    shown: bool = Field(description="Whether its script was run and failed as it should.")
    note: str = Field(description="What the script says, or why there is none.")


class ParityRecord(Record):
    """All checks of one artifact on one device."""

    target: str
    format: str
    device: Device
    declared: Precision = Field(default="float32", description="The precision by whose rule it was judged.")
    precision: Precision | None = Field(description="What the runtime says it computes in; null when it did not open.")
    threads: PositiveInt | None = Field(description="Null: as many as the runtime takes by itself.")
    sha256: Sha256 = Field(description="Of the artifact; with external data, of the digests of all its files.")
    weights_sha256: Sha256 | None = Field(description="Of the checkpoint that is the reference; null for an artifact.")
    against: str | None = Field(default=None, description="The artifact that is the reference; null: the checkpoint.")
    seed: NonNegativeInt = Field(default=0, description="Of the random inputs and of the search.")
    runtime: str
    runtime_version: str
    checks: tuple[CheckRecord, ...] = Field(min_length=1)
    quality: QualityRecord | None = Field(default=None, description="Of a row declared with lower precision.")
    evaluation: EvaluationRecord | None = Field(
        default=None, description="How it classifies labelled images; null when it cannot."
    )
    divergence: DivergenceRecord | None = Field(default=None, description="Looked for when values fail.")
    reproduction: ReproductionRecord | None = Field(default=None, description="When one was asked for.")

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @computed_field
    @property
    def cause(self) -> CheckName | None:
        """The failed check that best explains the others; null when all passed."""
        failed = {check.name for check in self.checks if not check.passed}
        return next((name for name in _CAUSES if name in failed), None)

    @computed_field
    @property
    def error_ratio(self) -> float | None:
        """Largest error in units of eager float32's own error on the same inputs; null if not measured."""
        ratios = [check.measured for check in self.checks if check.name == "values"]
        if not ratios or any(ratio is None for ratio in ratios):
            return None
        return max(ratio for ratio in ratios if ratio is not None)

    @computed_field
    @property
    def agreement(self) -> float | None:
        """Smallest fraction of equal top-1 labels over the probes; null if not measured."""
        fractions = [check.facts["agreement"] for check in self.checks if "agreement" in check.facts]
        return min(fractions, default=None)

    @property
    def failure(self) -> CheckRecord | None:
        """The worst failed check of the name that `cause` gives; None when all passed."""
        return min((check for check in self.checks if check.name == self.cause), key=badness, default=None)


def badness(check: CheckRecord) -> tuple[bool, bool, float]:
    """Order checks of one name from bad to good: failed ones first, among them those without a number."""
    value = check.measured or 0.0
    return check.passed, check.measured is not None, -value if check.bound == "at most" else value


def check_order(name: CheckName) -> int:
    """Return the place of a check in reports."""
    return _ORDER.index(name)
