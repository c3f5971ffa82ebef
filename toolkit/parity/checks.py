"""Checks: questions put to an artifact. Pure functions of arrays and records."""

import numpy as np
from numpy.typing import NDArray

from toolkit.records import (
    ArtifactMetadata,
    ArtifactRecord,
    CheckpointRecord,
    CheckRecord,
    ParityRecord,
    Signature,
    TensorSpec,
)

#: A float32 session passes when its error is at most so many times eager float32's own error on the same
#: inputs. Measured on the default probes: TorchScript and torch.export 1.0, ONNX Runtime 1.2, and at most 1.5 over the
#: widths and depths of the tests. Another order of summation costs a small factor; one weight that is off by
#: 0.001 costs 39, weights rounded to float16 1,107.
LIMIT_IN_UNITS = 8.0
_CLASSES = 10
_INPUT_SHAPE = (1, 28, 28)
# What an artifact says of itself and its users rely on, beside the weights.
_CONTRACT = ("config", "labels", "preprocessing")


def check_signature(signature: Signature) -> CheckRecord:
    """Check that there is one image input and one logits output, as far as the format says."""
    problems = []
    if len(signature.inputs) != 1:
        problems.append(f"it has {len(signature.inputs)} inputs ({_names(signature.inputs)}), not one")
    if len(signature.outputs) != 1:
        problems.append(f"it has {len(signature.outputs)} outputs ({_names(signature.outputs)}), not one")
    for kind, specs, rest in (
        ("input", signature.inputs, _INPUT_SHAPE),
        ("output", signature.outputs, (_CLASSES,)),
    ):
        for spec in specs[:1]:
            problems += _spec_problems(kind, spec, rest)
    detail = "; ".join(problems) or f"{_describe(signature.inputs)} to {_describe(signature.outputs)}"
    return CheckRecord(name="signature", passed=not problems, detail=detail)


def check_integrity(
    sha256: str, checkpoint: CheckpointRecord, listed: ArtifactRecord | None, inside: ArtifactMetadata | None
) -> CheckRecord:
    """Check that the file is the exported one, of this checkpoint, and says of itself what the checkpoint says.

    Args:
        sha256: Of the file.
        checkpoint: What it must have been exported from.
        listed: What the manifest beside the file says of it, or None.
        inside: What stands inside the artifact, or None for a file of another tool.
    """
    if listed and listed.sha256 != sha256:
        detail = f"the file is not the exported one: SHA-256 {sha256[:12]}…, manifest.json has {listed.sha256[:12]}…"
        return failed("integrity", f"{detail}; export it again")
    if inside and inside.weights_sha256 != checkpoint.weights_sha256:
        source = f" of the checkpoint {listed.checkpoint}" if listed else ""
        detail = (
            f"stale: exported from the weights {inside.weights_sha256[:12]}…{source}, "
            f"compared with {checkpoint.weights_sha256[:12]}…"
        )
        return failed("integrity", f"{detail}; pass its own --checkpoint or export it again")
    other = [name for name in _CONTRACT if inside and getattr(inside, name) != getattr(checkpoint, name)]
    if other:
        return failed("integrity", f"its {' and '.join(other)} are not the checkpoint's; export it again")
    known = [
        *(["the file is the one in manifest.json"] if listed else []),
        *(["its weights, layers, labels and preprocessing are the checkpoint's"] if inside else []),
    ]
    return CheckRecord(name="integrity", passed=True, detail=", ".join(known) or "nothing to compare with")


def check_outputs(
    probe: str,
    outputs: list[NDArray[np.float32]],
    counts: list[int],
    expected: NDArray[np.float64],
    unit: float,
) -> list[CheckRecord]:
    """Check all outputs of a probe: shape, dtype, finite, values, labels, each only when the ones before passed.

    Args:
        probe: Name of the probe.
        outputs: Per call what the artifact returned.
        counts: Per call how many images it was given.
        expected: Reference logits ``(sum of counts, 10)`` float64, in the order of the calls.
        unit: Eager float32's own error on the probe's images, in logit units.
    """
    records = [_check_shape(probe, outputs, counts), _check_dtype(probe, outputs)]
    if all(record.passed for record in records):
        actual = np.concatenate(outputs)
        records.append(_check_finite(probe, actual))
        if records[-1].passed:
            records += [
                check_values(probe, actual, expected, unit),
                check_labels(probe, actual, expected, unit),
            ]
    return records


