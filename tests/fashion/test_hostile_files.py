"""Checkpoints that were made to do harm: each is one line and exit code 2, in bounded time and memory."""

import hashlib
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from support import Cli, save_small
from toolkit.fashion.model import Mlp
from toolkit.fashion.training.recipes import RECIPES
from toolkit.fashion.training.state import TrainingRun
from toolkit.records import ModelConfig

#: Far more than a command takes under load, and far less than a hostile file would like.
SECONDS = 120
#: torch itself takes some 400 MB; what the files here ask for is several gigabytes.
MOST_BYTES = 1 << 30
KEY = "linear_relu_stack.0.weight"
CONFIG = ModelConfig(layer_sizes=(784, 4, 10))
BILLION = b"J" + struct.pack("<i", 10**9)
ONE = b"K\x01"


def state() -> dict[str, torch.Tensor]:
    return dict(Mlp(CONFIG).state_dict())


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def long(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(data)) + data


def storage(numbers: bytes, legacy: bool) -> bytes:
    views = b"N" if legacy else b""
    return b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + numbers + views + b"tQ"


def entry(size: bytes, stride: bytes, numbers: bytes = ONE, *, legacy: bool = False) -> bytes:
    """Return a pickle of one tensor that states these sizes; each argument is the instruction that gives it."""
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(numbers, legacy) + b"K\x00" + size + b"\x85"
    return b"\x80\x02}" + text(KEY) + rebuild + stride + b"\x85\x89ccollections\nOrderedDict\n)RtRs."


def in_zip(pickled: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", bytes(4))


def expanded(path: Path) -> None:
    torch.save({**state(), KEY: torch.zeros(1).expand(1_000_000, 784)}, path)
    assert path.stat().st_size < 20_000


def larger_than_its_storage(path: Path) -> None:
    in_zip(entry(BILLION, ONE), path)


def storage_larger_than_its_member(path: Path) -> None:
    in_zip(entry(BILLION, ONE, BILLION), path)


def storage_larger_than_the_old_file(path: Path) -> None:
    torch.save({}, path, _use_new_zipfile_serialization=False)
    head, _, _ = path.read_bytes().partition(b"\x80\x02}q\x00.")
    path.write_bytes(head + entry(BILLION, ONE, BILLION, legacy=True) + b"\x80\x02]" + text("0") + b"a.")


def many_views_of_one_storage(path: Path) -> None:
    whole = torch.zeros(1_000_000)
    torch.save({f"{number}.weight": whole[:] for number in range(2000)}, path)


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
        with archive.open("archive/data/0", "w") as member:
            for _ in range(512):
                member.write(bytes(1 << 20))


def overlapping_members(path: Path) -> None:
    torch.save(state(), path)
    data = path.read_bytes()
    begin, end = data.index(b"PK\1\2"), data.rindex(b"PK\5\6")
    directory = data[begin : data.index(b"PK\6\6")] * 1000
    count = directory.count(b"PK\1\2")
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count % 65536, count % 65536, len(directory), begin, 0)
    assert data[end:]
    path.write_bytes(data[:begin] + directory + tail)


def very_many_instructions(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"]" * 20_000_000 + b".")


def very_many_pickles(path: Path) -> None:
    torch.save({}, path, _use_new_zipfile_serialization=False)
    head, _, _ = path.read_bytes().partition(b"\x80\x02}q\x00.")
    path.write_bytes(head + b"\x80\x02N." * 300_000)


def very_many_names(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"".join(b"cos\nf%d\n0" % number for number in range(50_000)) + b"}.")


