"""Prefixes of an ONNX graph: its nodes up to one of them, in a model of its own, run by ONNX Runtime."""

from collections.abc import Iterator
from pathlib import Path

import onnx

from toolkit.errors import CannotCutError
from toolkit.formats import Session
from toolkit.formats.onnx.runtime import open_session, read_proto, weights_precision
from toolkit.formats.prefix import Prefix, Step, on_the_way

_NAME = "onnx"
_FLOATS = {"float16", "float32", "float64"}
_GRAPHS = {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}


def cut(path: Path, device: str, threads: int | None) -> Iterator[Prefix]:
    """Yield the graph cut after each node, on the same provider and threads as the whole.

    Raises:
        CannotCutError: If the graph has control flow, no input or no output.
        CorruptArtifactError: If the file does not open.
    """
    proto = read_proto(path)
    for place in _places(proto.graph, path):
        node = proto.graph.node[place]
        output = next(name for name in node.output if name)
        session = _open(_prefix(proto, place, output), path, device, threads)
        if session.signature.outputs[0].dtype in _FLOATS:  # ONNX Runtime infers it; the file need not say
            yield Prefix(node.name or output, node.op_type, session)


def _places(graph: onnx.GraphProto, path: Path) -> list[int]:
    weights = _weights(graph)
    inputs = [each.name for each in graph.input if each.name not in weights]
    if not inputs or not graph.output:
        raise CannotCutError(path, _NAME, "its graph has no input or no output")
    for node in graph.node:
        if any(attribute.type in _GRAPHS for attribute in node.attribute):
            raise CannotCutError(path, _NAME, f"its node {node.op_type} {node.name!r} has a graph of its own inside")
    steps = [Step(frozenset(node.input) - {""}, frozenset(node.output) - {""}) for node in graph.node]
    return on_the_way(steps, inputs[0], graph.output[0].name)


def _prefix(proto: onnx.ModelProto, place: int, output: str) -> onnx.ModelProto:
    """Return a model of the nodes up to ``place`` and the weights they read, whose output is ``output``."""
    model = onnx.ModelProto(
        ir_version=proto.ir_version,
        opset_import=proto.opset_import,
        functions=proto.functions,
    )
    graph, whole = model.graph, proto.graph
    graph.name = whole.name
    graph.node.extend(whole.node[: place + 1])
    read = {name for node in graph.node for name in node.input}
    weights = _weights(whole)
    # An old graph lists its weights among its inputs too; one left there without its value would be asked for.
    graph.input.extend(each for each in whole.input if each.name in read or each.name not in weights)
    graph.initializer.extend(each for each in whole.initializer if each.name in read)
    graph.sparse_initializer.extend(each for each in whole.sparse_initializer if each.values.name in read)
    graph.output.append(onnx.ValueInfoProto(name=output))  # ONNX Runtime infers its type and shape
    return model


def _open(model: onnx.ModelProto, path: Path, device: str, threads: int | None) -> Session:
    onnx.load_external_data_for_model(model, str(path.parent))
    return open_session(model.SerializeToString(), path, device, threads, weights_precision(model))


def _weights(graph: onnx.GraphProto) -> set[str]:
    return {each.name for each in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
