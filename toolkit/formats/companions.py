"""The files of an artifact: mostly one; an ONNX graph may keep its weights beside it."""

import hashlib
from pathlib import Path
from typing import Any

from toolkit.errors import CorruptArtifactError, UnsafeArtifactError, first_line
from toolkit.files import sha256_of
from toolkit.formats import FormatInfo

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
        graph = onnx.load_model_from_string(content).graph
    except Exception as error:
        raise CorruptArtifactError(path, info.name, first_line(error)) from error
    names = dict.fromkeys(
        entry.value for tensor in _tensors(graph) for entry in tensor.external_data if entry.key == "location"
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


def _tensors(graph: Any) -> list[Any]:
    """Return every tensor of a graph: initializers, and constants of its nodes and of graphs inside these."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                found += _tensors(inner)
    return found
