"""Records of bench: what every call took is stored by round; percentiles and rates are derived.

Intervals and verdicts stand beside the calls that they follow from, because computing them needs scipy, which no record
imports: `toolkit.bench.statistics.summary` computes them from the rounds, and does so again wherever they decide
something.
"""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    computed_field,
    model_validator,
)

from toolkit.records.base import Device, Precision, Record, quantile
from toolkit.records.machine import Bound

#: Calls that a percentile needs so that at least ten lie beyond it: 100 for p90, 1,000 for p99.
_BEYOND = 10

Nanoseconds = Annotated[int, Field(ge=0)]
#: What a ratio means at a practical threshold.
Verdict = Literal["FASTER", "SLOWER", "SAME", "CANNOT TELL"]


class Scenario(Record):
    """How calls follow one another, and so what the time of a call is.

    ``latency``: the next call when the last has ended (closed loop); from its start until the device is done.
    ``throughput``: as many images per second as the device takes; one time per round, its duration by its calls.
    ``paced``, ``poisson``: calls arrive by a schedule, evenly or at random; from the scheduled arrival to the end.
    ``cold``: one call in a new process per round; import, load and first call.
    """

    kind: Literal["latency", "throughput", "paced", "poisson", "cold"] = "latency"
    interval_s: PositiveFloat | None = Field(default=None, description="Mean seconds between scheduled arrivals.")

    @model_validator(mode="after")
    def _scheduled(self) -> "Scenario":
        if (self.interval_s is not None) != (self.kind in {"paced", "poisson"}):
            raise ValueError("paced and poisson need an interval, the others have none")
        return self


class RoundRecord(Record):
    """What one row did in one round: calls that follow one another, in one session."""

    number: NonNegativeInt = Field(description="Rows of the same round were measured beside one another.")
    place: NonNegativeInt = Field(description="Place in the order of the round, which is drawn anew each time.")
    process: NonNegativeInt = Field(default=0, description="Number of the row's process: it is replaced now and then.")
    dropped_calls: NonNegativeInt = Field(default=0, description="Calls before the first that counts: not steady yet.")
    calls: PositiveInt = Field(description="Calls that count.")
    wall_s: NonNegativeFloat = Field(
        description="Seconds for which these calls kept the row busy without copies; with a schedule, all of its time."
    )
    times_ns: tuple[Nanoseconds, ...] = Field(default=(), description="Of each call, in order.")
    histogram_ns: tuple[tuple[Nanoseconds, PositiveInt], ...] = Field(
        default=(), description="In place of ``times_ns`` of a long row: (nanoseconds, calls), no time lost but order."
    )
    copy_in_s: NonNegativeFloat | None = Field(default=None, description="Median, host to device.")
    copy_out_s: NonNegativeFloat | None = Field(default=None, description="Median, device to host.")
    device_s: NonNegativeFloat | None = Field(default=None, description="Median of a call by the device's own clock.")
    service_s: NonNegativeFloat | None = Field(
        default=None, description="Median from a call's start to its end; with a schedule only."
    )
    energy_j: float | None = Field(default=None, description="In the slice, idle power not subtracted; null: unknown.")
    slice_s: NonNegativeFloat = Field(default=0.0, description="Seconds that the slice took, all of it.")
    slice_calls: NonNegativeInt = Field(default=0, description="Calls in the slice, those that do not count included.")

    @model_validator(mode="after")
    def _one_kind_of_times(self) -> "RoundRecord":
        if bool(self.times_ns) == bool(self.histogram_ns):
            raise ValueError("a round has either times or a histogram of them")
        return self

    def seconds(self) -> list[float]:
        """Return the time of each call in seconds; those of a histogram by size."""
        if self.times_ns:
            return [each / 1e9 for each in self.times_ns]
        return [value / 1e9 for value, count in self.histogram_ns for _ in range(count)]


