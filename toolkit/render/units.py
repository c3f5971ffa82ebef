"""Numbers for people: the only place that scales units. Records are in seconds, bytes and images."""


def seconds(value: float | None) -> str:
    """Return a duration with three digits and a fitting unit; an em dash for none."""
    if value is None:
        return "—"
    for factor, unit in ((1e-6, "ns"), (1e-3, "µs"), (1.0, "ms")):
        if value < factor * 0.9995:
            return f"{_three_digits(value / factor * 1000)} {unit}"
    return f"{_three_digits(value)} s"


def size(value: float) -> str:
    """Return a number of bytes in powers of 1,000."""
    for factor, unit in ((1e3, "B"), (1e6, "kB"), (1e9, "MB")):
        if value < factor:
            return f"{_three_digits(value / factor * 1e3)} {unit}" if unit != "B" else f"{value:.0f} B"
    return f"{_three_digits(value / 1e9)} GB"


def rate(value: float) -> str:
    """Return images per second, rounded to three digits."""
    return f"{float(f'{value:.3g}'):,.0f}"


def _three_digits(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"
