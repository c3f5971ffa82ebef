"""Whole modules: what lies between the layers with weights is read, honoured or refused, never assumed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from support import Cli, NeuralNetwork
from toolkit.errors import CheckpointError
from toolkit.fashion.checkpoint import load_checkpoint


def linear_and(*between: nn.Module) -> list[nn.Module]:
    """Return layers of the family with some more after the first ReLU."""
    return [nn.Linear(784, 8), nn.ReLU(), *between, nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 10)]


def same_function(module: nn.Module, path: Path) -> bool:
    torch.save(module, path)
    images = torch.rand(5, 1, 28, 28)
    return torch.equal(load_checkpoint(path).model()(images), module.eval()(images))


@pytest.fixture
def own_class(monkeypatch: pytest.MonkeyPatch) -> Callable[..., nn.Module]:
    """Make models whose class was defined in the user's script."""
    monkeypatch.setattr(NeuralNetwork, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "NeuralNetwork", NeuralNetwork, raising=False)

    def make(*layers: nn.Module) -> nn.Module:
        model = NeuralNetwork()
        model.linear_relu_stack = nn.Sequential(*layers)
        return model

    return make


IDENTITIES = {
    "dropout": [nn.Dropout(0.2)],
    "several": [nn.Identity(), nn.Dropout1d(), nn.AlphaDropout(), nn.Flatten()],
    "nested": [nn.Sequential(nn.Dropout(), nn.Sequential())],
    "nothing": [],
}


@pytest.mark.parametrize("kind", IDENTITIES)
@pytest.mark.parametrize("end", [[], [nn.ReLU()], [nn.Dropout()]], ids=["linear", "relu", "dropout"])
def test_what_evaluation_makes_the_identity_is_left_out(
    kind: str, end: list[nn.Module], own_class: Callable[..., nn.Module], tmp_path: Path
) -> None:
    layers = [*linear_and(*IDENTITIES[kind]), *end]
    assert same_function(own_class(*layers), tmp_path / "own.pth")
    assert same_function(nn.Sequential(nn.Flatten(), *layers), tmp_path / "sequential.pth")


def test_what_was_left_out_and_assumed_is_said(own_class: Callable[..., nn.Module], cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(own_class(*linear_and(nn.Dropout())), path)
    assumed, dropped = load_checkpoint(path).notes
    assert "__main__.NeuralNetwork computes flatten, then linear_relu_stack" in assumed
    assert "Dropout (linear_relu_stack.2)" in dropped
    torch.save(nn.Sequential(nn.Flatten(), *linear_and()), path)
    assert load_checkpoint(path).notes == ()
    torch.save(own_class(*linear_and()).state_dict(), path)
    (note,) = load_checkpoint(path).notes
    assert note.startswith("assumed: ReLU, and nothing else, between its Linear layers")
    outcome = cli("export", "torchscript", "-c", path, "--folder", tmp_path / "out", "--json")
    assert outcome.report.notes == (note,)
    outcome = cli("parity", "torchscript", "--weights", path, "--folder", tmp_path / "out", "--json")
    assert outcome.report.notes == (note,)
    (tmp_path / "m.config.json").write_text('{"final_relu": false}')
    assert load_checkpoint(path).notes == ()


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel, lambda module: module])
def test_a_module_may_be_wrapped_or_stand_in_a_dict(wrap: Callable[..., nn.Module], tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), *linear_and())
    images = torch.rand(5, 1, 28, 28)
    torch.save({"epoch": 1, "criterion": nn.CrossEntropyLoss(), "model": wrap(module)}, tmp_path / "m.pth")
    assert torch.equal(load_checkpoint(tmp_path / "m.pth").model()(images), module(images))


def test_a_model_of_torch_compile_is_to_be_saved_as_what_it_was(tmp_path: Path) -> None:
    compiled = torch.compile(nn.Sequential(nn.Flatten(), *linear_and()))
    torch.save(compiled, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"torch\.save\(model\._orig_mod, path\)"):
        load_checkpoint(tmp_path / "m.pth")
    assert same_function(compiled._orig_mod, tmp_path / "m.pth")


def test_the_one_sequential_of_a_class_may_have_any_name(own_class: Callable[..., nn.Module], tmp_path: Path) -> None:
    model = own_class()
    del model.linear_relu_stack
    model.layers = nn.Sequential(*linear_and())
    torch.save(model, tmp_path / "m.pth")
    images = torch.rand(5, 1, 28, 28)
    assert torch.equal(load_checkpoint(tmp_path / "m.pth").model()(images), model.layers(images.flatten(1)))


