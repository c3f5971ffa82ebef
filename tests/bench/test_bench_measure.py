"""Measuring by a scripted clock: which calls are made, in which order, and what counts as their time."""

import itertools
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bench.engine.measure import (
    PIPELINE_DEPTH,
    closed_loop,
    even_gaps,
    open_loop,
    pipeline,
    random_gaps,
    settle,
)
from toolkit.bench.engine.scenario import parse_scenario
from toolkit.errors import UsageError
from toolkit.records import Scenario

IMAGES = np.zeros((4, 1, 28, 28), np.float32)


class FakeSession:
    """Logs what is asked of it; its clock goes on by a fixed time for each step."""

    precision, signature = "float32", None

    def __init__(self, *, copy_in: int = 100, run: int = 1_000, wait: int = 5_000, copy_out: int = 200) -> None:
        self.now, self.asleep_ns = 0, 0
        self.steps = {"to_device": copy_in, "run": run, "synchronize": wait, "to_host": copy_out}
        self.pending = False
        self.log: list[str] = []

    def clock_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.log.append("sleep")
        self.now += round(seconds * 1e9)
        self.asleep_ns += round(seconds * 1e9)

    def _step(self, name: str) -> None:
        self.log.append(name)
        self.now += self.steps[name]

    def to_device(self, images: Any) -> Any:
        self._step("to_device")
        return images

    def run(self, batch: Any) -> Any:
        self._step("run")
        self.pending = True
        return batch

    def synchronize(self) -> None:
        self.log.append("synchronize")
        if self.pending:  # nothing to wait for otherwise
            self.now += self.steps["synchronize"]
        self.pending = False

    def to_host(self, logits: Any) -> Any:
        self._step("to_host")
        return logits


def test_each_part_of_a_call_has_its_own_time_and_ends_when_the_device_is_done() -> None:
    session = FakeSession()
    calls = closed_loop(session, IMAGES, seconds=0, min_calls=3, max_calls=10, clock_ns=session.clock_ns)
    assert calls.copy_in_ns == (100,) * 3
    assert calls.compute_ns == (6_000,) * 3
    assert calls.copy_out_ns == (200,) * 3
    assert session.log == ["to_device", "synchronize", "run", "synchronize", "to_host"] * 3


@given(st.integers(0, 200_000), st.integers(1, 20), st.integers(1, 20))
def test_calls_are_begun_for_the_time_given_within_both_bounds(length_ns: int, few: int, more: int) -> None:
    session = FakeSession()
    with patch("toolkit.bench.engine.measure.gc.collect"):  # it takes longer than all the rest, once an example
        calls = closed_loop(
            session, IMAGES, seconds=length_ns / 1e9, min_calls=few, max_calls=few + more, clock_ns=session.clock_ns
        )
    count, call_ns = len(calls.compute_ns), 6_300
    assert few <= count <= few + more
    if few < count < few + more:
        assert (count - 1) * call_ns < length_ns <= count * call_ns


def test_a_pipeline_waits_only_when_it_is_full() -> None:
    session = FakeSession(run=10, wait=1_000)
    calls, wall_ns = pipeline(session, IMAGES, seconds=3e-6, max_calls=1_000, clock_ns=session.clock_ns)
    assert calls == 3 * PIPELINE_DEPTH
    assert wall_ns == 3 * (PIPELINE_DEPTH * 10 + 1_000)
    assert session.log[:2] == ["to_device", "synchronize"]  # before the clock starts
    assert session.log[2:] == (["run"] * PIPELINE_DEPTH + ["synchronize"]) * 3
    session = FakeSession()
    assert pipeline(session, IMAGES, seconds=9, max_calls=1, clock_ns=session.clock_ns)[0] == PIPELINE_DEPTH