class ColdRecord(Record):
    """What comes before the calls that count, in a process that has done nothing yet."""

    import_s: NonNegativeFloat = Field(description="Seconds to import the runtime.")
    load_s: NonNegativeFloat = Field(description="Seconds to open the artifact, imports done before.")
    first_call_s: NonNegativeFloat = Field(description="Seconds of the very first call at this batch size.")
    steady_s: NonNegativeFloat = Field(description="Seconds of calls until they were steady, the first included.")
    warmup_calls: PositiveInt = Field(description="Calls until they were steady, the first included.")


class Estimate(Record):
    """Confidence intervals of 95 % for percentiles, in seconds per call; null where calls or rounds are too few."""

    p50_s: tuple[NonNegativeFloat, NonNegativeFloat] | None = Field(description="Over rounds.")
    p90_s: tuple[NonNegativeFloat, NonNegativeFloat] | None = Field(description="Over calls.")
    p99_s: tuple[NonNegativeFloat, NonNegativeFloat] | None = Field(description="Over calls.")


class RatioRecord(Record):
    """Speed of a row over that of another: 1.05 is 5 % faster."""

    ratio: PositiveFloat
    low: PositiveFloat | None = Field(description="Lower end of its 95 % interval; null with one common round.")
    high: PositiveFloat | None = Field(description="Upper end.")
    verdict: Verdict


class EnergyRecord(Record):
    """Energy of a row."""

    joules: float = Field(description="In its slices, without what the idle machine would have taken.")
    images: PositiveInt
    idle_power_w: NonNegativeFloat

    @computed_field
    @property
    def joules_per_image(self) -> float:
        """Joules per image, copies and calls that do not count included."""
        return self.joules / self.images


