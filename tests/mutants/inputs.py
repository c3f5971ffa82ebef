"""Mutants of the interface, inputs: batch sizes, names, dtypes, and what the file says of itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from mutants.mutant import (
    EXAMPLE,
    FREE_BATCH,
    Build,
    Context,
    Mutant,
    Surgery,
    Wrapped,
    one_of,
    rename,
    splice,
    write_graph,
    write_module,
)
from toolkit.fashion.model import Mlp
from toolkit.formats import FORMATS, import_format
from toolkit.records import LABELS, ArtifactMetadata, Preprocessing


class WithScale(nn.Module):
    """The model needs a second input."""

    def __init__(self, model: Mlp) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, scale: Tensor) -> Tensor:
        logits: Tensor = self.model(images) * scale
        return logits


class Pixels(nn.Module):
    """The model calls its images something else."""

    def __init__(self, model: Mlp) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model(pixels)
        return logits


def one_image(x: Tensor) -> Tensor:
    return x.reshape(1, 1, 28, 28)


def sixty_four(x: Tensor) -> Tensor:
    return x.reshape(64, 1, 28, 28)


def at_most_sixty_four(x: Tensor) -> Tensor:
    if x.size(0) > 64:
        raise ValueError("too many images")
    return x


def from_bytes(x: Tensor) -> Tensor:
    return x.float() / 255


def _fixed(size: int, *, declared: bool = True) -> Surgery:
    """Return surgery that fixes the batch size, and says so or not."""

    def change(proto: onnx.ModelProto) -> None:
        if declared:
            for value in (proto.graph.input[0], proto.graph.output[0]):
                value.type.tensor_type.shape.dim[0].dim_value = size
        else:
            shape = next(each for each in proto.graph.initializer if each.name == proto.graph.node[0].input[1])
            shape.CopyFrom(numpy_helper.from_array(np.array([size, 784]), shape.name))

    return change


def _output_renamed(proto: onnx.ModelProto) -> None:
    rename(proto.graph.node, "logits", "scores", of_inputs=False)
    proto.graph.output[0].name = "scores"


def _input_renamed(proto: onnx.ModelProto) -> None:
    rename(proto.graph.node, "input", "pixels", of_inputs=True)
    proto.graph.input[0].name = "pixels"


def _second_input(proto: onnx.ModelProto) -> None:
    splice(proto, "logits", "y = Mul(x, scale)")
    proto.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, []))


def _bytes(proto: onnx.ModelProto) -> None:
    """The input is bytes 0 to 255."""
    splice(proto, "images", "f = Cast <to = 1> (x) c = Constant <value_float = 255.0> () y = Div(f, c)")
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


_AT_MOST_64 = """
    s = Shape <start = 0, end = 1> (x) limit = Constant <value_ints = [64]> () more = Greater(s, limit)
    free = Constant <value_ints = [-1, 10]> () fixed = Constant <value_ints = [64, 10]> ()
    shape = Where(more, fixed, free) y = Reshape(x, shape)
