"""Two thousand damaged files of every kind that a command reads: each ends in an answer, or in one line.

Seeded, so that a failure can be made again; the message names the kind and the number.
"""

import io
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import toolkit
from support import Cli
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.records import to_json

pytestmark = pytest.mark.slow

Read = Callable[[Path], list[object]]


def _weights(folder: Path) -> Path:
    torch.save(load_checkpoint().model().state_dict(), folder / "model.pth")
    return folder / "model.pth"


def _whole_model(folder: Path) -> Path:
    torch.save(load_checkpoint().model(), folder / "whole.pth")
    return folder / "whole.pth"


def _safetensors(folder: Path) -> Path:
    save_file(load_checkpoint().model().state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def _png(folder: Path) -> Path:
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(folder / "picture.png")
    return folder / "picture.png"


def _jpeg(folder: Path) -> Path:
    Image.new("RGB", (90, 60), "white").save(folder / "picture.jpg")
    return folder / "picture.jpg"


def _csv(folder: Path) -> Path:
    _png(folder)
    (folder / "labels.csv").write_text("file,label\npicture.png,9\npicture.png,Bag\n")
    return folder / "labels.csv"


def _report(folder: Path) -> Path:
    report = toolkit.check_parity("onnx", folder=folder)
    (folder / "saved.json").write_text(to_json(report))
    return folder / "saved.json"


def _predict(path: Path) -> list[object]:
    return ["predict", "--test", 0, "--folder", path.parent]


PREDICT = ("predict", "--artifact", "bundled")
ODD = (b"\0", b"\xff", b"[", b'"', b"9" * 5000, b"{" * 3000)
ARTIFACTS = {"onnx", "torchscript", "torch.export"}
#: By kind: how many files, what is damaged, and the command that reads it.
KINDS: dict[str, tuple[int, Callable[[Path], Path], Read]] = {
    "onnx": (60, lambda folder: folder / "model.onnx", lambda path: ["inspect", path]),
    "torchscript": (60, lambda folder: folder / "model.ts.pt", lambda path: ["inspect", path]),
    "torch.export": (60, lambda folder: folder / "model.pt2", lambda path: ["inspect", path]),
    "state dict": (300, _weights, lambda path: ["inspect", path]),
    "whole model": (200, _whole_model, lambda path: ["inspect", path]),
    "safetensors": (200, _safetensors, lambda path: ["inspect", path]),
    "png": (250, _png, lambda path: [*PREDICT, path]),
    "jpeg": (250, _jpeg, lambda path: [*PREDICT, path]),
    "csv": (220, _csv, lambda path: [*PREDICT, "--images", path.parent, "--labels", path]),
    "report": (200, _report, lambda path: ["report", path]),
    "manifest": (
        100,
        lambda folder: folder / "manifest.json",
        _predict,
    ),
    "golden": (
        100,
        lambda folder: folder / "golden.npz",
        _predict,
    ),
}


def test_it_is_two_thousand() -> None:
    assert sum(count for count, _, _ in KINDS.values()) == 2_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_ends_in_an_answer_or_in_one_line(
    kind: str, exported: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.formats.target.is_exported_here", lambda digest: kind not in ARTIFACTS)
    count, make, read = KINDS[kind]
    folder = tmp_path / "exported"
    shutil.copytree(exported, folder)
    path = make(folder)
    whole = path.read_bytes()
    for number in range(count):
        path.write_bytes(_damaged(whole, random.Random(f"{kind} {number}")))
        outcome = cli(*read(path))
        told = f"{kind} {number}: {outcome.err}"
        assert outcome.code in {0, 1, 2}, told
        assert "Traceback" not in outcome.err + outcome.out, told
        assert "report it" not in outcome.err + outcome.out, told
        if outcome.code == 2:
            assert len(outcome.err.strip().splitlines()) <= 12, told  # one line, wrapped


def _damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return a file with some of it changed, lost, doubled or exchanged; of an archive also one of its members."""
    if whole[:2] == b"PK" and chance.random() < 0.5:
        return _with_damaged_member(whole, chance)
    content = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 8))):
        start = chance.randrange(max(len(content), 1))
        end = start + chance.choice((1, 1, 4, 16, 1000))
        match chance.randrange(5):
            case 0:
                content[start:end] = chance.randbytes(min(end, len(content)) - start)
            case 1:
                del content[start:end]
            case 2:
                content[start:start] = content[start:end]
            case 3:
                del content[start:]
            case 4:
                content[start:end] = chance.choice(
                    (b"\0", b"\xff", b"[", b'"', b"9" * 5000, b"{" * 3000)
                ) * chance.choice((1, 8))
    return bytes(content)


def _with_damaged_member(whole: bytes, chance: random.Random) -> bytes:
    """Write an archive anew around a damaged member, so that its checksum is right."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(target, "w") as new:
        names = old.namelist()
        hit = chance.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(name, _damaged(b"\0" + content, chance)[1:] if name == hit else content)
    return target.getvalue()
