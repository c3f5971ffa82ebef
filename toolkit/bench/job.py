"""What the parent tells a worker, and what comes back."""

from pydantic import PositiveFloat, PositiveInt

from toolkit.records import Device, FailureRecord, LatencyRecord, Record


class Job(Record):
    """One session to open, and the batch sizes to time it at."""

    target: str
    format: str
    path: str = ""
    checkpoint: str | None = None
    golden: str
    device: Device
    threads: PositiveInt
    batch_sizes: tuple[PositiveInt, ...]
    runtime: str
    runtime_version: str
    verified: bool
    warmup_s: PositiveFloat
    measure_s: PositiveFloat


class JobResult(Record):
    """Rows that were measured, and those that could not be."""

    rows: tuple[LatencyRecord, ...] = ()
    failures: tuple[FailureRecord, ...] = ()
