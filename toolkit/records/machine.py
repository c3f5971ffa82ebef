"""Records of the machine under a bench: is it fit, is its clock honest, what can it do, what did a run take of it."""

from typing import Annotated, Final, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    computed_field,
    model_validator,
)

from toolkit.records.base import Check, Device, Precision, Record, SkipRecord, quantile

Verdict = Literal["VALID", "NOISY"]
_NOT_OPTIONAL: Final = {"usable_cpus", "unavailable"}


class Unavailable(Record):
    """A measurement that this machine does not offer."""

    reason: str = Field(description="``not available here: why``.")


class Counters(Record):
    """What the system counts, at one moment. A counter that is missing is null, and ``unavailable`` says why."""

    usable_cpus: PositiveInt = Field(description="By affinity and cgroup quota.")
    cpus: PositiveInt | None = Field(default=None, description="CPUs over which the seconds below are summed.")
    total_s: NonNegativeFloat | None = Field(default=None, description="CPU seconds since start-up, idle included.")
    busy_s: NonNegativeFloat | None = Field(default=None, description="Of these, in any process or in the kernel.")
    steal_s: NonNegativeFloat | None = Field(default=None, description="Wanted, but given to other virtual machines.")
    own_cpu_s: NonNegativeFloat | None = Field(default=None, description="Of this process and its children.")
    load_1min: NonNegativeFloat | None = Field(default=None, description="Runnable tasks, mean over about a minute.")
    throttled_periods: NonNegativeInt | None = Field(default=None, description="In which the cgroup's quota ran out.")
    throttled_s: NonNegativeFloat | None = Field(default=None, description="For which the quota stopped the cgroup.")
    governors: dict[str, str] | None = Field(default=None, description="Frequency policy to its governor.")
    thermal_throttles: NonNegativeInt | None = Field(default=None, description="Times that heat slowed a CPU.")
    other_benches: tuple[PositiveInt, ...] | None = Field(default=None, description="Process ids of other benches.")
    on_battery: bool | None = Field(default=None, description="Whether a battery feeds the machine.")
    gpu_slowdowns: tuple[str, ...] | None = Field(
        default=None, description="Why GPUs in use lower their clocks at present."
    )
    unavailable: dict[str, str] = Field(description="Field that is null to ``not available here: why``.")

    @model_validator(mode="after")
    def _every_gap_has_its_reason(self) -> "Counters":
        missing = {
            name for name in type(self).model_fields if name not in _NOT_OPTIONAL and getattr(self, name) is None
        }
        if missing != self.unavailable.keys():
            raise ValueError(f"null are {sorted(missing)}, reasons are given for {sorted(self.unavailable)}")
        return self


class ControlRecord(Record):
    """The baseline measured twice under two names: what this run says of a ratio that is 1."""

    device: Device
    threads: PositiveInt
    batch_size: PositiveInt
    ratio: PositiveFloat
    low: PositiveFloat | None = Field(description="Lower end of the ratio's interval; null with one round.")
    high: PositiveFloat | None = Field(description="Upper end.")
    verdict: Literal["FASTER", "SLOWER", "SAME", "CANNOT TELL"]

    @computed_field
    @property
    def noise(self) -> float:
        """By how much the slower of the two was slower: 0.03 is 3 %. Smaller differences of rows say nothing."""
        return max(self.ratio, 1 / self.ratio) - 1


class Finding(Record):
    """Something about the machine that a person must know, and what to do."""

    sentence: str
    remedy: str


