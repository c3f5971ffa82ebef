"""Evaluation: the confusion matrix and the most confident errors on labelled images. Pure functions of logits."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.examine.calls import RuntimeFailedError, UnusableOutputError
from toolkit.parity.plan import Plan
from toolkit.parity.probes import Probe
from toolkit.parity.rules.checks import CLASSES
from toolkit.records import MOST_WRONG, EvaluationRecord, ImageSource, WrongImageRecord
from toolkit.workload.scores import softmax

Float32Array = NDArray[np.float32]


def evaluate_reference(plan: Plan) -> EvaluationRecord | None:
    """Return how the reference classifies the labelled images; its logits are those that parity has already computed.

    Returns:
        None when the reference overflows on one of them.
    """
    return evaluate(plan.expectations.of(plan.labelled).logits, plan.labelled, plan.source)


def evaluate_artifact(infer: Callable[[Float32Array], NDArray[Any]], plan: Plan) -> EvaluationRecord | None:
    """Return how an artifact classifies the labelled images, with those errors that the reference does not make.

    Args:
        infer: The artifact.
        plan: The images, and what the reference says of them.

    Returns:
        None when it fails on them, or when what comes back cannot be classified; checks have told why.
    """
    try:
        logits = np.concatenate([infer(images) for images in plan.labelled.batches()])
    except (RuntimeFailedError, UnusableOutputError, ValueError):  # the last: shapes that do not fit together
        return None
    reference = plan.expectations.of(plan.labelled).logits
    return evaluate(logits, plan.labelled, plan.source, among=reference.argmax(1) == plan.labelled.labels)


def evaluate(
    logits: NDArray[Any], labelled: Probe, source: ImageSource, among: NDArray[np.bool_] | None = None
) -> EvaluationRecord | None:
    """Count how images were classified, and take down the most confident errors.

    Args:
        logits: ``(N, 10)``.
        labelled: N images with labels.
        source: Which images these are.
        among: ``(N,)``: the images whose errors are taken down; None for all. All are counted.

    Returns:
        None when the shape is another, or a logit is not finite.

    Raises:
        ValueError: If the images have no labels.
    """
    labels = labelled.labels
    if labels is None:
        raise ValueError(f"the probe {labelled.name} has no labels")
    if logits.shape != (len(labels), CLASSES) or not np.isfinite(logits).all():
        return None
    probabilities = softmax(logits.astype(np.float64))
    predicted = probabilities.argmax(1)
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    wrong = np.flatnonzero((predicted != labels) & (True if among is None else among))
    confidence = probabilities[wrong, predicted[wrong]]
    first = wrong[np.argsort(-confidence, kind="stable")][:MOST_WRONG]
    return EvaluationRecord(
        source=source,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        wrong=tuple(
            WrongImageRecord(
                index=int(i),
                actual=int(labels[i]),
                predicted=int(predicted[i]),
                probability=float(probabilities[i, predicted[i]]),
                pixels=_pixels(labelled.images[i]),
            )
            for i in first
        ),
    )


def _pixels(image: NDArray[np.uint8] | Float32Array) -> str:
    """Return a picture of uint8, or an image of float32 in [0, 1], as base64 of a byte per pixel."""
    picture = image if image.dtype == np.uint8 else np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    return base64.b64encode(picture.tobytes()).decode()
