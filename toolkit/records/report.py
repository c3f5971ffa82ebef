"""The report: what every command writes with ``--json`` and ``-o``."""

from datetime import datetime
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, computed_field

from toolkit.records.artifact import ArtifactRecord, InspectRecord
from toolkit.records.base import Record, SkipRecord
from toolkit.records.bench import FailureRecord, FastestRecord, LatencyRecord
from toolkit.records.machine import FitnessRecord, LimitsRecord
from toolkit.records.model import CheckpointRecord, TrainRecord
from toolkit.records.parity import ParityRecord


class MachineRecord(Record):
    """The machine and the versions that a result belongs to."""

    system: str
    cpu: str
    physical_cores: PositiveInt
    usable_cpus: PositiveInt = Field(description="By affinity and cgroup quota.")
    memory_bytes: NonNegativeInt
    python: str
    versions: dict[str, str] = Field(description="Distribution name to version.")


class DeviceRecord(Record):
    """A device and whether it can be used."""

    device: str
    description: str = Field(description="What it is, or why it is not available and what to do.")
    available: bool


class FormatRecord(Record):
    """A format and whether it works here."""

    format: str
    runtime: str
    works: bool
    devices: tuple[str, ...]
    detail: str = Field(description="Versions, or the reason and the remedy.")


class DataRecord(Record):
    """Where Fashion-MNIST was looked for, and what was found."""

    place: str
    complete: bool
    detail: str


class DoctorRecord(Record):
    """What works on this machine."""

    devices: tuple[DeviceRecord, ...]
    formats: tuple[FormatRecord, ...]
    data: tuple[DataRecord, ...]


class Report(Record):
    """One command's result; the parts that the command does not have are empty.

    Versions of the schema: 1, the first; 2, every check has a measured value and a limit, and ``passed`` follows
    from them; parity records name their cause, divergence and quality.
    """

    schema_name: Literal["fmnist-tk/report"] = "fmnist-tk/report"
    schema_version: Literal[2] = 2
    tool_version: str
    command: str
    created_at: datetime
    machine: MachineRecord
    checkpoint: CheckpointRecord | None = None
    training: TrainRecord | None = None
    artifacts: tuple[ArtifactRecord, ...] = ()
    parity: tuple[ParityRecord, ...] = ()
    latency: tuple[LatencyRecord, ...] = ()
    fitness: FitnessRecord | None = Field(default=None, description="Whether the machine was fit for the latencies.")
    limits: LimitsRecord | None = Field(default=None, description="What the machine can do at most.")
    failures: tuple[FailureRecord, ...] = ()
    skips: tuple[SkipRecord, ...] = ()
    inspected: tuple[InspectRecord, ...] = ()
    doctor: DoctorRecord | None = None
    interrupted: bool = Field(default=False, description="Ended by the user; what is here was finished before.")
    notes: tuple[str, ...] = Field(default=(), description="What a person must know to read the numbers.")

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether nothing failed: exit code 0 or 1."""
        return not self.failures and all(record.passed for record in self.parity)

    @computed_field
    @property
    def fastest(self) -> tuple[FastestRecord, ...]:
        """The fastest verified row of each device and batch size."""
        rows: dict[tuple[str, int], list[LatencyRecord]] = {}
        for row in self.latency:
            rows.setdefault((row.device, row.batch_size), []).append(row)
        return tuple(_fastest(group) for group in rows.values() if any(row.verified for row in group))


def _fastest(rows: list[LatencyRecord]) -> FastestRecord:
    best = min((row for row in rows if row.verified), key=lambda row: row.median_s)
    eager = next((row.median_s for row in rows if row.format == "eager"), None)
    return FastestRecord(
        device=best.device,
        batch_size=best.batch_size,
        format=best.format,
        target=best.target,
        median_s=best.median_s,
        ratio_to_eager=eager / best.median_s if eager and best.median_s else None,
    )