def sparse(head: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(1 << 40)

    return write


LARGE: dict[str, Callable[[Path], None]] = {
    each.__name__: each
    for each in (
        *(expanded, larger_than_its_storage, storage_larger_than_its_member, storage_larger_than_the_old_file),
        *(many_views_of_one_storage, zip_bomb, overlapping_members),
        *(very_many_instructions, very_many_pickles, very_many_names),
    )
} | {
    "sparse zip": sparse(b"PK\3\4"),
    "sparse pickle": sparse(b"\x80\x02"),
    "sparse safetensors": sparse((1 << 20).to_bytes(8, "little") + b"{"),
    "sparse zeros": sparse(b""),
    "pipe": os.mkfifo,
}

_EXPORTS = """
import sys
from toolkit.cli import main
for path in sys.argv[1:]:
    try:
        main(["export", "--checkpoint", path, "--folder", "out"])
    except SystemExit as ended:
        print(ended.code)
"""
_MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[2:], timeout=float(sys.argv[1]), check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_what_a_file_states_costs_no_memory_and_no_time(in_empty_folder: Path) -> None:
    for kind, write in LARGE.items():
        write(Path(f"{kind}.pth"))
    before = names()
    command = [sys.executable, "-c", _EXPORTS, *(f"{kind}.pth" for kind in LARGE)]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(SECONDS), *command], capture_output=True, text=True, check=True
    )
    *codes, peak = done.stdout.split()
    errors = done.stderr.splitlines()
    assert codes == ["2"] * len(LARGE)
    assert int(peak) * (1 if sys.platform == "darwin" else 1024) < MOST_BYTES
    assert [error.split(".pth")[0] for error in errors] == [f"error: Checkpoint {kind}" for kind in LARGE]
    assert "report it" not in done.stderr
    assert max(map(len, errors)) < 1500
    assert names() == before


def names() -> list[str]:
    """Return what is in the present folder."""
    return sorted(each.name for each in Path().iterdir())


def self_reference(path: Path) -> None:
    value: dict[str, object] = {}
    value.update(state_dict=value, model=[value], net={"model": value})
    torch.save(value, path)


