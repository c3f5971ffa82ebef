"""Axes: from a value to a place between 0 and 1, and where the ticks are. Pure arithmetic."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

# Beyond so many, labels touch one another on a chart of the width that they have here.
_MOST_TICKS: Final = 7
# What lies at the end of an axis keeps this share of it between itself and the frame.
_MARGIN: Final = 0.04
_LEAST: Final = 1e-12
# Round numbers between powers of ten, from many to few.
_STEPS: Final = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.2, 2.4, 2.6, 2.8, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5),
    (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


@dataclass(frozen=True)
class Axis:
    """A range of values along one side of a chart.

    Attributes:
        label: What the values are, with their unit unless the ticks have it.
        low: The value at 0.
        high: The value at 1; above ``low``.
        ticks: Values and their words.
        log: Whether equal ratios, not equal differences, are equally far apart.
    """

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = True

    def place(self, value: float) -> float:
        """Return where a value is: 0 at the low end, 1 at the high end; what lies beyond an end is put there."""
        if self.log:
            value, low, high = (math.log(max(each, _LEAST)) for each in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0)


def log_axis(label: str, values: Sequence[float], words: Callable[[float], str]) -> Axis:
    """Return a logarithmic axis that holds all values, with ticks at round numbers; zero counts as almost zero."""
    low, high = (math.log10(max(each, _LEAST)) for each in (min(values), max(values)))
    spare = max((high - low) * _MARGIN, 0.05)
    low, high = low - spare, high + spare
    for steps in _STEPS:
        found = [
            step * 10.0**power
            for power in range(math.floor(low), math.ceil(high) + 1)
            for step in steps
            if low <= math.log10(step) + power <= high
        ]
        if len(found) <= _MOST_TICKS:
            break
    if len(found) > _MOST_TICKS:
        found = found[:: -(-len(found) // _MOST_TICKS)]
    if len(found) < 2:  # values so near to one another that no round number but one lies among them
        found = [10 ** (low + share * (high - low)) for share in (0.15, 0.5, 0.85)]
    return Axis(label, 10**low, 10**high, tuple((each, words(each)) for each in found))


def stepped_axis(label: str, values: Sequence[float], words: Callable[[float], str]) -> Axis:
    """Return a logarithmic axis whose ticks are the values themselves, or some of them where they are many."""
    different = sorted(set(values))
    low, high = math.log10(different[0]), math.log10(different[-1])
    spare = max((high - low) * _MARGIN, 0.1)
    shown = different[:: -(-len(different) // _MOST_TICKS)]
    return Axis(label, 10 ** (low - spare), 10 ** (high + spare), tuple((each, words(each)) for each in shown))


def share_axis(label: str, low: float, high: float, words: Callable[[float], str]) -> Axis:
    """Return a linear axis within 0 and 1, from a share to another, whose ticks are round numbers said by ``words``."""
    spare = max((high - low) * 0.15, 1e-3)
    low, high = max(low - spare, 0.0), min(high + spare, 1.0)
    rough = (high - low) / (_MOST_TICKS - 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(label, low, high, tuple((n * step, words(n * step)) for n in range(first, last + 1)), log=False)
