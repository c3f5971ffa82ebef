"""Writes and opens TorchScript."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from toolkit.errors import CorruptArtifactError, first_line
from toolkit.fashion.model import Mlp
from toolkit.formats import Session
from toolkit.formats.archives import extra_file
from toolkit.formats.libtorch import LibtorchSession, check_archive, check_placed, set_threads
from toolkit.formats.libtorch_device import device_memory_bytes, device_times
from toolkit.records import ArtifactMetadata, Signature, TensorSpec

__all__ = ["device_memory_bytes", "device_times", "export", "load", "open_module", "read_metadata"]

_NAME = "torchscript"
#: The extra file of an archive that holds our own description.
METADATA_FILE = "fmnist_tk.json"
_CONSTANTS = re.compile(rb"(?:^  \w+ : Final\[.*\n){2,}", re.MULTILINE)


def export(model: Mlp, path: Path, metadata: ArtifactMetadata) -> None:
    """Write ``model`` as TorchScript, with ``metadata`` among the archive's extra files.

    The model is scripted, not traced: every batch size then follows the same code. The bytes are the same
    in every process that has scripted nothing else before; TorchScript numbers class names on within one.
    """
    buffer = io.BytesIO()
    with _deprecation_expected():
        scripted = torch.jit.script(model)
        torch.jit.save(scripted, buffer, _extra_files={METADATA_FILE: metadata.model_dump_json()})
    path.write_bytes(_reproducible(buffer.getvalue()))


def load(path: Path, device: str, threads: int | None = None) -> Session:
    """Open a TorchScript archive on ``device``.

    Raises:
        CorruptArtifactError: If it does not open.
        UnsupportedDeviceError, PrecisionError: If it would not run as asked for.
    """
    set_threads(threads)
    module, dtypes, signature = open_module(path, device)
    return LibtorchSession(module, dtypes, device, signature)


def open_module(path: Path, device: str) -> tuple[torch.jit.ScriptModule, set[torch.dtype], Signature]:
    """Return an archive's module on ``device``, the floating-point dtypes of its weights, and its signature.

    Raises:
        CorruptArtifactError: If it does not open, or has no function that can be called.
        UnsupportedDeviceError: If some of its weights stay on another device.
    """
    module = _open(path, device)
    check_placed(module, device, _NAME)
    try:
        return module, _dtypes(module), _signature(module)
    except (RuntimeError, AttributeError) as error:
        raise CorruptArtifactError(path, _NAME, first_line(error)) from error


def read_metadata(path: Path) -> str | None:
    """Return the JSON of the extra file that `export` wrote, or None."""
    check_archive(path, _NAME)
    return extra_file(path, METADATA_FILE)


def _open(path: Path, device: str) -> torch.jit.ScriptModule:
    check_archive(path, _NAME)
    try:
        with _deprecation_expected():
            module: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]  # torch has no annotation for it
                path, map_location=device
            )
    except (RuntimeError, ValueError, OSError) as error:
        raise CorruptArtifactError(path, _NAME, first_line(error)) from error
    return module  # as it was saved: in training mode if so, as everybody gets it who loads it


def _dtypes(module: torch.jit.ScriptModule) -> set[torch.dtype]:
    """Return the dtypes of all weights; a frozen module has them as constants of its graph.

    Quantised layers hold theirs packed, where nothing shows them; their operators tell. They take float32.
    """
    dtypes = {tensor.dtype for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()}
    for node in _nodes(module.inlined_graph):
        if node.kind().startswith("quantized::"):
            dtypes |= {torch.qint8, torch.float32}
        for name in node.attributeNames():
            if node.kindOf(name) == "t" and node.t(name).is_floating_point():
                dtypes.add(node.t(name).dtype)
    return dtypes


def _nodes(block: Any) -> Iterator[Any]:
    """Yield the nodes of a graph or block, and those of the blocks inside them."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _signature(module: torch.jit.ScriptModule) -> Signature:
    """Read names and types off the compiled function; TorchScript records no dtypes and no shapes."""
    schema = module._c._get_method("forward").schema
    arguments = schema.arguments[1:]  # the first is the module itself
    # The images are the first whatever its default; a call need not give others that have one.
    needed = [each for place, each in enumerate(arguments) if place == 0 or not each.has_default_value()]
    return Signature(
        inputs=tuple(TensorSpec(name=each.name) for each in needed),
        outputs=tuple(spec for each in schema.returns for spec in _outputs(each.name, each.type)),
    )


def _outputs(name: str, kind: Any) -> list[TensorSpec]:
    """Return what a declared type holds: a tuple is as many outputs, a list or dict is no tensor."""
    if kind.kind() == "TupleType" and len(kind.elements()) != 1:
        return [spec for element in kind.elements() for spec in _outputs("", element)]
    return [TensorSpec(name=name or None, dtype=None if kind.kind() == "TensorType" else str(kind))]


def _reproducible(data: bytes) -> bytes:
    """Copy an archive so that the same weights give the same bytes, on every machine.

    Records ``.debug_pkl`` are left out: they hold the paths and lines of the Python sources, for tracebacks.
    Constants of a class come in the order of a Python set of strings, another one in each process: they
    are sorted. Nothing that runs changes.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(data))
    target = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(target)
    for name in reader.get_all_records():
        # The writer adds these by itself.
        if not name.endswith(".debug_pkl") and name not in {"version", ".data/version", ".data/serialization_id"}:
            record = reader.get_record(name)
            if name.startswith("code/"):
                record = _CONSTANTS.sub(lambda lines: b"".join(sorted(lines[0].splitlines(keepends=True))), record)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return target.getvalue()


@contextmanager
def _deprecation_expected() -> Iterator[None]:
    """Silence the notice that TorchScript is deprecated; the README tells it once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is (deprecated|not supported)")
        yield
