"""The reference and its unit: float64 eager, and how far float32 eager is from it."""

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.checkpoint import Checkpoint
from toolkit.data import load_sample
from toolkit.formats.libtorch import effective_precision
from toolkit.golden import Golden
from toolkit.model import Mlp
from toolkit.parity.checks import LIMIT_IN_UNITS

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_BATCH = 1000
_GOLDEN_IMAGES = 16
# Half an ulp: what it costs to store a number in float32, relative to its size.
_ROUNDING = float(np.finfo(np.float32).eps) / 2


class Reference:
    """What the checkpoint computes, in float64 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint.record
        self.weights_sha256 = checkpoint.record.weights_sha256
        self._exact = checkpoint.model().double()
        self._eager = checkpoint.model()

    def logits(self, images: Float32Array) -> Float64Array:
        """Return the logits ``(N, 10)`` float64 of images ``(N, 1, 28, 28)`` float32."""
        return _in_batches(self._exact, images, torch.float64)

    def unit(self, images: Float32Array, expected: Float64Array) -> float:
        """Return eager float32's own largest error on ``images``, in logit units: the unit of every comparison.

        It is never less than the rounding of the largest logit to float32 (which eager can undercut by luck
        on few images, or with weights of zero) and never zero.

        Args:
            images: ``(N, 1, 28, 28)`` float32.
            expected: Their `logits`.
        """
        effective_precision({torch.float32}, "cpu")  # the unit must be that of float32 itself
        error = np.abs(_in_batches(self._eager, images, torch.float32) - expected).max(initial=0.0)
        rounding = _ROUNDING * float(np.abs(expected).max(initial=0.0))
        return max(float(error), rounding, float(np.finfo(np.float32).tiny))


def make_golden(reference: Reference) -> Golden:
    """Compute the golden logits; the limit is taken over the whole sample, 16 images say too little."""
    inputs = load_sample().inputs()
    expected = reference.logits(inputs)
    chosen = np.linspace(0, len(inputs) - 1, _GOLDEN_IMAGES).astype(int)
    limit = LIMIT_IN_UNITS * reference.unit(inputs, expected)
    return Golden(inputs[chosen], expected[chosen], limit)


def _in_batches(model: Mlp, images: Float32Array, dtype: torch.dtype) -> Float64Array:
    with torch.inference_mode():
        parts = [
            model(torch.from_numpy(images[start : start + _BATCH]).to(dtype)).double().numpy()
            for start in range(0, len(images), _BATCH)
        ]
    result: Float64Array = np.concatenate(parts)
    return result