class FitnessRecord(Record):
    """Whether the machine was fit for the run between two readings of its counters."""

    before: Counters
    after: Counters
    canary_s: tuple[PositiveFloat, ...] = Field(description="Seconds of the same small work, once between slices.")
    controls: tuple[ControlRecord, ...] = Field(default=(), description="One per baseline that was measured twice.")
    reasons: tuple[Finding, ...] = Field(description="Why the numbers cannot be trusted.")
    remarks: tuple[Finding, ...] = Field(default=(), description="What may have cost speed without making noise.")

    @computed_field
    @property
    def verdict(self) -> Verdict:
        """NOISY with any reason."""
        return "NOISY" if self.reasons else "VALID"

    @computed_field
    @property
    def elapsed_s(self) -> float | None:
        """Seconds between the readings by the system's own counters; null without them."""
        total = _difference(self.before.total_s, self.after.total_s)
        return None if total is None or self.after.cpus is None else total / self.after.cpus

    @computed_field
    @property
    def steal_share(self) -> float | None:
        """Stolen fraction of the CPU time that was wanted; null without counters or without any work."""
        steal = _difference(self.before.steal_s, self.after.steal_s)
        busy = _difference(self.before.busy_s, self.after.busy_s)
        return steal / (steal + busy) if steal is not None and busy is not None and steal + busy > 0 else None

    @computed_field
    @property
    def own_cpus(self) -> float | None:
        """CPUs that this run kept busy, on average; null without counters."""
        own = _difference(self.before.own_cpu_s, self.after.own_cpu_s)
        return own / self.elapsed_s if own is not None and self.elapsed_s else None

    @computed_field
    @property
    def foreign_cpus(self) -> float | None:
        """CPUs that everything else kept busy, on average; null without counters."""
        busy = _difference(self.before.busy_s, self.after.busy_s)
        if busy is None or self.own_cpus is None or not self.elapsed_s:
            return None
        return max(0.0, busy / self.elapsed_s - self.own_cpus)

    @computed_field
    @property
    def canary_spread(self) -> float | None:
        """(p90 - p10) / median of the canary; null with fewer than ten, too few for a 10th percentile."""
        if len(self.canary_s) < 10:
            return None
        return (quantile(self.canary_s, 0.9) - quantile(self.canary_s, 0.1)) / quantile(self.canary_s, 0.5)


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


class PeakRecord(Record):
    """The fastest matrix product of one runtime in one precision."""

    runtime: str
    precision: Precision
    flop_per_s: PositiveFloat = Field(description="A multiply-add counted as two.")
    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        description="Rows, inner size and columns of the product that reached it."
    )


class BandwidthRecord(Record):
    """How fast memory of one size is read, again and again."""

    working_set_bytes: PositiveInt
    bytes_per_s: PositiveFloat
    kernel: str = Field(description="What read fastest.")


class LimitsJob(Record):
    """What one process is to measure of the machine's limits."""

    part: str = Field(description="``torch``, ``memory``, or a format whose runtime multiplies.")
    device: Device = "cpu"
    threads: PositiveInt
    working_sets_bytes: tuple[Annotated[int, Field(ge=4)], ...] = Field(description="Sizes of float32 arrays to read.")


class LimitsRecord(Record):
    """What a device can do at most, measured beside the rows at their number of threads."""

    device: Device = "cpu"
    threads: PositiveInt = Field(description="Of the rows; a GPU has no use for them.")
    peaks: tuple[PeakRecord, ...] = ()
    bandwidths: tuple[BandwidthRecord, ...] = ()
    skips: tuple[SkipRecord, ...] = Field(default=(), description="Runtimes whose limit could not be measured.")


class Bound(Record):
    """The least time that one call can take on this machine, and what sets it."""

    seconds: PositiveFloat
    kind: Literal["compute", "memory"]


class MemoryReading(Record):
    """Resident memory of a process at one moment."""

    rss_bytes: NonNegativeInt
    peak_rss_bytes: NonNegativeInt = Field(description="Largest so far, or since the last reset.")
    reset: bool = Field(default=False, description="Whether the peak was set to the present size just before.")


class EnergyDomain(Record):
    """One counter of energy."""

    name: str
    energy_j: NonNegativeFloat
    range_j: PositiveFloat | None = Field(description="Where it starts at 0 again; null: it does not.")


class EnergyReading(Record):
    """Energy counters at one moment."""

    source: Literal["RAPL", "NVML"]
    at_s: Annotated[float, Field(ge=0)] = Field(description="Seconds of a monotonic clock.")
    domains: tuple[EnergyDomain, ...] = Field(min_length=1, description="None is part of another; their sum counts.")


class ClockCheck(Check):
    """One question put to the clock; its detail says what must hold."""

    name: Literal["overhead", "known length", "waits", "linear"]
    unit: Literal["s", "ratio"]


class SelfCheckRecord(Record):
    """Whether the clock of this bench is honest on a device."""

    device: Device
    overhead_s: NonNegativeFloat = Field(description="Median time of a call that does nothing: what measuring adds.")
    checks: tuple[ClockCheck, ...] = Field(min_length=1)

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)
