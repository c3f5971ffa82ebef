"""Tensors of two files, one beside the other: by name where they share one, or else by order and shape."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import CheckpointError, CorruptArtifactError, ToolkitError, first_line
from toolkit.fashion.keys import without_prefix
from toolkit.formats.graph import StoredTensor
from toolkit.records import InspectRecord, TensorPairRecord
from toolkit.verbs.inspection.inspected import Inspected
from toolkit.verbs.inspection.names import is_weight

Pair = tuple[StoredTensor | None, StoredTensor | None]


def compare_tensors(a: Inspected, b: Inspected) -> tuple[TensorPairRecord, ...]:
    """Compare two files tensor by tensor, value by value.

    Raises:
        CorruptArtifactError, CheckpointError: If values cannot be read: whether they differ is then not known.
    """
    pairs = pair_tensors(a.tensors, b.tensors, by_name=a.record.format == b.record.format)
    read = not _same_bytes(a.record, b.record)
    return tuple(_compared(pair, a.record, b.record, read=read) for pair in pairs)


def _same_bytes(a: InspectRecord, b: InspectRecord) -> bool:
    """Say whether two files are byte-identical, and so those beside them that hold values of theirs."""
    complete = a.files or not any(each.file for each in a.tensors)
    return bool(complete) and (a.sha256, a.files) == (b.sha256, b.files)


def pair_tensors(a: Sequence[StoredTensor], b: Sequence[StoredTensor], *, by_name: bool = True) -> list[Pair]:
    """Find for each tensor the one of the other file that stands in its place.

    Args:
        a: Of the first file, in the order of their use.
        b: Of the second.
        by_name: Whether those that only serve the graph, such as shapes, are paired too; two formats have others.

    Returns:
        Pairs in the order of ``a``, then what only ``b`` has. First those of one name and shape, then weights of one
        shape (or the transposed one) in order, then what is left of one name.
    """
    left = dict(enumerate(b))
    found: dict[int, StoredTensor] = {}
    for fits in (_same_name_and_shape, _same_kind_and_shape, _same_name):
        for place, tensor in enumerate(a):
            if place not in found:
                match = next((key for key, other in left.items() if fits(tensor, other)), None)
                if match is not None:
                    found[place] = left.pop(match)
    pairs: list[Pair] = [(tensor, found.get(place)) for place, tensor in enumerate(a)]
    pairs += [(None, each) for each in left.values()]
    if by_name:
        return pairs
    return [pair for pair in pairs if all(pair) or any(each and is_weight(each) for each in pair)]


def _same_name(a: StoredTensor, b: StoredTensor) -> bool:
    return without_prefix(a.name) == without_prefix(b.name)


def _same_name_and_shape(a: StoredTensor, b: StoredTensor) -> bool:
    return _same_name(a, b) and a.shape == b.shape


def _same_kind_and_shape(a: StoredTensor, b: StoredTensor) -> bool:
    if is_weight(a) != is_weight(b) or (a.dtype != b.dtype and not ("float" in a.dtype and "float" in b.dtype)):
        return False
    return a.shape == b.shape or (len(a.shape) == 2 and a.shape == b.shape[::-1])


def _compared(pair: Pair, first: InspectRecord, second: InspectRecord, *, read: bool) -> TensorPairRecord:
    a, b = pair
    different, largest, turned = (None, None, False) if read else (0, 0.0, False)
    if a and b and read:
        different, largest, turned = _least_difference(a, b, _values(a, first), _values(b, second))
    return TensorPairRecord(
        a=a.name if a else None,
        b=b.name if b else None,
        a_dtype=a.dtype if a else None,
        b_dtype=b.dtype if b else None,
        a_shape=a.shape if a else None,
        b_shape=b.shape if b else None,
        transposed=turned,
        weight=any(each and is_weight(each) for each in pair),
        different=different,
        largest_difference=largest,
    )


def _least_difference(
    a: StoredTensor, b: StoredTensor, left: NDArray[Any], right: NDArray[Any]
) -> tuple[int | None, float | None, bool]:
    """Compare values as the two files say that they stand; a square matrix the other way too, if that is the same.

    Nothing but the matrix itself tells for sure how a square one stands.
    """
    turned = len(a.shape) == 2 and a.shape == b.shape[::-1]
    square = turned and a.shape == b.shape
    if square:
        turned = a.transposed != b.transposed
    different, largest = compare_values(left, right.T if turned else right)
    if different and square:
        other, size = compare_values(left, right if turned else right.T)
        if other == 0:
            different, largest, turned = other, size, not turned
    return different, largest, turned


def _values(tensor: StoredTensor, record: InspectRecord) -> NDArray[Any]:
    try:
        return tensor.read()
    except Exception as error:
        raise _unreadable(record, f"the values of {tensor.name} cannot be read: {first_line(error)}") from error


def _unreadable(record: InspectRecord, reason: str) -> ToolkitError:
    if record.kind == "checkpoint":
        return CheckpointError(Path(record.path), reason, "save it again with torch.save(model.state_dict(), path)")
    return CorruptArtifactError(Path(record.path), record.format, reason)


def compare_values(a: NDArray[Any], b: NDArray[Any]) -> tuple[int | None, float | None]:
    """Count the values that differ, the sign of zero too; NaN is the same as NaN.

    Args:
        a: Values of any dtype.
        b: Values of any dtype.

    Returns:
        The count, None if the shapes differ; and the largest ``|a - b|`` in float64 over the finite ones among them: 0
        if none differs, None if none that differs is finite.
    """
    if a.shape != b.shape:
        return None, None
    kinds = {a.dtype.kind, b.dtype.kind}
    if "O" in kinds:
        return int(np.count_nonzero(a != b)), None
    wide = np.complex128 if "c" in kinds else np.float64
    left, right = a.astype(wide), b.astype(wide)
    if kinds <= {*"iub"}:
        other = a != b  # float64 cannot tell all of int64 apart
    else:
        other = left != right
        if wide is np.float64:
            other |= np.signbit(left) != np.signbit(right)
        other &= ~(np.isnan(left) & np.isnan(right))
    return int(np.count_nonzero(other)), None if "c" in kinds else _largest(left[other], right[other])


def _largest(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if not a.size:
        return 0.0
    with np.errstate(all="ignore"):
        distances = np.abs(a - b)
    finite = distances[np.isfinite(distances)]
    largest = float(finite.max()) if finite.size else math.nan
    return largest if math.isfinite(largest) else None
