"""Explanations of a failed artifact: what it probably does, where it diverges, and a folder that shows it."""

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.diagnose import diagnose
from toolkit.parity.examine import Examination
from toolkit.parity.plan import Plan
from toolkit.records import ParityRecord
from toolkit.sessions import Target

# More images do not make a diagnosis surer.
_DIAGNOSED_IMAGES = 256


def explain(record: ParityRecord, target: Target, plan: Plan, examination: Examination) -> ParityRecord:
    """Return the record with a diagnosis, the place and a reproduction, as far as they apply; as it is if it passed.

    Args:
        record: What was found.
        target: The artifact.
        plan: What it was compared with.
        examination: The session, and the batches that show what is wrong.
    """
    if record.cause == "values":
        record = _diagnosed(record, target, plan, examination)
    return record


def _diagnosed(record: ParityRecord, target: Target, plan: Plan, examination: Examination) -> ParityRecord:
    """Add the probable fault to the sentence of the first failed check of values."""
    model = plan.reference.model
    images = _images_for_diagnosis(plan, examination)
    if model is None:
        return record
    fault = diagnose(examination.calls(images), images, model, target.info.keeps_float32)
    failure = record.failure
    if not fault or not failure:
        return record
    named = failure.model_copy(update={"detail": f"{failure.detail}; {fault}"})
    return record.model_copy(update={"checks": tuple(named if each is failure else each for each in record.checks)})


def _images_for_diagnosis(plan: Plan, examination: Examination) -> NDArray[np.float32]:
    """Return real images if they show the fault, and else those that do."""
    sample_fails = any(
        check.name == "values" and check.probe == plan.sample.name and not check.passed for check in examination.checks
    )
    images = next(plan.sample.batches()) if sample_fails else examination.cases["values"]
    return images[:_DIAGNOSED_IMAGES]
