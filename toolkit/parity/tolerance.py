"""The tolerance: how far a correct float32 artifact may lie from the float64 reference.

The unit is the error that eager float32 itself makes on the same inputs. Every other order of the same sums obeys the
same probabilistic bound (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci.
Comput. 41, 2019), so its error is of the same size. The bounds themselves say too little: for the bundled model the
worst-case one (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.5) is 800,000 units, the
probabilistic one 28,000. docs/parity.md tells the whole.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Unit of every error in reports.
ROUNDING_UNIT: Final = "× eager's own rounding"
#: A float32 session passes when its error is at most so many units. ``benchmarks/parity_spread.py`` measures what
#: correct artifacts need: see the result in ``benchmarks/results``. Among the smallest faults, one
#: weight that is off by 0.001 costs 39 units, a gain of 1.0001 costs 173, weights rounded to float16 cost 1,107.
LIMIT_IN_UNITS: Final = 8.0
# Half an ulp: what it costs to store a number in float32, relative to its size.
_ROUNDING: Final = float(np.finfo(np.float32).eps) / 2
_SMALLEST: Final = float(np.finfo(np.float32).tiny)


def told(ratio: float) -> str:
    """Return an error in units for a sentence such as 39.2 or 1,107."""
    return f"{ratio:,.0f}" if 100 <= ratio < 1e9 else f"{ratio:.3g}"


def rounding_unit(eager_errors: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return the unit: eager float32's own largest error, never zero and never infinite.

    A degenerate reference must not make the limit zero: with weights of zero, or on few images by luck, eager is exact.
    So the unit is at least what it costs to store the largest logit in float32, and at least the
    smallest normal float32.

    Args:
        eager_errors: ``|eager - reference|`` ``(N, width)`` float64 of the images on which eager is finite.
        expected: The reference's logits, or a layer's output, ``(N, width)`` float64 of these images.

    Returns:
        The unit, absolute.
    """
    largest = float(np.abs(expected).max(initial=0.0))
    return max(float(eager_errors.max(initial=0.0)), _ROUNDING * largest, _SMALLEST)