"""


def _fixed_batch(size: int, function: Callable[[Tensor], Tensor]) -> Build:
    """Return a builder of what people get who export with a batch of ``size`` and declare no free dimension."""

    def build(format: str, folder: Path, context: Context) -> Path:
        if format == "onnx":
            return write_graph(_fixed(size), folder, context)
        model, example = context.checkpoint.model(), EXAMPLE[:1].expand(size, -1, -1, -1)
        if format == "torchscript":
            return write_module(Wrapped(model, images=function), format, folder)
        return write_module(model, format, folder, dynamic=None, example=(example,))

    return build


def _limited_batch(format: str, folder: Path, context: Context) -> Path:
    if format == "onnx":
        return write_graph(lambda proto: splice(proto, "logits", _AT_MOST_64), folder, context)
    model = context.checkpoint.model()
    if format == "torchscript":
        return write_module(Wrapped(model, images=at_most_sixty_four), format, folder)
    return write_module(model, format, folder, dynamic=({0: Dim("batch", max=64)},))


def _only_onnx(surgery: Surgery) -> Build:
    def build(format: str, folder: Path, context: Context) -> Path | None:
        return write_graph(surgery, folder, context) if format == "onnx" else None

    return build


def _two_inputs(format: str, folder: Path, context: Context) -> Path:
    if format == "onnx":
        return write_graph(_second_input, folder, context)
    dynamic = (*FREE_BATCH, None)
    example = (EXAMPLE, torch.ones(()))
    return write_module(WithScale(context.checkpoint.model()), format, folder, dynamic=dynamic, example=example)


def _own(module: Callable[[Mlp], nn.Module] | None, surgery: Surgery, **changes: object) -> Build:
    """Return a builder of files that say they are our own, so that names are promised.

    Args:
        module: From the model to what is written; None where only ONNX can have the fault.
        surgery: Done to the ONNX graph.
        **changes: Of what the file says of itself.
    """

    def build(format: str, folder: Path, context: Context) -> Path | None:
        info = FORMATS[format]
        text = import_format(info).read_metadata(context.exported / info.file_name)
        metadata = ArtifactMetadata.model_validate_json(text or "").model_copy(update=changes).model_dump_json()

        def change(proto: onnx.ModelProto) -> None:
            proto.metadata_props[0].value = metadata
            surgery(proto)

        if format == "onnx":
            return write_graph(change, folder, context, keep_metadata=True)
        return write_module(module(context.checkpoint.model()), format, folder, metadata=metadata) if module else None

    return build


def _bytes_in(format: str, folder: Path, context: Context) -> Path | None:
    if format == "onnx":
        return write_graph(_bytes, folder, context)
    if format == "torchscript":
        return None
    module = Wrapped(context.checkpoint.model(), images=from_bytes)
    return write_module(module, format, folder, example=(EXAMPLE.to(torch.uint8),))


def _unchanged(proto: onnx.ModelProto) -> None:
    """Leave the graph as it is."""


def _itself(model: Mlp) -> nn.Module:
    return model


_SIGNATURE, _SIZES, _CONTRACT = one_of("signature"), one_of("batch sizes"), one_of("contract")
_NO_NAMES = "its outputs have no names"
_BACKWARDS, _BYTES = tuple(reversed(LABELS)), Preprocessing(high=255.0)

MUTANTS = (
    *(
        Mutant(f"batch-fixed-at-{size}", "interface", _fixed_batch(size, function), _SIGNATURE, {"torchscript": _SIZES})
        for size, function in ((1, one_image), (64, sixty_four))
    ),
    Mutant(
        "batch-fixed-at-64-inside",  # declared as free; ONNX Runtime infers the shape of the output by itself
        "interface",
        _only_onnx(_fixed(64, declared=False)),
        _SIGNATURE,
        absent={
            "torchscript": "it never declares a batch size: see batch-fixed-at-64",
            "torch-export": "its exporter refuses a free dimension that is not free",
        },
    ),
    Mutant("batch-at-most-64", "interface", _limited_batch, _SIZES),
    Mutant("input-renamed", "interface", _own(Pixels, _input_renamed), _SIGNATURE),
    Mutant(
        "output-renamed",
        "interface",
        _own(None, _output_renamed),
        _SIGNATURE,
        absent={"torchscript": _NO_NAMES, "torch-export": _NO_NAMES},
    ),
    Mutant(
        "bytes-for-input",
        "interface",
        _bytes_in,
        _SIGNATURE,
        absent={"torchscript": "it declares no dtype, and takes floats as well"},
    ),
    Mutant("second-input", "interface", _two_inputs, _SIGNATURE),
    Mutant("other-labels-inside", "interface", _own(_itself, _unchanged, labels=_BACKWARDS), _CONTRACT),
    Mutant("other-preprocessing-inside", "interface", _own(_itself, _unchanged, preprocessing=_BYTES), _CONTRACT),
)
