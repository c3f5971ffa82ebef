"""The files of an ONNX model. Its runtime is not asked, and onnx only for files that may need it."""

from pathlib import Path
from typing import Any

from toolkit.errors import CorruptArtifactError, UnsafeArtifactError, first_line
from toolkit.system.files import is_hollow

# What the field that names an external file is called; a graph without these bytes has none.
_MARK = b"location"
_NAME = "onnx"
_REMEDY = "put the file beside the artifact, or save the model with its weights inside"
# A message of protocol buffers ends there.
_LARGEST_BYTES = 2 << 30


def files(path: Path) -> tuple[Path, ...]:
    """Return all files that a model consists of, itself first: it may keep its weights beside it.

    Raises:
        UnsafeArtifactError: If it names a file outside its own folder, or one that is mostly a hole.
        CorruptArtifactError: If it names one that is not there.
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise CorruptArtifactError(path, _NAME, "it is larger than 2 GiB, where every ONNX file ends")
    content = path.read_bytes()
    return (path, *_external_files(path, content)) if _MARK in content else (path,)


def _external_files(path: Path, content: bytes) -> list[Path]:
    import onnx  # only for files that may need it: bench's parent process imports nothing for the others

    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:
        raise CorruptArtifactError(path, _NAME, first_line(error)) from error
    names = dict.fromkeys(
        entry.value for tensor in all_tensors(proto) for entry in tensor.external_data if entry.key == "location"
    )
    # A cache may keep the model and its weights in one folder, and show links to both in another.
    folders, files = {path.parent.resolve(), path.resolve().parent}, []
    for name in names:
        file = (path.parent / name).resolve()  # a link that leads outside is outside
        if not folders & {*file.parents}:
            raise UnsafeArtifactError(path, [f"the file {name} outside its folder"], _REMEDY)
        if not file.is_file():
            raise CorruptArtifactError(path, _NAME, f"its weights are in {name}, which is not beside it")
        if is_hollow(file):
            raise UnsafeArtifactError(path, [f"{name}, which is mostly a hole"])
        files.append(path.parent / name)
    return files


def external_data(tensor: Any) -> tuple[str, int, int | None]:
    """Return where the values of a tensor are: file, first byte, and their number if that is told.

    Raises:
        ValueError: If these are no numbers.
    """
    told = {each.key: each.value for each in tensor.external_data}
    return told.get("location", ""), int(told.get("offset") or 0), int(told["length"]) if told.get("length") else None


def all_tensors(proto: Any) -> list[Any]:
    """Return every tensor of a model: of its graph, and of the functions that it brings along."""
    found = _tensors(proto.graph)
    for function in proto.functions:
        found += _of_attributes(function.attribute_proto)
        found += [tensor for node in function.node for tensor in _of_attributes(node.attribute)]
    return found


def _tensors(graph: Any) -> list[Any]:
    """Return every tensor of a graph: initializers, and constants of its nodes and of graphs inside these."""
    found = [*graph.initializer, *_of_sparse(graph.sparse_initializer)]
    for node in graph.node:
        found += _of_attributes(node.attribute)
    return found


def _of_attributes(attributes: Any) -> list[Any]:
    """Return the tensors among the attributes of a node or function, and in the graphs among them."""
    found = []
    for attribute in attributes:
        found += [attribute.t, *attribute.tensors]
        found += _of_sparse((attribute.sparse_tensor, *attribute.sparse_tensors))
        for inner in (attribute.g, *attribute.graphs):
            found += _tensors(inner)
    return found


def _of_sparse(tensors: Any) -> list[Any]:
    return [part for each in tensors for part in (each.values, each.indices)]
