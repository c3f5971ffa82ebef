"""The datasets for PyTorch, beside torchvision's own way to the same tensors."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Grayscale, Lambda, ToTensor, v2

import toolkit.fashion.datasets
from toolkit.errors import DataNotFoundError, OwnDataError, PictureError
from toolkit.fashion.data import load_sample
from toolkit.fashion.datasets import FashionMnist, LabelledPictures, one_hot, to_input
from toolkit.workload.images import ImageSet


@pytest.fixture
def by_class(tmp_path: Path) -> Path:
    """Two images of each class in folders 0 to 9."""
    sample = load_sample()
    for number in range(10):
        (tmp_path / "own" / str(number)).mkdir(parents=True)
        for place in np.flatnonzero(sample.labels == number)[:2]:
            Image.fromarray(sample.images[place]).save(tmp_path / "own" / str(number) / f"{place:03}.png")
    return tmp_path / "own"


def test_the_tensors_are_those_of_torchvision(by_class: Path) -> None:
    theirs = ImageFolder(str(by_class), transform=Compose([Grayscale(), ToTensor()]))
    for ours in (LabelledPictures(by_class), LabelledPictures(str(by_class), transform=ToTensor())):
        assert len(ours) == len(theirs) == 20
        for (picture, label), (expected, target) in zip(
            (ours[i] for i in range(20)), (theirs[i] for i in range(20)), strict=True
        ):
            assert type(picture) is torch.Tensor
            assert (picture.shape, picture.dtype) == ((1, 28, 28), torch.float32)
            assert torch.equal(picture, expected)
            assert type(label) is int
            assert label == target
        assert ours.targets.tolist() == theirs.targets


def test_transforms_of_v2_get_the_picture(by_class: Path) -> None:
    picture, label = LabelledPictures(by_class, transform=v2.ToImage(), target_transform=one_hot)[-1]
    assert isinstance(picture, tv_tensors.Image)
    assert (picture.shape, picture.dtype) == ((1, 28, 28), torch.uint8)
    assert torch.equal(to_input(picture), LabelledPictures(by_class)[19][0])
    assert torch.equal(label, torch.eye(10)[9])
    mirrored = LabelledPictures(by_class, transform=v2.Compose([v2.RandomHorizontalFlip(1.0), to_input]))[0][0]
    assert torch.equal(mirrored, LabelledPictures(by_class)[0][0].flip(2))


def test_one_hot_is_the_quickstarts_lambda() -> None:
    theirs = Lambda(lambda y: torch.zeros(10, dtype=torch.float).scatter_(0, torch.tensor(y), value=1))
    for label in range(10):
        assert torch.equal(one_hot(label), theirs(label))
        assert torch.equal(one_hot(torch.tensor(label)), theirs(label))  # type: ignore[arg-type]  # works all the same
    for wrong in (-1, 10):
        with pytest.raises(ValueError, match=f"{wrong} is no class; pass a label from 0 to 9"):
            one_hot(wrong)


# Python from 3.12 on warns of the fork with which DataLoader begins its workers on Linux.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_takes_it(workers: int, by_class: Path) -> None:
    data = LabelledPictures(by_class, target_transform=one_hot)
    batches = list(DataLoader(data, batch_size=8, num_workers=workers))
    assert [(len(x), x.dtype, y.shape, y.dtype) for x, y in batches] == [
        (n, torch.float32, (n, 10), torch.float32) for n in (8, 8, 4)
    ]
    ((_, labels), *_) = DataLoader(LabelledPictures(by_class), batch_size=20)
    assert labels.dtype == torch.int64
    assert labels.tolist() == sorted([*range(10)] * 2)


def test_it_can_be_sent_to_another_process(by_class: Path) -> None:
    data = LabelledPictures(by_class, target_transform=one_hot)
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[3][0], data[3][0])
    assert again.names == data.names


def test_what_is_wrong_is_told_when_it_is_made_or_read(by_class: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\n0/none.png,1\n0/none.png,hat\n")
    with pytest.raises(OwnDataError) as caught:
        LabelledPictures(by_class, labels)
    assert [each.partition(":")[0] for each in caught.value.problems] == ["labels.csv line 2", "labels.csv line 3"]
    name = LabelledPictures(by_class).names[0]
    (by_class / name).write_bytes(b"broken")
    data = LabelledPictures(by_class)  # it is not read yet
    assert data[1][1] == 0
    with pytest.raises(PictureError) as broken:
        data[0]
    assert broken.value.source == str(by_class / name)
    for wrong in (20, -21):
        with pytest.raises(IndexError):
            data[wrong]


def test_the_csv_of_the_tutorial(by_class: Path) -> None:
    names = LabelledPictures(by_class).names
    labels = by_class / "labels.csv"
    labels.write_text("".join(f"{name}, {9 - number // 2}\n" for number, name in enumerate(names[:6])))
    data = LabelledPictures(by_class, labels)
    assert data.targets.tolist() == [9, 9, 8, 8, 7, 7]
    assert "left out" in data.notes[0]


def test_fashion_mnist_has_the_same_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = load_sample()
    other = ImageSet(sample.images[::-1].copy(), sample.labels[::-1].copy())
    monkeypatch.setattr(toolkit.fashion.datasets, "load_data", lambda folder=None: (other, sample))
    monkeypatch.setattr(toolkit.fashion.datasets, "load_test_set", lambda folder: sample)
    picture, label = FashionMnist(train=False)[5]
    assert torch.equal(picture, torch.from_numpy(sample.inputs()[5]))
    assert (label, FashionMnist.classes[label]) == (6, "Shirt")
    assert torch.equal(FashionMnist(transform=ToTensor())[-6][0], picture)
    assert torch.equal(FashionMnist(train=False).targets, torch.from_numpy(sample.labels))

    def nowhere(folder: Path | None) -> ImageSet:
        raise DataNotFoundError("not here", "url")

    monkeypatch.setattr(toolkit.fashion.datasets, "load_test_set", nowhere)
    assert torch.equal(FashionMnist(train=False)[5][0], picture)  # what load_data downloads
    with pytest.raises(DataNotFoundError):
        FashionMnist(train=False, data="nowhere")
