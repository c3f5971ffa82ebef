"""The graph of an exported program: the nodes that compute, with the weights under their own names."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from toolkit.formats.graph import Contents, Role, StoredTensor, bounded
from toolkit.formats.libtorch_graph import extra_files, read_member, stored_tensor
from toolkit.formats.torch_export.runtime import METADATA_FILE, describe_signature, open_program
from toolkit.records import GraphRecord, NodeRecord, TensorSpec

_COMPUTING = {"call_function", "call_module", "call_method"}


def describe(path: Path) -> Contents:
    """Read the program in an archive.

    Raises:
        CorruptArtifactError, UnsafeArtifactError: If it does not open.
    """
    program = open_program(path)
    names = _Names(_weight_names(program), _batch_symbol(program))
    header = _header(path)
    version = ".".join(str(part) for part in _dict(header.get("schema_version")).values())
    torch_version = header.get("torch_version")
    return Contents(
        graph=GraphRecord(
            nodes=tuple(_nodes(program.graph_module, names, None)),
            inputs=tuple(str(each) for each in program.graph_signature.user_inputs),
            outputs=tuple(str(each) for each in program.graph_signature.user_outputs),
            opsets={str(name): number for name, number in _dict(header.get("opset_version")).items() if _whole(number)},
            format_version=f"schema version {version}" if version else None,
            producer=f"torch {torch_version}" if isinstance(torch_version, str) else None,
            properties=extra_files(path, METADATA_FILE),
        ),
        signature=describe_signature(program),
        tensors=tuple(_tensors(program)),
    )


@dataclass(frozen=True)
class _Names:
    """What placeholders are called outside, and torch's symbol for the batch size."""

    weights: dict[str, str]
    batch: str | None


def _batch_symbol(program: ExportedProgram) -> str | None:
    """Return how torch calls the first size of the first input: a symbol whose number tells nobody anything."""
    first = next(iter(program.graph_signature.user_inputs), None)
    values = (node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name == first)
    value = next(values, None)
    return str(value.shape[0]) if isinstance(value, Tensor) and value.ndim else None


def _weight_names(program: ExportedProgram) -> dict[str, str]:
    """Return placeholder to the name of the weight that it stands for."""
    signature = program.graph_signature
    return {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }


def _tensors(program: ExportedProgram) -> Iterator[StoredTensor]:
    signature = program.graph_signature
    roles: dict[str, Role] = dict.fromkeys(signature.parameters, "parameter")
    roles |= dict.fromkeys(signature.buffers, "buffer")
    held = {
        **program.state_dict,
        **{name: each for name, each in program.constants.items() if isinstance(each, Tensor)},
    }
    used = [name for name in _weight_names(program).values() if name in held]
    for name in dict.fromkeys((*used, *held)):
        yield stored_tensor(name, roles.get(name, "constant"), held[name])


def _nodes(module: fx.GraphModule, names: "_Names", within: str | None) -> Iterator[NodeRecord]:
    """Yield the nodes that compute; those of a branch of control flow, which is a graph of its own, after its node."""
    for node in module.graph.nodes:
        if node.op not in _COMPUTING and not (node.op == "output" and within is not None):
            continue
        attributes: dict[str, str] = {}
        inputs: list[str] = []
        branches: list[tuple[str, fx.GraphModule]] = []
        for name, value in _arguments(node):
            if isinstance(value, fx.Node) and value.op == "get_attr":
                inner = getattr(module, str(value.target), None)
                if isinstance(inner, fx.GraphModule):
                    branches.append((str(value.target), inner))
                    attributes[name] = str(value.target)
                    continue
            found = [names.weights.get(each.name, each.name) for each in _inside(value)]
            if found:
                inputs += found
            if not isinstance(value, fx.Node) and (not found or _has_more(value)):
                attributes[name] = bounded(str(value))
        yield NodeRecord(
            name=node.name,
            operator=str(node.target),
            inputs=tuple(inputs),
            outputs=tuple(_outputs(node, names.batch)) if node.op in _COMPUTING else (),
            attributes=attributes,
            within=within,
        )
        for name, branch in branches:
            yield from _nodes(branch, names, name if within is None else f"{within}.{name}")


def _arguments(node: fx.Node) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a call under the names that its operator gives them."""
    schema = getattr(node.target, "_schema", None)
    names = [each.name for each in schema.arguments] if schema else []
    for place, value in enumerate(node.args):
        yield names[place] if place < len(names) else str(place), value
    yield from node.kwargs.items()


def _inside(value: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg(value, found.append)
    return found


def _has_more(value: Any) -> bool:
    """Say whether a list of arguments has something beside nodes: its text is then needed to tell it from another."""
    return isinstance(value, list | tuple) and any(not isinstance(each, fx.Node) for each in value)


def _outputs(node: fx.Node, batch: str | None) -> Iterator[TensorSpec]:
    value = node.meta.get("val")
    several = value if isinstance(value, list | tuple) else (value,)
    for place, each in enumerate(several):
        name = node.name if len(several) == 1 else f"{node.name}.{place}"
        if isinstance(each, Tensor):
            shape = tuple(
                size if isinstance(size, int) else "batch" if str(size) == batch else str(size) for size in each.shape
            )
            yield TensorSpec(name=name, dtype=str(each.dtype).removeprefix("torch."), shape=shape)
        else:
            yield TensorSpec(name=name)


def _header(path: Path) -> dict[str, Any]:
    """Return what the program says of itself; nothing where another version of torch keeps that elsewhere."""
    try:
        return _dict(json.loads(read_member(path, "/models/model.json") or b"{}"))
    except ValueError:
        return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> bool:
    return isinstance(value, int)