def test_a_call_that_had_to_wait_for_the_one_before_has_waited() -> None:
    """Arrivals every 10 µs, calls of 6.3 µs but for one of 30 µs: the calls behind it queue."""
    session = FakeSession()
    slow = iter([1_000, 24_700, *[1_000] * 10])

    def run(batch: Any) -> Any:
        session.log.append("run")
        session.now += next(slow)
        session.pending = True
        return batch

    session.run = run  # type: ignore[method-assign]
    arrivals = open_loop(
        session,
        IMAGES,
        even_gaps(10e-6),
        seconds=59e-6,
        min_calls=1,
        max_calls=100,
        clock_ns=_ticking(session),
        sleep=session.sleep,
    )
    service = [6_300, 30_000, *[6_300] * 4]
    assert [round(each, -2) for each in arrivals.service_ns] == service
    end, latency = 0, []
    for number, length in enumerate(service):
        end = max(end, number * 10_000) + length
        latency.append(end - number * 10_000)
    assert [round(each, -2) for each in arrivals.latency_ns] == latency
    assert max(latency[2:]) > 2 * 6_300  # what a closed loop would have hidden


def test_a_queue_that_only_grows_is_left_when_twice_the_time_is_over() -> None:
    session = FakeSession()
    arrivals = open_loop(
        session,
        IMAGES,
        even_gaps(1e-6),
        seconds=100e-6,
        min_calls=1,
        max_calls=1_000,
        clock_ns=_ticking(session),
        sleep=session.sleep,
    )
    assert 200_000 <= arrivals.wall_ns <= 200_000 + 2 * 6_310
    assert len(arrivals.latency_ns) < 40  # of the 100 that arrived


def _ticking(session: FakeSession) -> Any:
    """The session's clock, which goes on by a nanosecond whenever it is read: waiting ends."""

    def clock_ns() -> int:
        session.now += 1
        return session.now

    return clock_ns


def test_between_arrivals_the_process_sleeps_until_shortly_before() -> None:
    session = FakeSession()
    open_loop(
        session,
        IMAGES,
        even_gaps(10e-3),
        seconds=0,
        min_calls=4,
        max_calls=4,
        clock_ns=_coarse(session),
        sleep=session.sleep,
    )
    assert session.log.count("sleep") == 4
    assert session.asleep_ns > 0.95 * 4 * 10e-3 * 1e9 - 4 * 200_000


def _coarse(session: FakeSession) -> Any:
    def clock_ns() -> int:
        session.now += 1_000
        return session.now

    return clock_ns


def test_random_arrivals_are_a_poisson_process_of_the_rate_asked_for() -> None:
    gaps = list(itertools.islice(random_gaps(0.01, seed=1), 20_000))
    assert np.mean(gaps) == pytest.approx(0.01, rel=0.03)
    assert np.std(gaps) == pytest.approx(0.01, rel=0.03)  # exponential: as wide as its mean
    assert list(itertools.islice(random_gaps(0.01, seed=1), 5)) == gaps[:5]
    assert list(itertools.islice(random_gaps(0.01, seed=2), 5)) != gaps[:5]


@pytest.mark.parametrize(("busy", "settled"), [([1.0, 1.0, 0.0], True), ([1.0] * 1_000, False)])
def test_a_worker_has_settled_when_its_threads_use_no_cpu(busy: list[float], settled: bool) -> None:
    def cpu_times() -> Iterator[float]:
        now = 0.0
        for share in busy:
            yield now
            now += share * 0.002
            yield now

    times = cpu_times()
    assert settle(0.01, 0.002, lambda _: None, lambda: next(times)) is settled


@pytest.mark.parametrize(
    ("text", "scenario"),
    [
        ("latency", Scenario()),
        ("throughput", Scenario(kind="throughput")),
        ("cold", Scenario(kind="cold")),
        ("paced:10ms", Scenario(kind="paced", interval_s=0.01)),
        ("paced:1.5s", Scenario(kind="paced", interval_s=1.5)),
        ("paced:250us", Scenario(kind="paced", interval_s=0.00025)),
        ("poisson:100", Scenario(kind="poisson", interval_s=0.01)),
    ],
)
def test_scenarios_have_names(text: str, scenario: Scenario) -> None:
    found = parse_scenario(text)
    assert found.kind == scenario.kind
    assert found.interval_s == (scenario.interval_s and pytest.approx(scenario.interval_s))


@pytest.mark.parametrize(
    "text",
    ["", "fast", "paced", "paced:", "paced:10", "paced:0ms", "paced:-1ms", "poisson:0", "poisson:x", "cold:1s"],
)
def test_what_is_no_scenario_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(UsageError, match=r"--scenario .*(choose latency, throughput, paced:10ms|choose another rate)"):
        parse_scenario(text)
