"""Writes and opens exported programs."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.fx import GraphModule

from toolkit.errors import CorruptArtifactError, first_line
from toolkit.fashion.model import Mlp
from toolkit.formats import Session
from toolkit.formats.archives import extra_file
from toolkit.formats.libtorch import LibtorchSession, check_archive, check_placed, set_threads
from toolkit.formats.libtorch_device import device_memory_bytes, device_times
from toolkit.records import ArtifactMetadata, Signature, TensorSpec

__all__ = [
    "device_memory_bytes",
    "device_times",
    "export",
    "export_program",
    "load",
    "open_module",
    "open_program",
    "read_metadata",
]

_NAME = "torch-export"
#: The extra file of an archive that holds our own description.
METADATA_FILE = "fmnist_tk.json"


def export(model: Mlp, path: Path, metadata: ArtifactMetadata) -> None:
    """Write ``model`` as an exported program with a free batch dimension."""
    program = export_program(model)
    for node in program.graph.nodes:
        # Paths and lines of the Python sources: other bytes on another machine, and nobody's business.
        node.meta.pop("stack_trace", None)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA_FILE: metadata.model_dump_json()})
    path.write_bytes(buffer.getvalue())


def export_program(model: Mlp) -> ExportedProgram:
    """Trace ``model`` with a symbolic batch size.

    The example has two images: torch.export takes a size of 0 or 1 for a constant.
    """
    example = torch.zeros(2, 1, 28, 28)
    return torch.export.export(model, (example,), dynamic_shapes=({0: Dim("batch")},))


def load(path: Path, device: str, threads: int | None = None) -> Session:
    """Open an exported program on ``device``.

    Raises:
        CorruptArtifactError: If it does not open.
        UnsupportedDeviceError, PrecisionError: If it would not run as asked for.
    """
    set_threads(threads)
    module, dtypes, signature = open_module(path, device)
    return LibtorchSession(module, dtypes, device, signature)


def open_module(path: Path, device: str) -> tuple[GraphModule, set[torch.dtype], Signature]:
    """Return an exported program as a module on ``device``, the floating-point dtypes of its weights, its signature.

    Raises:
        CorruptArtifactError: If it does not open.
        UnsupportedDeviceError: If some of its weights stay on another device.
    """
    program = open_program(path)
    signature = describe_signature(program)
    if device != "cpu":
        program = move_to_device_pass(program, device)
    module = program.module()
    check_placed(module, device, _NAME)
    return module, _dtypes(program), signature


def open_program(path: Path) -> ExportedProgram:
    """Return the program in an archive, on the device that it was exported on.

    Raises:
        CorruptArtifactError: If it does not open.
    """
    check_archive(path, _NAME)
    try:
        with warnings.catch_warnings():
            # torch 2.11 reads its own weights from a buffer that cannot be written, and says so.
            warnings.filterwarnings("ignore", message="The given buffer is not writable")
            return torch.export.load(path)
    except Exception as error:
        raise CorruptArtifactError(path, _NAME, first_line(error)) from error


def read_metadata(path: Path) -> str | None:
    """Return the JSON of the extra file that `export` wrote, or None."""
    check_archive(path, _NAME)
    return extra_file(path, METADATA_FILE)


def _dtypes(program: ExportedProgram) -> set[torch.dtype]:
    """Return the floating-point dtypes of all weights: parameters, buffers and constants that were lifted."""
    tensors = (*program.state_dict.values(), *program.tensor_constants.values())
    return {tensor.dtype for tensor in tensors if tensor.is_floating_point()}


def describe_signature(program: ExportedProgram) -> Signature:
    """Return inputs and outputs as a program declares them."""
    placeholders: dict[str, Any] = {node.name: node.meta.get("val") for node in program.graph.nodes}
    return Signature(
        inputs=tuple(
            _spec(name, placeholders.get(name)) for name in program.graph_signature.user_inputs if isinstance(name, str)
        ),
        outputs=_outputs(program, placeholders),
    )


def _outputs(program: ExportedProgram, placeholders: dict[str, Any]) -> tuple[TensorSpec, ...]:
    """Return what a program gives: a tuple of several is as many outputs, any other container is no tensor."""
    kind = program.call_spec.out_spec.type if program.call_spec.out_spec else None
    names = program.graph_signature.user_outputs
    if kind in {dict, list} or (kind is tuple and len(names) == 1):
        return (TensorSpec(dtype=f"a {kind.__name__}"),)
    return tuple(_spec(None, placeholders.get(str(name))) for name in names if name is not None)


def _spec(name: str | None, value: object) -> TensorSpec:
    if not isinstance(value, Tensor):
        return TensorSpec(name=name)
    shape = tuple(size if isinstance(size, int) else "batch" for size in value.shape)
    return TensorSpec(name=name, dtype=str(value.dtype).removeprefix("torch."), shape=shape)
