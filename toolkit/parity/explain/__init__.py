"""Explanations of a failed artifact: what it probably does, where it diverges, and a folder that shows it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.formats.reshaped import IMAGE_SHAPES, fitted_shape
from toolkit.formats.target import Target
from toolkit.parity.examine import Examination
from toolkit.parity.examine.behaviour import POISON
from toolkit.parity.examine.calls import RuntimeFailedError, UnusableOutputError
from toolkit.parity.explain.diagnose import diagnose
from toolkit.parity.explain.locate import divergence
from toolkit.parity.explain.reproduce import Reproduction, write_reproduction
from toolkit.parity.plan import Plan
from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS
from toolkit.records import CheckRecord, ParityRecord, ReproductionRecord

# More images do not make a diagnosis surer.
_DIAGNOSED_IMAGES = 256


def explain(record: ParityRecord, target: Target, plan: Plan, examination: Examination) -> ParityRecord:
    """Return the record with a diagnosis and the place, as far as they apply; as it is if it passed."""
    if record.cause == "values":
        record = _diagnosed(record, target, plan, examination)
    if record.cause in {"values", "finite"} and record.declared == "float32":
        record = _located(record, target, plan, examination)
    return record


def reproduce(
    record: ParityRecord, target: Target, plan: Plan, examination: Examination | None, folder: Path
) -> ParityRecord:
    """Return the record with a reproduction of what failed, in ``folder``, or the reason why there is none.

    Some check has failed; ``examination`` is None when the artifact did not open.

    Raises:
        OutputError: If it cannot be written.
    """
    cause = record.failure
    assert cause is not None  # the caller has looked
    if record.declared != "float32" and cause.name != "opens":
        made = Reproduction(None, "lower precision is judged over many images, no single one shows it")
    else:
        calls = examination.calls if examination else None
        made = write_reproduction(
            folder,
            target,
            examination.cases.get(cause.name) if examination else None,
            # A row that NaN in another row changes depends on its neighbours; that is how it can be shown.
            cause=cause.changed(name="row independence") if cause.probe == POISON else cause,
            expected_of=plan.reference.logits,
            run=calls.unprotected if calls else None,
            limit=_limit_in_logits(cause, plan),
            sha256=record.sha256,
            input_shape=fitted_shape(calls.session) if calls else IMAGE_SHAPES[0],
            device=record.device,
            companions=target.files()[1:] if calls else (),
        )
    kept = ReproductionRecord(folder=made.folder and str(made.folder), shown=made.shown, note=made.note)
    return record.changed(reproduction=kept)


def _limit_in_logits(cause: CheckRecord, plan: Plan) -> float:
    """Return the largest allowed error, absolute: of the check itself, or else of the sample."""
    unit = cause.facts.get("eager_error", float(plan.expectations.of(plan.sample).units.max()))
    return LIMIT_IN_UNITS * unit


def _diagnosed(record: ParityRecord, target: Target, plan: Plan, examination: Examination) -> ParityRecord:
    """Add the probable fault to the sentence of the first failed check of values."""
    model = plan.reference.model
    if model is None:
        return record
    images = _images_for_diagnosis(plan, examination)
    try:
        fault = diagnose(examination.calls(images), images, model, target.format.keeps_float32)
    except (RuntimeFailedError, UnusableOutputError):  # an artifact of many faults; the first one stands in the report
        return record
    failure = record.failure
    if not fault or not failure:
        return record
    named = failure.changed(detail=f"{failure.detail}; {fault}")
    return record.changed(checks=tuple(named if each is failure else each for each in record.checks))


def _located(record: ParityRecord, target: Target, plan: Plan, examination: Examination) -> ParityRecord:
    """Add the first layer that is wrong, on the batch that shows it."""
    model, failure = plan.reference.model, record.failure
    images = examination.cases.get(failure.name) if failure else None
    if model is None or images is None or not np.isfinite(images).all():
        return record
    place = divergence(
        target,
        model,
        images,
        device=record.device,
        threads=record.threads,
        limit_in_units=LIMIT_IN_UNITS,
        reshape=fitted_shape(examination.calls.session),
    )
    return record.changed(divergence=place)


def _images_for_diagnosis(plan: Plan, examination: Examination) -> NDArray[np.float32]:
    """Return real images if they show the fault, and else those that do."""
    sample_fails = any(
        check.name == "values" and check.probe == plan.sample.name and not check.passed for check in examination.checks
    )
    images = next(plan.sample.batches()) if sample_fails else examination.cases["values"]
    return images[:_DIAGNOSED_IMAGES]
