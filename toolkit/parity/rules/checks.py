"""Checks: questions put to an artifact. Pure functions of arrays and records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS, ROUNDING_UNIT, in_units
from toolkit.records import ArtifactMetadata, ArtifactRecord, CheckName, CheckpointRecord, CheckRecord, Precision
from toolkit.workload.images import Float64Array

Array = NDArray[Any]

CLASSES = 10
_PROBLEMS = "problems"
# dtypes that a precision allows beside float32: half models often take and give their own.
_HALF: dict[str, set[str]] = {"float16": {"float16"}, "bfloat16": {"bfloat16"}}


def allowed_dtypes(declared: Precision) -> set[str]:
    """Return the dtypes, by their NumPy names, that inputs and outputs of a declared precision may have."""
    return {"float32"} | _HALF.get(declared, set())


def verdict(name: CheckName, problems: Sequence[str], good: str, probe: str | None = None) -> CheckRecord:
    """Return a check that counts ``problems``, a clause each; where there are none it says ``good``."""
    return CheckRecord(
        name=name,
        probe=probe,
        measured=float(len(problems)),
        limit=0.0,
        unit=_PROBLEMS,
        detail="; ".join(problems) or good,
    )


def check_integrity(
    sha256: str, checkpoint: CheckpointRecord | None, listed: ArtifactRecord | None, inside: ArtifactMetadata | None
) -> CheckRecord:
    """Check that the file is the exported one, and of this checkpoint.

    Args:
        sha256: Of the artifact.
        checkpoint: What it must have been exported from; None when it is compared with another artifact.
        listed: What the manifest beside the file says of it, or None.
        inside: What stands inside the artifact, or None for a file of another tool.
    """
    problems, known = [], []
    if listed and listed.sha256 != sha256:
        problems.append(
            f"the file is not the exported one: SHA-256 {sha256[:12]}…, manifest.json has {listed.sha256[:12]}…; "
            "export it again"
        )
    elif listed:
        known.append("the file is the one in manifest.json")
    if inside and checkpoint and inside.weights_sha256 != checkpoint.weights_sha256:
        source = f" of the checkpoint {listed.checkpoint}" if listed and not problems else ""
        problems.append(
            f"stale: exported from the weights {inside.weights_sha256[:12]}…{source}, compared with "
            f"{checkpoint.weights_sha256[:12]}…; pass its own --checkpoint or export it again"
        )
    elif inside and checkpoint:
        known.append("its weights are the checkpoint's")
    return verdict("integrity", problems[:1], ", ".join(known) or "no manifest and no metadata to compare with")


def check_contract(checkpoint: CheckpointRecord | None, inside: ArtifactMetadata | None) -> CheckRecord:
    """Check what an artifact says of itself and its users rely on: layers, labels, preprocessing.

    The arguments are those of `check_integrity`.
    """
    if inside is None or checkpoint is None:
        return verdict("contract", [], "nothing inside the file names labels or preprocessing to compare")
    problems = [
        f"its {name} are not the checkpoint's: {_short(getattr(inside, name))}, not {_short(getattr(checkpoint, name))}"
        "; export it again"
        for name in ("labels", "preprocessing", "config")
        if getattr(inside, name) != getattr(checkpoint, name)
    ]
    return verdict("contract", problems, "layers, labels and preprocessing inside are the checkpoint's")


def check_batch_sizes(errors: dict[int, str], tried: Sequence[int]) -> CheckRecord:
    """Check that every batch size was answered; ``errors`` has what the runtime said by the size at which it did."""
    works = [size for size in tried if size not in errors]
    if not errors:
        return verdict("batch sizes", [], f"runs with {_listed(tried)} images")
    first = next(iter(errors))
    good = f"works with {_listed(works)} images, " if works else ""
    problem = f"{good}fails with {_listed(list(errors))}: {errors[first]}"
    record = verdict("batch sizes", [problem], "")
    return record.changed(measured=float(len(errors)), unit="batch sizes that fail")


def check_shape(shapes: Sequence[tuple[int, tuple[int, ...]]]) -> CheckRecord:
    """Check the shapes that came back: per call how many images it was given, and the shape of what it returned."""
    wrong = [
        f"{count} image(s) gave {shape}, not {(count, CLASSES)}" for count, shape in shapes if shape != (count, CLASSES)
    ]
    return verdict("shape", wrong[:1], f"(N, {CLASSES})")


def check_dtype(dtypes: Sequence[str], declared: Precision = "float32") -> CheckRecord:
    """Check the dtypes that came back, by their NumPy names."""
    allowed = allowed_dtypes(declared)
    wrong = [f"the outputs are {dtype}, not float32" for dtype in dict.fromkeys(dtypes) if dtype not in allowed]
    return verdict("dtype", wrong, ", ".join(dict.fromkeys(dtypes)))


def check_finite(probe: str, actual: Array, judged: NDArray[np.bool_] | None = None) -> CheckRecord:
    """Count logits that are NaN or infinite.

    Args:
        probe: Name of the probe.
        actual: Logits ``(N, 10)``.
        judged: ``(N,)``: rows for which finite logits can be expected; None for all.
    """
    rows = np.arange(len(actual)) if judged is None else np.flatnonzero(judged)
    bad = ~np.isfinite(actual[rows])
    count = int(bad.sum())
    detail = "all logits are finite"
    if count:
        image, label = np.argwhere(bad)[0]
        detail = (
            f"{count:,} of {bad.size:,} logits are NaN or infinite for finite inputs, "
            f"the first at image {rows[image]}, logit {label}"
        )
    return CheckRecord(
        name="finite", probe=probe, measured=float(count), limit=0.0, unit="logits that are not finite", detail=detail
    )


def check_values(probe: str, errors: Float64Array, units: Float64Array, overflowing: int = 0) -> CheckRecord:
    """Compare the errors with the limit, in units of eager float32's own error.

    Args:
        probe: Name of the probe.
        errors: ``|actual - reference|`` of every logit ``(N, 10)`` that can be judged, float64.
        units: ``(10,)``: eager's largest error on the same images, absolute; see `toolkit.parity.rules.tolerance`.
        overflowing: Further images that cannot be judged, because eager float32 itself overflows on them.
    """
    if not errors.size:
        return CheckRecord(
            name="values",
            probe=probe,
            measured=None,
            limit=LIMIT_IN_UNITS,
            unit=ROUNDING_UNIT,
            detail=f"eager float32 itself overflows on all {overflowing:,} images: such weights cannot be compared",
        )
    ratios = errors / units
    image, label = np.unravel_index(int(ratios.argmax()), ratios.shape)
    error, unit = float(errors[image, label]), float(units[label])
    left_out = f"; {overflowing:,} more images overflow float32 in eager itself" if overflowing else ""
    return CheckRecord(
        name="values",
        probe=probe,
        measured=error / unit,
        limit=LIMIT_IN_UNITS,
        unit=ROUNDING_UNIT,
        facts={"eager_error": unit, "images": len(errors), "overflowing_images": overflowing},
        detail=(
            f"off by {in_units(error / unit)} {ROUNDING_UNIT} ({error:.2g} against {unit:.2g}), "
            f"worst at image {image}, logit {label}{left_out}"
        ),
    )


def check_labels(probe: str, actual: Array, expected: Float64Array, units: Float64Array) -> CheckRecord:
    """Compare top-1 labels; a flip passes only when the reference's own margin is within the allowed error.

    Two logits may each be off by the limit, so rounding explains a flip up to the sum of both limits.

    Args:
        probe: Name of the probe.
        actual: Finite logits ``(N, 10)``.
        expected: Reference logits ``(N, 10)`` float64, same order.
        units: ``(10,)``: eager's largest error on the same images, absolute.
    """
    top, want = actual.argmax(1), expected.argmax(1)
    flipped = np.flatnonzero(top != want)
    rows = np.arange(len(expected))
    margins = expected[rows, want] - expected[rows, top]
    both = units[want] + units[top]
    unexplained = [int(i) for i in flipped if margins[i] > LIMIT_IN_UNITS * both[i]]
    count = max(len(expected), 1)
    detail = f"{count - len(flipped):,} of {count:,} labels agree"
    if unexplained:
        worst = float((2 * margins / both)[unexplained].max())
        detail += (
            f"; rounding cannot explain {len(unexplained):,} flips, the first at image {unexplained[0]}; "
            f"the largest float64 margin that flipped is {in_units(worst)} {ROUNDING_UNIT}"
        )
    elif len(flipped):
        detail += f"; the {len(flipped)} others are ties within rounding, by their float64 margins"
    return CheckRecord(
        name="labels",
        probe=probe,
        measured=float(len(unexplained)),
        limit=0.0,
        unit="flips that rounding cannot explain",
        facts={"agreement": 1 - len(flipped) / count, "flips": len(flipped), "images": count},
        detail=detail,
    )


@dataclass(frozen=True)
class Yardstick:
    """By how much two answers of one artifact to the same image may differ.

    Attributes:
        units: ``(10,)`` float64, absolute.
        name: Of the unit, for reports.
        limit: In units.
    """

    units: Float64Array
    name: str = ROUNDING_UNIT
    limit: float = LIMIT_IN_UNITS

    def difference(self, answer: Array, other: Array) -> float:
        """Return the largest |d| of two answers ``(n, 10)`` in units; NaN when a logit is not finite."""
        return float(self.differences(answer, other).max(initial=0.0))

    def differences(self, answer: Array, other: Array) -> Float64Array:
        """Return the same for each image: ``(n,)`` float64."""
        with np.errstate(invalid="ignore"):  # infinity less infinity is as bad as NaN
            ratios = np.abs(answer.astype(np.float64) - other) / self.units
        largest: Float64Array = ratios.max(1, initial=0.0)
        return largest


def check_same(name: CheckName, probe: str, difference: float, by: Yardstick, compared: str) -> CheckRecord:
    """Compare two answers of one artifact that should be the same.

    Two right answers may differ by their rounding, since another batch size may take another kernel.

    Args:
        name: Of the check.
        probe: The inputs it was checked on.
        difference: Largest |d| between the two, in units; NaN when one of them is not finite.
        by: The unit and the limit.
        compared: What was compared, as the subject of a sentence.
    """
    measured = difference if np.isfinite(difference) else None
    said = "is not finite" if measured is None else "is the same"
    if measured:
        said = f"differs by {in_units(measured)} {by.name}"
    return CheckRecord(
        name=name, probe=probe, measured=measured, limit=by.limit, unit=by.name, detail=f"{compared} {said}"
    )


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes[:-1]) + (" and " if len(sizes) > 1 else "") + f"{sizes[-1]:,}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
