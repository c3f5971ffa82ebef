"""What the parent tells a worker, and what comes back: one line of JSON each."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from toolkit.records import Device, Precision, Record, Scenario

Nanoseconds = tuple[NonNegativeInt, ...]


class Entry(Record):
    """Something that can be timed on one device: eager, or an artifact."""

    target: str
    format: str
    path: str = Field(default="", description="Of the artifact; empty for what runs the checkpoint itself.")
    checkpoint: str | None = Field(default=None, description="File of the weights; null for the bundled ones.")
    golden: str = Field(description="Inputs and the reference's logits, against which its outputs are compared.")
    device: Device
    runtime: str
    runtime_version: str
    precision: Precision | None = Field(
        default=None, description="In which parity has passed it, which it must have; null: whatever it says itself."
    )
    verified: bool
    trusted: bool = Field(default=False, description="Whether its user answers for what it does beside computing.")
    baseline: bool = Field(default=False, description="Whether it is what the others are compared with.")
    role: Literal["row", "control", "base"] = "row"
    file_bytes: NonNegativeInt | None = None


class Job(Record):
    """One row: an entry at a number of threads and a batch size. The first line that a worker reads."""

    entry: Entry
    threads: PositiveInt
    batch_size: PositiveInt
    scenario: Scenario = Scenario()


class Order(Record):
    """What a worker is to do next. It answers with one line, and waits for the next one without using the CPU."""

    do: Literal["open", "warm", "measure", "time on device", "finish"]
    seconds: NonNegativeFloat = Field(default=0.0, description="For which calls are begun.")
    min_calls: PositiveInt = 1
    max_calls: PositiveInt = 1_000
    seed: NonNegativeInt = Field(default=0, description="Of random arrivals.")


class Opened(Record):
    """The session is open, in this precision."""

    import_s: NonNegativeFloat
    load_s: NonNegativeFloat
    precision: Precision


class Warmed(Record):
    """The first calls, each in nanoseconds from its start until the device was done."""

    trace_ns: Nanoseconds = Field(min_length=1)
    wrong: str | None = Field(description="What is wrong with the outputs.")


class Measured(Record):
    """One slice."""

    times_ns: Nanoseconds = Field(min_length=1, description="As the scenario defines the time of a call.")
    calls: PositiveInt = Field(description="Calls that these times speak of; more than times in a pipeline.")
    wall_s: PositiveFloat = Field(description="Seconds from the start of the first call to the end of the last one.")
    copy_in_ns: Nanoseconds = ()
    copy_out_ns: Nanoseconds = ()
    service_ns: Nanoseconds = ()
    settled: bool = Field(description="Whether the process used no CPU any more when it answered.")


class Finished(Record):
    """The outputs after the last slice, and the memory that it all took."""

    wrong: str | None
    peak_memory_bytes: NonNegativeInt | None
    device_memory_bytes: NonNegativeInt | None


class Answer(Record):
    """One line of a worker: exactly one of these; after a fault it ends."""

    opened: Opened | None = None
    warmed: Warmed | None = None
    measured: Measured | None = None
    device_s: tuple[NonNegativeFloat, ...] | None = None
    finished: Finished | None = None
    fault: str | None = None
