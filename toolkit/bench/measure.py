"""Measure latency. This module owns the clock; no session does."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.formats import Session

Clock = Callable[[], float]


@dataclass(frozen=True)
class Budget:
    """How long to measure one row.

    Attributes:
        warmup_s: Seconds of calls that are not counted; runtimes allocate, tune and wake threads in them.
        measure_s: Seconds of calls that are counted.
        min_calls: Counted calls at least, however long they take.
        max_calls: Counted calls at most, so that the raw times stay a small file.
    """

    warmup_s: float = 0.3
    measure_s: float = 1.0
    min_calls: int = 10
    max_calls: int = 10_000


@dataclass(frozen=True)
class Timings:
    """Seconds of the first call, number of uncounted calls, and seconds of each counted call."""

    first_call_s: float
    warmup_calls: int
    times_s: tuple[float, ...]


def measure(session: Session, images: NDArray[np.float32], budget: Budget, clock: Clock = time.perf_counter) -> Timings:
    """Time ``run`` and ``synchronize``, one call after the other, inputs on the device already.

    Args:
        session: What to time.
        images: One batch ``(N, 1, 28, 28)`` float32.
        budget: How long.
        clock: Seconds from an arbitrary start; monotonic, of the highest resolution.
    """
    batch = session.to_device(images)
    session.synchronize()
    started = clock()
    first = _call(session, batch, clock)
    warmup_calls = 1
    while clock() - started < budget.warmup_s:
        _call(session, batch, clock)
        warmup_calls += 1
    times: list[float] = []
    spent = 0.0
    while len(times) < budget.max_calls and (spent < budget.measure_s or len(times) < budget.min_calls):
        times.append(_call(session, batch, clock))
        spent += times[-1]
    return Timings(first, warmup_calls, tuple(times))


def _call(session: Session, batch: object, clock: Clock) -> float:
    started = clock()
    session.run(batch)
    session.synchronize()
    return clock() - started
