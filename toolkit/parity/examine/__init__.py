"""The examination of one artifact: run it on every probe, and ask the checks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.formats import Session
from toolkit.parity.examine.behaviour import (
    ANCHOR_IMAGES,
    BATCH_SIZES,
    LEAST_IMAGES,
    Evidence,
    determinism,
    independence,
    poison,
    run_alone,
)
from toolkit.parity.examine.calls import RecordedCalls, RuntimeFailedError, UnusableOutputError
from toolkit.parity.examine.search import search
from toolkit.parity.probes import Probe
from toolkit.parity.reference import Expectation, Expectations
from toolkit.parity.rules.checks import (
    CLASSES,
    Yardstick,
    check_batch_sizes,
    check_dtype,
    check_finite,
    check_labels,
    check_shape,
    check_values,
    verdict,
)
from toolkit.parity.rules.quality import check_noise
from toolkit.parity.rules.tolerance import MOST_DIFFERENCE_OF_LOWER, behaviour_limit
from toolkit.records import CheckName, CheckRecord, Precision
from toolkit.workload.images import Float32Array
from toolkit.workload.noise import relative_noise

_LARGEST_FOR_FLOAT16 = 255


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

    calls: RecordedCalls
    expectations: Expectations
    declared: Precision = "float32"
    checks: list[CheckRecord] = field(default_factory=list)
    cases: dict[CheckName, Float32Array] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check so far passed."""
        return all(check.passed for check in self.checks)

    def note(self, finding: Evidence) -> None:
        """Take in an answer, and the batch that shows why it is bad."""
        self.checks.append(finding.check)
        if finding.case is not None:
            self.cases.setdefault(finding.check.name, finding.case)

    def replace(self, check: CheckRecord, case: Float32Array) -> None:
        """Take in a failure of a check that seemed to pass."""
        self.checks = [each for each in self.checks if each.name != check.name]
        self.note(Evidence(check, case))


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
        sample: Real images; behaviour is tried on them.
        probes: Further inputs; values are compared on all.
        seed: Of the search.
        declared: The precision by whose rule it is judged. Values and labels are compared for float32 only.
    """
    examination = Examination(RecordedCalls(session, declared), expectations, declared)
    try:
        first = _answers(examination, sample)
        if first is not None:
            examination.calls.strict = True
            for probe in (sample, *probes):
                if not _beyond(probe, declared):
                    actual = np.concatenate([examination.calls(images) for images in probe.batches()])
                    judge(examination, probe, actual, expectations.of(probe))
            _behave(examination, sample, first)
            if examination.passed and declared == "float32":
                _search(examination, sample, seed)
    except RuntimeFailedError as error:
        examination.replace(verdict("batch sizes", [str(error)], ""), error.images)
    except UnusableOutputError as error:
        examination.replace(error.check, error.images)
    changed = examination.calls.overwritten
    problems = [] if changed is None else [f"it overwrites the caller's batch of {len(changed)}"]
    examination.note(Evidence(verdict("input kept", problems, "the caller's images stay as they were"), changed))
    return examination


def _beyond(probe: Probe, declared: Precision) -> bool:
    """Say whether a probe leaves the range of a precision: sums of ±10,000 overflow float16, which ends at 65,504."""
    return declared == "float16" and float(np.abs(probe.images).max(initial=0)) > _LARGEST_FOR_FLOAT16


def _answers(examination: Examination, sample: Probe) -> NDArray[Any] | None:
    """Try every batch size and look at what comes back.

    Returns:
        The logits of the first images, of the very first call; None when nothing further can be compared.
    """
    images, calls = next(sample.batches()), examination.calls
    errors: dict[int, str] = {}
    first: NDArray[Any] | None = None
    for size in (ANCHOR_IMAGES, *BATCH_SIZES):
        try:
            logits = calls(images[:size])
            first = logits if first is None else first
        except RuntimeFailedError as error:
            errors[size] = error.reason
    failing = next(iter(errors), None)
    sizes = check_batch_sizes(errors, BATCH_SIZES)
    examination.note(Evidence(sizes, None if failing is None else images[:failing]))
    if calls.shapes:
        shape, dtype = check_shape(calls.shapes), check_dtype(list(calls.dtypes), examination.declared)
        odd = next((count for count, found in calls.shapes if found != (count, CLASSES)), 1)
        examination.note(Evidence(shape, None if shape.passed else images[:odd]))
        examination.note(Evidence(dtype, None if dtype.passed else images[:1]))
    return first if examination.passed else None


def judge(examination: Examination, probe: Probe, actual: NDArray[Any], expected: Expectation) -> None:
    """Ask the questions that need only the logits: finite, and then values and labels, or the noise.

    Args:
        examination: Takes the answers.
        probe: The inputs.
        actual: ``(N, 10)``: what the artifact gave.
        expected: What the reference says.
    """
    rows = np.flatnonzero(expected.judged)
    if not len(rows) and probe.labels is None:
        good = f"nothing to compare: eager float32 itself overflows on all {len(actual):,} images"
        examination.note(Evidence(verdict("finite", [], good, probe.name)))
        return
    finite = check_finite(probe.name, actual, expected.judged)
    if not finite.passed:
        bad = rows[~np.isfinite(actual[rows]).all(1)]
        examination.note(Evidence(finite, _with_first(probe, int(bad[0]))))
        return
    examination.note(Evidence(finite))
    kept, want = actual[rows].astype(np.float64), expected.logits[rows]
    errors = np.abs(kept - want)
    worst = rows[int((errors / expected.units).max(1).argmax())] if errors.size else 0
    if examination.declared == "float32":
        checks = [
            check_values(probe.name, errors, expected.units, len(actual) - len(rows)),
            check_labels(probe.name, kept, want, expected.units),
        ]
    elif examination.declared == "int8":  # it is calibrated for real images and clips what lies outside
        return
    else:
        checks = [check_noise(probe.name, relative_noise((errors**2).sum(0), (want**2).sum(0)))]
    for check in checks:
        examination.note(Evidence(check, None if check.passed else _with_first(probe, int(worst))))


def _behave(examination: Examination, sample: Probe, first: NDArray[Any]) -> None:
    """Check behaviour on those real images on which float32 is finite."""
    expected = examination.expectations.of(sample)
    failed = {check.name for check in examination.checks if check.probe == sample.name and not check.passed}
    rows = np.flatnonzero(expected.judged[: sample.batch_size])
    if "finite" in failed or len(rows) < LEAST_IMAGES or not expected.judged[:ANCHOR_IMAGES].all():
        return
    images = next(sample.batches())[rows]
    alone = run_alone(examination.calls, images)
    by = _yardstick(examination, alone, expected.logits[rows], expected.units)
    steady = determinism(examination.calls, images, first, by)
    alike = independence(examination.calls, images, alone, by, hostile=examination.declared == "float32")
    examination.note(steady)
    examination.note(alike)
    # Dynamic int8 takes its scale from the whole batch, so there another row's infinity does matter.
    if examination.declared != "int8" and steady.check.passed and alike.check.passed:
        examination.note(poison(examination.calls, images, alone, by))


def _yardstick(
    examination: Examination, alone: NDArray[Any], expected: NDArray[np.float64], units: NDArray[np.float64]
) -> Yardstick:
    """Return by how much two answers to the same image may differ."""
    own = np.abs(alone.astype(np.float64) - expected)
    if examination.declared != "float32":
        return Yardstick(np.maximum(own.max(), units), "× its own error", MOST_DIFFERENCE_OF_LOWER)
    worst = float((own / units).max())
    return Yardstick(units, limit=behaviour_limit(worst if np.isfinite(worst) else 0.0))


def _search(examination: Examination, sample: Probe, seed: int) -> None:
    """Look for an image with a larger error than those of the probes."""
    known = examination.expectations
    found = search(examination.calls, known.reference, next(sample.batches()), seed, known.usual)
    judge(examination, Probe(f"search for the largest error (seed {seed})", found.images), found.actual, found.expected)


def _with_first(probe: Probe, image: int) -> Float32Array:
    """Return the batch that holds an image, that image first."""
    number, place = divmod(image, probe.batch_size)
    images = next(islice(probe.batches(), number, None))
    return images[[place, *(i for i in range(len(images)) if i != place)]]
