import gzip
import hashlib
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from toolkit import data
from toolkit.data import SHA256, SYSTEM_FOLDER, load_data, load_sample
from toolkit.errors import DataError, DataNotFoundError, UsageError


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A data set of two training and one test image that counts as the real one."""
    random = np.random.default_rng(0)
    content = {
        name: bytes(16 if "images" in name else 8)
        + random.integers(0, 10, (2 if "train" in name else 1) * (784 if "images" in name else 1), np.uint8).tobytes()
        for name in SHA256
    }
    monkeypatch.setattr(data, "SHA256", {name: hashlib.sha256(each).hexdigest() for name, each in content.items()})
    return content


def write(folder: Path, content: dict[str, bytes], *, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in content.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(each) if packed else each)
    return folder


def test_the_sample_is_stratified_and_small() -> None:
    sample = load_sample()
    assert np.bincount(sample.labels).tolist() == [100] * 10
    assert sample.images.shape == (1000, 28, 28)
    assert len((files("toolkit.assets") / "sample.npz").read_bytes()) <= 500_000


def test_inputs_are_those_of_torchvisions_to_tensor() -> None:
    sample = load_sample()
    to_tensor = torchvision.transforms.ToTensor()
    expected = torch.stack([to_tensor(Image.fromarray(image)) for image in sample.images])
    assert np.array_equal(sample.inputs(), expected.numpy())
    everything = np.arange(256, dtype=np.uint8)
    single = data.ImageSet(np.tile(everything, 784)[: 784 * 4].reshape(4, 28, 28), np.zeros(4, np.int64))
    expected = torch.stack([to_tensor(Image.fromarray(image)) for image in single.images])
    assert np.array_equal(single.inputs(), expected.numpy())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", ["", "FashionMNIST/raw", "raw"])
def test_every_layout_is_accepted(layout: str, packed: bool, tiny: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path / layout, tiny, packed=packed)
    training, test = load_data(tmp_path)
    assert (len(training), len(test)) == (2, 1)
    assert training.images.tobytes() == tiny["train-images-idx3-ubyte"][16:]
    assert training.labels.dtype == np.int64


@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_workers_changes_nothing(workers: int, tiny: dict[str, bytes], tmp_path: Path) -> None:
    training, _ = load_data(write(tmp_path, tiny, packed=True), workers=workers)
    assert training.labels.tolist() == list(tiny["train-labels-idx1-ubyte"][8:])


def test_places_are_looked_at_in_order(tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, system, given = tmp_path / "cache", tmp_path / "system", tmp_path / "given"
    monkeypatch.setattr(data, "cache_folder", lambda: cache)
    monkeypatch.setattr(data, "SYSTEM_FOLDER", system)
    monkeypatch.delenv("FMNIST_TK_DATA", raising=False)
    write(system, tiny)
    assert data.find_files(None) == {name: system / name for name in SHA256}
    write(cache, tiny)
    assert data.find_files(None) == {name: cache / name for name in SHA256}
    monkeypatch.setenv("FMNIST_TK_DATA", str(write(given, tiny)))
    assert data.find_files(None) == {name: given / name for name in SHA256}
    monkeypatch.setenv("FMNIST_TK_DATA", str(tmp_path / "typo"))
    with pytest.raises(UsageError, match=r"\$FMNIST_TK_DATA.*typo"):
        data.find_files(None)


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes], Path], None]:
    def apply(content: dict[str, bytes], folder: Path) -> None:
        path = folder / f"{name}.gz"
        path.write_bytes(change(path.read_bytes()))

    return apply


def swap(content: dict[str, bytes], folder: Path) -> None:
    shutil.copy(folder / "t10k-images-idx3-ubyte.gz", folder / "train-images-idx3-ubyte.gz")


@pytest.mark.parametrize(
    ("break_it", "file", "reason"),
    [
        (damage("t10k-images-idx3-ubyte", lambda raw: raw[:-20]), "t10k-images-idx3-ubyte.gz", "truncated or damaged"),
        (
            damage("train-labels-idx1-ubyte", lambda raw: b""),
            "train-labels-idx1-ubyte.gz",
            "truncated or damaged|is not",
        ),
        (
            damage("train-labels-idx1-ubyte", lambda raw: b"<html>"),
            "train-labels-idx1-ubyte.gz",
            "truncated or damaged",
        ),
        (
            damage("train-labels-idx1-ubyte", lambda raw: gzip.compress(b"MNIST, not Fashion-MNIST")),
            "train-labels-idx1-ubyte.gz",
            "is not Fashion-MNIST's train-labels",
        ),
        (swap, "train-images-idx3-ubyte.gz", "is swapped: it holds t10k-images-idx3-ubyte"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(
    break_it: Callable[[dict[str, bytes], Path], None],
    file: str,
    reason: str,
    tiny: dict[str, bytes],
    tmp_path: Path,
) -> None:
    write(tmp_path, tiny, packed=True)
    break_it(tiny, tmp_path)
    with pytest.raises(DataError, match=reason) as caught:
        load_data(tmp_path)
    assert caught.value.path == tmp_path / file


def test_a_part_of_the_files_is_an_error_that_names_the_missing(tiny: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path, tiny)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="not t10k-labels-idx1-ubyte"):
        load_data(tmp_path)


def test_a_given_folder_is_the_only_place(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=f"not in {tmp_path}"):
        load_data(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        load_data(tmp_path / "missing")


class TestDownload:
    @pytest.fixture(autouse=True)
    def nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = tmp_path / "cache"
        monkeypatch.setattr(data, "cache_folder", lambda: self.cache)
        monkeypatch.setattr(data, "SYSTEM_FOLDER", tmp_path / "system")
        monkeypatch.delenv("FMNIST_TK_DATA", raising=False)
        self.monkeypatch = monkeypatch

    def server(self, answer: Callable[[Path], object]) -> None:
        fake = SimpleNamespace(FashionMNIST=lambda root, download: answer(Path(root)))
        self.monkeypatch.setattr(torchvision, "datasets", fake)
        self.monkeypatch.setitem(__import__("sys").modules, "torchvision.datasets", fake)

    def test_a_good_download_is_kept_for_the_next_time(self, tiny: dict[str, bytes]) -> None:
        self.server(lambda root: write(root / "FashionMNIST/raw", tiny, packed=True))
        assert len(load_data()[0]) == 2
        self.server(lambda root: pytest.fail("downloaded twice"))
        assert len(load_data()[0]) == 2

    def test_a_broken_download_is_not_left_behind(self, tiny: dict[str, bytes]) -> None:
        broken = {**tiny, "train-images-idx3-ubyte": b"half of it"}
        self.server(lambda root: write(root / "FashionMNIST/raw", broken))
        with pytest.raises(DataError, match="is not Fashion-MNIST's train-images"):
            load_data()
        assert list(self.cache.iterdir()) == []

    def test_offline_is_one_line_that_names_every_way_out(self) -> None:
        def unreachable(root: Path) -> None:
            raise RuntimeError("Error downloading train-images:\nTried it, got:\n<urlopen error no network>")

        self.server(unreachable)
        with pytest.raises(DataNotFoundError, match="no network") as caught:
            load_data()
        message = str(caught.value)
        assert all(word in message for word in ("dataset-fashion-mnist", "--data", "https://github.com/zalando"))
        assert "\n" not in message
        assert list(self.cache.iterdir()) == []


@pytest.mark.data
def test_the_sample_is_a_part_of_the_test_set() -> None:
    _, test = load_data()
    sample = load_sample()
    with np.load(files("toolkit.assets") / "sample.npz") as stored:
        indices = stored["indices"]
    assert len(set(indices.tolist())) == 1000
    assert np.array_equal(test.images[indices], sample.images)
    assert np.array_equal(test.labels[indices], sample.labels)


@pytest.mark.data
def test_the_full_set_is_what_torchvision_reads(tmp_path: Path) -> None:
    if not SYSTEM_FOLDER.is_dir():
        pytest.skip("the Debian package is not installed")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in SHA256:
        (raw / name).write_bytes(gzip.decompress((SYSTEM_FOLDER / f"{name}.gz").read_bytes()))
    theirs = torchvision.datasets.FashionMNIST(tmp_path, train=False)
    _, test = load_data(tmp_path)
    assert np.array_equal(test.images, theirs.data.numpy())
    assert np.array_equal(test.labels, theirs.targets.numpy())
