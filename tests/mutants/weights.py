"""Mutants of the weights: the right graph, other numbers. All are float32 in the file, unless they say otherwise."""

from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mutants.mutant import Context, Mutant, State, one_of, put_nodes, with_state, write_graph, write_module
from toolkit.fashion.model import Mlp
from toolkit.records import ModelConfig

LAYERS = {"first": "linear_relu_stack.0", "second": "linear_relu_stack.2", "third": "linear_relu_stack.4"}
# Ordinary places: units that the sample's images use, and the middle of the image.
_PLACES = {"first": (201, 406), "second": (301, 203), "third": (4, 301)}
#: Hidden units that no image of the sample switches on, and random pictures hardly ever: of each layer, one that few
#: pictures can switch on, and another.
QUIET_UNITS = {"first": (424, 10), "second": (383, 29)}


def _add(layer: str, change: float) -> Callable[[State], None]:
    def apply(state: State) -> None:
        state[f"{LAYERS[layer]}.weight"][_PLACES[layer]] += change

    return apply


def _turn_sign(layer: str) -> Callable[[State], None]:
    def apply(state: State) -> None:
        state[f"{LAYERS[layer]}.weight"][_PLACES[layer]] *= -1

    return apply


def _drop_bias(layer: str) -> Callable[[State], None]:
    def apply(state: State) -> None:
        state[f"{LAYERS[layer]}.bias"].zero_()

    return apply


def _zero_unit(layer: str, unit: int) -> Callable[[State], None]:
    def apply(state: State) -> None:
        for kind in ("weight", "bias"):
            state[f"{LAYERS[layer]}.{kind}"][unit] = 0

    return apply


def _swap_rows(layer: str, rows: tuple[int, int], *kinds: str) -> Callable[[State], None]:
    def apply(state: State) -> None:
        for kind in kinds:
            tensor = state[f"{LAYERS[layer]}.{kind}"]
            tensor[list(rows)] = tensor[list(reversed(rows))]

    return apply


def _round_all(rounded: Callable[[Tensor], Tensor]) -> Callable[[State], None]:
    def apply(state: State) -> None:
        for name in state:
            state[name] = rounded(state[name])

    return apply


def _to_int8(tensor: Tensor, *, per_channel: bool) -> Tensor:
    """Round a matrix to 8 bits, symmetric; biases stay."""
    if tensor.dim() == 1:
        return tensor
    scale = tensor.abs().amax(1, keepdim=True) if per_channel else tensor.abs().max()
    scale = scale / 127
    return (tensor / scale).round().clamp(-127, 127) * scale


def _to_tf32(tensor: Tensor) -> Tensor:
    """Keep 10 bits of each fraction."""
    return (tensor.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)


def _untrained(state: State) -> None:
    torch.manual_seed(1)
    state.update({name: tensor.detach() for name, tensor in Mlp(ModelConfig()).state_dict().items()})


def _transpose(state: State) -> None:
    name = f"{LAYERS['second']}.weight"
    state[name] = state[name].T.contiguous()


def _prune(state: State) -> None:
    for name in state:
        state[name] = torch.where(state[name].abs() < 1e-3, 0, state[name])


def _quiet_weight(state: State) -> None:
    state[f"{LAYERS['first']}.weight"][QUIET_UNITS["first"][1], 406] += 0.01


class _Stored(nn.Module):
    """A model whose weights and products have fewer bits, with float32 at its edges."""

    def __init__(self, model: Mlp, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model.to(dtype)
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images.to(self.dtype))
        return logits.float()


def _stored_as(dtype: torch.dtype) -> Callable[[str, Path, Context], Path]:
    onnx_type = TensorProto.FLOAT16 if dtype == torch.float16 else TensorProto.BFLOAT16

    def store(proto: onnx.ModelProto) -> None:
        casts = []
        for each in proto.graph.initializer:
            if each.name.endswith("weight"):
                name = each.name
                each.CopyFrom(helper.make_tensor(f"{name}.stored", onnx_type, each.dims, numpy_helper.to_array(each)))
                casts.append(helper.make_node("Cast", [f"{name}.stored"], [name], to=TensorProto.FLOAT))
        put_nodes(proto, [*casts, *proto.graph.node])

    def build(format: str, folder: Path, context: Context) -> Path:
        if format == "onnx":
            return write_graph(store, folder, context)
        return write_module(_Stored(context.checkpoint.model(), dtype), format, folder)

    return build


_CHANGES: dict[str, Callable[[State], None]] = {
    **{f"{layer}-weight-up": _add(layer, 1e-3) for layer in LAYERS},
    **{f"{layer}-weight-down": _add(layer, -1e-3) for layer in LAYERS},
    **{f"{layer}-weight-sign": _turn_sign(layer) for layer in LAYERS},
    **{f"{layer}-bias-dropped": _drop_bias(layer) for layer in LAYERS},
    "first-rows-swapped": _swap_rows("first", (201, 202), "weight", "bias"),
    "second-rows-swapped": _swap_rows("second", (301, 302), "weight", "bias"),
    "classes-swapped": _swap_rows("third", (2, 6), "weight", "bias"),
    "class-weights-swapped": _swap_rows("third", (2, 6), "weight"),
    "class-biases-swapped": _swap_rows("third", (2, 6), "bias"),
    "rounded-to-float16": _round_all(lambda tensor: tensor.half().float()),
    "rounded-to-bfloat16": _round_all(lambda tensor: tensor.bfloat16().float()),
    "rounded-to-tf32": _round_all(_to_tf32),
    "rounded-to-int8": _round_all(lambda tensor: _to_int8(tensor, per_channel=False)),
    "rounded-to-int8-per-channel": _round_all(lambda tensor: _to_int8(tensor, per_channel=True)),
    "pruned-below-a-thousandth": _prune,
    "of-another-checkpoint": _untrained,
    "second-transposed": _transpose,
    "unit-zeroed": _zero_unit("first", 201),
    **{
        f"quiet-{layer}-unit-{unit}-zeroed": _zero_unit(layer, unit)
        for layer in QUIET_UNITS
        for unit in QUIET_UNITS[layer]
    },
    "quiet-unit-weight-up": _quiet_weight,
}

MUTANTS = (
    *(Mutant(name, "weights", with_state(change), one_of("values")) for name, change in _CHANGES.items()),
    Mutant("stored-as-float16", "weights", _stored_as(torch.float16), one_of("opens")),
    Mutant("stored-as-bfloat16", "weights", _stored_as(torch.bfloat16), one_of("opens")),
)


def _permute(state: State) -> None:
    """Renumber the hidden units: another order of the same sums."""
    order = torch.randperm(512, generator=torch.Generator().manual_seed(0))
    for kind in ("weight", "bias"):
        state[f"{LAYERS['first']}.{kind}"] = state[f"{LAYERS['first']}.{kind}"][order]
    state[f"{LAYERS['second']}.weight"] = state[f"{LAYERS['second']}.weight"][:, order].contiguous()


def _rescale(state: State) -> None:
    """Double a layer and halve the next: exact in floating point, and ReLU does not mind."""
    for kind in ("weight", "bias"):
        state[f"{LAYERS['first']}.{kind}"] *= 2
    state[f"{LAYERS['second']}.weight"] /= 2


#: Changes that are none: the same function in other numbers. They must pass.
EQUIVALENTS: dict[str, Callable[[State], None]] = {
    "unchanged": lambda state: None,
    "units-renumbered": _permute,
    "layer-doubled-next-halved": _rescale,
}
