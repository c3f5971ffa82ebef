"""Records: everything that is ever written to JSON. Frozen pydantic models; no runtime is imported."""

from toolkit.records.artifact import (
    ArtifactMetadata,
    ArtifactRecord,
    InspectRecord,
    Ledger,
    Manifest,
    Signature,
    TensorSpec,
    VerificationRecord,
)
from toolkit.records.base import Device, Precision, Record, Sha256, SkipRecord, quantile
from toolkit.records.bench import FailureRecord, FastestRecord, LatencyRecord
from toolkit.records.model import (
    LABELS,
    PIXELS,
    CheckpointMetadata,
    CheckpointRecord,
    EpochRecord,
    ModelConfig,
    Preprocessing,
    TrainingSummary,
    TrainRecord,
)
from toolkit.records.parity import CheckRecord, ParityRecord
from toolkit.records.report import (
    DataRecord,
    DeviceRecord,
    DoctorRecord,
    FormatRecord,
    MachineRecord,
    Report,
)
from toolkit.records.storage import parse_record, read_record, to_json, write_record

__all__ = [
    "LABELS",
    "PIXELS",
    "ArtifactMetadata",
    "ArtifactRecord",
    "CheckRecord",
    "CheckpointMetadata",
    "CheckpointRecord",
    "DataRecord",
    "Device",
    "DeviceRecord",
    "DoctorRecord",
    "EpochRecord",
    "FailureRecord",
    "FastestRecord",
    "FormatRecord",
    "InspectRecord",
    "LatencyRecord",
    "Ledger",
    "MachineRecord",
    "Manifest",
    "ModelConfig",
    "ParityRecord",
    "Precision",
    "Preprocessing",
    "Record",
    "Report",
    "Sha256",
    "Signature",
    "SkipRecord",
    "TensorSpec",
    "TrainRecord",
    "TrainingSummary",
    "VerificationRecord",
    "parse_record",
    "quantile",
    "read_record",
    "to_json",
    "write_record",
]
