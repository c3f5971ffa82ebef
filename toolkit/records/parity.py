"""Records of parity."""

from pydantic import Field, PositiveInt, computed_field, model_validator

from toolkit.records.base import Device, Precision, Record, Sha256


class CheckRecord(Record):
    """One question put to an artifact, and the answer."""

    name: str = Field(description="What is checked: opens, integrity, signature, shape, …")
    probe: str | None = Field(default=None, description="The inputs it was checked on; null for none.")
    passed: bool
    measured: float | None = Field(default=None, description="Null when not a number or not finite.")
    limit: float | None = None
    unit: str | None = None
    facts: dict[str, float] = Field(default_factory=dict, description="Numbers behind ``measured``.")
    detail: str = Field(description="One sentence for people.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "CheckRecord":
        if self.measured is not None and self.limit is not None and self.passed != (self.measured <= self.limit):
            raise ValueError(f"passed={self.passed} contradicts {self.measured} against {self.limit}")
        return self


class ParityRecord(Record):
    """All checks of one artifact on one device."""

    target: str
    format: str
    device: Device
    precision: Precision | None = Field(description="Null when the artifact did not open.")
    threads: PositiveInt | None = Field(description="Null: as many as the runtime takes by itself.")
    sha256: Sha256
    weights_sha256: Sha256 = Field(description="Of the checkpoint that is the reference.")
    runtime: str
    runtime_version: str
    checks: tuple[CheckRecord, ...] = Field(min_length=1)

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @computed_field
    @property
    def error_ratio(self) -> float | None:
        """Largest error in units of eager float32's own error on the same inputs; null if not measured."""
        ratios = [check.measured for check in self.checks if check.name == "values"]
        if not ratios or any(ratio is None for ratio in ratios):
            return None
        return max(ratio for ratio in ratios if ratio is not None)

    @computed_field
    @property
    def agreement(self) -> float | None:
        """Smallest fraction of equal top-1 labels over the probes; null if not measured."""
        fractions = [check.facts["agreement"] for check in self.checks if "agreement" in check.facts]
        return min(fractions, default=None)
