"""Datasets for PyTorch: own labelled pictures, and Fashion-MNIST as this tool finds and verifies it.

Both stand where `torchvision.datasets.FashionMNIST` stands in the quickstart: an item is a picture and its label, a
``transform`` gets a PIL picture of mode ``L`` (so ``ToTensor()`` works as well as any of `torchvision.transforms.v2`),
and a `DataLoader` takes them, with workers or without.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from toolkit.errors import DataNotFoundError, OwnDataError
from toolkit.fashion.data import load_data, load_test_set
from toolkit.fashion.labels import read_label
from toolkit.pictures.own_data.listing import list_pictures
from toolkit.pictures.picture import Invert, of_table, read_picture
from toolkit.records import LABELS
from toolkit.workload.images import ImageSet

__all__ = ["FashionMnist", "LabelledPictures", "one_hot", "to_input"]

Transform = Callable[[Any], Any]


def to_input(picture: Any) -> Tensor:
    """Return the model's input of one picture: ``(1, 28, 28)`` float32 in [0, 1], as torchvision's ``ToTensor`` gives.

    Args:
        picture: A PIL picture of mode ``L``, 28 × 28, or a tv_tensor of it.
    """
    pixels: Tensor = v2.functional.to_image(picture).as_subclass(Tensor)
    return pixels.to(torch.float32).div_(255)  # v2.ToDtype multiplies by 1/255, which is another number in its last bit


def one_hot(label: int) -> Tensor:
    """Return a label as ``(10,)`` float32, 1 at the class and 0 elsewhere: a ``target_transform``.

    Args:
        label: 0 … 9.

    Raises:
        ValueError: If it is no class.

    Example:
        >>> one_hot(2)
        tensor([0., 0., 1., 0., 0., 0., 0., 0., 0., 0.])
    """
    number = int(label)
    if not 0 <= number < len(LABELS):
        raise ValueError(f"{number} is no class; pass a label from 0 to {len(LABELS) - 1}")
    encoded = torch.zeros(len(LABELS), dtype=torch.float32)
    encoded[number] = 1
    return encoded


class _Labelled(Dataset[tuple[Any, Any]]):
    """What both datasets do with a picture and a label."""

    #: Names of the classes in the order of their numbers.
    classes = LABELS

    def __init__(
        self, targets: NDArray[np.int64], transform: Transform | None, target_transform: Transform | None
    ) -> None:
        self.targets = torch.from_numpy(targets)
        self.transform = to_input if transform is None else transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return one picture and its label.

        Args:
            index: 0 … N - 1, or from the end below 0.

        Returns:
            What the transforms make of them; without any ``(1, 28, 28)`` float32 in [0, 1], and a Python int, of which
            a `DataLoader` makes int64.

        Raises:
            IndexError: If there is no such picture.
        """
        place = range(len(self))[index]
        picture = self.transform(Image.fromarray(self.pixels(place)))
        label = int(self.targets[place])
        return picture, label if self.target_transform is None else self.target_transform(label)

    def pixels(self, place: int) -> NDArray[np.uint8]:
        """Return a picture as ``(28, 28)`` uint8, bright on dark.

        Args:
            place: 0 … N - 1.
        """
        raise NotImplementedError


class LabelledPictures(_Labelled):
    """Own pictures of any size and mode, each read when it is asked for.

    Labels and names are checked when the dataset is made; what `fmnist-tk train --images` refuses there is refused
    here. A picture that turns out to be broken raises `PictureError` when it is read.

    Attributes:
        names: Paths below the folder, in the order of the items.
        notes: What was left out.
        targets: ``(N,)`` int64.
    """

    def __init__(
        self,
        images: Path | str,
        labels: Path | str | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        invert: Invert = "auto",
    ) -> None:
        """List the pictures.

        Args:
            images: Folder of the pictures; without ``labels`` it holds one folder per class, named by number or name.
            labels: CSV of ``file,label``, with or without a header, labels as numbers or names.
            transform: Of a PIL picture, 28 × 28, mode ``L``, bright on dark; None for `to_input`.
            target_transform: Of a label, an int; None to leave it. `one_hot` is one.
            invert: Whether the garments are dark on bright; ``auto`` looks at each picture.

        Raises:
            OwnDataError: Naming everything that is wrong with names and labels.
        """
        self.folder = Path(images)
        listing = list_pictures(self.folder, None if labels is None else Path(labels), read_label)
        if listing.problems:
            raise OwnDataError(self.folder, [problem.text for problem in sorted(listing.problems)])
        self._pictures = tuple(listing.pictures)
        self.names = tuple(picture.name for picture in listing.pictures)
        self.notes = tuple(listing.notes)
        self._invert: Invert = invert
        super().__init__(np.array([each.label for each in listing.pictures], np.int64), transform, target_transform)

    def pixels(self, place: int) -> NDArray[np.uint8]:
        """Return a picture as ``(28, 28)`` uint8, bright on dark.

        Args:
            place: 0 … N - 1.

        Raises:
            PictureError: If it cannot be read.
        """
        listed = self._pictures[place]
        if listed.content:
            return read_picture(listed.content, name=listed.name, invert=of_table(self._invert)).pixels
        return read_picture(self.folder / listed.name, invert=self._invert).pixels


class FashionMnist(_Labelled):
    """Fashion-MNIST from the places where this tool looks for it, its bytes verified; nothing is unpacked to disk.

    Attributes:
        targets: ``(N,)`` int64.
    """

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        data: Path | str | None = None,
    ) -> None:
        """Read the pictures into memory.

        Args:
            train: Whether the 60,000 training images or the 10,000 test images.
            transform: Of a PIL picture, 28 × 28, mode ``L``; None for `to_input`.
            target_transform: Of a label, an int; None to leave it.
            data: Folder of Fashion-MNIST; None for the usual places, or a download.

        Raises:
            DataError: If the files are nowhere, or damaged.
        """
        folder = None if data is None else Path(data)
        found = load_data(folder)[0] if train else _test_set(folder)
        self._images: NDArray[np.uint8] = found.images
        super().__init__(found.labels, transform, target_transform)

    def pixels(self, place: int) -> NDArray[np.uint8]:
        """Return a picture as ``(28, 28)`` uint8, bright on dark.

        Args:
            place: 0 … N - 1.
        """
        picture: NDArray[np.uint8] = self._images[place]
        return picture


def _test_set(folder: Path | None) -> ImageSet:
    try:
        return load_test_set(folder)  # without the six times as many training images
    except DataNotFoundError:
        if folder:
            raise
        return load_data()[1]