def check_values(probe: str, actual: NDArray[np.float32], expected: NDArray[np.float64], unit: float) -> CheckRecord:
    """Measure how far ``actual`` lies from the float64 reference, in units of eager float32's own error.

    Args:
        probe: Name of the probe.
        actual: Finite logits ``(N, 10)`` float32.
        expected: Reference logits ``(N, 10)`` float64, same order.
        unit: Eager's largest error on the same images, in logit units.
    """
    difference = np.abs(actual.astype(np.float64) - expected)
    error = float(difference.max(initial=0.0))
    image, label = np.unravel_index(int(difference.argmax()), difference.shape)
    ratio = error / unit
    return CheckRecord(
        name="values",
        probe=probe,
        passed=ratio <= LIMIT_IN_UNITS,
        measured=ratio,
        limit=LIMIT_IN_UNITS,
        unit="× eager's own rounding",
        facts={"max_error": error, "eager_error": unit, "images": len(actual)},
        detail=f"largest |d| {error:.2g}, eager float32 itself {unit:.2g}; worst at image {image}, logit {label}",
    )


def check_labels(probe: str, actual: NDArray[np.float32], expected: NDArray[np.float64], unit: float) -> CheckRecord:
    """Compare top-1 labels; a flip passes only when the reference's own margin is within the allowed error.

    Two logits may each be off by the limit, so rounding explains a flip up to twice the limit.
    """
    top, want = actual.argmax(1), expected.argmax(1)
    flipped = np.flatnonzero(top != want)
    rows = np.arange(len(expected))
    margins = expected[rows, want] - expected[rows, top]
    unexplained = [int(i) for i in flipped if margins[i] > 2 * LIMIT_IN_UNITS * unit]
    agreement = 1 - len(flipped) / len(expected)
    detail = f"{len(expected) - len(flipped):,} of {len(expected):,} labels agree"
    if unexplained:
        detail += f"; rounding cannot explain {len(unexplained)}, the first at image {unexplained[0]}"
    elif len(flipped):
        detail += "; the others are ties within rounding"
    return CheckRecord(
        name="labels",
        probe=probe,
        passed=not unexplained,
        measured=float(len(unexplained)),
        limit=0.0,
        unit="labels that rounding cannot explain",
        facts={"agreement": agreement, "flips": len(flipped), "images": len(expected)},
        detail=detail,
    )


def failed(name: str, detail: str, probe: str | None = None) -> CheckRecord:
    """Return a check that could not even be carried out, which is a failure."""
    return CheckRecord(name=name, probe=probe, passed=False, detail=detail)


def first_failure(record: ParityRecord) -> CheckRecord | None:
    """Return the first failed check: the checks are ordered so that it names the cause."""
    return next((check for check in record.checks if not check.passed), None)


def _check_shape(probe: str, outputs: list[NDArray[np.float32]], counts: list[int]) -> CheckRecord:
    wrong = [
        f"{count} image(s) gave {array.shape}"
        for array, count in zip(outputs, counts, strict=True)
        if array.shape != (count, _CLASSES)
    ]
    detail = (
        f"{wrong[0]}, not ({counts[0]}, {_CLASSES})" if wrong else f"(N, {_CLASSES}) for N in {sorted(set(counts))}"
    )
    return CheckRecord(name="shape", probe=probe, passed=not wrong, detail=detail)


def _check_dtype(probe: str, outputs: list[NDArray[np.float32]]) -> CheckRecord:
    dtypes = sorted({str(array.dtype) for array in outputs})
    return CheckRecord(name="dtype", probe=probe, passed=dtypes == ["float32"], detail=", ".join(dtypes))


def _check_finite(probe: str, actual: NDArray[np.float32]) -> CheckRecord:
    bad = ~np.isfinite(actual)
    count = int(bad.sum())
    detail = "all logits are finite"
    if count:
        image, label = np.argwhere(bad)[0]
        detail = f"{count:,} of {actual.size:,} logits are NaN or infinite, the first at image {image}, logit {label}"
    return CheckRecord(
        name="finite",
        probe=probe,
        passed=not count,
        measured=float(count),
        limit=0.0,
        unit="logits",
        detail=detail,
    )


def _spec_problems(kind: str, spec: TensorSpec, rest: tuple[int, ...]) -> list[str]:
    """Compare what a format says of a tensor with a free batch dimension followed by ``rest``."""
    problems = []
    if spec.dtype not in {None, "float32"}:
        problems.append(f"its {kind} {spec.name or ''} is {spec.dtype}, not float32")
    if spec.shape is not None:
        if len(spec.shape) != len(rest) + 1:
            problems.append(f"its {kind} {spec.name or ''} has shape {spec.shape}, not (batch, {_joined(rest)})")
        else:
            if isinstance(spec.shape[0], int):
                problems.append(f"its {kind} has the batch size fixed at {spec.shape[0]}")
            if any(isinstance(size, int) and size != want for size, want in zip(spec.shape[1:], rest, strict=True)):
                problems.append(f"its {kind} has shape {spec.shape}, not (batch, {_joined(rest)})")
    return problems


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(spec.name or "unnamed" for spec in specs) or "none"


def _describe(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(
        f"{spec.name or 'unnamed'} {spec.dtype or ''} {f'({_joined(spec.shape)})' if spec.shape else ''}".strip()
        for spec in specs
    )


def _joined(shape: tuple[int | str | None, ...]) -> str:
    return ", ".join("?" if size is None else str(size) for size in shape)
