"""The graph of an ONNX model, read from its protocol buffer: no runtime is asked, so none can refuse."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import external_data_helper, helper, numpy_helper

from toolkit.errors import CorruptArtifactError
from toolkit.formats.graph import Contents, Role, StoredTensor, bounded
from toolkit.formats.onnx.runtime import METADATA_KEY, read_proto
from toolkit.records import GraphRecord, NodeRecord, Signature, TensorSpec

_ATTRIBUTE = onnx.AttributeProto
_GRAPHS = {_ATTRIBUTE.GRAPH, _ATTRIBUTE.GRAPHS}
_LONGEST_TENSOR = 8
# Shapes are inferred on a copy of the model, and a message of protocol buffers ends at 2 GiB.
_LARGEST_INFERRED_BYTES = 1 << 30
# How shape inference names a size that it cannot tell.
_MADE_UP = "unk__"
# Operators whose second input is a matrix ``(in, out)``, unless Gemm is told otherwise.
_PRODUCTS = {"MatMul", "Gemm"}


def describe(path: Path) -> Contents:
    """Read the model in a file; weights that it keeps beside itself are read when they are asked for.

    Raises:
        CorruptArtifactError: If the file is no ONNX model.
    """
    proto = read_proto(path)
    graph = proto.graph
    if not proto.ir_version or not (graph.node or graph.output):
        raise CorruptArtifactError(path, "onnx", "it has no graph")
    stored = {each.name: each for each in graph.initializer}
    sparse = {each.values.name: each for each in graph.sparse_initializer}
    # A graph of an old IR version lists its weights among its inputs, too.
    inputs = [each for each in graph.input if each.name not in stored.keys() | sparse.keys()]
    shapes = _shapes(proto, path)
    return Contents(
        graph=GraphRecord(
            nodes=(*_nodes(graph.node, shapes, None), *_function_nodes(proto)),
            inputs=tuple(each.name for each in inputs),
            outputs=tuple(each.name for each in graph.output),
            opsets={each.domain or "ai.onnx": each.version for each in proto.opset_import},
            format_version=f"IR version {proto.ir_version}",
            producer=" ".join(filter(None, (proto.producer_name, proto.producer_version))) or None,
            properties={each.key: bounded(each.value) for each in proto.metadata_props if each.key != METADATA_KEY},
        ),
        signature=Signature(
            inputs=tuple(map(_spec, inputs)),
            outputs=tuple(_spec(each) for each in graph.output),
        ),
        tensors=tuple(_tensors(proto, path)),
    )


def _nodes(nodes: Iterable[onnx.NodeProto], shapes: dict[str, TensorSpec], within: str | None) -> Iterator[NodeRecord]:
    """Yield nodes, and after each those of the graphs inside it."""
    for place, node in enumerate(nodes):
        name = node.name or next((each for each in node.output if each), f"node {place}")
        yield _node(node, name, shapes, within)
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                place_of_it = f"{name if within is None else f'{within}/{name}'}.{attribute.name}"
                yield from _nodes(inner.node, shapes, place_of_it)
                yield _return([each.name for each in inner.output], place_of_it)


def _function_nodes(proto: onnx.ModelProto) -> Iterator[NodeRecord]:
    """Yield the nodes of the functions that a model brings along."""
    for function in proto.functions:
        within = f"function {_operator(function.domain, function.name)}"
        yield from _nodes(function.node, {}, within)
        yield _return(function.output, within)


def _node(node: onnx.NodeProto, name: str, shapes: dict[str, TensorSpec], within: str | None) -> NodeRecord:
    return NodeRecord(
        name=name,
        operator=_operator(node.domain, node.op_type),
        inputs=tuple(node.input),
        outputs=tuple(shapes.get(each, TensorSpec(name=each or None)) for each in node.output),
        attributes={each.name: _attribute(each) for each in sorted(node.attribute, key=lambda each: each.name)},
        within=within,
    )


def _return(names: Iterable[str], within: str) -> NodeRecord:
    """Return what an inner graph gives back as a node, which ONNX itself does not have."""
    return NodeRecord(name="return", operator="(return)", inputs=tuple(names), outputs=(), attributes={}, within=within)


def _operator(domain: str, name: str) -> str:
    return name if domain in {"", "ai.onnx"} else f"{domain}.{name}"


def _graphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    if attribute.type == _ATTRIBUTE.GRAPH:
        return [attribute.g]
    return list(attribute.graphs) if attribute.type == _ATTRIBUTE.GRAPHS else []


def _attribute(attribute: onnx.AttributeProto) -> str:
    """Return an attribute as text: a graph by its name, a tensor by what it is and, if it is short, its values."""
    if attribute.ref_attr_name:
        return f"@{attribute.ref_attr_name}"
    if attribute.type in _GRAPHS:
        return " and ".join(f"graph {each.name}".strip() for each in _graphs(attribute))
    if attribute.type == _ATTRIBUTE.TENSOR:
        return _tensor_text(attribute.t)
    try:
        value = helper.get_attribute_value(attribute)
    except ValueError:
        return "?"
    if attribute.type in {_ATTRIBUTE.SPARSE_TENSOR, _ATTRIBUTE.TENSORS, _ATTRIBUTE.TYPE_PROTO}:
        return f"({_ATTRIBUTE.AttributeType.Name(attribute.type).lower()})"
    return bounded(_scalar(value) if isinstance(value, int | float | bytes) else f"[{', '.join(map(_scalar, value))}]")


def _scalar(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return f"{value:.9g}" if isinstance(value, float) else str(value)  # nine digits tell every float32 from every other


def _tensor_text(tensor: onnx.TensorProto) -> str:
    what = f"{_dtype(tensor.data_type)} {tuple(tensor.dims)}"
    if tensor.external_data or int(np.prod(tensor.dims, dtype=np.float64)) > _LONGEST_TENSOR:
        return what
    try:
        return f"{what} {numpy_helper.to_array(tensor).tolist()}"
    except Exception:  # noqa: BLE001  whatever a broken tensor raises, what it is stays known
        return what


def _tensors(proto: onnx.ModelProto, path: Path) -> Iterator[StoredTensor]:
    """Yield initializers and constants in the order in which nodes read or give them, those of no node last."""
    graph = proto.graph
    stored: dict[str, Any] = {each.name: each for each in graph.initializer}
    stored |= {each.values.name: each for each in graph.sparse_initializer}
    turned = _transposed(graph)
    given = set()
    for node in graph.node:
        for name in node.input:
            if name in stored and name not in given:
                given.add(name)
                yield _stored(name, stored[name], path, turned)
        yield from _constants(node, path, turned)
    for name, tensor in stored.items():
        if name not in given:
            yield _stored(name, tensor, path, turned)


def _constants(node: onnx.NodeProto, path: Path, turned: set[str]) -> Iterator[StoredTensor]:
    """Yield the tensor that a node Constant gives, and those in the graphs inside a node."""
    for attribute in node.attribute:
        if node.op_type == "Constant" and attribute.type == _ATTRIBUTE.TENSOR:
            yield _dense(node.output[0], attribute.t, "constant", path, turned)
        for inner in _graphs(attribute):
            for tensor in inner.initializer:
                yield _dense(tensor.name, tensor, "initializer", path, turned)
            for each in inner.node:
                yield from _constants(each, path, turned)


def _stored(name: str, tensor: Any, path: Path, turned: set[str]) -> StoredTensor:
    if isinstance(tensor, onnx.SparseTensorProto):
        return StoredTensor(
            name, "initializer", _dtype(tensor.values.data_type), tuple(tensor.dims), _refusing("it is sparse")
        )
    return _dense(name, tensor, "initializer", path, turned)


def _dense(name: str, tensor: onnx.TensorProto, role: Role, path: Path, turned: set[str]) -> StoredTensor:
    outside = next((each.value for each in tensor.external_data if each.key == "location"), None)
    return StoredTensor(
        name=name,
        role=role,
        dtype=_dtype(tensor.data_type),
        shape=tuple(max(size, 0) for size in tensor.dims),
        read=lambda: _values(tensor, path),
        file=outside if tensor.data_location == onnx.TensorProto.EXTERNAL else None,
        transposed=name in turned,
    )


def _values(tensor: onnx.TensorProto, path: Path) -> NDArray[Any]:
    """Return the values of a tensor, from the file beside the model if they are there.

    Raises:
        ValueError, OSError: If they are not there or not as many as declared; onnx refuses a file outside the folder.
    """
    if tensor.data_type not in onnx.TensorProto.DataType.values():
        raise ValueError(f"onnx has no element type {tensor.data_type}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)  # so that the values are let go of after their use
        external_data_helper.load_external_data_for_tensor(copy, str(path.parent))
        tensor = copy
    return numpy_helper.to_array(tensor)


def _refusing(reason: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        raise ValueError(reason)

    return read


def _transposed(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the matrices that products take as ``(in, out)``."""
    found = set()
    for node in graph.node:
        flags = {each.name: each.i for each in node.attribute}
        if node.op_type in _PRODUCTS and len(node.input) > 1 and not flags.get("transB"):
            found.add(node.input[1])
    return found


