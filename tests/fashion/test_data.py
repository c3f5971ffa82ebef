import gzip
import hashlib
import shutil
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from support import Cli
from toolkit.errors import DataError, DataNotFoundError, OutputError, UsageError
from toolkit.fashion import data, places
from toolkit.fashion.data import SHA256, SYSTEM_FOLDER, load_data, load_sample, sample_indices

T10K = "t10k-labels-idx1-ubyte"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A data set of two training and one test image that counts as the real one."""
    random = np.random.default_rng(0)
    content = {
        name: bytes(16 if "images" in name else 8)
        + random.integers(0, 10, (2 if "train" in name else 1) * (784 if "images" in name else 1), np.uint8).tobytes()
        for name in SHA256
    }
    digests = {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}
    monkeypatch.setattr(data, "SHA256", digests)
    monkeypatch.setattr(places, "SHA256", digests)
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
    assert len((files("toolkit.fashion.assets") / "sample.npz").read_bytes()) <= 500_000


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

    def test_it_can_keep_torchvisions_bars_out_of_a_log(
        self, tiny: dict[str, bytes], capsys: pytest.CaptureFixture[str]
    ) -> None:
        def noisy(root: Path) -> None:
            sys.stderr.write("100%\n")
            write(root, tiny)

        self.server(noisy)
        data.download_files(bars=False)
        assert capsys.readouterr().err == ""
        data.download_files()
        assert capsys.readouterr().err == "100%\n"

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
        with pytest.raises(DataError) as caught:
            load_data()
        assert caught.value.path.name == "train-images-idx3-ubyte"
        assert list(self.cache.iterdir()) == []

    def test_offline_is_one_line_that_names_every_way_out(self) -> None:
        def unreachable(root: Path) -> None:
            raise RuntimeError("Error downloading train-images:\nTried it, got:\n<urlopen error no network>")

        self.server(unreachable)
        with pytest.raises(DataNotFoundError) as caught:
            load_data()
        assert caught.value.reason == "the download failed: <urlopen error no network>"
        assert all(way in caught.value.remedy for way in ("dataset-fashion-mnist", "--data", caught.value.url))
        assert list(self.cache.iterdir()) == []


class TestPlaces:
    """What `data info` says and `data fetch` does."""

    @pytest.fixture(autouse=True)
    def places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
        self.cache, self.system, self.cli = tmp_path / "cache", tmp_path / "system", cli
        for module in (data, places):
            monkeypatch.setattr(module, "cache_folder", lambda: self.cache)
        monkeypatch.setattr(data, "SYSTEM_FOLDER", self.system)
        monkeypatch.delenv("FMNIST_TK_DATA", raising=False)
        self.monkeypatch = monkeypatch

    def offline(self) -> None:
        def fail(root: str, download: bool) -> None:
            raise RuntimeError("no network")

        self.monkeypatch.setitem(sys.modules, "torchvision.datasets", SimpleNamespace(FashionMNIST=fail))

    def test_info_tells_places_counts_and_digests(self, tiny: dict[str, bytes]) -> None:
        write(self.system, tiny, packed=True)
        report = self.cli("data", "info", "--json").report
        assert [(each.place, each.complete) for each in report.places] == [
            (str(self.cache), False),
            (str(self.system), True),
        ]
        training, test, sample = report.datasets
        labels = list(tiny["train-labels-idx1-ubyte"][8:])
        assert training.class_counts == tuple(labels.count(number) for number in range(10))
        assert (training.images, test.images, sample.images) == (2, 1, 1000)
        assert {Path(each.path).name: each.sha256 for part in (training, test) for each in part.files} == {
            f"{name}.gz": hashlib.sha256(content).hexdigest() for name, content in tiny.items()
        }
        assert all(each.as_published for each in (*training.files, *test.files))
        assert [Path(each.path).name[:5] for each in training.files] == ["train", "train"]

    def test_info_is_a_table_that_a_saved_report_shows_again(self, tiny: dict[str, bytes], tmp_path: Path) -> None:
        write(self.system, tiny)
        shown = self.cli("data", "info", "-o", tmp_path / "info.json")
        assert hashlib.sha256(tiny[T10K]).hexdigest() in shown.out
        assert self.cli("report", tmp_path / "info.json").out == shown.out

    def test_info_without_the_data_shows_the_sample_and_what_to_do(self) -> None:
        report = self.cli("data", "info", "--json").report
        assert [each.images for each in report.datasets] == [1000]
        assert "fmnist-tk data fetch" in report.skips[0].remedy

    def test_info_of_a_folder_that_is_named_must_find_it_there(self, tmp_path: Path, tiny: dict[str, bytes]) -> None:
        write(self.system, tiny)
        (tmp_path / "empty").mkdir()
        outcome = self.cli("data", "info", "--data", tmp_path / "empty")
        assert (outcome.code, outcome.out) == (2, "")
        assert "fmnist-tk data fetch" in outcome.err
        report = self.cli("data", "info", "--data", self.system, "--json").report
        assert [each.place for each in report.places] == [str(self.system)]

    @pytest.mark.parametrize("packed", [True, False])
    def test_fetch_copies_what_is_elsewhere_on_the_machine(self, packed: bool, tiny: dict[str, bytes]) -> None:
        self.offline()
        write(self.system, tiny, packed=packed)
        fetched = self.cli("data", "fetch", "--json").report.fetched
        assert fetched is not None
        assert (fetched.how, fetched.place, fetched.source) == ("copied", str(self.cache), str(self.system))
        assert {path.name: path.read_bytes() for path in self.cache.iterdir()} == tiny
        before = {path: path.stat().st_mtime_ns for path in self.cache.iterdir()}
        again = self.cli("data", "fetch", "--json").report.fetched
        assert again is not None
        assert again.how == "already there"
        assert {path: path.stat().st_mtime_ns for path in self.cache.iterdir()} == before

    def test_fetch_downloads_what_is_nowhere(self, tiny: dict[str, bytes], tmp_path: Path) -> None:
        def answer(root: str, download: bool) -> None:
            write(Path(root) / "FashionMNIST/raw", tiny)

        self.monkeypatch.setitem(sys.modules, "torchvision.datasets", SimpleNamespace(FashionMNIST=answer))
        out = tmp_path / "new" / "folder"
        fetched = self.cli("data", "fetch", "--out", out, "--json").report.fetched
        assert fetched is not None
        assert (fetched.how, fetched.place) == ("downloaded", str(out))
        assert {path.name: path.read_bytes() for path in out.iterdir()} == tiny

    @pytest.mark.parametrize("harm", ["truncated", "missing"])
    def test_fetch_mends_a_broken_copy(self, harm: str, tiny: dict[str, bytes]) -> None:
        write(self.system, tiny)
        write(self.cache, tiny)
        if harm == "missing":
            (self.cache / T10K).unlink()
        else:
            (self.cache / T10K).write_bytes(tiny[T10K][:-1])
        assert self.cli("data", "info").code == 2
        assert self.cli("data", "fetch").code == 0
        assert {path.name: path.read_bytes() for path in self.cache.iterdir()} == tiny

    def test_fetch_takes_nothing_from_a_broken_source(self, tiny: dict[str, bytes]) -> None:
        self.offline()
        write(self.system, {**tiny, T10K: b"half of it"})
        outcome = self.cli("data", "fetch")
        assert outcome.code == 2
        assert "data fetch" not in outcome.err  # that has just been tried
        assert list(self.cache.iterdir()) == []

    def test_what_stands_in_the_way_of_fetch_is_one_line(self, tiny: dict[str, bytes], tmp_path: Path) -> None:
        write(self.system, tiny)
        (tmp_path / "file").write_bytes(b"mine")
        outcome = self.cli("data", "fetch", "--out", tmp_path / "file", "--quiet")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "is a file, not a folder" in outcome.err
        outcome = self.cli("data", "fetch", "--out", "/proc/nowhere", "--quiet")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "/proc/nowhere" in outcome.err

    def test_a_full_disk_is_one_line_and_leaves_what_was_there(self, tiny: dict[str, bytes]) -> None:
        def full(path: Path, name: str) -> bytes:
            if name.startswith("t10k"):
                raise OSError(28, "No space left on device")
            return tiny[name]

        self.monkeypatch.setattr(data, "read_verified", full)
        old = write(self.cache, {T10K: b"old"})
        with pytest.raises(OutputError) as caught:
            data.copy_files(data.files_in(write(self.system, tiny)), self.cache)
        assert (caught.value.path, caught.value.reason) == (self.cache, "No space left on device")
        assert {path.name: path.read_bytes() for path in old.iterdir()} == {T10K: b"old"}


@pytest.mark.data
def test_the_sample_is_a_part_of_the_test_set() -> None:
    _, test = load_data()
    sample, indices = load_sample(), sample_indices()
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
