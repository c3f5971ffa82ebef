"""Prefixes of a TorchScript graph: its methods inlined, its weights made inputs, its end cut off."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toolkit.errors import CannotCutError, first_line
from toolkit.formats.libtorch import LibtorchSession, set_threads
from toolkit.formats.prefix import Prefix, Step, on_the_way
from toolkit.formats.torchscript.runtime import open_module

_NAME = "torchscript"


def cut(path: Path, device: str, threads: int | None) -> Iterator[Prefix]:
    """Yield the graph cut after each node that gives one tensor; scripted, traced or frozen.

    Whether the tensor is of floating-point numbers, TorchScript tells only when it runs.

    Raises:
        CannotCutError: If the graph has control flow, or attributes that are not tensors.
        CorruptArtifactError: If the file does not open.
    """
    set_threads(threads)
    module, dtypes, signature = open_module(path, device)
    graph, weights, names = _lowered(module, path)
    nodes = list(graph.nodes())
    for place in _places(graph, path):
        if [str(output.type()) for output in nodes[place].outputs()] == ["Tensor"]:
            function = partial(_call, _prefix(graph, place), tuple(weights))
            yield Prefix(names[place], nodes[place].kind(), LibtorchSession(function, dtypes, device, signature))


def _lowered(module: torch.jit.ScriptModule, path: Path) -> tuple[Any, list[Any], list[str]]:
    """Return a copy of the graph that takes its weights as inputs, them, and the name of each node's value.

    Lowering numbers nameless values anew, so the names are those before it.
    """
    whole = module.inlined_graph
    names = ["%" + next((each.debugName() for each in node.outputs()), "") for node in _computing(whole)]
    try:
        graph, weights = torch._C._jit_pass_lower_graph(whole, module._c)
    except RuntimeError as error:
        raise CannotCutError(path, _NAME, first_line(error)) from error
    if len(names) != len(list(graph.nodes())):
        raise CannotCutError(path, _NAME, "its graph has attributes that are not tensors")
    return graph, weights, names


def _places(graph: Any, path: Path) -> list[int]:
    inputs, outputs = list(graph.inputs()), list(graph.outputs())
    if not inputs or len(outputs) != 1:
        raise CannotCutError(path, _NAME, "its graph has no input, or not one output")
    for node in graph.nodes():
        if list(node.blocks()):
            raise CannotCutError(path, _NAME, f"it has control flow ({node.kind()})")
    steps = [
        Step(
            frozenset(each.debugName() for each in node.inputs()),
            frozenset(each.debugName() for each in node.outputs()),
        )
        for node in graph.nodes()
    ]
    return on_the_way(steps, inputs[0].debugName(), outputs[0].debugName())


def _prefix(graph: Any, place: int) -> Any:
    """Return a function of the nodes up to ``place``.

    What follows is removed rather than left to dead code elimination, which keeps what writes in place into
    the value of interest.
    """
    copy = graph.copy()
    nodes = list(copy.nodes())
    copy.eraseOutput(0)
    copy.registerOutput(nodes[place].output())
    for node in reversed(nodes[place + 1 :]):
        node.destroy()
    return torch._C._create_function_from_graph("forward", copy)


def _call(function: Any, weights: tuple[Any, ...], batch: Tensor) -> Any:
    return function(batch, *weights)


def _computing(graph: Any) -> list[Any]:
    """Return the nodes that lowering keeps: all but those that fetch weights from the module."""
    return [node for node in graph.nodes() if node.kind() != "prim::GetAttr"]
