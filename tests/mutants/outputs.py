"""Mutants of the interface, outputs: what comes out has another number, shape or type."""

# mypy: disable-error-code="no-untyped-def"
# `Returning` returns what its function does, and TorchScript reads a comment behind a def as its own.

from collections.abc import Callable

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from mutants.mutant import Build, Mutant, Surgery, one_of, rename, splice, with_module
from toolkit.fashion.model import Mlp
from toolkit.records import CheckName


class Returning(nn.Module):
    """The right model, and a function that makes something else of its logits."""

    def __init__(self, model: Mlp, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, images: Tensor):
        return self.function(self.model(images))


class Hidden(nn.Module):
    """The model ends after its first layer."""

    def __init__(self, model: Mlp) -> None:
        super().__init__()
        self.model = nn.Sequential(model.flatten, *model.linear_relu_stack[:2])

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.model(images)
        return hidden


def nothing(logits: Tensor) -> None:
    return None


def and_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    return logits, torch.softmax(logits, 1)


def probabilities_and_labels(logits: Tensor) -> tuple[Tensor, Tensor]:
    return torch.softmax(logits, 1), logits.argmax(1)


def in_dict(logits: Tensor) -> dict[str, Tensor]:
    return {"logits": logits}


def in_list(logits: Tensor) -> list[Tensor]:
    return [logits]


def doubles(logits: Tensor) -> Tensor:
    return logits.double()


def halves(logits: Tensor) -> Tensor:
    return logits.half()


def labels(logits: Tensor) -> Tensor:
    return logits.argmax(1)


def squeezed(logits: Tensor) -> Tensor:
    return logits.squeeze(0)


def transposed(logits: Tensor) -> Tensor:
    return logits.transpose(0, 1)


def flat(logits: Tensor) -> Tensor:
    return logits.flatten()


def eleven(logits: Tensor) -> Tensor:
    return torch.cat([logits, logits[:, :1]], 1)


def nine(logits: Tensor) -> Tensor:
    return logits[:, :9]


def first_row(logits: Tensor) -> Tensor:
    return logits[:1]


def _declared(fragment: str, *dims: int | str, dtype: int = TensorProto.FLOAT) -> Surgery:
    """Return surgery that ends in ``fragment`` and declares what comes out of it."""

    def change(proto: onnx.ModelProto) -> None:
        splice(proto, "logits", fragment)
        proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", dtype, dims))

    return change


def _hidden(proto: onnx.ModelProto) -> None:
    """The file ends after the first layer, and calls that its logits."""
    del proto.graph.node[3:]
    rename(proto.graph.node, "relu", "logits", of_inputs=False)
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 512


def _extra(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(helper.make_tensor_value_info("relu", TensorProto.FLOAT, ["batch", 512]))


def _and_labels(proto: onnx.ModelProto) -> None:
    splice(proto, "logits", "label = ArgMax <axis = 1, keepdims = 0> (x) y = Softmax <axis = 1> (x)")
    proto.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))


def _nothing(proto: onnx.ModelProto) -> None:
    del proto.graph.output[:]


def _list(proto: onnx.ModelProto) -> None:
    splice(proto, "logits", "y = SequenceConstruct(x)")
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["batch", 10])
    proto.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(tensor))


def _dict(proto: onnx.ModelProto) -> None:
    """One dictionary from class to logit for each image, as scikit-learn's converter does."""
    splice(proto, "logits", f"y = ai.onnx.ml.ZipMap <classlabels_int64s = {list(range(10))}> (x)")
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    row = onnx.TypeProto()
    row.map_type.key_type = TensorProto.INT64
    row.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    proto.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(row))


_FIRST = "z = Constant <value_ints = [0]> () o = Constant <value_ints = [1]> ()"
_SQUEEZED = """
    s = Shape <start = 0, end = 1> (x) one = Constant <value_ints = [1]> () first = Constant <value_ints = [0]> ()
    single = Equal(s, one) c = Squeeze(single, first)
    y = If (c) <
        then_branch = single () => (float[10] a) { a = Squeeze(x, first) },
        else_branch = several () => (float[n, 10] b) { b = Identity(x) }
    >
"""


def _returning(function: Callable[[Tensor], object], surgery: Surgery) -> Build:
    return with_module(lambda model: Returning(model, function), surgery)


_SIGNATURE, _SHAPE = one_of("signature"), one_of("shape")
# TorchScript declares neither dtypes nor shapes: there the outputs themselves must tell.
_UNDECLARED = {"torchscript": _SHAPE}
_DTYPE = {"torchscript": one_of("dtype")}
_DTYPE_OR_CAST = _DTYPE | {"onnx": one_of("opens")}  # a session of ONNX sees the cast and refuses

# PyTorch's words, ONNX's words, and the causes in formats that declare less.
_RETURNED: dict[str, tuple[Callable[[Tensor], object], Surgery, dict[str, frozenset[CheckName]]]] = {
    "no-output": (nothing, _nothing, {}),
    "second-output": (and_probabilities, _extra, {}),
    "probabilities-and-labels": (probabilities_and_labels, _and_labels, {}),
    "in-a-dictionary": (in_dict, _dict, {}),
    "in-a-list": (in_list, _list, {}),
    "float64-output": (doubles, _declared("y = Cast <to = 11> (x)", "batch", 10, dtype=TensorProto.DOUBLE), _DTYPE),
    "float16-output": (
        halves,
        _declared("y = Cast <to = 10> (x)", "batch", 10, dtype=TensorProto.FLOAT16),
        _DTYPE_OR_CAST,
    ),
    "labels-for-output": (
        labels,
        _declared("y = ArgMax <axis = 1, keepdims = 0> (x)", "batch", dtype=TensorProto.INT64),
        _UNDECLARED,
    ),
    "logits-transposed": (transposed, _declared("y = Transpose(x)", 10, "batch"), _UNDECLARED),
    "logits-flat": (flat, _declared("s = Constant <value_ints = [-1]> () y = Reshape(x, s)", "flat"), _UNDECLARED),
    "eleven-classes": (
        eleven,
        _declared(f"{_FIRST} one = Slice(x, z, o, o) y = Concat <axis = 1> (x, one)", "batch", 11),
        _UNDECLARED,
    ),
    "nine-classes": (
        nine,
        _declared(f"{_FIRST} n = Constant <value_ints = [9]> () y = Slice(x, z, n, o)", "batch", 9),
        _UNDECLARED,
    ),
    "first-row-alone": (
        first_row,
        _declared(f"{_FIRST} y = Slice(x, z, o, z)", "rows", 10),
        _UNDECLARED | {"onnx": _SHAPE},  # "rows" may be anything
    ),
    "squeezed-for-one-image": (
        squeezed,
        _declared(_SQUEEZED, "batch", 10),
        dict.fromkeys(("torchscript", "onnx", "torch-export"), _SHAPE),
    ),
}

MUTANTS = (
    *(
        Mutant(name, "interface", _returning(function, surgery), _SIGNATURE, elsewhere)
        for name, (function, surgery, elsewhere) in _RETURNED.items()
    ),
    Mutant("hidden-layer-for-output", "interface", with_module(Hidden, _hidden), _SIGNATURE, _UNDECLARED),
)
