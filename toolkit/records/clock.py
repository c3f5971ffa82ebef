"""Records of the self check: whether the clock of a bench is honest on a device."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, computed_field

from toolkit.records.base import Check, Device, Record


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
