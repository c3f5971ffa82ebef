"""Numbers for people: the only place that scales units. Records are in seconds, bytes, joules and images."""

import math
from collections.abc import Callable


def seconds(value: float | None) -> str:
    """Return a duration with three digits and a fitting unit; an em dash for none."""
    return "—" if value is None else scaled(value, "s")


def joules(value: float) -> str:
    """Return an energy with three digits and a fitting unit; below zero when idle power was taken for too high."""
    return f"{'-' if value < 0 else ''}{scaled(abs(value), 'J')}"


def scaled(value: float, unit: str, words: Callable[[float], str] | None = None) -> str:
    """Return what is not negative in a unit or a thousandth, millionth or billionth of it.

    Args:
        value: In ``unit``.
        unit: Its sign.
        words: Says the number; else it has three digits.
    """
    words = words or three_digits
    for factor, prefix in ((1e-6, "n"), (1e-3, "µ"), (1.0, "m")):
        if value < factor * 0.9995:
            return f"{words(value / factor * 1000)} {prefix}{unit}"
    return f"{words(value)} {unit}"


def size(value: float) -> str:
    """Return a number of bytes in powers of 1,000."""
    for factor, unit in ((1e3, "B"), (1e6, "kB"), (1e9, "MB")):
        if value < factor:
            return f"{three_digits(value / factor * 1e3)} {unit}" if unit != "B" else f"{value:.0f} B"
    return f"{three_digits(value / 1e9)} GB"


def rate(value: float) -> str:
    """Return images per second, rounded to three digits."""
    return f"{float(f'{value:.3g}'):,.0f}"


def percent(share: float) -> str:
    """Return a share that is not negative in per cent, with a digit or two: ``0.04 %``, ``0.4 %``, ``12 %``."""
    if not math.isfinite(share):
        return "∞ %"
    value = 100 * share
    return f"{value:,.{2 if value < 0.095 else 1 if value < 9.95 else 0}f} %"


def fraction(share: float, digits: int = 2) -> str:
    """Return a share of things that were counted, all digits of it: ``91.90 %``."""
    return f"{100 * share:.{digits}f} %"


def three_digits(value: float) -> str:
    """Return what is not negative with three digits, or all before the point: ``1.23``, ``12.3``, ``1,234``."""
    return f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def times(ratio: float) -> str:
    """Return a ratio above zero with three digits, two where it is small: ``2.87``, ``146``, ``0.0042``."""
    return three_digits(ratio) if ratio >= 0.1 else f"{ratio:.2g}"
