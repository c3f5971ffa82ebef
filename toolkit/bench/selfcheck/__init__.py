"""Is the clock honest? Jobs whose length is known from elsewhere, timed by the very function that times the rows.

Wherever a job has a length, the shortest of many calls decides: what else runs on the machine only adds to a call,
while a timer that is wrong is wrong in every call.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, Final, Literal, Protocol

from toolkit.bench.engine.measure import CallTimes, closed_loop
from toolkit.bench.selfcheck.clock_jobs import (
    COMPUTE_NS,
    COPY_IN_NS,
    COPY_OUT_NS,
    Chain,
    NullSession,
    Pausing,
    Spinning,
    Threaded,
    Unsynchronized,
)
from toolkit.formats import Session
from toolkit.records import ClockCheck, Device, Record, SelfCheckRecord, quantile
from toolkit.system.devices import device_type, resolve_device

_MOST_OVERHEAD_S: Final = 1e-6
# 2 % of the computation. With two busy loops per core, the shortest time was 0.8 µs too long in the worst of 16 checks
# (AMD EPYC, Zen 5, 2 cores).
_HOST_TOLERANCE_S: Final = 40e-6
# Launching and waking up take some 0.1 ms, which must be little beside the job.
_GPU_JOB_S: Final = 20e-3
_GPU_SHARE, _GPU_TOLERANCE_S, _EVENT_SHARE = 0.01, 0.2e-3, 0.05
_FIRST_CYCLES, _MOST_GROWTH = 1_000_000, 100.0
# Handing a job over takes some hundredths of its length.
_MOST_UNWAITED: Final = 0.5
_LONGEST_CHAIN, _LINEAR = 64, (1.8, 2.2)


class Measure(Protocol):
    """What times calls: `toolkit.bench.engine.measure.closed_loop`, or a broken one of the tests."""

    def __call__(self, session: Session, images: Any, *, seconds: float, min_calls: int, max_calls: int) -> CallTimes:
        """Call again and again; nanoseconds by part of the call."""


class ClockJob(Record):
    """What the process that checks the clock is asked: the device."""

    device: Device


def check_clock(job: ClockJob) -> SelfCheckRecord:
    """Check the clock of bench on a device, whose runtime this process has to itself."""
    return self_check(job.device)


def self_check(device: str, measure: Measure = closed_loop) -> SelfCheckRecord:
    """Let a timer time jobs of known length on a device.

    Args:
        device: As `toolkit.system.devices.resolve_device` returned it.
        measure: The timer under test.

    Returns:
        A record that has not passed when the timer is wrong. For the CPU no runtime is imported.

    Raises:
        DeviceUnavailableError: If the device is not here.
    """
    times_ns = _calls(measure, NullSession(), seconds=0.05, least=100, most=2_000).compute_ns
    overhead_s = quantile(times_ns, 0.5) / 1e9 if times_ns else None
    detail = "The median call of a session that does nothing must take next to no time."
    checks = [_check("overhead", overhead_s, "at most", _MOST_OVERHEAD_S, detail), *host_checks(measure)]
    kind = device_type(device)
    if kind == "cpu":
        checks += thread_checks(measure)
    else:
        import torch

        resolve_device(device, torch)
        checks += cuda_checks(measure, torch, device) if kind == "cuda" else mps_checks(measure, torch)
    return SelfCheckRecord(device=device, overhead_s=max(0.0, overhead_s or 0.0), checks=tuple(checks))


def host_checks(measure: Measure, now_ns: Callable[[], int] = time.monotonic_ns) -> list[ClockCheck]:
    """Time a call whose three parts end by another clock, ``now_ns``, each after another time.

    A clock that is read at a wrong place gives a part what belongs to its neighbour.
    """
    calls = _calls(measure, Spinning(now_ns), seconds=0.2, least=20, most=40)
    parts = (
        ("a copy in", calls.copy_in_ns, COPY_IN_NS),
        ("a computation", calls.compute_ns, COMPUTE_NS),
        ("a copy out", calls.copy_out_ns, COPY_OUT_NS),
    )
    checks: list[ClockCheck] = []
    for part, times_ns, length_ns in parts:
        limits = length_ns / 1e9, length_ns / 1e9 + _HOST_TOLERANCE_S
        checks += _known_length(part, "a job that ends by another clock", _least_s(times_ns), limits)
    return checks


def thread_checks(measure: Measure) -> list[ClockCheck]:
    """Time a job that another thread does, for which ``run`` does not wait and ``synchronize`` does."""
    with ThreadPoolExecutor(1) as threads:
        session = Threaded(threads)
        with_s = _shortest(measure, session)
        without_s = _shortest(measure, Unsynchronized(session))
    detail = "The time of a job that another thread does must hold all of it."
    return [_check("waits", with_s, "at least", COMPUTE_NS / 1e9, detail), _waits(with_s, without_s)]


def cuda_checks(measure: Measure, torch: ModuleType, device: str) -> list[ClockCheck]:
    """Time a kernel that does nothing for about 20 ms, and compare with what CUDA's events say of the same calls."""
    with torch.cuda.device(device):
        session = Pausing(torch, device, _enough_cycles(torch, device))
        with_s = _shortest(measure, session)
        event_s = session.least_event_s() or 0.0  # of these calls alone: the device's frequency changes
        without_s = _shortest(measure, Unsynchronized(session))
        session.synchronize()
    limits = event_s * (1 - _EVENT_SHARE), event_s * (1 + _GPU_SHARE) + _GPU_TOLERANCE_S
    return [
        *_known_length("a computation", "a kernel that CUDA's events time as well", with_s, limits),
        _waits(with_s, without_s),
    ]


