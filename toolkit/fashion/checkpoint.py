"""Checkpoints: every form in which people have the weights of this model, and our own."""

import copy
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from toolkit.errors import CheckpointError, first_line
from toolkit.fashion.model import Mlp, build_model
from toolkit.fashion.stored import DIGEST_KEY, METADATA_KEY, Form, read_stored
from toolkit.fashion.weights import checked_weights, weights_sha256
from toolkit.formats.manifest import read_manifest
from toolkit.records import (
    CheckpointMetadata,
    CheckpointRecord,
    ModelConfig,
    TrainingSummary,
)
from toolkit.system.arguments import checked
from toolkit.system.files import write_bytes

#: How the bundled checkpoint is called in reports and on the command line.
BUNDLED = "bundled"
_TRIAL_IMAGES, _IMAGE_SHAPE = 16, (1, 28, 28)


@dataclass(frozen=True)
class Checkpoint:
    """Weights that were checked, and what is known of them.

    Attributes:
        record: Where they were read, and what was found.
        state: Parameters by name, float32 on the CPU.
        notes: What was assumed of the model or left out of it, for a person to know.
    """

    record: CheckpointRecord
    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()

    def model(self) -> Mlp:
        """Return the model in evaluation mode, float32, on the CPU; its weights are copies."""
        return build_model(self.record.config, {name: tensor.clone() for name, tensor in self.state.items()})


@checked
def load_checkpoint(path: str | Path | None = None) -> Checkpoint:
    """Read the weights at ``path``, in whichever form they are.

    Nothing of a pickle is run: layers and parameters are read off it.

    Args:
        path: A file of ``torch.save(model.state_dict())``, ``torch.save(model)`` or safetensors; None
            for the bundled checkpoint. A file ``NAME.config.json`` beside ``NAME.pth`` may hold a
            `ModelConfig`, for what a state dict cannot tell (``{"final_relu": true}``).

    Returns:
        The weights, float32 on the CPU, in ``state``; what is known of them in ``record``; and the module of
        `torch.nn` from ``model()``, in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe, or not of this model's family.

    Example:
        >>> import toolkit, torch
        >>> checkpoint = toolkit.load_checkpoint("model.pth")
        >>> checkpoint.record.form, checkpoint.record.config.final_relu
        ('state-dict', False)
        >>> checkpoint.model()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    if path is None:
        with as_file(files("toolkit.fashion.assets") / "fashion-mlp.safetensors") as bundled:
            return _read(bundled, BUNDLED)
    return _read(Path(path), str(path))


def checkpoint_for(folder: Path) -> Checkpoint:
    """Return the weights that the artifacts of a folder were exported from, if their file still holds them.

    A note says so. Else the bundled checkpoint is returned.

    Raises:
        ReportError: If the folder's manifest cannot be read.
    """
    manifest = read_manifest(folder)
    named = {(each.checkpoint, each.weights_sha256) for each in manifest.artifacts} if manifest else set()
    if len(named) == 1:
        ((name, digest),) = named
        if name != BUNDLED and Path(name).is_file():
            with suppress(CheckpointError):  # another file by now
                found = load_checkpoint(name)
                if found.record.weights_sha256 == digest:
                    note = f"Without --checkpoint: {name}, from which the artifacts in {folder} were exported"
                    return replace(found, notes=(note, *found.notes))
    return load_checkpoint()


def checkpoint_of(module: nn.Module) -> Checkpoint:
    """Return the checkpoint of a module in memory, if it is of this model's family.

    Its weights tell its shape; that it is flatten, linear layers and ReLUs is tried on a few inputs, which is enough to
    describe it and not to replace it.

    Raises:
        CheckpointError: If the module's weights or its function are not those of this family.
    """
    path = Path(type(module).__name__)
    found: dict[str, object] = dict(copy.deepcopy(module).float().cpu().state_dict())
    config, state = checked_weights(found, path, None)
    for final_relu in (False, True):
        config = config.changed(final_relu=final_relu)
        if _same_function(module, build_model(config, state)):
            return _checkpoint(str(path), "module", config, state, None)
    raise CheckpointError(path, "computes something else than flatten, linear layers and ReLUs")


def _same_function(module: nn.Module, model: Mlp) -> bool:
    """Say whether two modules agree on random images, as far as float32 can tell."""
    images = torch.randn(_TRIAL_IMAGES, *_IMAGE_SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        try:
            actual = copy.deepcopy(module).double().cpu().eval()(images)
        except Exception as error:
            raise CheckpointError(Path(type(module).__name__), f"does not run: {first_line(error)}") from error
        expected = copy.deepcopy(model).double()(images)
    if not isinstance(actual, Tensor) or actual.shape != expected.shape:
        return False
    return torch.allclose(actual.double(), expected, rtol=1e-9)


def save_checkpoint(
    path: Path, config: ModelConfig, state: dict[str, Tensor], training: TrainingSummary | None = None
) -> CheckpointMetadata:
    """Write a checkpoint in our own form: safetensors with its description inside.

    Raises:
        OutputError: If the file cannot be written; an existing one is then as it was.
    """
    state = {name: state[name].detach().cpu().float().contiguous() for name in sorted(state)}
    metadata = CheckpointMetadata(config=config, weights_sha256=weights_sha256(state), training=training)
    text = metadata.model_dump_json()
    header = {METADATA_KEY: text, DIGEST_KEY: hashlib.sha256(text.encode()).hexdigest()}
    write_bytes(path, _in_one_order(safetensors.torch.save(state, header)))
    return metadata


def _in_one_order(data: bytes) -> bytes:
    """Write the header's keys in sorted order: safetensors takes them from a hash map, in any order."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _read(path: Path, name: str) -> Checkpoint:
    stored = read_stored(path)
    config, state = checked_weights(stored.found, path, stored.config)
    if stored.final_relu is not None:
        config = config.changed(final_relu=stored.final_relu)
    if stored.metadata and weights_sha256(state) != stored.metadata.weights_sha256:
        raise CheckpointError(path, "is damaged: its weights do not have the SHA-256 they were saved with")
    checkpoint = _checkpoint(name, "bundled" if name == BUNDLED else stored.form, config, state, stored.metadata)
    return replace(checkpoint, notes=stored.notes)


def _checkpoint(
    name: str,
    form: Form,
    config: ModelConfig,
    state: dict[str, Tensor],
    metadata: CheckpointMetadata | None,
) -> Checkpoint:
    record = CheckpointRecord(
        path=name,
        form=form,
        config=config,
        weights_sha256=metadata.weights_sha256 if metadata else weights_sha256(state),
        training=metadata.training if metadata else None,
    )
    return Checkpoint(record, state)
