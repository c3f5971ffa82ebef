"""The plan: what fits into a budget."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bench import Settings
from toolkit.bench.engine.prepare import Prepared
from toolkit.bench.engine.schedule import ENOUGH_ROUNDS, MOST_CALLS, SLICE_COST_S, expected_s, plan
from toolkit.errors import UsageError
from toolkit.records import Report
from toolkit.system.environment import new_report
from toolkit.verbs.bench import run_benchmark

calls = st.lists(st.floats(1e-6, 10), min_size=1, max_size=30)


def least_s(calls_s: list[float]) -> float:
    """The shortest round: ten calls of each row or 20 ms, at least one call, and one before it."""
    return sum(max(each, min(10 * each, 0.02)) + each + SLICE_COST_S for each in calls_s)


@given(calls, st.floats(0.01, 1e4))
def test_a_plan_fits_its_budget_and_measures_no_call_that_has_just_woken_up(
    calls_s: list[float], budget: float
) -> None:
    try:
        schedule = plan(calls_s, budget)
    except UsageError:
        assert least_s(calls_s) > budget * 0.999
        return
    assert schedule.rounds >= 1
    assert schedule.rounds * schedule.round_s <= budget * 1.001
    for call_s, slice_s in zip(calls_s, schedule.slices_s, strict=True):
        assert min(10 * call_s, 0.02) <= slice_s * 1.001
        assert call_s <= slice_s * 1.001
        assert slice_s <= MOST_CALLS * call_s * 1.001


@given(calls, st.floats(0.1, 1e3))
def test_ten_rounds_are_planned_whenever_ten_of_the_shortest_fit(calls_s: list[float], budget_s: float) -> None:
    if budget_s >= ENOUGH_ROUNDS * least_s(calls_s) * 1.001:
        assert plan(calls_s, budget_s).rounds >= ENOUGH_ROUNDS


def test_the_default_table_gets_more_than_ten_rounds() -> None:
    """Measured medians of four formats and a control at batch 1, 64 and 1,024 on two cores."""
    calls_s = [5e-5, 5e-5, 4.5e-5, 2e-5, 1e-4, *[4.5e-4] * 4, 1.8e-4, *[6.5e-3] * 4, 2.8e-3]
    assert 15 <= plan(calls_s, 30).rounds <= 60


def test_a_budget_that_is_too_small_says_how_much_is_enough() -> None:
    with pytest.raises(UsageError, match="one round of all 2 rows takes about 9 s; pass at least --budget 9") as error:
        plan([2.0, 2.0], 1)
    least, better = map(float, re.findall(r"--budget ([\d.]+)", str(error.value))[1:])
    assert plan([2.0, 2.0], least).rounds == 1
    assert plan([2.0, 2.0], better).rounds >= ENOUGH_ROUNDS


def test_what_a_bench_takes_grows_with_all_that_it_does() -> None:
    def about(rows: int = 8, cpus: int = 2, budget_s: float = 10, restarts: int = 0, limits: int = 0) -> float:
        return expected_s(2, rows, cpus, budget_s=budget_s, restarts=restarts, limits=limits)

    assert about(budget_s=20) == about() + 10
    assert about(cpus=6) < about() < min(about(rows=9), about(restarts=1), about(limits=1))
    assert about(restarts=2) - about(restarts=1) == about(restarts=1) - about()


@pytest.mark.parametrize(
    ("options", "limits", "restarts"),
    [
        ({}, True, 1),
        ({"budget_s": 15}, True, 1),
        ({"budget_s": 14.9}, False, 0),
        ({"budget_s": 5, "limits": True, "restarts": 3}, True, 3),
        ({"limits": False, "restarts": 0}, False, 0),
    ],
)
def test_a_short_bench_does_without_limits_and_new_workers(
    options: dict[str, Any], limits: bool, restarts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []

    def run(_prepared: object, settings: Settings, *_: object, **__: object) -> Report:
        seen.append(settings)
        return new_report("bench")

    monkeypatch.setattr("toolkit.verbs.bench.prepare_apart", lambda _: Prepared.model_construct(entries=()))
    monkeypatch.setattr("toolkit.bench.run_bench", run)
    told: list[str] = []
    run_benchmark(**options, progress=lambda task, done, total, detail="": told.append(f"{task} {done} {detail}"))
    assert (seen[0].against_limits, seen[0].restarts) == (limits, restarts)
    assert re.fullmatch(r"bench, second 0 about \d+ s in all", told[0])
