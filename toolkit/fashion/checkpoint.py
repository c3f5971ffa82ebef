"""Checkpoints: every form in which people have the weights of this model, and our own."""

import copy
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from toolkit.errors import CheckpointError, ReportError, first_line
from toolkit.fashion.model import Mlp, build_model
from toolkit.fashion.pickles import find_weights, read_torch_file
from toolkit.fashion.weights import checked_weights, weights_sha256
from toolkit.records import (
    CheckpointMetadata,
    CheckpointRecord,
    ModelConfig,
    TrainingSummary,
    parse_record,
    read_record,
)
from toolkit.system.arguments import checked
from toolkit.system.files import write_bytes

#: How the bundled checkpoint is called in reports and on the command line.
BUNDLED = "bundled"
_METADATA_KEY, _DIGEST_KEY = "fmnist_tk", "fmnist_tk_sha256"
_LONGEST_HEADER_BYTES = 100_000_000  # safetensors' own limit
_TRIAL_IMAGES, _IMAGE_SHAPE = 16, (1, 28, 28)
_PICKLE_PROTOCOLS = (b"\2", b"\3", b"\4", b"\5")


Form = Literal["bundled", "safetensors", "state-dict", "pickled-module", "training-state", "module"]


@dataclass(frozen=True)
class StoredWeights:
    """What a file holds, before anything of it was checked but that it can be read.

    Attributes:
        form: In which they come.
        found: Mostly tensors, by name.
        config: The shape that the file declares, or the one of ``NAME.config.json`` beside it.
        final_relu: Whether a ReLU ends the model; None where the file cannot tell.
        metadata: What a file of this tool says of itself.
    """

    form: Form
    found: dict[str, object]
    config: ModelConfig | None = None
    final_relu: bool | None = None
    metadata: CheckpointMetadata | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Weights that were checked, and what is known of them."""

    record: CheckpointRecord
    state: dict[str, Tensor]

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
    header = {_METADATA_KEY: text, _DIGEST_KEY: hashlib.sha256(text.encode()).hexdigest()}
    write_bytes(path, _in_one_order(safetensors.torch.save(state, header)))
    return metadata


def _in_one_order(data: bytes) -> bytes:
    """Write the header's keys in sorted order: safetensors takes them from a hash map, in any order."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def read_stored(path: Path) -> StoredWeights:
    """Read what is in a file, whatever it is of: nothing of a pickle is run, nothing of the weights is checked.

    Raises:
        CheckpointError: If the file is missing, damaged or unsafe.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        reason = "is a folder, not a file" if path.is_dir() else (error.strerror or str(error))
        raise CheckpointError(path, reason) from error
    if not head:
        raise CheckpointError(path, "is empty")
    # safetensors first: the length of its header can begin with the very byte that begins a pickle.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LONGEST_HEADER_BYTES:
        return _read_safetensors(path)
    if head.startswith(b"PK") or (head[:1] == b"\x80" and head[1:2] in _PICKLE_PROTOCOLS):
        return _read_torch(path)
    raise CheckpointError(path, f"is neither a torch.save file nor safetensors (it starts with {head[:12]!r})")


def _read(path: Path, name: str) -> Checkpoint:
    stored = read_stored(path)
    config, state = checked_weights(stored.found, path, stored.config)
    if stored.final_relu is not None:
        config = config.changed(final_relu=stored.final_relu)
    if stored.metadata and weights_sha256(state) != stored.metadata.weights_sha256:
        raise CheckpointError(path, "is damaged: its weights do not have the SHA-256 they were saved with")
    return _checkpoint(name, "bundled" if name == BUNDLED else stored.form, config, state, stored.metadata)


def _read_torch(path: Path) -> StoredWeights:
    found, final_relu, rest = find_weights(read_torch_file(path), path)
    config = _config_beside(path)
    form: Form = "state-dict"
    if final_relu is not None:
        form = "pickled-module"
    elif isinstance(rest.get("run"), str) and isinstance(rest.get("fmnist_tk"), str):
        form, config = "training-state", parse_record(str(rest["fmnist_tk"]), ModelConfig, path)
    return StoredWeights(form, found, config, final_relu)


def _read_safetensors(path: Path) -> StoredWeights:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            found: dict[str, object] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(path, f"is truncated or damaged ({first_line(error)})") from error
    metadata = _own_metadata(header, path)
    return StoredWeights("safetensors", found, metadata.config if metadata else _config_beside(path), None, metadata)


def _own_metadata(header: dict[str, str], path: Path) -> CheckpointMetadata | None:
    text = header.get(_METADATA_KEY)
    if text is None:
        return None
    if hashlib.sha256(text.encode()).hexdigest() != header.get(_DIGEST_KEY):
        raise CheckpointError(path, "is damaged: its description does not have the SHA-256 it was saved with")
    try:
        return parse_record(text, CheckpointMetadata, path)
    except ReportError as error:
        raise CheckpointError(path, f"its description {error.reason}", error.remedy) from error


def _config_beside(path: Path) -> ModelConfig | None:
    """Read ``NAME.config.json``; layer sizes that it leaves out are taken from the weights."""
    beside = path.with_suffix(".config.json")
    if not beside.is_file():
        return None
    try:
        return read_record(beside, ModelConfig)
    except (ReportError, ValidationError) as error:
        reason = error.reason if isinstance(error, ReportError) else first_line(error)
        raise CheckpointError(beside, reason, "correct it or remove it") from error


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
