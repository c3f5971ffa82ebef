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
#: By how much two answers of lower precision to the same image may differ, in units of that artifact's own error.
MOST_DIFFERENCE_OF_LOWER: Final = 2.0
_SMALL_BESIDE: Final = 0.1
# Half an ulp: what it costs to store a number in float32, relative to its size.
_ROUNDING: Final = float(np.finfo(np.float32).eps) / 2
_SMALLEST: Final = float(np.finfo(np.float32).tiny)
# By how much the own error of one class may lie below the largest of all before that class gets a unit of its own. In
# an ordinary model the classes differ by less; a class that is masked with -1e12 must not hide the others.
_SPREAD: Final = 4.0
# How lucky eager may have been on a probe in which few images have large logits. Of 25 quickstart models, right ONNX
# files were off by up to 4.7 times eager's own error there (the hostile images), and by 3.2 of the unit that makes up
# for luck; the fourfold bounds what that can hide.
_LUCK: Final = 4.0


def in_units(ratio: float) -> str:
    """Return an error in units for a sentence such as 39.2 or 1,107."""
    return f"{ratio:,.0f}" if 100 <= ratio < 1e9 else f"{ratio:.3g}"


def behaviour_limit(error_ratio: float) -> float:
    """Return by how many units two float32 answers to the same image may differ.

    A wrong artifact may compute with larger numbers, and round more: what is small beside its largest error, in units,
    is not the cause.
    """
    return max(LIMIT_IN_UNITS, _SMALL_BESIDE * error_ratio)


def rounding_unit(eager_errors: NDArray[np.float64], expected: NDArray[np.float64], usual: float = 0.0) -> float:
    """Return the unit: eager float32's own largest error, never zero and never infinite.

    Where only few images of a probe have large logits, eager's error is a sample of few, and may be small by luck. So
    the unit is at least what eager is off by on real images at logits of this size, but for that at most four times its
    own error here.

    A degenerate reference must not make the limit zero: with weights of zero, or on few images by luck, eager is exact.
    So the unit is at least what it costs to store the largest logit in float32, and at least the
    smallest normal float32.

    Args:
        eager_errors: ``|eager - reference|`` ``(N, width)`` float64 of the images on which eager is finite.
        expected: The reference's logits, or a layer's output, ``(N, width)`` float64 of these images.
        usual: Eager's largest error on real images beside the largest logit there; 0 where it is not known.

    Returns:
        The unit, absolute.
    """
    largest = float(np.abs(expected).max(initial=0.0))
    own = float(eager_errors.max(initial=0.0))
    return max(own, min(usual * largest, _LUCK * own), _ROUNDING * largest, _SMALLEST)


def class_units(
    eager_errors: NDArray[np.float64], expected: NDArray[np.float64], usual: float = 0.0
) -> NDArray[np.float64]:
    """Return the unit of each class ``(width,)``: that of all, unless the class's own is more than four times smaller.

    The arguments are those of `rounding_unit`.
    """
    unit = rounding_unit(eager_errors, expected, usual)
    own = [rounding_unit(eager_errors[:, [i]], expected[:, [i]], usual) for i in range(expected.shape[1])]
    return np.minimum(unit, _SPREAD * np.array(own))
