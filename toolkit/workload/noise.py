"""How far the outputs of a lower precision lie from the reference's, beside their own size."""

import numpy as np
from numpy.typing import NDArray

#: Root mean square of the error beside that of the logits, in the worst class. Measured for the bundled model: bfloat16
#: 0.004 (0.011 on the worst probe), static int8 0.026, dynamic int8 0.058; outputs that mean something else, such as
#: probabilities, are off by about 1.
MOST_NOISE = 0.3


def relative_noise(noise: NDArray[np.float64], signal: NDArray[np.float64]) -> float | None:
    """Return the root mean square of the error beside that of the logits, of the class where it is largest.

    By class, so that one with huge logits hides nothing.

    Args:
        noise: ``(10,)``: sum of the squared errors of each class.
        signal: ``(10,)``: sum of the reference's squared logits of each class.

    Returns:
        None when a class of the reference is all zero and the artifact's is not, or something is not finite.
    """
    classes = noise > 0
    if not classes.any():
        return 0.0
    if not signal[classes].all():
        return None
    largest = float(np.sqrt((noise[classes] / signal[classes]).max()))
    return largest if np.isfinite(largest) else None
