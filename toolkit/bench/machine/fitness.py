"""Is the machine fit? A verdict from the counters before and after a run, a canary between slices, and a control.

`judge` is pure; `canary` reads the clock and nothing else.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from toolkit.bench.machine.counters import read_counters
from toolkit.records import ControlRecord, Counters, Finding, FitnessRecord

__all__ = ["canary", "judge", "read_counters", "with_slowdowns"]

_STEAL_SHARE: Final = 0.01
_FOREIGN_SHARE: Final = 0.05
# On 2 cores of an AMD EPYC (Zen 5, virtual) that others kept busy, 173 windows of 100 canaries, 50 ms apart, had
# spreads of 7 % at least, 11 % in the median, 15 % at the 90th percentile; back to back it was 4 %. Below 15 % a canary
# so tells nothing, and steady company is for the counters to find. An idle machine was not to be had for measuring.
_CANARY_SPREAD: Final = 0.15
# The system counts CPU time in ticks of 10 ms: over less than a second, shares are a matter of luck.
_SHORTEST_S: Final = 1.0
_CANARY_STEPS, _CANARY_WARMUP_STEPS = 10_000, 1_000


def canary(clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of a fixed work of about 1 ms, whose time varies only with the machine.

    It is pure Python on one integer and one float: no array, no library, no memory beyond a cache line, and so
    nothing that a runtime before it could have left behind but a slower or a shared CPU.
    """
    _spin(_CANARY_WARMUP_STEPS)  # so that cold caches after a sleep or another process are not in it
    started = clock()
    _spin(_CANARY_STEPS)
    return clock() - started


def with_slowdowns(counters: Counters, found: Sequence[str]) -> Counters:
    """Return the last reading with what GPUs told while they were busy; they are idle by then."""
    if counters.gpu_slowdowns is None:
        return counters
    return counters.changed(gpu_slowdowns=tuple(sorted({*counters.gpu_slowdowns, *found})))


def judge(
    before: Counters, after: Counters, canary_s: Sequence[float], controls: Sequence[ControlRecord]
) -> FitnessRecord:
    """Judge whether the machine was fit for what was measured between two readings.

    Args:
        before: Counters before the first slice.
        after: Counters after the last one.
        canary_s: Seconds of `canary`, once between slices.
        controls: Each baseline against itself; none if that was not measured.

    Returns:
        A record that is NOISY with any reason. A counter that is missing gives no reason and no remark.
    """
    facts = FitnessRecord(before=before, after=after, canary_s=tuple(canary_s), controls=tuple(controls), reasons=())
    reasons = (*_taken(facts), *_slowed(facts), *_shared(facts), *_unsteady(facts))
    return facts.changed(reasons=reasons, remarks=tuple(_remarks(facts)))


def _taken(facts: FitnessRecord) -> Iterator[Finding]:
    """Tell what the hypervisor and the cgroup took away."""
    share, elapsed = facts.steal_share, facts.elapsed_s or 0.0
    if share is not None and elapsed >= _SHORTEST_S and share > _STEAL_SHARE:
        yield Finding(
            sentence=f"{share:.1%} of the CPU time was given to other virtual machines (steal), "
            f"more than {_STEAL_SHARE:.0%}",
            remedy="run it again later, or on a machine with dedicated CPUs",
        )
    periods = _grown(facts.before.throttled_periods, facts.after.throttled_periods)
    seconds = _grown(facts.before.throttled_s, facts.after.throttled_s)
    if seconds > 0 or periods > 0:
        yield Finding(
            sentence=f"the CPU quota of the cgroup stopped the run for {seconds:.3g} s, in {periods:.0f} periods",
            remedy="raise the container's CPU limit, or take fewer threads with --threads",
        )


def _slowed(facts: FitnessRecord) -> Iterator[Finding]:
    """Tell what heat slowed down."""
    throttles = _grown(facts.before.thermal_throttles, facts.after.thermal_throttles)
    if throttles > 0:
        yield Finding(
            sentence=f"heat lowered the CPU's clock {throttles:.0f} times",
            remedy="let the machine cool down, improve its cooling, or lower its highest frequency",
        )
    slowdowns = _gpu_slowdowns(facts, capped=False)
    if slowdowns:
        yield Finding(
            sentence=f"the clocks were lowered: {', '.join(slowdowns)}",
            remedy="let the GPU cool down and check its power supply: nvidia-smi -q -d PERFORMANCE",
        )