def described(description: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        digest = hashlib.sha256(description.encode()).hexdigest()
        safetensors.torch.save_file(state(), path, {"fmnist_tk": description, "fmnist_tk_sha256": digest})

    return write


def with_config(config: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        torch.save(state(), path)
        path.with_suffix(".config.json").write_text(config)

    return write


def raw(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def stated(*arguments: bytes) -> Callable[[Path], None]:
    return lambda path: in_zip(entry(*arguments), path)


def module_of(parts: bytes) -> bytes:
    return b"ctorch.nn.modules.container\nSequential\n)\x81q\x01}" + text("_modules") + b"}" + parts + b"sb"


_TWICE = text("0") + b"h\x01s" + text("1") + b"h\x01s"
_HUGE = 10**5000
_DEEP = 100_000

BROKEN: dict[str, Callable[[Path], None]] = {
    "self reference": self_reference,
    "deep dict": raw(b"\x80\x02" + b"}U\x01a" * _DEEP + b"}" + b"s" * _DEEP + b"."),
    "deep list": raw(b"\x80\x02" + b"]" * _DEEP + b"a" * (_DEEP - 1) + b"."),
    "huge integer as a key": raw(b"\x80\x02}" + long(_HUGE) + b"K\x01s."),
    "huge integer as text": raw(b"\x80\x02}I" + b"9" * 5000 + b"\nK\x01s."),
    "huge integer as the whole": raw(b"\x80\x02" + long(_HUGE) + b"."),
    "huge integer as a size": stated(long(_HUGE), ONE),
    "huge integer as a stride": stated(b"K\x02", long(_HUGE)),
    "huge integer of numbers": stated(ONE, ONE, long(_HUGE)),
    "negative size": stated(b"J\xff\xff\xff\xff", ONE),
    "size that is a float": stated(b"G" + bytes(8), ONE),
    "stride beyond the storage": stated(b"K\x02", b"K\x02", b"K\x01"),
    "huge layer": lambda path: torch.save({f"linear_relu_stack.{'9' * 5000}.weight": torch.zeros(4, 784)}, path),
    "key that takes long to hash": raw(b"\x80\x02})" + b"2\x86" * 200 + b"K\x01s."),
    "memo with a gap": raw(b"\x80\x02}r\xff\xff\xff\xff."),
    "keys that steer a terminal": lambda path: torch.save({"\x1b[31m\nweight": torch.zeros(3)}, path),
    "name that steers a terminal": raw(b"\x80\x02cos\n\x1b[31m\n."),
    "module in itself": raw(b"\x80\x02" + module_of(text("0") + b"h\x01s") + b"."),
    "module of very many": raw(b"\x80\x02" + module_of(b"") + module_of(_TWICE) * 60 + b"."),
    "description that is deep": described("[" * _DEEP),
    "description with a huge integer": described('{"schema_version": ' + "9" * 5000 + "}"),
    "training that is deep": lambda path: torch.save(
        {"model_state_dict": state(), "run": "[" * _DEEP, "fmnist_tk": "[" * _DEEP}, path
    ),
    "config that is deep": with_config("[" * _DEEP),
    "config that is long": with_config(" " * (2 << 20)),
    "instance": raw(b"\x80\x02(S'touch trace'\nios\nsystem\n."),
    "persistent text": raw(b"\x80\x02Pabc\n."),
    "extension": raw(b"\x80\x02\x82\x01."),
    "storage that is not there": lambda path: in_zip(entry(ONE, ONE).replace(text("0"), text("../../0")), path),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_stands_in_a_file_the_error_is_one_line(kind: str, cli: Cli, in_empty_folder: Path) -> None:
    BROKEN[kind](Path("m.pth"))
    before = names()
    outcome = cli("export", "torchscript", "-c", "m.pth", "--folder", "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert "report it" not in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.strip().isprintable()
    assert names() == before


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer_state_dict": {}},
        {"optimizer_state_dict": "text"},
        {"generator_state": 3, "optimizer_state_dict": torch.optim.SGD([torch.zeros(1)]).state_dict()},
        {"model_state_dict": "text"},
        {"model_state_dict": {}},
        {"run": 5},
        {"layer_sizes": (784, 10**9, 10)},
    ],
    ids=["no optimizer", "optimizer", "generator", "model", "no model", "run", "sizes"],
)
def test_a_training_that_was_made_up_does_not_go_on(change: dict[str, object], cli: Cli, in_empty_folder: Path) -> None:
    config = CONFIG.changed(layer_sizes=change.pop("layer_sizes")) if "layer_sizes" in change else CONFIG
    run = TrainingRun(recipe=RECIPES["quickstart"], config=config, seed=0, holdout=0, device="cpu", threads=1)
    stored = {
        "model_state_dict": state(),
        "optimizer_state_dict": {},
        "generator_state": torch.Generator().get_state(),
        "fmnist_tk": config.model_dump_json(),
        "run": run.model_dump_json(),
    }
    torch.save({**stored, **change}, "m.partial.pt")
    outcome = cli("train", "--resume", "m.partial.pt", "-o", "m.safetensors", "--quiet")
    assert outcome.code == 2
    assert "report it" not in outcome.err
    assert names() == ["m.partial.pt"]


def test_a_file_that_is_as_large_as_it_says_is_read(tmp_path: Path) -> None:
    """The limits are those of hostile files alone."""
    config = ModelConfig(layer_sizes=(784, 2048, 2048, 10))
    from toolkit.fashion.checkpoint import load_checkpoint

    save_small(tmp_path / "m.safetensors", config=config)
    checkpoint = load_checkpoint(tmp_path / "m.safetensors")
    optimizer = {number: torch.zeros_like(tensor) for number, tensor in enumerate(checkpoint.state.values())}
    torch.save({"model": checkpoint.state, "optimizer": optimizer, "losses": [0.1] * 300_000}, tmp_path / "m.pth")
    assert load_checkpoint(tmp_path / "m.pth").record.weights_sha256 == checkpoint.record.weights_sha256
