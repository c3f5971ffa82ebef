"""How many rounds fit into a budget, and how long each row's slice is. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from toolkit.errors import UsageError

#: With fewer rounds intervals are wide, and with fewer than six they come from Student's t.
ENOUGH_ROUNDS: Final = 10
#: Long beside waking up, short enough for many rounds: what differs from round to round is what is not known.
_SLICE_S: Final = 0.06
#: More calls of one slice say little more, for they are alike.
MOST_CALLS: Final = 1_000
#: Fewer calls would be those of a process that has just woken up; one that lasts longer than this is awake.
_FEWEST_CALLS, _LONG_S = 10, 0.02
#: What a slice costs beside its calls: messages, the canary, waiting until the threads of a runtime sleep.
SLICE_COST_S: Final = 0.015
# On two cores of an AMD EPYC (Zen 5): a process of libtorch, and that of torch.export takes twice as long; warming up,
# comparing before and after; three processes for the limits; the check of the clock.
_OPEN_S, _WARM_S, _LIMITS_S, _CLOCK_S = 1.5, 0.5, 10.0, 1.0


@dataclass(frozen=True)
class Schedule:
    """What is planned.

    Attributes:
        rounds: As many as fit.
        slices_s: Seconds for which each row begins calls in each round.
        round_s: Seconds that a round is expected to take.
    """

    rounds: int
    slices_s: tuple[float, ...]
    round_s: float


def plan(calls_s: Sequence[float], budget_s: float) -> Schedule:
    """Return a schedule: long calls have long slices, and what short calls do not need becomes more rounds.

    ``calls_s`` has for each row the seconds from the start of a call to that of the next.

    Raises:
        UsageError: If not even one round of the shortest slices fits; it says how much that needs.
    """
    wanted = [min(max(_SLICE_S, _FEWEST_CALLS * each), MOST_CALLS * each) for each in calls_s]
    least = [max(each, min(_FEWEST_CALLS * each, _LONG_S)) for each in calls_s]
    for share in (1.0, 0.5, 0.25, 0.1, 0.0):
        slices = [max(few, share * most) for few, most in zip(least, wanted, strict=True)]
        # One call is made before those that count, to wake up.
        round_s = sum(slices) + sum(calls_s) + SLICE_COST_S * len(slices)
        if budget_s >= ENOUGH_ROUNDS * round_s:
            break
    rounds = math.floor(budget_s / round_s + 1e-9)
    if rounds < 1:
        raise UsageError(
            f"--budget {budget_s:g}: one round of all {len(slices)} rows takes about {_upwards(round_s)} s",
            f"pass at least --budget {_upwards(round_s)}, better --budget {_upwards(ENOUGH_ROUNDS * round_s)}",
        )
    return Schedule(rounds, tuple(slices), round_s)


def expected_s(alone: int, rows: int, cpus: int, *, budget_s: float, restarts: int, limits: int) -> float:
    """Return about how many seconds a bench takes in all, for whoever waits for it.

    Args:
        alone: Rows that are opened one after the other.
        rows: All of them.
        cpus: As many of the others are opened side by side.
        budget_s: Seconds for all rounds.
        restarts: How often all workers are replaced.
        limits: How often the machine's limits are measured.
    """
    groups = alone + math.ceil((rows - alone) / cpus) + restarts * math.ceil(rows / cpus)
    return _CLOCK_S + groups * _OPEN_S + (1 + restarts) * rows * _WARM_S + budget_s + limits * _LIMITS_S


def _upwards(seconds: float) -> str:
    """Return seconds rounded up to a budget that is enough for them."""
    return f"{math.ceil(seconds * 1.1)}" if seconds > 0.9 else f"{math.ceil(seconds * 110) / 100:g}"