class Block(nn.Module):
    """A layer of the user's own, which may compute anything."""


def hooked() -> nn.Module:
    layer = nn.ReLU()
    layer.register_forward_hook(torch.nn.functional.gelu)
    return layer


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "GELU": nn.GELU,
    "Tanh": nn.Tanh,
    "Sigmoid": nn.Sigmoid,
    "Softmax": lambda: nn.Softmax(dim=1),
    "LogSoftmax": lambda: nn.LogSoftmax(dim=1),
    "LeakyReLU": nn.LeakyReLU,
    "ReLU6": nn.ReLU6,
    "SiLU": nn.SiLU,
    "ELU": nn.ELU,
    "PReLU": nn.PReLU,
    "BatchNorm1d": lambda: nn.BatchNorm1d(8),
    "LayerNorm": lambda: nn.LayerNorm(8),
    "Conv2d": lambda: nn.Conv2d(1, 1, 3),
    "Unflatten": lambda: nn.Unflatten(1, (2, 4)),
    "Softplus": nn.Softplus,
    "Bilinear": lambda: nn.Bilinear(8, 8, 8),
    "weight_orig": lambda: nn.utils.spectral_norm(nn.Linear(8, 8)),
    "Block": Block,
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2),
    "ModuleList": lambda: nn.ModuleList([nn.ReLU()]),
    "other dimensions": lambda: nn.Flatten(0),
    "_forward_hooks": hooked,
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("place", ["between", "end", "begin"])
def test_what_is_another_function_is_refused_by_name(
    name: str, place: str, own_class: Callable[..., nn.Module], tmp_path: Path
) -> None:
    other = OTHERS[name]()
    layers = {
        "between": linear_and(other),
        "end": [*linear_and(), other],
        "begin": [other, *linear_and()],
    }[place]
    for module in (own_class(*layers), nn.Sequential(*layers)):
        torch.save(module, tmp_path / "m.pth")
        with pytest.raises(CheckpointError, match=name) as caught:
            load_checkpoint(tmp_path / "m.pth")
        assert_no_circle(caught.value)


def assert_no_circle(error: CheckpointError) -> None:
    """A layer without weights is lost in a state dict, and keys of other names are another model's."""
    assert "rename" not in error.remedy
    assert "state_dict" not in error.remedy


def test_a_class_whose_forward_cannot_be_known_is_to_be_saved_as_what_it_computes(
    own_class: Callable[..., nn.Module], tmp_path: Path
) -> None:
    model = own_class()
    del model.linear_relu_stack
    model.fc1, model.act, model.fc2 = nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10)
    torch.save(model, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="fc1, act, fc2 and no Sequential") as caught:
        load_checkpoint(tmp_path / "m.pth")
    assert "nn.Sequential" in caught.value.remedy
    torch.save(model.state_dict(), tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"it has fc1\.weight") as caught:
        load_checkpoint(tmp_path / "m.pth")
    assert_no_circle(caught.value)
    assert "torch.save(model, path)" in caught.value.remedy
    assert same_function(nn.Sequential(nn.Flatten(), model.fc1, model.act, model.fc2), tmp_path / "m.pth")


@pytest.mark.parametrize("attribute", [torch.nn.functional.gelu, torch.zeros(1), nn.Parameter(torch.zeros(1))])
def test_a_class_that_has_more_than_its_layers_is_refused(
    attribute: object, own_class: Callable[..., nn.Module], tmp_path: Path
) -> None:
    model = own_class(*linear_and())
    model.more = attribute
    torch.save(model, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="also has more"):
        load_checkpoint(tmp_path / "m.pth")


@pytest.mark.parametrize("places", [(0, 3, 6), (1, 3, 5), (0, 1, 2), (0, 2, 5)])
def test_a_state_dict_with_other_layers_between_says_how_to_name_them(places: tuple[int, ...], tmp_path: Path) -> None:
    state = nn.Sequential(*linear_and()).state_dict()
    moved = {0: places[0], 2: places[1], 4: places[2]}
    renamed = {f"linear_relu_stack.{moved[int(name[0])]}{name[1:]}": tensor for name, tensor in state.items()}
    torch.save(renamed, tmp_path / "m.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "m.pth")
    assert f"stand at {', '.join(map(str, places))}" in caught.value.reason
    assert "torch.save(model, path)" in caught.value.remedy
    assert_no_circle(caught.value)
