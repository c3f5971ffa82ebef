"""What all records share: frozen, closed, finite, and the same after a trip through JSON."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field, model_validator

#: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
Device = Annotated[str, StringConstraints(pattern=r"^(cpu|mps|cuda(:\d+)?)$")]
#: The arithmetic that a session really uses.
Precision = Literal["float32", "tf32", "bfloat16", "float16", "int8"]
#: 64 hexadecimal digits.
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A fact that is written to JSON.

    Records cannot be changed, know no fields but their own, and hold no NaN or infinity. Numbers
    that follow from others are computed, so that the two cannot disagree; a reader computes them
    anew instead of believing the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_computed(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if key not in cls.model_computed_fields}
        return value

    def changed(self, **values: Any) -> Self:
        """Return a copy in which some fields have other values.

        Raises:
            ValidationError: If such a record could not be made: pydantic's own ``model_copy`` would not notice.
        """
        return type(self).model_validate({name: getattr(self, name) for name in type(self).model_fields} | values)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the quantile ``q`` in [0, 1] of ``values``, linear between the two nearest order statistics.

    This is definition 7 of Hyndman and Fan, "Sample quantiles in statistical packages" (1996), and
    the default of NumPy; it stands here because records import no numpy.

    Raises:
        ValueError: If there are no values or ``q`` is outside [0, 1].
    """
    if not values or not 0 <= q <= 1:
        raise ValueError(f"quantile {q} of {len(values)} values")
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


class Check(Record):
    """One question and the answer in numbers. What is measured is stored; whether it passes follows."""

    measured: float | None = Field(description="Null when it could not be measured or is not finite: a failure.")
    limit: float
    bound: Literal["at most", "at least"] = "at most"
    unit: str = Field(description="Of ``measured`` and ``limit``.")
    detail: str = Field(description="One sentence for people.")

    @computed_field
    @property
    def passed(self) -> bool:
        """Whether ``measured`` keeps the limit."""
        if self.measured is None:
            return False
        return self.measured <= self.limit if self.bound == "at most" else self.measured >= self.limit


class SkipRecord(Record):
    """Something that was left out, and why; never a silent gap."""

    what: str = Field(description="The format, device or check that was left out.")
    reason: str
    remedy: str = Field(description="What to do to have it next time.")
