"""Scenarios by their names on the command line."""

import re
from typing import Final

from toolkit.errors import UsageError
from toolkit.records import Scenario

_UNITS_S: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_SHORTEST_S, _LONGEST_S = 1e-5, 60.0
_HELP: Final = "choose latency, throughput, paced:10ms (any duration), poisson:100 (arrivals per second) or cold"


def parse_scenario(text: str) -> Scenario:
    """Return the scenario called ``text``.

    Args:
        text: ``latency``, ``throughput``, ``cold``, ``paced:DURATION`` such as ``paced:10ms``, or ``poisson:QPS``.

    Raises:
        UsageError: If it is none of these, or its interval is not between 10 µs and a minute.
    """
    kind, colon, value = text.partition(":")
    if kind in {"latency", "throughput", "cold"} and not colon:
        return Scenario.model_validate({"kind": kind})
    interval_s = _duration_s(value) if kind == "paced" else _mean_gap_s(value) if kind == "poisson" else None
    if interval_s is None:
        raise UsageError(f"--scenario {text}: no such scenario", _HELP)
    if not _SHORTEST_S <= interval_s <= _LONGEST_S:
        raise UsageError(f"--scenario {text}: calls must arrive 10 µs to 60 s apart", "choose another rate")
    return Scenario.model_validate({"kind": kind, "interval_s": interval_s})


def _duration_s(text: str) -> float | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(us|µs|ms|s)", text)
    return float(found[1]) * _UNITS_S[found[2]] if found else None


def _mean_gap_s(text: str) -> float | None:
    found = re.fullmatch(r"\d+(?:\.\d+)?", text)
    return 1 / float(text) if found and float(text) > 0 else None
