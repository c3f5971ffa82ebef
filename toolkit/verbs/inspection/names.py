"""Which tensor of a file is which weight of the model, whatever the file calls it."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from toolkit.fashion.keys import KEY, arrays_sha256, without_prefix
from toolkit.formats.graph import StoredTensor
from toolkit.records import PIXELS

_FLOATS = ("float16", "float32", "float64", "bfloat16")


def is_weight(tensor: StoredTensor) -> bool:
    """Say whether a tensor has floating-point numbers or is a matrix; the rest serves the graph: shapes, axes."""
    return "float" in tensor.dtype or len(tensor.shape) > 1


def compute_weights_sha256(tensors: Sequence[StoredTensor]) -> str | None:
    """Return the digest that a checkpoint of these weights has.

    Args:
        tensors: All of a file, in the order of their use.

    Returns:
        None if they are not the weights of this model's family, or cannot be read.
    """
    weights = [each for each in tensors if is_weight(each)]
    if not weights or any(each.dtype not in _FLOATS or len(each.shape) not in {1, 2} for each in weights):
        return None
    named = _by_name(weights) or _by_order(weights)
    if named is None:
        return None
    try:
        return arrays_sha256({name: _values(each, turned) for name, (each, turned) in named.items()})
    except Exception:  # noqa: BLE001  what cannot be read has no digest; its record says why
        return None


def _values(stored: StoredTensor, turned: bool) -> NDArray[np.float32]:
    values = stored.read().astype(np.float32)
    return values.T if turned else values


Named = dict[str, tuple[StoredTensor, bool]]


def _by_name(weights: list[StoredTensor]) -> Named | None:
    """Return the weights under the quickstart's names if they all have them."""
    names = [without_prefix(each.name) for each in weights]
    if not all(map(KEY.match, names)) or len(set(names)) < len(names):
        return None
    return {name: (each, each.transposed) for name, each in zip(names, weights, strict=True)}


def _by_order(weights: list[StoredTensor]) -> Named | None:
    """Return the weights as layers in the order of their use, if their shapes follow one another from the pixels.

    A square matrix may stand either way; then what reads it decides.
    """
    features, found = PIXELS, {}
    matrices = [each for each in weights if len(each.shape) == 2]
    for layer, (matrix, bias) in enumerate(zip_longest(matrices, (each for each in weights if len(each.shape) == 1))):
        if matrix is None or bias is None or features not in matrix.shape:
            return None
        turned = matrix.transposed if matrix.shape[0] == matrix.shape[1] else matrix.shape[1] != features
        features = matrix.shape[1 if turned else 0]
        if bias.shape != (features,):
            return None
        found[f"linear_relu_stack.{2 * layer}.weight"] = (matrix, turned)
        found[f"linear_relu_stack.{2 * layer}.bias"] = (bias, False)
    return found
