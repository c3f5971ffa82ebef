import contextlib
import json
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from support import NeuralNetwork, save_small
from toolkit.errors import CheckpointError, UnsafeCheckpointError
from toolkit.fashion.checkpoint import load_checkpoint, save_checkpoint
from toolkit.fashion.model import Mlp
from toolkit.fashion.weights import weights_sha256
from toolkit.records import ModelConfig, TrainingSummary


@pytest.fixture
def quickstart(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A model whose class was defined in the user's script."""
    monkeypatch.setattr(NeuralNetwork, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "NeuralNetwork", NeuralNetwork, raising=False)
    torch.manual_seed(3)
    return NeuralNetwork()


def saved(value: object, path: Path, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


FORMS = {
    "state dict": lambda model, path: torch.save(model.state_dict(), path),
    "state dict of torch before 1.6": lambda model, path: torch.save(
        model.state_dict(), path, _use_new_zipfile_serialization=False
    ),
    "whole module": torch.save,
    "safetensors": lambda model, path: safetensors.torch.save_file(model.state_dict(), path),
    "DataParallel": lambda model, path: torch.save(prefixed(model.state_dict(), "module."), path),
    "torch.compile": lambda model, path: torch.save(prefixed(model.state_dict(), "_orig_mod."), path),
    "both": lambda model, path: torch.save(prefixed(model.state_dict(), "_orig_mod.module."), path),
    "training loop": lambda model, path: torch.save(
        {"epoch": 4, "model_state_dict": model.state_dict(), "loss": 0.5}, path
    ),
    "float64": lambda model, path: torch.save({k: v.double() for k, v in model.state_dict().items()}, path),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_which_people_have_the_model_gives_its_weights(
    form: str, quickstart: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    FORMS[form](quickstart, path)
    checkpoint = load_checkpoint(path)
    assert checkpoint.record.config == ModelConfig()
    assert checkpoint.record.weights_sha256 == weights_sha256(quickstart.state_dict())
    images = torch.rand(4, 1, 28, 28)
    assert torch.equal(checkpoint.model()(images), quickstart(images))


def test_sizes_are_inferred_from_the_shapes(tmp_path: Path) -> None:
    config = ModelConfig(layer_sizes=(784, 32, 48, 16, 10))
    path = saved(Mlp(config).state_dict(), tmp_path / "deep.pt")
    assert load_checkpoint(path).record.config == config


def test_a_pickled_module_shows_whether_it_ends_in_a_relu(quickstart: nn.Module, tmp_path: Path) -> None:
    quickstart.linear_relu_stack.append(nn.ReLU())
    path = saved(quickstart, tmp_path / "model.pth")
    checkpoint = load_checkpoint(path)
    assert checkpoint.record.form == "pickled-module"
    assert checkpoint.record.config.final_relu
    images = torch.rand(4, 1, 28, 28)
    assert torch.equal(checkpoint.model()(images), quickstart(images))


def test_a_config_beside_a_state_dict_tells_what_it_cannot(quickstart: nn.Module, tmp_path: Path) -> None:
    path = saved(quickstart.state_dict(), tmp_path / "model.pth")
    (tmp_path / "model.config.json").write_text('{"final_relu": true}')
    assert load_checkpoint(path).record.config == ModelConfig(final_relu=True)
    (tmp_path / "model.config.json").write_text('{"final_rilu": true}')
    with pytest.raises(CheckpointError, match=r"model\.config\.json.*final_rilu"):
        load_checkpoint(path)


def test_a_module_of_another_shape_is_refused_by_its_layers(quickstart: nn.Module, tmp_path: Path) -> None:
    quickstart.linear_relu_stack[1] = nn.Linear(512, 512)
    with pytest.raises(CheckpointError, match="Linear, Linear, Linear, ReLU, Linear"):
        load_checkpoint(saved(quickstart, tmp_path / "model.pth"))


def test_a_saved_checkpoint_comes_back_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    config = ModelConfig(layer_sizes=(784, 8, 10), final_relu=True)
    training = TrainingSummary(
        recipe="strong",
        seed=1,
        epochs=2,
        train_images=3,
        test_accuracy=0.5,
        test_loss=1.5,
        precision="float32",
        torch_version="2",
    )
    model = Mlp(config)
    metadata = save_checkpoint(tmp_path / "m.safetensors", config, model.state_dict(), training)
    record = load_checkpoint(tmp_path / "m.safetensors").record
    assert (record.config, record.training, record.weights_sha256) == (config, training, metadata.weights_sha256)
    assert record.labels[9] == "Ankle boot"
    save_checkpoint(tmp_path / "again.safetensors", config, model.state_dict(), training)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


@pytest.mark.parametrize("form", ["m.safetensors", "m.pth"])
def test_a_flipped_bit_never_gives_other_weights(form: str, tmp_path: Path) -> None:
    path = save_small(tmp_path / "m.safetensors")
    checkpoint = load_checkpoint(path)
    if form == "m.pth":
        path = saved(checkpoint.state, tmp_path / form)
    data = path.read_bytes()
    places = random.Random(0)
    refused = 0
    for _ in range(60):
        place = places.randrange(len(data) * 8)
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        path.write_bytes(broken)
        try:
            found = load_checkpoint(path).record
        except CheckpointError:
            refused += 1
        else:  # a bit that carries nothing, such as padding between the members of a zip
            assert found.weights_sha256 == checkpoint.record.weights_sha256
            assert found.config == checkpoint.record.config
    assert refused >= 50


class Hostile:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def legacy(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def plain(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("save", [torch.save, legacy, plain])
def test_nothing_of_a_hostile_pickle_runs_and_it_is_named(save: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    state = Mlp(ModelConfig(layer_sizes=(784, 4, 10))).state_dict()
    save({**state, "extra": Hostile(trace)}, tmp_path / "hostile.pth")
    with pytest.raises(UnsafeCheckpointError, match="pathlib") as caught:
        load_checkpoint(tmp_path / "hostile.pth")
    assert any("touch" in name or "Path" in name or "getattr" in name for name in caught.value.requested)
    assert not trace.exists()


def test_a_module_of_a_foreign_class_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has a Conv2d"):
        load_checkpoint(saved(nn.Conv2d(1, 1, 3), tmp_path / "conv.pth"))


def test_one_error_lists_every_missing_extra_and_misshapen_key(tmp_path: Path) -> None:
    state = Mlp(ModelConfig(layer_sizes=(784, 8, 8, 10))).state_dict()
    del state["linear_relu_stack.2.bias"]
    state["linear_relu_stack.4.weight"] = torch.zeros(10, 9)
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(saved(state, tmp_path / "m.pth"))
    message = str(caught.value)
    assert "missing linear_relu_stack.2.bias" in message
    assert "extra head.weight" in message
    assert "linear_relu_stack.4.weight is (10, 9)" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"linear_relu_stack.0.weight": torch.zeros(8, 100)}, "wrong layer sizes.*from 100 to 10"),
        ({"linear_relu_stack.0.weight": torch.full((8, 784), torch.nan)}, "not finite in linear_relu_stack.0.weight"),
        ({"linear_relu_stack.0.weight": torch.zeros(8, 784, dtype=torch.int8)}, "torch.int8"),
        ({"linear_relu_stack.0.weight": torch.tensor(1.0)}, r"linear_relu_stack.0.weight is \(\)"),
        ({"linear_relu_stack.0.bias": "text"}, "is a str"),
    ],
)
def test_weights_that_are_no_weights_of_this_model_are_refused(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    state = Mlp(ModelConfig(layer_sizes=(784, 8, 10))).state_dict()
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(saved({**state, **change}, tmp_path / "m.pth"))


@pytest.mark.parametrize("value", [{}, {"conv1.weight": torch.zeros(2)}, [1, 2], torch.zeros(3)])
def test_a_file_without_this_models_weights_says_what_it_holds(value: object, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds"):
        load_checkpoint(saved(value, tmp_path / "m.pth"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"epoch,loss\n1,0.5\n", "neither a torch.save file nor safetensors"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
        (b"\x80\x02garbage", "cannot be read as weights"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all", "truncated or damaged"),
    ],
)
def test_a_broken_file_is_an_error_with_its_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_a_truncated_file_is_an_error(name: str, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save_small(tmp_path / "m.safetensors"))
    path = tmp_path / name
    if name == "m.pth":
        torch.save(checkpoint.state, path)
    data = path.read_bytes()
    for kept in (9, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:kept])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_an_artifact_is_no_checkpoint_and_the_error_says_where_it_belongs(exported: Path) -> None:
    for name in ("model.ts.pt", "model.pt2"):
        with pytest.raises(CheckpointError, match="is an exported artifact"):
            load_checkpoint(exported / name)


def test_a_checkpoint_of_a_later_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    import hashlib

    checkpoint = load_checkpoint(save_small(tmp_path / "m.safetensors"))
    text = json.dumps({"schema_name": "fmnist-tk/checkpoint", "schema_version": 2})
    header = {"fmnist_tk": text, "fmnist_tk_sha256": hashlib.sha256(text.encode()).hexdigest()}
    safetensors.torch.save_file(checkpoint.state, tmp_path / "m.safetensors", header)
    with pytest.raises(CheckpointError, match=r"version 2.*upgrade fmnist-tk"):
        load_checkpoint(tmp_path / "m.safetensors")


def test_the_bundled_checkpoint_is_the_strong_one(bundled: Any) -> None:
    training = bundled.record.training
    assert training.recipe == "strong"
    assert training.train_images == 60_000
    assert training.test_accuracy >= 0.907


@pytest.mark.parametrize("padding", range(32))
def test_safetensors_is_safetensors_whatever_its_first_byte(padding: int, tmp_path: Path) -> None:
    """The header's length begins with the byte of a pickle in one of 32 files."""
    config = ModelConfig(layer_sizes=(784, 4, 10), final_relu=True)
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, config, Mlp(config).state_dict())
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size] + b" " * (8 * padding)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    record = load_checkpoint(path).record
    assert (record.form, record.config) == ("safetensors", config)


def test_a_pickled_module_that_does_more_is_refused_by_what_it_has(quickstart: nn.Module, tmp_path: Path) -> None:
    quickstart.head = nn.Linear(10, 10)
    quickstart.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(CheckpointError, match="also has head, scale"):
        load_checkpoint(saved(quickstart, tmp_path / "model.pth"))


def test_two_models_in_one_state_dict_are_refused(tmp_path: Path) -> None:
    state = Mlp(ModelConfig(layer_sizes=(784, 4, 10))).state_dict()
    with pytest.raises(CheckpointError, match="twice"):
        load_checkpoint(saved({**state, **prefixed(state, "module.")}, tmp_path / "m.pth"))


@pytest.mark.parametrize(
    "value",
    [torch.zeros(8, 784, device="meta"), torch.zeros(8, 784).to_sparse()],
    ids=["meta", "sparse"],
)
def test_tensors_without_ordinary_numbers_are_refused(value: torch.Tensor, tmp_path: Path) -> None:
    state = Mlp(ModelConfig(layer_sizes=(784, 8, 10))).state_dict()
    with pytest.raises(CheckpointError, match=r"linear_relu_stack\.0\.weight|cannot be read"):
        load_checkpoint(saved({**state, "linear_relu_stack.0.weight": value}, tmp_path / "m.pth"))


def test_what_a_hostile_file_asks_for_is_told_without_its_layers(quickstart: nn.Module, tmp_path: Path) -> None:
    quickstart.more = Hostile(tmp_path / "trace")
    with pytest.raises(UnsafeCheckpointError) as caught:
        load_checkpoint(saved(quickstart, tmp_path / "model.pth"))
    assert not any(name.startswith("torch.") for name in caught.value.requested)
    assert not (tmp_path / "trace").exists()


def test_an_absurd_layer_number_is_one_short_error(tmp_path: Path) -> None:
    state = {"linear_relu_stack.1000000000.weight": torch.zeros(10, 784)}
    with pytest.raises(CheckpointError, match="layer 1000000000 among 1 keys"):
        load_checkpoint(saved(state, tmp_path / "m.pth"))


@pytest.mark.parametrize("new_zip", [True, False])
def test_whatever_is_damaged_it_is_a_checkpoint_error(new_zip: bool, tmp_path: Path) -> None:
    state = Mlp(ModelConfig(layer_sizes=(784, 2, 10))).state_dict()
    data = saved(state, tmp_path / "m.pth", _use_new_zipfile_serialization=new_zip).read_bytes()
    places = random.Random(1)
    for _ in range(300):
        broken = bytearray(data)
        # The structure, not the numbers: of those an old file has no checksum.
        place = places.choice([places.randrange(600), len(data) - 1 - places.randrange(600)])
        broken[place] = places.randrange(256)
        (tmp_path / "m.pth").write_bytes(broken)
        with contextlib.suppress(CheckpointError):
            assert load_checkpoint(tmp_path / "m.pth").record.config.layer_sizes == (784, 2, 10)
