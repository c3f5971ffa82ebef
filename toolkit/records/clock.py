"""Records of the self check: whether the clock of a bench is honest on a device."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, computed_field

from toolkit.records.base import Device, Record


class ClockCheck(Record):
    """One question put to the clock, and the answer. What is measured is stored; whether it passes follows."""

    name: Literal["overhead", "known length", "waits", "linear"]
    measured: float | None = Field(description="Null when nothing was measured: a failure.")
    limit: float
    bound: Literal["at most", "at least"]
    unit: Literal["s", "ratio"] = Field(description="Of ``measured`` and ``limit``.")
    detail: str = Field(description="One sentence for people: what must hold.")

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether ``measured`` keeps the limit."""
        if self.measured is None:
            return False
        return self.measured <= self.limit if self.bound == "at most" else self.measured >= self.limit


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
