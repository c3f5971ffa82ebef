"""The report: what every command writes with ``--json`` and ``-o``."""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, computed_field, model_validator

from toolkit.records.artifact import ArtifactRecord
from toolkit.records.base import Device, Record, SkipRecord
from toolkit.records.bench import BenchRecord, ComparisonRecord, CostRecord, FailureRecord, FastestRecord, LatencyRecord
from toolkit.records.dataset import DataRecord, DatasetRecord, FetchRecord, GalleryRecord
from toolkit.records.evaluation import EvaluationRecord, PredictionRecord, PredictorRecord, UnreadableRecord
from toolkit.records.inspect import DifferenceRecord, InspectRecord, TensorPairRecord
from toolkit.records.machine import FitnessRecord, LimitsRecord, SelfCheckRecord
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


class AcceleratorRecord(Record):
    """A GPU that a run used. A fact that is missing is null, and ``unavailable`` says why."""

    device: Device
    name: str | None = Field(default=None, description="Of the card, or of the chip that the GPU is a part of.")
    memory_bytes: NonNegativeInt | None = Field(default=None, description="Of its own, all of it.")
    driver: str | None = Field(default=None, description="Version.")
    unavailable: dict[str, str] = Field(default={}, description="Field that is null to ``not available here: why``.")

    @model_validator(mode="after")
    def _every_gap_has_its_reason(self) -> "AcceleratorRecord":
        missing = {name for name in ("name", "memory_bytes", "driver") if getattr(self, name) is None}
        if missing != self.unavailable.keys():
            raise ValueError(f"null are {sorted(missing)}, reasons are given for {sorted(self.unavailable)}")
        return self


class FormatRecord(Record):
    """A format and whether it works here."""

    format: str
    runtime: str
    works: bool
    devices: tuple[str, ...]
    detail: str = Field(description="Versions, or the reason and the remedy.")


class DoctorRecord(Record):
    """What works on this machine."""

    devices: tuple[DeviceRecord, ...]
    formats: tuple[FormatRecord, ...]
    data: tuple[DataRecord, ...]


Show = Callable[["Report"], str]


