"""The files of an artifact: mostly one; an ONNX graph may keep its weights beside it."""

import hashlib
from pathlib import Path
from typing import Any

from toolkit.errors import CorruptArtifactError, UnsafeArtifactError, first_line
from toolkit.formats import FormatInfo
from toolkit.system.files import sha256_of

# What the field that names an external file is called; a graph without these bytes has none.
_MARK = b"location"
_REMEDY = "put the file beside the artifact, or save the model with its weights inside"


def artifact_files(info: FormatInfo, path: Path) -> tuple[Path, ...]:
    """Return all files that an artifact consists of, itself first.

    Raises:
        UnsafeArtifactError: If the artifact names a file outside its own folder.
        CorruptArtifactError: If it names one that is not there.
    """
    if info.module != "onnx":
        return (path,)
    content = path.read_bytes()
    return (path, *_external_files(info, path, content)) if _MARK in content else (path,)


def artifact_digest(info: FormatInfo, path: Path) -> str:
    """Return the SHA-256 of an artifact: of its file, or of the digests of all its files in order.

    Raises:
        UnsafeArtifactError, CorruptArtifactError: As `artifact_files`.
    """
    digests = [sha256_of(each) for each in artifact_files(info, path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _external_files(info: FormatInfo, path: Path, content: bytes) -> list[Path]:
    import onnx  # only for files that may need it: bench's parent process imports nothing for the others

    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:
        raise CorruptArtifactError(path, info.name, first_line(error)) from error
    names = dict.fromkeys(
        entry.value for tensor in _all_tensors(proto) for entry in tensor.external_data if entry.key == "location"
    )
    folder, files = path.parent.resolve(), []
    for name in names:
        file = (path.parent / name).resolve()  # a link that leads outside is outside
        if folder not in file.parents:
            raise UnsafeArtifactError(path, [f"the file {name} outside its folder"], _REMEDY)
        if not file.is_file():
            raise CorruptArtifactError(path, info.name, f"its weights are in {name}, which is not beside it")
        files.append(path.parent / name)
    return files


def _all_tensors(proto: Any) -> list[Any]:
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
