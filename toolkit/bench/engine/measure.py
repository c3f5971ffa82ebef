"""Measure calls. This module owns the clock; no session does. All times are in nanoseconds."""

import gc
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.formats import Session

Clock = Callable[[], int]
Images = NDArray[np.float32]

#: Calls that are begun before the first is waited for: enough to hide the launch of a small kernel, few enough that
#: their outputs fit beside the model.
PIPELINE_DEPTH = 16
# A sleeping process wakes up late, on Linux by 50 µs and more; for the rest the clock is watched.
_AWAKE_NS = 200_000
_LATEST = 2


@dataclass(frozen=True)
class CallTimes:
    """Nanoseconds of consecutive calls, by part of the call."""

    copy_in_ns: tuple[int, ...]
    compute_ns: tuple[int, ...]
    copy_out_ns: tuple[int, ...]


@dataclass(frozen=True)
class Arrivals:
    """Nanoseconds of calls that came by a schedule.

    Attributes:
        latency_ns: From the scheduled arrival of each call until its outputs are on the host.
        service_ns: From its start until then.
        wall_ns: From the first arrival to the end of the last call.
    """

    latency_ns: tuple[int, ...]
    service_ns: tuple[int, ...]
    wall_ns: int


def closed_loop(
    session: Session,
    images: Images,
    *,
    seconds: float,
    min_calls: int,
    max_calls: int,
    clock_ns: Clock = time.perf_counter_ns,
) -> CallTimes:
    """Call again and again: copy in, compute until the device is done, copy out; each part is timed by itself.

    Args:
        session: What to time.
        images: One batch ``(N, 1, 28, 28)`` float32 on the host.
        seconds: How long calls are begun.
        min_calls: Calls at least, however long they take.
        max_calls: Calls at most, however short they are.
        clock_ns: Nanoseconds from an arbitrary start; monotonic, of the highest resolution.
    """
    copy_in: list[int] = []
    compute: list[int] = []
    copy_out: list[int] = []
    with _no_collection():
        end = clock_ns() + int(seconds * 1e9)
        while True:
            begun = clock_ns()
            batch = session.to_device(images)
            session.synchronize()
            ready = clock_ns()
            logits = session.run(batch)
            session.synchronize()
            done = clock_ns()
            session.to_host(logits)
            copied = clock_ns()
            copy_in.append(ready - begun)
            compute.append(done - ready)
            copy_out.append(copied - done)
            if len(compute) >= max_calls or (copied >= end and len(compute) >= min_calls):
                break
    return CallTimes(tuple(copy_in), tuple(compute), tuple(copy_out))


def pipeline(
    session: Session, images: Images, *, seconds: float, max_calls: int, clock_ns: Clock = time.perf_counter_ns
) -> tuple[int, int]:
    """Begin calls without waiting for each: the most images per second that one device takes.

    Args:
        session: What to time; its batch is copied to the device once, before the clock starts.
        images: One batch ``(N, 1, 28, 28)`` float32.
        seconds: How long calls are begun.
        max_calls: Calls at most, rounded up to whole pipelines.
        clock_ns: Nanoseconds from an arbitrary start.

    Returns:
        The number of calls, and the nanoseconds from the first call's start until the device had done all.
    """
    batch = session.to_device(images)
    session.synchronize()
    calls = 0
    with _no_collection():
        started = clock_ns()
        while True:
            outputs = [session.run(batch) for _ in range(PIPELINE_DEPTH)]
            session.synchronize()
            del outputs
            calls += PIPELINE_DEPTH
            now = clock_ns()
            if now - started >= seconds * 1e9 or calls >= max_calls:
                return calls, now - started


def open_loop(
    session: Session,
    images: Images,
    gaps_s: Iterator[float],
    *,
    seconds: float,
    min_calls: int,
    max_calls: int,
    clock_ns: Clock = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Arrivals:
    """Call when the schedule says so, or as soon as the call before has ended, and count from the scheduled arrival.

    A call that must wait for the one before has waited, for whoever sent it: leaving that out is what Tene calls
    coordinated omission ("How NOT to measure latency", 2013). Between arrivals the process sleeps, so that caches
    and clocks cool down as they do in a service; only the last 0.2 ms it watches the clock.

    Args:
        session: What to time; copies are part of a call.
        images: One batch ``(N, 1, 28, 28)`` float32.
        gaps_s: Seconds from each arrival to the next.
        seconds: How long calls arrive; when those are not done after twice that time, the rest is left out.
        min_calls: Arrivals at least.
        max_calls: Arrivals at most.
        clock_ns: Nanoseconds from an arbitrary start.
        sleep: Of seconds.
    """
    latency: list[int] = []
    service: list[int] = []
    with _no_collection():
        first = arrival = clock_ns() + int(next(gaps_s) * 1e9)
        while len(latency) < max_calls and (arrival - first < seconds * 1e9 or len(latency) < min_calls):
            begun = _wait_until(arrival, clock_ns, sleep)
            session.to_host(session.run(session.to_device(images)))
            session.synchronize()
            done = clock_ns()
            latency.append(done - arrival)
            service.append(done - begun)
            arrival += int(next(gaps_s) * 1e9)
            if len(latency) >= min_calls and done - first > _LATEST * seconds * 1e9:
                break  # the queue only grows
    return Arrivals(tuple(latency), tuple(service), done - first)


def even_gaps(interval_s: float) -> Iterator[float]:
    """Yield the seconds between arrivals at a steady pace."""
    while True:
        yield interval_s


def random_gaps(interval_s: float, seed: int) -> Iterator[float]:
    """Yield exponential seconds between arrivals, of mean ``interval_s``: a Poisson process."""
    generator = random.Random(seed)  # noqa: S311  arrivals, not secrets
    while True:
        yield generator.expovariate(1 / interval_s)


def settle(
    patience_s: float = 0.5,
    nap_s: float = 0.002,
    sleep: Callable[[float], None] = time.sleep,
    cpu_clock: Callable[[], float] = time.process_time,
) -> bool:
    """Wait until this process uses no CPU: threads of a runtime go on spinning for a while after a call.

    Returns:
        False if they still did after ``patience_s`` seconds.
    """
    for _ in range(math.ceil(patience_s / nap_s)):
        before = cpu_clock()
        sleep(nap_s)
        if cpu_clock() - before < nap_s / 10:
            return True
    return False


def _wait_until(moment_ns: int, clock_ns: Clock, sleep: Callable[[float], None]) -> int:
    """Return the time, not before ``moment_ns``."""
    now = clock_ns()
    if moment_ns - now > _AWAKE_NS:
        sleep((moment_ns - now - _AWAKE_NS) / 1e9)
        now = clock_ns()
    while now < moment_ns:
        now = clock_ns()
    return now


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's cyclic garbage collector from running inside a call."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
