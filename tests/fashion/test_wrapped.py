"""What people have around their weights, and beside them."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import random
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from toolkit.errors import CheckpointError
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.fashion.model import Mlp
from toolkit.fashion.weights import weights_sha256
from toolkit.records import ModelConfig

CONFIG = ModelConfig(layer_sizes=(784, 4, 10))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(5)
    return Mlp(CONFIG)


def reads_the_weights(stored: object, model: nn.Module, folder: Path, **options: Any) -> bool:
    torch.save(stored, folder / "m.pth", **options)
    record = load_checkpoint(folder / "m.pth").record
    return (record.config, record.weights_sha256) == (CONFIG, weights_sha256(model.state_dict()))


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "_orig_mod.", "net.", "model.module.", "_fsdp_wrapped_module.", "a.b_1.module."]
)
def test_whatever_stands_before_every_key_is_taken_off(prefix: str, model: nn.Module, tmp_path: Path) -> None:
    state = under(prefix, model.state_dict())
    assert reads_the_weights(state, model, tmp_path)
    safetensors.torch.save_file(state, tmp_path / "m.safetensors")
    assert load_checkpoint(tmp_path / "m.safetensors").record.config == CONFIG


def test_wrappers_inside_of_names_are_taken_out(model: nn.Module, tmp_path: Path) -> None:
    state = {
        name.replace("linear_relu_stack.", "net.linear_relu_stack._orig_mod."): tensor
        for name, tensor in model.state_dict().items()
    }
    assert reads_the_weights(state, model, tmp_path)


@pytest.mark.parametrize(
    "key",
    ["state_dict", "model_state_dict", "net", "model", "ema", "weights", "params", "model_state", "network", "best"],
)
def test_the_only_dict_that_fits_is_found_whatever_it_is_called(key: str, model: nn.Module, tmp_path: Path) -> None:
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 1, 28, 28)).sum().backward()
    optimizer.step()
    around = {"epoch": 3, "optimizer": optimizer.state_dict(), "acc": 0.9}
    assert reads_the_weights({**around, key: model.state_dict()}, model, tmp_path)
    assert reads_the_weights({**around, "last": {key: under("module.", model.state_dict())}}, model, tmp_path)


def test_two_that_fit_are_named_and_one_is_to_be_saved(model: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": model.state_dict(), "ema": model.state_dict(), "epoch": 1}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "m.pth")
    assert caught.value.reason == "holds the weights of several models: model, ema"
    assert "torch.load(path)['model']" in caught.value.remedy


def test_keys_under_two_prefixes_are_two_models(model: nn.Module, tmp_path: Path) -> None:
    state = model.state_dict()
    halves = [{name: state[name] for name in list(state)[a:b]} for a, b in ((0, 2), (2, 4))]
    torch.save({**under("a.", halves[0]), **under("b.", halves[1])}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"twice, under a\., b\."):
        load_checkpoint(tmp_path / "m.pth")


def test_an_averaged_model_is_its_average(model: nn.Module, tmp_path: Path) -> None:
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    assert reads_the_weights(averaged.state_dict(), model, tmp_path)
    assert reads_the_weights({"swa_state_dict": averaged.state_dict(), "epoch": 1}, model, tmp_path)


def test_a_checkpoint_of_lightning_is_read(model: nn.Module, tmp_path: Path) -> None:
    stored = {
        "epoch": 1,
        "global_step": 10,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": under("model.", model.state_dict()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val'}": {"best_model_score": torch.tensor(0.9), "dirpath": "/x"}},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 1e-3},
    }
    assert reads_the_weights(stored, model, tmp_path)


class Phase(enum.Enum):
    FIT = 1


@dataclasses.dataclass
class Settings:
    lr: float = 0.1


BESIDE: dict[str, object] = {
    "numpy scalars": [np.float64(0.87), np.float32(1), np.int64(3), np.bool_(True), np.mean([0.4, 0.5])],
    "numpy arrays": [np.zeros((2, 3)), np.arange(4), np.zeros(2, np.float16), np.array(["a"])],
    "numpy random state": [np.random.get_state(), np.random.default_rng(0)],
    "numpy types": [np.dtype("float32"), np.float32],
    "plain values": [1, 1.5, "text", None, True, b"bytes", bytearray(b"b"), 1j, (), {}, {1, 2}, frozenset({3}), 10**60],
    "keys": {0: 1, (1, 2): "a", None: 3, 1.5: 4, b"k": 5},
    "collections": [
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        collections.deque([1]),
        collections.defaultdict(list, {"a": [1]}),
    ],
    "options": [argparse.Namespace(lr=0.1, out=pathlib.Path("runs")), types.SimpleNamespace(a=1)],
    "dates": [
        datetime.datetime.now(datetime.UTC),
        datetime.date(2024, 1, 2),
        datetime.timedelta(seconds=3),
    ],
    "paths": [pathlib.Path("a/b"), pathlib.PurePosixPath("c")],
    "numbers": [decimal.Decimal("0.1"), fractions.Fraction(1, 3), uuid.UUID(int=3), slice(1, 2), range(3)],
    "random state": [random.getstate(), torch.get_rng_state()],
    "torch": [torch.device("cpu"), torch.float32, torch.Size([1]), torch.zeros(2, dtype=torch.bool), nn.Linear(2, 2)],
    "classes of the user": [Settings(), Phase.FIT],
    "losses": [0.5] * 10_000,
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("protocol", [2, 4])
def test_harmless_values_may_stand_beside_weights(kind: str, protocol: int, model: nn.Module, tmp_path: Path) -> None:
    stored = {"extra": BESIDE[kind], "model_state_dict": model.state_dict()}
    assert reads_the_weights(stored, model, tmp_path, pickle_protocol=protocol)


def test_what_belongs_to_a_training_loop_may_stand_beside_weights_as_objects(model: nn.Module, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    stored = {
        "net": model.state_dict(),
        "optimizer": torch.optim.SGD([nn.Parameter(torch.zeros(2))]),
        "scheduler": scheduler.state_dict(),
        "criterion": nn.CrossEntropyLoss(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
    }
    assert reads_the_weights(stored, model, tmp_path)


def test_plain_values_between_the_weights_themselves_are_passed_over(model: nn.Module, tmp_path: Path) -> None:
    assert reads_the_weights({**model.state_dict(), "epoch": 3, "best": np.float64(0.5)}, model, tmp_path)


def test_layers_that_are_tied_may_share_their_storage(tmp_path: Path) -> None:
    torch.manual_seed(6)
    tied = nn.Linear(8, 8)
    module = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), tied, nn.ReLU(), tied, nn.ReLU(), nn.Linear(8, 10))
    )
    torch.save(module, tmp_path / "m.pth")
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(load_checkpoint(tmp_path / "m.pth").model()(images), module(images))


def test_weights_that_are_a_view_are_the_numbers_of_the_view(model: nn.Module, tmp_path: Path) -> None:
    state = model.state_dict()
    name = "linear_relu_stack.0.weight"
    state[name] = state[name].t().contiguous().t()
    assert state[name].stride() == (1, 4)
    assert reads_the_weights(state, model, tmp_path)


def test_what_pickle_itself_has_written_is_said(model: nn.Module, tmp_path: Path) -> None:
    import pickle

    (tmp_path / "m.pth").write_bytes(pickle.dumps(model.state_dict()))
    with pytest.raises(CheckpointError, match=r"written by pickle\.dump, not by torch\.save"):
        load_checkpoint(tmp_path / "m.pth")
