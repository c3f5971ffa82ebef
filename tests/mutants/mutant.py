"""What a mutant is: an artifact that is wrong in one known way, and the check that must name the cause.

The writers here turn a change of the weights, of the PyTorch module or of the ONNX graph into a file.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from toolkit.fashion.checkpoint import Checkpoint
from toolkit.fashion.model import Mlp, build_model
from toolkit.formats import FORMATS
from toolkit.records.parity import CheckName

Family = Literal["weights", "graph", "interface", "behaviour", "file"]
State = dict[str, Tensor]
OnTensor = Callable[[Tensor], Tensor]
OnLogits = Callable[[Tensor, Tensor], Tensor]
Surgery = Callable[[onnx.ModelProto], None]

#: Example batch of the exports; torch.export takes a size of 0 or 1 for a constant.
EXAMPLE: Final = torch.zeros(2, 1, 28, 28)
FREE_BATCH: Final = ({0: Dim("batch")},)


@dataclass(frozen=True)
class Context:
    """What mutants are made from.

    Attributes:
        checkpoint: The reference of the parity checks.
        exported: Folder with its right artifacts and their manifest.
        other: The same of another checkpoint: a right folder, but of other weights.
    """

    checkpoint: Checkpoint
    exported: Path
    other: Path


Build = Callable[[str, Path, Context], Path | None]


@dataclass(frozen=True)
class Mutant:
    """One known fault.

    Attributes:
        name: As in the test's id.
        family: What kind of fault it is.
        build: Writes it in a format into a folder; None where the format cannot have this fault.
        causes: The checks that may be named as the cause.
        elsewhere: Format to causes, where a format says less or more of itself than the others.
        absent: Format to the reason why it cannot have this fault.
    """

    name: str
    family: Family
    build: Build
    causes: frozenset[CheckName]
    elsewhere: Mapping[str, frozenset[CheckName]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)

    def causes_in(self, format: str) -> frozenset[CheckName]:
        """Return the checks that may be named as the cause in ``format``."""
        return self.elsewhere.get(format, self.causes)


def one_of(*names: CheckName) -> frozenset[CheckName]:
    """Return a set of causes; one name wherever a fault has one honest name."""
    return frozenset(names)


class Wrapped(nn.Module):
    """The model with a function at each of four places, so that one of them can be wrong."""

    def __init__(self, model: Mlp, **changes: Callable[..., Tensor]) -> None:
        """Take the layers of ``model`` and the functions that differ.

        Args:
            model: Three linear layers.
            **changes: ``images``, ``relu``, ``relu_1`` take and give a tensor; ``logits`` also takes the images.
        """
        super().__init__()
        self.linear, self.linear_1, self.linear_2 = linear_layers(model)
        self.images = changes.get("images", same)
        self.relu = changes.get("relu", torch.relu)
        self.relu_1 = changes.get("relu_1", torch.relu)
        self.logits = changes.get("logits", same_logits)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, 10)`` of images ``(N, 1, 28, 28)``."""
        pixels = torch.flatten(self.images(images), 1)
        hidden = self.relu_1(self.linear_1(self.relu(self.linear(pixels))))
        return self.logits(self.linear_2(hidden), images)


def same(values: Tensor) -> Tensor:
    """Change nothing."""
    return values


def same_logits(logits: Tensor, images: Tensor) -> Tensor:
    """Change nothing."""
    return logits


def linear_layers(model: Mlp) -> list[nn.Linear]:
    """Return the linear layers of ``model``, from the images on."""
    return [layer for layer in model.linear_relu_stack if isinstance(layer, nn.Linear)]


def write_module(
    module: nn.Module,
    format: str,
    folder: Path,
    *,
    example: tuple[Tensor, ...] = (EXAMPLE,),
    dynamic: tuple[dict[int, Dim] | None, ...] | None = FREE_BATCH,
    metadata: str | None = None,
) -> Path:
    """Write a module as TorchScript, scripted, or as an exported program.

    Args:
        module: From images ``(N, 1, 28, 28)`` to whatever it likes.
        format: ``torchscript`` or ``torch-export``.
        folder: Where the artifact goes, under the name that an export gives it.
        example: What torch.export traces with.
        dynamic: Its free dimensions; None for none.
        metadata: JSON to go inside; None for a file of another tool.
    """
    path = folder / FORMATS[format].file_name
    extra = {"fmnist_tk.json": metadata} if metadata else {}
    module.eval()
    if format == "torchscript":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
            torch.jit.save(torch.jit.script(module), path, _extra_files=extra)
    else:
        torch.export.save(torch.export.export(module, example, dynamic_shapes=dynamic), path, extra_files=extra)
    return path


