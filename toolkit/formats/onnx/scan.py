"""What an ONNX model would do beside computing: told from its graph, before ONNX Runtime reads it.

An operator of ONNX computes and does nothing else. So what is refused is what no installed runtime defines, what
reads a file, and sizes that the file's own does not justify.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from toolkit.formats.onnx.files import all_tensors, external_data
from toolkit.formats.onnx.runtime import read_proto

_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_READ_FILES: Final = frozenset({"EPContext"})  # opens a file that its attribute names
# Bits of an element: of the types of onnx.TensorProto that have a fixed size.
_BITS: Final = {
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}


def scan(path: Path) -> list[str]:
    """Name what a model asks for that no computation needs; empty if there is nothing.

    Args:
        path: Of the model. It is read; nothing of it runs.

    Raises:
        CorruptArtifactError: If it is no model.
    """
    proto = read_proto(path)
    return list(dict.fromkeys((*_of_operators(proto), *_of_tensors(proto, path))))


def _of_operators(proto: Any) -> Iterator[str]:
    functions = {(each.domain, each.name) for each in proto.functions}
    for node in _nodes(proto):
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain not in _DOMAINS or node.op_type in _READ_FILES:
            yield f"the operator {name}"


def _nodes(proto: Any) -> Iterator[Any]:
    waiting = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            waiting += attribute.g.node
            for graph in attribute.graphs:
                waiting += graph.node


def _of_tensors(proto: Any, path: Path) -> Iterator[str]:
    """Name tensors whose sizes are not those of their values: a runtime allocates by what is declared."""
    for tensor in all_tensors(proto):
        bits = _BITS.get(tensor.data_type)
        if bits is None:
            continue  # no values, or strings, which a runtime counts
        wanted = (math.prod(tensor.dims) * bits + 7) // 8
        name = f"{wanted:,} bytes for tensor {tensor.name!r}"
        if any(size < 0 for size in tensor.dims):
            yield f"a negative size of tensor {tensor.name!r}"
        elif tensor.data_location == tensor.EXTERNAL:
            file, offset, length = external_data(tensor)
            try:
                there = (path.parent / file).stat().st_size
            except (OSError, ValueError):
                continue  # it is missing, which whoever opens it says
            if offset < 0 or length not in {None, wanted} or offset + wanted > there:
                yield f"{name}, which {file} has not"
        elif wanted > _stored_bytes(tensor):
            yield f"{name}, which has {_stored_bytes(tensor):,}"


def _stored_bytes(tensor: Any) -> int:
    """Return an upper bound of the bytes of values that stand inside a tensor; an entry of a list is up to 8."""
    lists = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return len(tensor.raw_data) + 8 * sum(len(each) for each in lists)
