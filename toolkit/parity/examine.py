"""The examination of one artifact: run it on every probe, and ask the checks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.formats import Session
from toolkit.parity.behaviour import BATCH_SIZES, Finding, determinism, independence, poison, run_alone
from toolkit.parity.calls import Calls, RuntimeFailedError
from toolkit.parity.checks import (
    Yardstick,
    check_batch_sizes,
    check_dtype,
    check_finite,
    check_labels,
    check_shape,
    check_values,
    verdict,
)
from toolkit.parity.probes import Probe
from toolkit.parity.reference import Expectation, Expectations
from toolkit.parity.search import search
from toolkit.parity.tolerance import LIMIT_IN_UNITS
from toolkit.records import CheckName, CheckRecord, Precision

Float32Array = NDArray[np.float32]

_ANCHOR_IMAGES = 64
_LARGEST_FOR_FLOAT16 = 255
_MOST_DIFFERENCE_OF_LOWER = 2.0
_SMALL_BESIDE = 0.1


class _UnusableError(Exception):
    """What came back has not the shape or dtype that further checks need; the check that says so has failed."""


@dataclass
class Examination:
    """One artifact under examination.

    Attributes:
        calls: The artifact.
        expectations: What the reference says.
        declared: The precision by whose rule it is judged.
        checks: The answers so far.
        cases: For failed checks the batch that shows it, ``(N, 1, 28, 28)`` float32; where a single image may do, that
            image comes first.
    """

    calls: Calls
    expectations: Expectations
    declared: Precision = "float32"
    checks: list[CheckRecord] = field(default_factory=list)
    cases: dict[CheckName, Float32Array] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check so far passed."""
        return all(check.passed for check in self.checks)

    def note(self, finding: Finding) -> None:
        """Take in an answer, and the batch that shows why it is bad."""
        self.checks.append(finding.check)
        if finding.case is not None:
            self.cases.setdefault(finding.check.name, finding.case)


def examine(
    session: Session,
    expectations: Expectations,
    sample: Probe,
    probes: Iterable[Probe],
    *,
    seed: int,
    declared: Precision = "float32",
) -> Examination:
    """Ask everything of a session; stop early when what comes back cannot be compared.

    Args:
        session: The artifact.
        expectations: What the reference says.
        sample: Real images, at least 128; behaviour is tried on them.
        probes: Further inputs; values are compared on all.
        seed: Of the search.
        declared: The precision by whose rule it is judged. Values and labels are compared for float32 only.
    """
    examination = Examination(Calls(session), expectations, declared)
    try:
        first = _answers(examination, sample)
        for probe in (sample, *probes):
            if not _beyond(probe, declared):
                compare(examination, probe)
        _behave(examination, sample, first)
        if examination.passed and declared == "float32":
            _search(examination, sample, seed)
    except RuntimeFailedError as error:
        examination.checks.append(verdict("batch sizes", [f"the runtime fails: {error}"], ""))
    except _UnusableError:
        pass
    _kept(examination)
    return examination


def _beyond(probe: Probe, declared: Precision) -> bool:
    """Say whether a probe leaves the range of a precision: sums of ±10,000 overflow float16, which ends at 65,504."""
    return declared == "float16" and float(np.abs(probe.images).max(initial=0)) > _LARGEST_FOR_FLOAT16


def _answers(examination: Examination, sample: Probe) -> NDArray[Any]:
    """Try every batch size, look at what comes back, and return the logits of the first 64 images, each call new.

    Raises:
        _UnusableError: If nothing further can be compared.
    """
    images = next(sample.batches())
    errors: dict[int, str] = {}
    first = np.empty(0)
    for size in (_ANCHOR_IMAGES, *BATCH_SIZES):
        try:
            logits = examination.calls(images[:size])
            first = logits if not len(first) else first
        except RuntimeFailedError as error:
            errors[size] = str(error)
    failing = next(iter(errors), None)
    sizes = check_batch_sizes(errors, BATCH_SIZES)
    examination.note(Finding(sizes, None if failing is None else images[:failing]))
    if len(errors) < len(BATCH_SIZES):
        _look(examination, images)
    if not examination.passed:
        raise _UnusableError
    return first


