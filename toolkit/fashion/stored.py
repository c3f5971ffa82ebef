"""Files that hold weights: told apart, and read as what they are. Nothing of the weights is checked here."""

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import safetensors
from pydantic import ValidationError

from toolkit.errors import CheckpointError, ReportError, first_line
from toolkit.fashion.pickles import read_torch_file
from toolkit.fashion.wrapped import find_weights
from toolkit.formats import format_of
from toolkit.records import CheckpointMetadata, ModelConfig, parse_record, read_record
from toolkit.system.strangers import HEAD_BYTES, stranger

#: Where safetensors has what this tool says of the weights, and the digest of that.
METADATA_KEY: Final = "fmnist_tk"
DIGEST_KEY: Final = "fmnist_tk_sha256"
# A tenth of safetensors' own limit, a thousand times what weights of this model have.
_LONGEST_HEADER_BYTES: Final = 10_000_000
# Of this model, its optimizer included, with layers of 16,384 features. A sparse file may say that it has more.
_LARGEST_FILE_BYTES = 1 << 32
_LARGEST_CONFIG_BYTES = 1 << 20
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
        notes: What was assumed or left out, for a person to know.
    """

    form: Form
    found: dict[str, object]
    config: ModelConfig | None = None
    final_relu: bool | None = None
    metadata: CheckpointMetadata | None = None
    notes: tuple[str, ...] = ()


def read_stored(path: Path) -> StoredWeights:
    """Read what is in a file, whatever it is of: nothing of a pickle is run, nothing of the weights is checked.

    Raises:
        CheckpointError: If the file is missing, damaged or unsafe.
    """
    head = read_head(path)
    # safetensors first: the length of its header can begin with the very byte that begins a pickle.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LONGEST_HEADER_BYTES:
        return _read_safetensors(path)
    if head.startswith(b"PK") or (head[:1] == b"\x80" and head[1:2] in _PICKLE_PROTOCOLS):
        return _read_torch(path)
    known = stranger(head)
    if known:
        raise CheckpointError(path, *known)
    artifact = format_of(path)
    if artifact:
        raise CheckpointError(
            path, f"is no checkpoint but {artifact.name}", "pass it as a target: fmnist-tk parity FILE"
        )
    raise CheckpointError(path, f"is neither a torch.save file nor safetensors (it starts with {head[:12]!r})")


def read_head(path: Path) -> bytes:
    """Return the beginning of a file that can be read: a pipe would keep its reader waiting, a sparse file has no end.

    Raises:
        CheckpointError: If it is none.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise CheckpointError(path, "is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(path, "is a pipe or a device, not a file")
        if status.st_size > _LARGEST_FILE_BYTES:
            raise CheckpointError(
                path,
                f"has {status.st_size:,} bytes, more than {_LARGEST_FILE_BYTES:,}",
                "save the model alone: torch.save(model, path)",
            )
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:  # a ValueError for a NUL in its name
        raise CheckpointError(path, getattr(error, "strerror", None) or str(error)) from error
    if not head:
        raise CheckpointError(path, "is empty", "copy it again from where it was made")
    return head


def _read_torch(path: Path) -> StoredWeights:
    value = read_torch_file(path)
    found, config = find_weights(value, path), _config_beside(path)
    if found.final_relu is not None:
        return StoredWeights("pickled-module", found.weights, config, found.final_relu, notes=found.notes)
    run, own = (value.get("run"), value.get("fmnist_tk")) if isinstance(value, dict) else (None, None)
    if isinstance(run, str) and isinstance(own, str):
        return StoredWeights("training-state", found.weights, parse_record(own, ModelConfig, path))
    return StoredWeights("state-dict", found.weights, config, notes=_assumed(path, config))


def _assumed(path: Path, config: ModelConfig | None) -> tuple[str, ...]:
    """Return what weights leave open, for a person to know, where no description of the model closes it."""
    beside = path.with_suffix(".config.json").name
    note = (
        "assumed: ReLU, and nothing else, between its Linear layers and none at the end; weights do not tell. A whole "
        f'model does, torch.save(model, path); or confirm it in {beside}: {{"final_relu": false}}'
    )
    return () if config else (note,)


def _read_safetensors(path: Path) -> StoredWeights:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            found: dict[str, object] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(path, f"is truncated or damaged ({first_line(error)})") from error
    metadata = _own_metadata(header, path)
    config = metadata.config if metadata else _config_beside(path)
    return StoredWeights("safetensors", found, config, None, metadata, _assumed(path, config))


def _own_metadata(header: dict[str, str], path: Path) -> CheckpointMetadata | None:
    text = header.get(METADATA_KEY)
    if text is None:
        return None
    if hashlib.sha256(text.encode()).hexdigest() != header.get(DIGEST_KEY):
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
    if beside.stat().st_size > _LARGEST_CONFIG_BYTES:
        raise CheckpointError(beside, f"has more than {_LARGEST_CONFIG_BYTES:,} bytes", "correct it or remove it")
    try:
        return read_record(beside, ModelConfig)
    except (ReportError, ValidationError) as error:
        reason = error.reason if isinstance(error, ReportError) else first_line(error)
        raise CheckpointError(beside, reason, "correct it or remove it") from error