class Report(Record):
    """One command's result; the parts that the command does not have are empty.

    Versions of the schema: 1, the first; 2, every check has a measured value and a limit, and ``passed`` follows
    from them; parity records name their cause, divergence and quality; 3, latencies are stored by round, with
    intervals, ratios and a control; 4, predictions, datasets, the inside of files, the words of the command,
    and how reference and artifacts classify labelled images.
    """

    schema_name: Literal["fmnist-tk/report"] = "fmnist-tk/report"
    schema_version: Literal[5] = 5
    tool_version: str
    command: str
    arguments: tuple[str, ...] = Field(
        default=(), description="The words after ``fmnist-tk``, as they were typed; empty for a call from Python."
    )
    created_at: datetime
    machine: MachineRecord
    accelerators: tuple[AcceleratorRecord, ...] = Field(default=(), description="The GPUs that the latencies are of.")
    checkpoint: CheckpointRecord | None = None
    training: TrainRecord | None = None
    artifacts: tuple[ArtifactRecord, ...] = ()
    parity: tuple[ParityRecord, ...] = ()
    evaluation: EvaluationRecord | None = Field(
        default=None, description="How the reference of parity classifies labelled images."
    )
    latency: tuple[LatencyRecord, ...] = ()
    fitness: FitnessRecord | None = Field(default=None, description="Whether the machine was fit for the latencies.")
    limits: tuple[LimitsRecord, ...] = Field(
        default=(), description="What the machine can do at most, by number of threads."
    )
    bench: BenchRecord | None = Field(default=None, description="How the latencies were measured.")
    self_checks: tuple[SelfCheckRecord, ...] = Field(default=(), description="Whether the clock is honest, by device.")
    costs: tuple[CostRecord, ...] = Field(default=(), description="Latency as a line over the batch size.")
    comparisons: tuple[ComparisonRecord, ...] = Field(default=(), description="Rows beside those of --against.")
    failures: tuple[FailureRecord, ...] = ()
    skips: tuple[SkipRecord, ...] = ()
    inspected: tuple[InspectRecord, ...] = ()
    tensor_pairs: tuple[TensorPairRecord, ...] = Field(default=(), description="Of the two that were inspected.")
    differences: tuple[DifferenceRecord, ...] = Field(default=(), description="Between the two that were inspected.")
    datasets: tuple[DatasetRecord, ...] = Field(default=(), description="The labelled pictures that were used.")
    places: tuple[DataRecord, ...] = Field(default=(), description="Where Fashion-MNIST was looked for.")
    fetched: FetchRecord | None = None
    gallery: GalleryRecord | None = Field(default=None, description="Pictures that were chosen to be shown.")
    predictor: PredictorRecord | None = None
    predictions: tuple[PredictionRecord, ...] = ()
    unreadable: tuple[UnreadableRecord, ...] = Field(default=(), description="Pictures that could not be predicted.")
    doctor: DoctorRecord | None = None
    interrupted: bool = Field(default=False, description="Ended by the user; what is here was finished before.")
    notes: tuple[str, ...] = Field(default=(), description="What a person must know to read the numbers.")

    #: How Python shows a report, as text and as HTML: a room above this one knows, and sets it with `show_reports`.
    _text: ClassVar[Show | None] = None
    _html: ClassVar[Show | None] = None

    def __repr__(self) -> str:
        """Return one screen of text, or the fields where nobody has said how."""
        show = type(self)._text
        return show(self) if show else super().__repr__()

    __str__ = __repr__

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows, or None where nobody has said how."""
        show = type(self)._html
        return show(self) if show else None

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether nothing failed: exit code 0 or 1."""
        return (
            not self.failures
            and not self.unreadable
            and all(record.passed for record in self.parity)
            and all(record.passed for record in self.self_checks)
            and not any(record.too_slow for record in self.comparisons)
            and not any(record.counts for record in self.differences)
        )

    @computed_field
    @property
    def fastest(self) -> tuple[FastestRecord, ...]:
        """The fastest verified row of each device and batch size, exact ones and those of lower precision apart."""
        rows: dict[tuple[str, int, bool], list[LatencyRecord]] = {}
        for row in self.latency:
            if row.verified and row.role == "row":
                rows.setdefault((row.device, row.batch_size, row.precision == "float32"), []).append(row)
        eager: dict[tuple[str, int], float] = {}
        for row in self.latency:
            if row.baseline and row.role == "row":
                key = row.device, row.batch_size
                eager[key] = min(eager.get(key, row.median_s), row.median_s)
        return tuple(_fastest(group, eager.get((key[0], key[1]))) for key, group in rows.items())


def show_reports(text: Show, html: Show) -> None:
    """Set how Python shows reports: at a prompt, and in a notebook."""
    Report._text, Report._html = text, html


def _fastest(rows: list[LatencyRecord], eager_s: float | None) -> FastestRecord:
    best = min(rows, key=lambda row: row.median_s)
    return FastestRecord(
        device=best.device,
        batch_size=best.batch_size,
        exact=best.precision == "float32",
        baseline=best.baseline,
        format=best.format,
        target=best.target,
        threads=best.threads,
        precision=best.precision,
        median_s=best.median_s,
        ratio_to_eager=eager_s / best.median_s if eager_s and best.median_s else None,
        as_fast=tuple(_beside(row, best) for row in rows if row is not best and not _told_apart(row, best)),
    )


def _beside(row: LatencyRecord, best: LatencyRecord) -> str:
    """Return the format of a row, with its threads where they are not those of the best."""
    if row.threads == best.threads:
        return row.format
    return f"{row.format} on {row.threads} thread{'' if row.threads == 1 else 's'}"


def _told_apart(row: LatencyRecord, best: LatencyRecord) -> bool:
    """Say whether a row is surely slower than the best, by what its own line says of it beside eager.

    Rows on other threads have another eager beside them, so of these the intervals of the medians tell.
    """
    same_eager = row.threads == best.threads
    if same_eager and row.baseline and best.to_eager:
        return best.to_eager.verdict == "FASTER"
    if same_eager and best.baseline and row.to_eager:
        return row.to_eager.verdict == "SLOWER"
    ratios = row.to_eager, best.to_eager
    if same_eager and ratios[0] and ratios[1] and ratios[0].high and ratios[1].low:
        return ratios[0].high < ratios[1].low
    medians = row.estimate and row.estimate.p50_s, best.estimate and best.estimate.p50_s
    return not (medians[0] and medians[1]) or medians[0][0] > medians[1][1]
