"""The graph of a TorchScript module: its methods inlined, what fetches weights and constants read into the nodes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toolkit.formats.graph import Contents, StoredTensor, bounded
from toolkit.formats.libtorch_graph import extra_files, read_member, stored_tensor
from toolkit.formats.torchscript.runtime import METADATA_FILE, open_module
from toolkit.records import GraphRecord, NodeRecord, TensorSpec

# These compute nothing: they fetch a part of the module, or a number that stands in the code.
_FETCH, _CONSTANT, _LIST = "prim::GetAttr", "prim::Constant", "prim::ListConstruct"


def describe(path: Path) -> Contents:
    """Read the function ``forward`` of an archive.

    Raises:
        CorruptArtifactError: If it does not open, or has no such function.
    """
    module, _, signature = open_module(path, "cpu")
    reader = _Reader(module)
    nodes = tuple(reader.nodes(module.inlined_graph, None))
    version = read_member(path, "/.data/version", "/version")
    return Contents(
        graph=GraphRecord(
            nodes=nodes,
            inputs=tuple(f"%{each.debugName()}" for each in list(module.inlined_graph.inputs())[1:]),
            outputs=tuple(reader.meaning(each) for each in module.inlined_graph.outputs()),
            opsets={},
            format_version=f"archive version {version.decode(errors='replace').strip()}" if version else None,
            producer=None,  # an archive of TorchScript does not tell which torch wrote it
            properties=extra_files(path, METADATA_FILE),
        ),
        signature=signature,
        tensors=tuple(reader.tensors()),
    )


class _Reader:
    """Walks a graph once; keeps what each value means, and the tensors in the order of their use."""

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        self._parameters = dict(module.named_parameters())
        self._held: dict[str, Tensor] = {**self._parameters, **dict(module.named_buffers())}
        self._module = next(iter(module.inlined_graph.inputs())).debugName()
        self._meanings: dict[str, str] = {self._module: ""}
        self._constants: dict[str, Tensor] = {}
        self._used: dict[str, None] = {}

    def nodes(self, graph: Any, within: str | None) -> Iterator[NodeRecord]:
        """Yield the nodes that compute, and after each the nodes of its blocks."""
        for node in graph.nodes():
            if self._is_fetched(node):
                continue
            names = [each.debugName() for each in node.outputs()]
            label = f"%{names[0]}" if names else node.kind()
            yield self._record(node, label, within)
            for number, block in enumerate(node.blocks(), 1):
                inside = f"{label} block {number}"
                yield from self.nodes(block, inside)
                yield self._record(block.returnNode(), "return", inside)

    def meaning(self, value: Any) -> str:
        """Return what a value is called: a weight by its own name, a number as it is, all else with a ``%``."""
        return self._meanings.get(value.debugName(), f"%{value.debugName()}")

    def tensors(self) -> Iterator[StoredTensor]:
        """Yield the tensors, those that the graph uses first and in their order."""
        for name in dict.fromkeys((*self._used, *self._held)):
            if name in self._constants:
                yield stored_tensor(name, "constant", self._constants[name])
            else:
                role = "parameter" if name in self._parameters else "buffer"
                yield stored_tensor(name, role, self._held[name])  # type: ignore[arg-type]  # mypy widens the literal

    def _record(self, node: Any, label: str, within: str | None) -> NodeRecord:
        inputs, attributes = [], {name: _attribute(node, name) for name in node.attributeNames()}
        for place, value in enumerate(node.inputs()):
            meaning = self.meaning(value)
            if value.node().kind() in {_CONSTANT, _LIST} and meaning not in self._constants and meaning[:1] != "%":
                attributes[_argument_name(node, place)] = meaning
            else:
                inputs.append(meaning)
                if meaning in self._held or meaning in self._constants:
                    self._used[meaning] = None
        return NodeRecord(
            name=label,
            operator=node.kind(),
            inputs=tuple(inputs),
            outputs=tuple(_spec(each) for each in node.outputs()),
            attributes=attributes,
            within=within,
        )

    def _is_fetched(self, node: Any) -> bool:
        """Note what a node means that computes nothing; say whether it is one."""
        kind = node.kind()
        if kind == _FETCH:
            owner = self._meanings.get(node.input().debugName())
            meaning = ".".join(filter(None, (owner, node.s("name"))))
        elif kind == _CONSTANT:
            meaning = self._constant(node)
        elif kind == _LIST and all(self._is_number(each) for each in node.inputs()):
            meaning = f"[{', '.join(self._meanings[each.debugName()] for each in node.inputs())}]"
        else:
            return False
        self._meanings[node.output().debugName()] = meaning
        return True

    def _constant(self, node: Any) -> str:
        if not node.hasAttribute("value"):
            return "None"
        if node.kindOf("value") == "t":
            name = f"%{node.output().debugName()}"
            self._constants[name] = node.t("value")
            return name
        return _attribute(node, "value")

    def _is_number(self, value: Any) -> bool:
        meaning = self._meanings.get(value.debugName(), "")
        return value.node().kind() == _CONSTANT and meaning not in self._constants


def _argument_name(node: Any, place: int) -> str:
    """Return what the operator calls an argument; its place where it has no schema."""
    schema = node.schema()
    if schema == "(no schema)":
        return str(place)
    arguments = torch._C.parse_schema(schema).arguments
    return arguments[place].name if place < len(arguments) else str(place)


def _attribute(node: Any, name: str) -> str:
    """Return an attribute as text; of a kind that torch shows nobody, its kind."""
    kind = node.kindOf(name)
    if kind in {"i", "f", "s", "is", "fs", "ss", "t"}:
        return bounded(str(getattr(node, kind)(name)))
    if kind == "ival":
        return bounded(str(node.ival(name)))
    return f"({kind})"


def _spec(value: Any) -> TensorSpec:
    """Describe a value; TorchScript knows dtype and sizes of few."""
    kind = value.type()
    name = f"%{value.debugName()}"
    if kind.kind() != "TensorType":
        return TensorSpec(name=name, dtype=str(kind))
    sizes, dtype = kind.sizes(), kind.dtype()
    return TensorSpec(
        name=name,
        dtype=str(dtype).removeprefix("torch.") if dtype is not None else None,
        shape=tuple(sizes) if sizes is not None else None,
    )