def _shared(facts: FitnessRecord) -> Iterator[Finding]:
    """Tell who else used the CPUs."""
    others = sorted({*(facts.before.other_benches or ()), *(facts.after.other_benches or ())})
    if others:
        yield Finding(
            sentence=f"another bench of fmnist-tk was running (process {', '.join(map(str, others))})",
            remedy="run one bench at a time",
        )
    usable, cpus = facts.after.usable_cpus, facts.after.cpus
    foreign, elapsed = facts.foreign_cpus, facts.elapsed_s or 0.0
    if foreign is not None and cpus is not None:
        # With a quota on a large machine, others may be busy on CPUs that this run could not use anyway.
        missing = usable - (cpus - foreign)
        if elapsed >= _SHORTEST_S and missing > _FOREIGN_SHARE * usable:
            yield Finding(
                sentence=f"other processes kept {foreign:.2g} of {cpus} CPUs busy, and the run may use {usable}",
                remedy="end them, or wait until they are done; top shows them",
            )
    load = max(facts.before.load_1min or 0.0, (facts.after.load_1min or 0.0) - (facts.own_cpus or usable))
    if load > usable:
        yield Finding(
            sentence=f"the load of others was {load:.1f} on {usable} usable CPUs",
            remedy="wait until the machine is idle; top shows what runs",
        )


def _unsteady(facts: FitnessRecord) -> Iterator[Finding]:
    """Tell whether the same work took the same time."""
    spread = facts.canary_spread
    if spread is not None and spread > _CANARY_SPREAD:
        yield Finding(
            sentence=f"the same small work took times that differ by {spread:.0%} between slices "
            f"((p90 - p10) / median), more than {_CANARY_SPREAD:.0%}",
            remedy="end other work, fix the CPU's frequency, and run it again",
        )
    several = len({each.threads for each in facts.controls}) > 1
    for control in facts.controls:
        if control.verdict != "SAME":
            threads = f", {control.threads} thread{'' if control.threads == 1 else 's'}" if several else ""
            interval = "" if control.low is None else f", interval {control.low:.3f} to {control.high:.3f}"
            yield Finding(
                sentence=f"eager against itself is {control.verdict} at batch {control.batch_size} "
                f"on {control.device}{threads}: ratio {control.ratio:.3f}{interval}",
                remedy="give it more time with --budget, on an idle machine; trust no smaller difference than this",
            )


def _remarks(facts: FitnessRecord) -> Iterator[Finding]:
    """Tell what may cost speed without making noise."""
    governors = sorted({*(facts.after.governors or {}).values()} - {"performance"})
    if governors:
        yield Finding(
            sentence=f"the frequency governor is {', '.join(governors)}, not performance",
            remedy="sudo cpupower frequency-set -g performance",
        )
    if facts.before.on_battery or facts.after.on_battery:
        yield Finding(sentence="the machine ran on its battery", remedy="plug it in")
    capped = _gpu_slowdowns(facts, capped=True)
    if capped:
        yield Finding(
            sentence=f"the GPU ran at its power limit ({', '.join(capped)})",
            remedy="none needed: it is as fast as its limit lets it be; nvidia-smi -q -d POWER shows the limit",
        )


def _gpu_slowdowns(facts: FitnessRecord, *, capped: bool) -> list[str]:
    """Return what lowered the GPUs' clocks: the power cap alone, which a busy GPU meets, or all the others."""
    found = {*(facts.before.gpu_slowdowns or ()), *(facts.after.gpu_slowdowns or ())}
    return sorted(each for each in found if each.endswith("power cap") == capped)


def _grown(before: float | None, after: float | None) -> float:
    return 0.0 if before is None or after is None else max(0.0, after - before)


def _spin(steps: int) -> float:
    integer, real = 1, 1.0
    for _ in range(steps):
        integer = (integer * 1103515245 + 12345) & 0x7FFFFFFF
        real = real * 0.5 + integer * 1e-9
    return real
