"""Batches: the training images on the device, in order, mirrored and moved."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.fashion.training.recipes import Recipe
from toolkit.workload.images import ImageSet

# A batch is cut into so many parts, and each part gets one mirroring and one shift. As the order is
# random, an image sees every variant over the epochs, and whole parts are moved by plain slicing,
# where each image by itself would need a gather over all of its pixels.
_PARTS = 8


class Batches:
    """The training set on a device, made to be walked many times."""

    def __init__(self, data: ImageSet, recipe: Recipe, device: str, dtype: torch.dtype) -> None:
        """Move the images to the device once.

        Args:
            data: The training images.
            recipe: Which order, size and augmentation.
            device: Where the batches are wanted.
            dtype: Floating-point type of the batches.
        """
        # The same numbers as data.inputs(), computed on the device from a quarter of the bytes.
        pixels = torch.from_numpy(data.images).to(device).unsqueeze(1)
        images = pixels.to(torch.float32).div_(255).to(dtype)
        self._labels = torch.from_numpy(data.labels).to(device)
        self._recipe = recipe
        self._images = functional.pad(images, (recipe.shift,) * 4) if recipe.shift else images
        moves = range(2 * recipe.shift + 1)
        self._variants = [
            (y, x, flip) for y in moves for x in moves for flip in ((False, True) if recipe.flip else (False,))
        ]

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch, the last and smaller one included."""
        return -(-len(self._labels) // self._recipe.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images ``(B, 1, 28, 28)`` and labels ``(B,)`` int64 of one epoch.

        Args:
            generator: Of random numbers, on the CPU; it alone decides order and augmentation.
        """
        count, size = len(self._labels), self._recipe.batch_size
        order = torch.randperm(count, generator=generator).to(self._labels.device) if self._recipe.shuffle else None
        for start in range(0, count, size):
            chosen = slice(start, start + size) if order is None else order[start : start + size]
            yield self._augmented(chosen, generator), self._labels[chosen]

    def _augmented(self, chosen: slice | Tensor, generator: torch.Generator) -> Tensor:
        images = self._images[chosen]
        if len(self._variants) == 1:
            return images
        draws = torch.randint(len(self._variants), (_PARTS,), generator=generator).tolist()
        parts = []
        for part, draw in zip(images.chunk(_PARTS), draws, strict=False):
            y, x, flip = self._variants[draw]
            moved = part[:, :, y : y + 28, x : x + 28]
            parts.append(moved.flip(3) if flip else moved)
        return torch.cat(parts)