def _look(examination: Examination, images: Float32Array) -> None:
    """Check the shapes and dtypes of all that came back so far."""
    calls = examination.calls
    shape, dtype = check_shape(calls.shapes), check_dtype(calls.dtypes, examination.declared)
    odd = next((count for count, found in calls.shapes if found != (count, 10)), 1)
    examination.note(Finding(shape, None if shape.passed else images[:odd]))
    examination.note(Finding(dtype, None if dtype.passed else images[:1]))


def compare(examination: Examination, probe: Probe) -> None:
    """Compare an artifact with the reference on a probe: finite, values, labels, each when the ones before passed."""
    expected = examination.expectations.of(probe)
    before = len(examination.calls.shapes)
    actual = [examination.calls(images) for images in probe.batches()]
    if not check_shape(examination.calls.shapes[before:]).passed:
        examination.checks = [check for check in examination.checks if check.name != "shape"]
        examination.note(Finding(check_shape(examination.calls.shapes[before:]), next(probe.batches())))
        raise _UnusableError
    judge(examination, probe, np.concatenate(actual), expected)


def judge(examination: Examination, probe: Probe, actual: NDArray[Any], expected: Expectation) -> None:
    """Ask the questions that need only the logits.

    Args:
        examination: Takes the answers.
        probe: The inputs.
        actual: ``(N, 10)``: what the artifact gave.
        expected: What the reference says.
    """
    finite = check_finite(probe.name, actual, expected.judged)
    rows = np.flatnonzero(expected.judged)
    if not finite.passed:
        bad = rows[~np.isfinite(actual[rows]).all(1)]
        examination.note(Finding(finite, _with_first(probe, int(bad[0]))))
        return
    examination.note(Finding(finite))
    if examination.declared != "float32":
        return
    kept, want = actual[rows].astype(np.float64), expected.logits[rows]
    errors = np.abs(kept - want)
    worst = rows[int(errors.max(1).argmax())] if errors.size else 0
    for check in (
        check_values(probe.name, errors, expected.unit, len(actual) - len(rows)),
        check_labels(probe.name, kept, want, expected.unit),
    ):
        examination.note(Finding(check, None if check.passed else _with_first(probe, int(worst))))


def _behave(examination: Examination, sample: Probe, first: NDArray[Any]) -> None:
    """Check behaviour on real images, if their logits are finite."""
    if any(check.name == "finite" and check.probe == sample.name and not check.passed for check in examination.checks):
        return
    images = next(sample.batches())
    alone = run_alone(examination.calls, images)
    exact = examination.declared == "float32"
    expected = examination.expectations.of(sample)
    own_error = float(np.abs(alone.astype(np.float64) - expected.logits[: len(alone)]).max())
    # A wrong artifact may compute with larger numbers, and round more: what is small beside its error is not the cause.
    by = Yardstick(expected.unit, limit=max(LIMIT_IN_UNITS, _SMALL_BESIDE * own_error / expected.unit))
    if not exact:
        by = Yardstick(max(own_error, expected.unit), "× its own error", _MOST_DIFFERENCE_OF_LOWER)
    steady = determinism(examination.calls, images, first, by)
    alike = independence(examination.calls, images, alone, by, hostile=exact)
    examination.note(steady)
    examination.note(alike)
    # Dynamic int8 takes its scale from the whole batch, so there another row's infinity does matter.
    if examination.declared != "int8" and steady.check.passed and alike.check.passed:
        examination.note(poison(examination.calls, images, alone, by))


def _search(examination: Examination, sample: Probe, seed: int) -> None:
    """Look for an image with a larger error than those of the probes."""
    found = search(examination.calls, examination.expectations.reference, next(sample.batches()), seed)
    judge(examination, Probe(f"search for the largest error (seed {seed})", found.images), found.actual, found.expected)


def _kept(examination: Examination) -> None:
    changed = examination.calls.overwritten
    problems = [] if changed is None else [f"it overwrites the caller's batch of {len(changed)}"]
    examination.note(Finding(verdict("input kept", problems, "the caller's images stay as they were"), changed))


def _with_first(probe: Probe, image: int) -> Float32Array:
    """Return the batch that holds an image, that image first."""
    for number, images in enumerate(probe.batches()):
        if image < (number + 1) * probe.batch_size:
            place = image - number * probe.batch_size
            order = [place, *(i for i in range(len(images)) if i != place)]
            return images[order]
    raise IndexError(image)
