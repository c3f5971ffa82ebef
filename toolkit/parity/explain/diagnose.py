"""Diagnosis: what a wrong artifact probably does, by comparing its errors with those of known faults."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.fashion.model import Mlp
from toolkit.records import LABELS
from toolkit.workload.images import Float64Array

Rounding = Callable[[Tensor], Tensor]

# A fault is named when it predicts the logits: what is left of the error is at most a tenth of it, and at most a
# thousandth of the logits' own variation, or tiny outputs would be "explained" by whatever predicts nearly nothing.
_MOST_LEFT: Final = 0.1
_MOST_OF_LOGITS: Final = 1e-3
# Errors of rounding differ with the order of summation. On the 256 images of tests/test_diagnose.py two computations
# of the bundled model in the same low precision correlate with 0.69 to 1.00. The other faults there correlate with
# rounding of a like size by 0.014 at most, and by 0.41 at most with any.
_LEAST_CORRELATION: Final = 0.6
_NEAREST_SIZE, _FURTHEST_SIZE = 1 / 3, 3.0
_TF32_DROPPED_BITS: Final = 13  # of float32's 23: TF32 keeps 10


def diagnose(actual: NDArray[Any], images: NDArray[np.float32], model: Mlp, keeps_float32: str) -> str | None:
    """Name the fault that explains the errors of an artifact, or None.

    Args:
        actual: Finite logits ``(N, 10)`` that are wrong somewhere.
        images: ``(N, 1, 28, 28)`` float32, N at least 8.
        model: The float32 model that they should be of.
        keeps_float32: What to do when the runtime lowered the precision.

    Returns:
        A clause for people.
    """
    if not np.isfinite(actual).all():
        return None
    actual, exact = actual.astype(np.float64), copy.deepcopy(model).double()
    given = torch.from_numpy(images).double()
    with torch.inference_mode():
        expected = exact(given).numpy()
        error = actual - expected
        if not np.isfinite(expected).all():
            return None
        left = {
            name: _rms(actual - predicted) / max(_rms(error), np.finfo(np.float64).tiny)
            for name, predicted in _faults(actual, expected, given, exact)
        }
        best = min(left, key=left.__getitem__)
        if left[best] * _rms(error) <= min(_MOST_LEFT * _rms(error), _MOST_OF_LOGITS * _rms(actual - actual.mean(0))):
            return best
        lowered = _lowered(error, torch.from_numpy(images), model, expected)
    if lowered and lowered[1]:
        return f"error fits {lowered[0]} arithmetic: this runtime probably lowered precision; {keeps_float32}"
    if lowered:
        return f"error fits weights rounded to {lowered[0]}; convert the float32 weights again"
    return _few_classes(error)


def _faults(
    actual: Float64Array, expected: Float64Array, given: Tensor, exact: Mlp
) -> Iterator[tuple[str, Float64Array]]:
    """Yield known faults, and what they would give for these images."""
    logits = torch.from_numpy(expected)
    yield "the outputs are probabilities: a softmax was appended", logits.softmax(1).numpy()
    yield "the outputs are log-probabilities: a log-softmax was appended", logits.log_softmax(1).numpy()
    yield "the outputs are probabilities: a sigmoid was appended", logits.sigmoid().numpy()
    yield "negative logits are zero: a ReLU was appended", logits.relu().numpy()
    gain = float((actual * expected).sum() / max((expected**2).sum(), np.finfo(np.float64).tiny))
    yield f"the logits are {gain:.7g} times the reference's", gain * expected
    shift = np.broadcast_to((actual - expected).mean(0), expected.shape)
    yield f"a constant is added to the logits: {_classes_of(shift[0])}", expected + shift
    order = np.abs(actual[:, :, None] - expected[:, None, :]).sum(0).argmin(1)
    yield f"the classes are in another order: {order.tolist()}", expected[:, order]
    for name, changed in (
        ("height and width of the images are exchanged", given.transpose(2, 3)),
        ("the images are mirrored", given.flip(3)),
        ("the images are upside down", given.flip(2)),
        ("the images are inverted (1 - x)", 1 - given),
        ("the pixels are divided by 255 once more", given / 255),
        ("the pixels are expected in 0 … 255", given * 255),
        ("the pixels are normalised to [-1, 1]", 2 * given - 1),
        ("the pixels are standardised with Fashion-MNIST's mean and deviation", (given - 0.2860) / 0.3530),
    ):
        yield name, exact(changed).numpy()


def _lowered(error: Float64Array, images: Tensor, model: Mlp, expected: Float64Array) -> tuple[str, bool] | None:
    """Return the low-precision computation whose errors are most like these, or None."""
    best, found = _LEAST_CORRELATION, None
    for name, arithmetic, weights, activations in _PRECISIONS:
        emulated = _emulate(model, images, weights, activations) - expected
        if not np.isfinite(emulated).all():  # these weights leave the range of that precision
            continue
        size = _rms(error) / max(_rms(emulated), np.finfo(np.float64).tiny)
        likeness = float((error * emulated).sum() / max(np.linalg.norm(error) * np.linalg.norm(emulated), 1e-300))
        if likeness > best and _NEAREST_SIZE < size < _FURTHEST_SIZE:
            best, found = likeness, (name, arithmetic)
    return found


def _emulate(model: Mlp, images: Tensor, weights: Rounding, activations: Rounding) -> Float64Array:
    """Compute the logits with rounded weights and activations, summing in float32 as matrix units do."""
    values = images.flatten(1)
    for layer in model.linear_relu_stack:
        if isinstance(layer, torch.nn.Linear):
            values = torch.nn.functional.linear(activations(values), weights(layer.weight), layer.bias)
        else:
            values = layer(values)
    result: Float64Array = values.double().numpy()
    return result


def _same(values: Tensor) -> Tensor:
    return values


def _bfloat16(values: Tensor) -> Tensor:
    return values.bfloat16().float()


def _float16(values: Tensor) -> Tensor:
    return values.half().float()


def _tf32(values: Tensor) -> Tensor:
    """Round to ten bits of mantissa, to nearest with ties away from zero, as NVIDIA's conversion does."""
    half = 1 << (_TF32_DROPPED_BITS - 1)
    bits = values.contiguous().view(torch.int32) + half
    return (bits & -(1 << _TF32_DROPPED_BITS)).view(torch.float32)