def mps_checks(measure: Measure, torch: ModuleType) -> list[ClockCheck]:
    """Time a chain of matrix products and one of twice as many, since Metal has no kernel of known length.

    Launching takes twice as long for twice as many, too: that the products were waited for is what ``waits`` says.
    """
    links = 1
    while links < _LONGEST_CHAIN and (_shortest(measure, Chain(torch, links), least=3) or 0.0) < _GPU_JOB_S / 2:
        links *= 2
    session = Chain(torch, links)
    with_s = _shortest(measure, session)
    double_s = _shortest(measure, Chain(torch, 2 * links))
    without_s = _shortest(measure, Unsynchronized(session))
    session.synchronize()
    low, high = _LINEAR
    ratio = double_s / with_s if with_s and double_s is not None else None
    detail = "Twice as many matrix products must take about twice as long."
    return [
        _check("linear", ratio, "at least", low, detail, unit="ratio"),
        _check("linear", ratio, "at most", high, detail, unit="ratio"),
        _waits(with_s, without_s),
    ]


def _enough_cycles(torch: ModuleType, device: str) -> int:
    """Return for how many cycles a kernel takes about 20 ms, once the device has left its idle frequency."""
    cycles = _FIRST_CYCLES
    for _ in range(3):
        trial = Pausing(torch, device, cycles)
        for _ in range(3):  # the very first starts the context and loads the kernel
            trial.run(None)
        took_s = trial.least_event_s() or 0.0
        cycles = max(1, round(cycles * min(_MOST_GROWTH, _GPU_JOB_S / max(took_s, 1e-9))))
    return cycles


def _calls(measure: Measure, session: Session, *, seconds: float, least: int, most: int) -> CallTimes:
    import numpy as np

    images = np.zeros((1, 1, 28, 28), np.float32)
    return measure(session, images, seconds=seconds, min_calls=least, max_calls=most)


def _shortest(measure: Measure, session: Session, *, least: int = 10) -> float | None:
    """Return the seconds of the shortest of some calls; None when none was timed."""
    return _least_s(_calls(measure, session, seconds=0.1, least=least, most=30).compute_ns)


def _least_s(times_ns: tuple[int, ...]) -> float | None:
    return min(times_ns) / 1e9 if times_ns else None


def _check(
    name: Literal["overhead", "known length", "waits", "linear"],
    measured: float | None,
    bound: Literal["at most", "at least"],
    limit: float,
    detail: str,
    *,
    unit: Literal["s", "ratio"] = "s",
) -> ClockCheck:
    return ClockCheck(name=name, measured=measured, bound=bound, limit=limit, detail=detail, unit=unit)


def _known_length(part: str, job: str, measured: float | None, limits: tuple[float, float]) -> Iterator[ClockCheck]:
    time, (low, high) = f"The shortest time of {part} must hold", limits
    yield _check("known length", measured, "at least", low, f"{time} all of {job}.")
    yield _check("known length", measured, "at most", high, f"{time} no more than {job}.")


def _waits(with_s: float | None, without_s: float | None) -> ClockCheck:
    ratio = without_s / with_s if with_s and without_s is not None else None
    detail = "Without synchronising, the same job must seem much shorter."
    return _check("waits", ratio, "at most", _MOST_UNWAITED, detail, unit="ratio")
