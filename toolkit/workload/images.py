"""Grey pictures with their labels, in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Inputs of a model; and what is compared, where float32 itself is judged.
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class ImageSet:
    """Pictures and their labels.

    Attributes:
        images: ``(N, height, width)`` uint8, as the model knows them: the object bright on black.
        labels: ``(N,)`` int64, numbers of classes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self) -> NDArray[np.float32]:
        """Return the model's inputs: ``(N, 1, height, width)`` float32 in [0, 1], as torchvision's ToTensor gives."""
        return self.images[:, np.newaxis].astype(np.float32) / np.float32(255)