def _tf32_truncated(values: Tensor) -> Tensor:
    """Cut to ten bits of mantissa, as matrix units do with operands that were not converted."""
    return (values.contiguous().view(torch.int32) & -(1 << _TF32_DROPPED_BITS)).view(torch.float32)


def _int8(values: Tensor) -> Tensor:
    return _steps(values, values.abs().max() / 127)


def _int8_per_channel(values: Tensor) -> Tensor:
    return _steps(values, values.abs().amax(1, keepdim=True) / 127)


def _uint8(values: Tensor) -> Tensor:
    return _steps(values, (values.max().clamp(min=0) - values.min().clamp(max=0)) / 255)


def _steps(values: Tensor, step: Tensor) -> Tensor:
    step = step.clamp(min=torch.finfo(torch.float32).tiny)
    return (values / step).round() * step


# Name, whether it is what a runtime does and not what stands in the file, how weights and activations are rounded.
_PRECISIONS: Final[tuple[tuple[str, bool, Rounding, Rounding], ...]] = (
    ("bfloat16", False, _bfloat16, _same),
    ("bfloat16", True, _bfloat16, _bfloat16),
    ("float16", False, _float16, _same),
    # Both keep ten bits of mantissa: but for their range they are the same.
    ("TF32 or float16", True, _float16, _float16),
    ("TF32 or float16", True, _tf32, _tf32),
    ("TF32 or float16", True, _tf32_truncated, _tf32_truncated),
    ("int8", False, _int8, _same),
    ("int8 per channel", False, _int8_per_channel, _same),
    ("int8", True, _int8, _uint8),
    ("int8", True, _int8_per_channel, _uint8),
)


def _few_classes(error: Float64Array) -> str | None:
    """Name the classes that alone are wrong, if these are few."""
    size = np.abs(error).max(0)
    wrong = size > size.max() * 1e-2
    return f"only {_classes_of(np.where(wrong, size, 0))} differ" if wrong.sum() <= 3 else None


def _classes_of(shift: Float64Array) -> str:
    """Name the classes whose shift is not small beside the largest."""
    chosen = np.flatnonzero(np.abs(shift) > np.abs(shift).max(initial=0) * 1e-2)
    return ", ".join(f"class {i} ({LABELS[i]})" for i in chosen[:3]) + (" and others" if len(chosen) > 3 else "")


def _rms(values: Float64Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