def _shapes(proto: onnx.ModelProto, path: Path) -> dict[str, TensorSpec]:
    """Return what is known of each value: as the file declares it, or else as its operators tell."""
    known = [*proto.graph.output, *proto.graph.value_info]
    if path.stat().st_size < _LARGEST_INFERRED_BYTES:
        # A graph whose shapes cannot be inferred is shown without them, whatever onnx raises.
        with suppress(Exception):
            known = [*onnx.shape_inference.infer_shapes(proto, data_prop=True).graph.value_info, *known]
    return {each.name: _spec(each) for each in known}


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return TensorSpec(name=value.name, dtype=f"a {kind.removesuffix('_type')}" if kind else None)
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            each.dim_value if each.HasField("dim_value") else _symbol(each.dim_param) for each in tensor.shape.dim
        )
    return TensorSpec(name=value.name, dtype=_dtype(tensor.elem_type) if tensor.elem_type else None, shape=shape)


def _symbol(name: str) -> str | None:
    """Return the name of a free size; those that shape inference makes up tell nobody anything."""
    return None if not name or name.startswith(_MADE_UP) else name


def _dtype(number: int) -> str:
    """Return NumPy's name of an element type, or onnx' own where NumPy has none."""
    try:
        if number == onnx.TensorProto.STRING:
            return "string"
        return str(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        return f"type {number}"
