"""Prefixes of an exported program: copies of its FX graph that end at one of its nodes."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor, fx
from torch._ops import HigherOrderOperator

from toolkit.errors import CannotCutError
from toolkit.formats.libtorch import LibtorchSession, set_threads
from toolkit.formats.prefix import Prefix, Step, on_the_way
from toolkit.formats.torch_export.runtime import open_module

_NAME = "torch-export"
_KEPT = {"placeholder", "get_attr", "call_function"}  # not the call of a module that checks the input's shape


def cut(path: Path, device: str, threads: int | None) -> Iterator[Prefix]:
    """Yield the graph cut after each node that gives a floating-point tensor.

    Raises:
        CannotCutError: If the graph has control flow, no input or not one output.
        CorruptArtifactError, UnsafeArtifactError: If the file does not open.
    """
    set_threads(threads)
    module, dtypes, signature = open_module(path, device)
    nodes = [node for node in module.graph.nodes if node.op in _KEPT]
    for place in _places(module.graph, nodes, path):
        node = nodes[place]
        value = node.meta.get("val")
        if isinstance(value, Tensor) and value.is_floating_point():
            function = _prefix(module, nodes[: place + 1])
            yield Prefix(node.name, str(node.target), LibtorchSession(function, dtypes, device, signature))


def _places(graph: fx.Graph, nodes: list[fx.Node], path: Path) -> list[int]:
    inputs = [node.name for node in nodes if node.op == "placeholder"]
    outputs = [each.name for node in graph.nodes if node.op == "output" for each in node.all_input_nodes]
    if not inputs or len(outputs) != 1:
        raise CannotCutError(path, _NAME, f"its graph has {len(inputs)} inputs and {len(outputs)} outputs")
    for node in nodes:
        if isinstance(node.target, HigherOrderOperator):
            raise CannotCutError(path, _NAME, f"it has control flow ({node.target})")
    steps = [Step(frozenset(each.name for each in node.all_input_nodes), frozenset({node.name})) for node in nodes]
    return on_the_way(steps, inputs[0], outputs[0])


def _prefix(module: fx.GraphModule, nodes: list[fx.Node]) -> fx.GraphModule:
    """Return a module of ``nodes`` that gives what the last one does; the weights are shared, not copied."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[nodes[-1]])
    return fx.GraphModule(module, graph)
