"""From logits to what is told of them: probabilities, and the most probable classes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.records import LABELS, ScoreRecord

#: Classes that are told of a picture.
MOST_SCORES: Final = 5


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the class probabilities ``(N, 10)`` of finite logits ``(N, 10)``; N may be 0."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def best_scores(probabilities: NDArray[np.float64]) -> tuple[ScoreRecord, ...]:
    """Return the most probable classes of one picture, the first of equal ones first.

    Args:
        probabilities: ``(10,)`` float64.
    """
    best = np.argsort(-probabilities, kind="stable")[:MOST_SCORES]
    # A sum of rounded parts may lie a last bit above 1.
    return tuple(ScoreRecord(label=LABELS[each], probability=min(float(probabilities[each]), 1.0)) for each in best)
