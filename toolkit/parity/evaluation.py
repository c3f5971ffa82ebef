"""Evaluation: how the reference and an artifact classify labelled images, and what the artifact loses."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.examine.calls import RuntimeFailedError, UnusableOutputError
from toolkit.parity.plan import Plan
from toolkit.parity.probes import Probe
from toolkit.parity.reference import ReferenceModel
from toolkit.parity.rules.checks import CLASSES
from toolkit.records import MOST_WRONG, EvaluationRecord, ImageSource, QualityRecord, WrongImageRecord
from toolkit.workload.images import Float32Array
from toolkit.workload.noise import relative_noise
from toolkit.workload.scores import softmax


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


def measure_quality(
    infer: Callable[[NDArray[np.float32]], NDArray[Any]],
    reference: ReferenceModel,
    labelled: Probe,
    source: ImageSource,
) -> QualityRecord:
    """Compare the classification of an artifact with the reference's on labelled images, batch by batch.

    Args:
        infer: The artifact; its logits are finite.
        reference: What it is compared with.
        labelled: Images with labels.
        source: Which images these are.

    Raises:
        ValueError: If the images have no labels.
    """
    if labelled.labels is None:
        raise ValueError(f"the probe {labelled.name} has no labels")
    right, lost, gained, disagreements, start = 0, 0, 0, 0, 0
    signal, noise = np.zeros(CLASSES), np.zeros(CLASSES)
    change, largest = 0.0, 0.0
    for images in labelled.batches():
        labels = labelled.labels[start : start + len(images)]
        start += len(images)
        expected, actual = reference.logits(images), infer(images).astype(np.float64)
        want, top = expected.argmax(1), actual.argmax(1)
        right += int((want == labels).sum())
        lost += int(((want == labels) & (top != labels)).sum())
        gained += int(((want != labels) & (top == labels)).sum())
        disagreements += int((want != top).sum())
        signal += (expected**2).sum(0)
        noise += ((actual - expected) ** 2).sum(0)
        changes = np.abs(softmax(actual) - softmax(expected))
        change += float(changes.sum())
        largest = max(largest, float(changes.max(initial=0.0)))
    return QualityRecord(
        source=source,
        images=start,
        reference_right=right,
        lost=lost,
        gained=gained,
        disagreements=disagreements,
        mean_probability_change=change / (start * CLASSES),
        max_probability_change=largest,
        relative_noise=relative_noise(noise, signal),
    )
