"""Records of bench: raw times are stored, every statistic is derived."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, computed_field

from toolkit.records.base import Device, Precision, Record, quantile
from toolkit.records.machine import Bound

#: Calls that a percentile needs so that at least ten lie beyond it: 100 for p90, 1,000 for p99.
_BEYOND = 10


class LatencyRecord(Record):
    """Raw timings of one session at one batch size."""

    target: str = Field(description="``eager``, or the artifact's file.")
    format: str
    runtime: str
    runtime_version: str
    device: Device
    precision: Precision
    threads: PositiveInt
    batch_size: PositiveInt
    verified: bool = Field(description="Whether parity has passed these bytes.")
    mismatch: str | None = Field(
        default=None, description="What is wrong with its outputs; only an unverified row can have it."
    )
    load_s: NonNegativeFloat = Field(description="Seconds to open the artifact, imports done before.")
    first_call_s: NonNegativeFloat = Field(description="Seconds of the very first call at this batch size.")
    warmup_calls: int = Field(
        ge=0,
        description="Calls before the first that counts: the very first, the warm-up, what was not steady yet.",
    )
    peak_memory_bytes: NonNegativeInt | None = Field(
        default=None,
        description="By how much the worker's resident set had grown at most since before it opened the artifact, "
        "smaller batch sizes included; null where the system does not tell.",
    )
    bound: Bound | None = Field(
        default=None, description="The least time that the machine needs for such a call; null when not measured."
    )
    times_s: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="Seconds per call from its start until the device is done, in order."
    )

    def percentile_s(self, percent: int) -> float | None:
        """Seconds per call that ``percent`` of the calls do not exceed; null with too few calls."""
        if len(self.times_s) * (100 - percent) < _BEYOND * 100:
            return None
        return quantile(self.times_s, percent / 100)

    @computed_field
    @property
    def median_s(self) -> float:
        """Median seconds per call."""
        return quantile(self.times_s, 0.5)

    @computed_field
    @property
    def p90_s(self) -> float | None:
        """90th percentile in seconds; null with fewer than 100 calls."""
        return self.percentile_s(90)

    @computed_field
    @property
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
        """Images per second over all timed calls, the slow ones included."""
        return self.batch_size * len(self.times_s) / max(sum(self.times_s), 1e-12)


class FailureRecord(Record):
    """A row that could not be measured."""

    target: str
    format: str
    device: Device
    batch_size: PositiveInt | None = None
    reason: str


class FastestRecord(Record):
    """The verified row with the smallest median at one batch size."""

    device: Device
    batch_size: PositiveInt
    format: str
    target: str
    median_s: NonNegativeFloat
    ratio_to_eager: PositiveFloat | None = Field(description="Eager's median over this one; null without eager.")