def write_graph(surgery: Surgery, folder: Path, context: Context, *, keep_metadata: bool = False) -> Path:
    """Write the right ONNX file after ``surgery``, without our metadata unless they are to be kept."""
    proto = onnx.load(context.exported / "model.onnx")
    if not keep_metadata:
        del proto.metadata_props[:]
    surgery(proto)
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return path


def with_state(change: Callable[[State], None]) -> Build:
    """Return a builder of artifacts whose weights went through ``change``, in place."""

    def build(format: str, folder: Path, context: Context) -> Path:
        state = {name: tensor.clone() for name, tensor in context.checkpoint.state.items()}
        change(state)
        if format != "onnx":
            return write_module(build_model(context.checkpoint.record.config, state), format, folder)
        return write_graph(lambda proto: put_weights(proto, state), folder, context)

    return build


def with_function(place: str, function: Callable[..., Tensor], fragment: str) -> Build:
    """Return a builder of artifacts that compute something else at one place.

    Args:
        place: ``images``, ``relu``, ``relu_1`` or ``logits``, as in `Wrapped`.
        function: What PyTorch computes there.
        fragment: The same in ONNX, see `splice`.
    """

    def build(format: str, folder: Path, context: Context) -> Path:
        if format != "onnx":
            return write_module(Wrapped(context.checkpoint.model(), **{place: function}), format, folder)
        return write_graph(lambda proto: splice(proto, place, fragment), folder, context)

    return build


def with_module(module: Callable[[Mlp], nn.Module], surgery: Surgery | None = None, *, only: str = "") -> Build:
    """Return a builder of artifacts from a module around the model and, for ONNX, from surgery.

    Args:
        module: Makes the module for TorchScript and torch.export.
        surgery: Makes the ONNX graph; None where ONNX cannot have the fault.
        only: The one format of libtorch that can have the fault; empty for both.
    """

    def build(format: str, folder: Path, context: Context) -> Path | None:
        if format == "onnx":
            return write_graph(surgery, folder, context) if surgery else None
        if only and format != only:
            return None
        return write_module(module(context.checkpoint.model()), format, folder)

    return build


def put_weights(proto: onnx.ModelProto, state: State) -> None:
    """Replace the initializers named in ``state``, in the dtype that they have there."""
    for each in proto.graph.initializer:
        if each.name in state:
            value: NDArray[np.generic] = state[each.name].numpy()
            each.CopyFrom(numpy_helper.from_array(value, each.name))


def splice(proto: onnx.ModelProto, place: str, fragment: str) -> None:
    """Put nodes in ONNX's text syntax at a place of the right graph; they read ``x`` and give ``y``.

    Args:
        proto: The right graph.
        place: ``images``: between the input and the first layer. ``relu``, ``relu_1``: in place of the ReLU.
            ``logits``: between the last layer and the output.
        fragment: Such as ``y = Relu(x)``.
    """
    nodes, graph = nodes_of(fragment), proto.graph
    if place == "images":
        at, source, result = 0, "input", "y"
        rename(graph.node, "input", "y", of_inputs=True)
    elif place == "logits":
        at, source, result = len(graph.node), "x", "logits"
        rename(graph.node, "logits", "x", of_inputs=False)
    else:
        at = next(number for number, node in enumerate(graph.node) if node.output[0] == place)
        source, result = graph.node[at].input[0], place
        del graph.node[at]
    for old, new in (("x", source), ("y", result)):
        rename(nodes, old, new, of_inputs=True)
        rename(nodes, old, new, of_inputs=False)
    put_nodes(proto, [*graph.node[:at], *nodes, *graph.node[at:]])


def nodes_of(fragment: str) -> list[onnx.NodeProto]:
    """Return the nodes of a text such as ``y = Relu(x)``."""
    return list(onnx.parser.parse_graph(f"fragment (float[N] x) => (float[N] y) {{ {fragment} }}").node)


def put_nodes(proto: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Make ``nodes`` all the nodes of the graph."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(kept)


def rename(nodes: Any, old: str, new: str, *, of_inputs: bool) -> None:
    """Rename a tensor where ``nodes`` read it or, otherwise, where they give it; also inside branches."""
    for node in nodes:
        names = node.input if of_inputs else node.output
        for number, name in enumerate(names):
            if name == old:
                names[number] = new
        for attribute in node.attribute:
            rename(attribute.g.node, old, new, of_inputs=of_inputs)
