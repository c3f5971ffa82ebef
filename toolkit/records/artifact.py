"""Records of artifacts: what stands inside one, and the manifest beside it."""

from typing import Literal

from pydantic import Field, NonNegativeInt

from toolkit.records.base import Device, Precision, Record, Sha256
from toolkit.records.model import LABELS, ModelConfig, Preprocessing, TrainingSummary


class ArtifactMetadata(Record):
    """What every artifact carries inside, in the place its format has for such things.

    It holds no time and no path: the same weights and versions give the same bytes.
    """

    schema_name: Literal["fmnist-tk/artifact"] = "fmnist-tk/artifact"
    schema_version: Literal[1] = 1
    format: str
    config: ModelConfig
    labels: tuple[str, ...] = LABELS
    preprocessing: Preprocessing = Preprocessing()
    weights_sha256: Sha256
    training: TrainingSummary | None = None
    versions: dict[str, str] = Field(description="Distribution name to version, of the exporting tools.")


class TensorSpec(Record):
    """An input or output as the runtime describes it; null where the format does not say."""

    name: str | None = None
    dtype: str | None = Field(default=None, description="NumPy's name, such as float32.")
    shape: tuple[int | str | None, ...] | None = Field(
        default=None, description="A number is fixed, a name or null is free."
    )


class Signature(Record):
    """All inputs and outputs of an artifact, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class ArtifactRecord(Record):
    """One artifact as it was written."""

    format: str
    file: str = Field(description="File name inside the manifest's folder.")
    size_bytes: NonNegativeInt
    sha256: Sha256
    weights_sha256: Sha256
    checkpoint: str = Field(description="The checkpoint it was exported from, as it was given.")


class Manifest(Record):
    """``manifest.json``: the artifacts of a folder."""

    schema_name: Literal["fmnist-tk/manifest"] = "fmnist-tk/manifest"
    schema_version: Literal[1] = 1
    artifacts: tuple[ArtifactRecord, ...]
    golden_sha256: Sha256 | None = Field(default=None, description="Digest of golden.npz.")
    golden_weights_sha256: Sha256 | None = Field(default=None, description="The weights that golden.npz is of.")


class VerificationRecord(Record):
    """What parity said last: of these bytes, against these weights, with this runtime, on this device."""

    sha256: Sha256
    weights_sha256: Sha256
    device: Device
    precision: Precision | None
    runtime: str
    runtime_version: str
    passed: bool


class Ledger(Record):
    """``verified.json``: what parity has said. Bench asks it before it times an artifact."""

    schema_name: Literal["fmnist-tk/verified"] = "fmnist-tk/verified"
    schema_version: Literal[1] = 1
    verified: tuple[VerificationRecord, ...] = ()