class LatencyRecord(Record):
    """What one session took at one batch size, by round."""

    target: str = Field(description="``eager``, or the artifact's file.")
    format: str
    runtime: str
    runtime_version: str
    device: Device
    precision: Precision
    threads: PositiveInt
    batch_size: PositiveInt
    baseline: bool = Field(default=False, description="Whether it is eager, with which all others are compared.")
    role: Literal["row", "control", "base"] = Field(
        default="row",
        description="``control``: eager once more, for the noise of this run; ``base``: of what --against names.",
    )
    scenario: Scenario = Scenario()
    verified: bool = Field(description="Whether parity has passed these bytes.")
    mismatch: str | None = Field(
        default=None, description="What is wrong with its outputs; only an unverified row can have it."
    )
    cold: ColdRecord
    peak_memory_bytes: NonNegativeInt | None = Field(
        default=None,
        description="By how much the worker's resident set had grown at most since before it opened the artifact; "
        "null where the system does not tell.",
    )
    device_memory_bytes: NonNegativeInt | None = Field(
        default=None, description="Most memory of the device that the runtime held; null on the CPU, or not told."
    )
    file_bytes: NonNegativeInt | None = Field(default=None, description="Size of the artifact; null without one.")
    bound: Bound | None = Field(
        default=None, description="The least time that the machine needs for such a call; null when not measured."
    )
    rounds: tuple[RoundRecord, ...] = Field(min_length=1)
    settled: bool = Field(default=True, description="Whether it used no CPU while it waited for its turn.")
    estimate: Estimate | None = None
    to_eager: RatioRecord | None = Field(
        default=None, description="Its speed over eager's at the same device, threads and batch size."
    )
    energy: EnergyRecord | None = None
    no_energy: str | None = Field(default=None, description="Why ``energy`` is null.")

    @cached_property
    def times_s(self) -> tuple[float, ...]:
        """Seconds of every call that counts, by round."""
        return tuple(each for part in self.rounds for each in part.seconds())

    def percentile_s(self, percent: int) -> float | None:
        """Seconds per call that ``percent`` of the calls do not exceed; null with too few calls."""
        if len(self.times_s) * (100 - percent) < _BEYOND * 100:
            return None
        return quantile(self.times_s, percent / 100)

    @computed_field
    @cached_property
    def median_s(self) -> float:
        """Median seconds per call."""
        return quantile(self.times_s, 0.5)

    @computed_field
    @cached_property
    def p90_s(self) -> float | None:
        """90th percentile in seconds; null with fewer than 100 calls."""
        return self.percentile_s(90)

    @computed_field
    @cached_property
    def p99_s(self) -> float | None:
        """99th percentile in seconds; null with fewer than 1,000 calls."""
        return self.percentile_s(99)

    @computed_field
    @property
    def share_of_limit(self) -> float | None:
        """The bound over the median: 1 would be as fast as the machine can be; null without a bound."""
        return self.bound.seconds / self.median_s if self.bound and self.median_s else None

    @computed_field
    @property
    def throughput_images_per_s(self) -> float:
        """Images per second over all calls that count, the slow ones included."""
        calls, wall = sum(each.calls for each in self.rounds), sum(each.wall_s for each in self.rounds)
        return self.batch_size * calls / max(wall, 1e-12)

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What a row shares with its baseline: device, scenario, threads, batch size."""
        return self.device, self.scenario.kind, self.threads, self.batch_size


class FailureRecord(Record):
    """A row that could not be measured."""

    target: str
    format: str
    device: Device
    batch_size: PositiveInt | None = None
    threads: PositiveInt | None = None
    reason: str


class FastestRecord(Record):
    """The verified row with the smallest median at one device and batch size, among the exact or the others."""

    device: Device
    batch_size: PositiveInt
    exact: bool = Field(description="Whether it computes in float32, as the checkpoint does.")
    baseline: bool = Field(default=False, description="Whether it is eager itself.")
    format: str
    target: str
    threads: PositiveInt
    precision: Precision
    median_s: NonNegativeFloat
    ratio_to_eager: PositiveFloat | None = Field(description="Eager's median over this one; null without eager.")
    as_fast: tuple[str, ...] = Field(
        default=(),
        description="Formats of other rows that cannot be told apart from this one; with threads, if others.",
    )


class CostRecord(Record):
    """Seconds of a call as a line over the batch size, ``fixed_s + per_image_s * batch``, with 95 % intervals."""

    target: str
    format: str
    device: Device
    threads: PositiveInt
    fixed_s: NonNegativeFloat
    fixed_interval_s: tuple[NonNegativeFloat, NonNegativeFloat]
    per_image_s: NonNegativeFloat
    per_image_interval_s: tuple[NonNegativeFloat, NonNegativeFloat]
    saturates_at: NonNegativeFloat | None = Field(
        description="Batch size at which the fixed cost is a tenth of the whole; null when an image costs nothing."
    )


class ComparisonRecord(Record):
    """A row beside the same row of what it is compared with."""

    target: str
    base: str = Field(description="Target of the other row.")
    format: str
    device: Device
    threads: PositiveInt
    batch_size: PositiveInt
    paired: bool = Field(description="Whether both were measured in the same rounds of one run.")
    median_s: NonNegativeFloat | None = Field(default=None, description="Of the row; null: not told.")
    base_median_s: NonNegativeFloat | None = Field(default=None, description="Of the other row; null: not told.")
    speed: RatioRecord
    threshold: NonNegativeFloat | None = Field(
        default=None, description="Of the verdict: differences up to this do not matter. Null: not told."
    )
    allowed_slowdown: NonNegativeFloat | None = Field(
        default=None, description="Of --max-slowdown: 0.05 lets a call take 5 % longer. Null: nothing was asked."
    )
    too_slow: bool = Field(
        default=False, description="Whether the whole interval is a slowdown beyond what is allowed."
    )


class BenchRecord(Record):
    """How a bench was run."""

    scenario: Scenario
    seed: NonNegativeInt = Field(description="Of the order in each round, of random arrivals and of resampling.")
    budget_s: PositiveFloat = Field(description="Seconds for all rounds; opening and limits come on top.")
    rounds: NonNegativeInt = Field(description="Rounds that were finished.")
    threshold: NonNegativeFloat = Field(description="Differences up to this do not matter: 0.02 is 2 %.")
