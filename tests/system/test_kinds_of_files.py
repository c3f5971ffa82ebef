"""Files that are something else than their name says are called what they are."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from support import Cli
from toolkit.system.strangers import shown, some, stranger

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 437000\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html><html><title>model.pth</title></html>"


def in_zip(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def in_tar(buffer: io.BytesIO) -> None:
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))


KINDS = {
    "Git LFS pointer": (POINTER, "git lfs pull"),
    "web page": (PAGE, "download the raw file"),
    "packed with gzip": (gzip.compress(b"x"), "unpack it"),
    "packed with xz": (lzma.compress(b"x"), "unpack it"),
    "packed with tar": (written(in_tar), "unpack it"),
    "NumPy array": (written(lambda file: np.save(file, np.zeros(3))), "torch.from_numpy"),
    "NumPy archive of a.npy": (written(lambda file: np.savez(file, a=np.zeros(3))), "torch.from_numpy"),
    "zip that holds runs/model.pth": (in_zip("runs/model.pth", b""), "unpack it"),
    "zip that holds notes.txt": (in_zip("notes.txt", b""), "torch.save or safetensors"),
    "zip that holds nothing": (written(lambda file: zipfile.ZipFile(file, "w").close()), "torch.save or safetensors"),
    "nothing but zeros": (bytes(4096), "copy it again"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "torch.save or safetensors"),
    "is empty": (b"", "copy it again"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_that_is_none_is_named_for_what_it_is(kind: str, cli: Cli, in_empty_folder: Path) -> None:
    content, remedy = KINDS[kind]
    Path("m.pth").write_bytes(content)
    for command in (("inspect", "m.pth"), ("export", "-c", "m.pth", "--folder", "out")):
        outcome = cli(*command)
        assert outcome.code == 2
        assert kind in outcome.err
        assert remedy in outcome.err
        assert "damaged" not in outcome.err


@pytest.mark.parametrize("content", [POINTER, PAGE])
def test_so_is_an_artifact_that_is_none(content: bytes, cli: Cli, in_empty_folder: Path) -> None:
    Path("model.onnx").write_bytes(content)
    for command in (("inspect", "model.onnx"), ("parity", "model.onnx")):
        outcome = cli(*command)
        assert outcome.code == 2
        assert "not the file itself" in outcome.err


def test_an_artifact_in_place_of_a_checkpoint_is_sent_where_it_belongs(exported: Path, cli: Cli) -> None:
    outcome = cli("export", "--checkpoint", exported / "model.onnx", "--folder", exported / "new")
    assert outcome.code == 2
    assert "is no checkpoint but onnx" in outcome.err


def test_what_is_right_is_no_stranger(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "m.pth")
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "m.safetensors")
    assert [stranger(each.read_bytes()[:512]) for each in tmp_path.iterdir()] == [None, None]


def test_names_of_strangers_are_few_short_and_plain() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([str(number) for number in range(1010)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 1,002 more"
    assert shown("\x1b[31ma\n") == "\N{REPLACEMENT CHARACTER}[31ma\N{REPLACEMENT CHARACTER}"
    assert len(shown("x" * 10_000)) < 100
