"""Statistics of a tensor, in float64 and piece by piece: a large tensor is not copied as a whole."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import first_line
from toolkit.formats.graph import StoredTensor
from toolkit.records import StatisticsRecord, TensorRecord

_PIECE = 1 << 20


def describe_tensor(tensor: StoredTensor) -> TensorRecord:
    """Return name, dtype, shape and statistics of a tensor, or why it has none: nothing raises."""
    statistics, unread = None, None
    try:
        statistics = compute_statistics(tensor.read())
    except Exception as error:  # noqa: BLE001  whatever a library raises, these values cannot be read
        unread = first_line(error)
    return TensorRecord(
        name=tensor.name,
        role=tensor.role,
        dtype=tensor.dtype,
        shape=tensor.shape,
        file=tensor.file,
        statistics=statistics,
        unread=unread,
    )


def compute_statistics(values: NDArray[Any]) -> StatisticsRecord:
    """Return what the values are like; NaN and infinities are counted and left out of the rest.

    Args:
        values: Real numbers of any shape and dtype.

    Raises:
        TypeError: If they are no real numbers.
    """
    if values.dtype.kind in "cOSU":
        raise TypeError("its values are no real numbers")
    zeros = finite = 0
    low, high = math.inf, -math.inf
    with np.errstate(all="ignore"):  # what overflows float64 has no mean, and that is told by null
        total = 0.0
        for piece in _finite_pieces(values):
            finite += piece.size
            zeros += int(np.count_nonzero(piece == 0))
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
            total += float(piece.sum())
        mean = total / finite if finite else math.nan
        squares = sum(float(np.square(piece - mean).sum()) for piece in _finite_pieces(values))
        deviation = math.sqrt(squares / finite) if finite else math.nan
    return StatisticsRecord(
        count=values.size,
        zeros=zeros,
        non_finite=values.size - finite,
        minimum=_told(low),
        maximum=_told(high),
        mean=_told(mean),
        standard_deviation=_told(deviation),
    )


def _finite_pieces(values: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Yield the finite values as float64, some at a time; nothing where there are none."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE].astype(np.float64)
        finite = piece[np.isfinite(piece)]
        if finite.size:
            yield finite


def _told(value: float) -> float | None:
    return value if math.isfinite(value) else None
