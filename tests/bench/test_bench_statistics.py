"""Statistics of bench: by hand, by property, against SciPy, and by simulation with a fixed seed. Nothing is timed."""

import math
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from scipy.stats import binom, bootstrap, quantile_test

from toolkit.bench.statistics import (
    Ratio,
    RoundTimes,
    Verdict,
    histogram,
    independent_ratio,
    median_interval,
    paired_ratio,
    quantile_interval,
    samples_needed,
    slowdown_exceeds,
    steady_from,
    verdict,
)
from toolkit.bench.statistics.cost import fit_cost
from toolkit.bench.statistics.intervals import Interval, expanded_percentiles, pooled_medians, resample

SECONDS = st.floats(1e-7, 10)
ROUNDS = st.lists(st.lists(SECONDS, min_size=1, max_size=6), min_size=1, max_size=8)


def covers(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval.low <= truth <= interval.high


def ends(interval: Interval | None) -> list[float]:
    assert interval is not None
    return [interval.low, interval.high]


def times(rounds: RoundTimes, factor: float) -> RoundTimes:
    return [[factor * each for each in calls] for calls in rounds]


def swap(ratio: Ratio) -> Ratio:
    assert ratio.interval is not None
    return Ratio(1 / ratio.point, Interval(1 / ratio.interval.high, 1 / ratio.interval.low))


def simulate(
    rng: np.random.Generator, rounds: int = 10, calls: int = 40, effect: float = 0.01, noise: float = 0.02
) -> RoundTimes:
    """Calls whose logarithm has median 0: an effect of the round, and noise that a call passes on to the next."""
    found = []
    for _ in range(rounds):
        steps = rng.normal(0, noise * math.sqrt(1 - 0.8**2), calls)
        steps[0] /= math.sqrt(1 - 0.8**2)
        calls_of_round = np.array(list(accumulate(steps, lambda a, b: 0.8 * a + b)))
        found.append(np.exp(rng.normal(0, effect) + calls_of_round).tolist())
    return found


# --- Quantiles


def test_the_interval_of_the_median_of_six_is_its_range() -> None:
    assert quantile_interval([3.0, 1, 2, 6, 5, 4], 0.5) == Interval(1, 6)  # 1 - 2 / 2**6 = 96.9 %
    assert quantile_interval([3.0, 1, 2, 5, 4], 0.5) is None  # 1 - 2 / 2**5 = 93.8 %
    assert quantile_interval([3.0, 1, 2, 5, 4], 0.5, confidence=0.9) == Interval(1, 5)
    assert quantile_interval([1.0, 2.0], 0.5, confidence=0.5) == Interval(1, 2)  # exactly one half


@given(st.integers(1, 400), st.sampled_from([0.1, 0.5, 0.75, 0.9, 0.99]), st.sampled_from([0.8, 0.95, 0.99]))
def test_order_statistics_cover_and_no_closer_ones_do(n: int, q: float, confidence: float) -> None:
    tail = (1 - confidence) / 2 * (1 + 1e-9)
    found = quantile_interval([float(value) for value in range(1, n + 1)], q, confidence)
    if found is None:
        assert binom.pmf(0, n, q) > tail or binom.pmf(n, n, q) > tail
        return
    low, high = int(found.low), int(found.high)  # the values are their own ranks
    assert binom.cdf(low - 1, n, q) <= tail < binom.cdf(low, n, q)
    assert binom.sf(high - 1, n, q) <= tail < binom.sf(high - 2, n, q)


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantile_interval_agrees_with_scipy(q: float) -> None:
    values = np.random.default_rng(0).exponential(size=500)
    theirs = quantile_test(values, q=0, p=q).confidence_interval(0.95)
    assert quantile_interval(values.tolist(), q) == Interval(theirs.low, theirs.high)


def test_samples_needed() -> None:
    assert [samples_needed(q) for q in (0.5, 0.9, 0.99, 0.999)] == [6, 100, 1_000, 10_000]
    assert samples_needed(0.01) == samples_needed(0.99)
    assert samples_needed(0.9, confidence=1 - 1e-9) == 204  # the upper end: 0.9**204 < 5e-10 < 0.9**203


@given(st.floats(0.02, 0.98), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_enough_samples_have_an_interval(q: float, confidence: float) -> None:
    needed = samples_needed(q, confidence)
    assert quantile_interval(list(map(float, range(needed))), q, confidence) is not None
    assert q == 0.5 or needed * min(q, 1 - q) > 10 - 1e-6


@pytest.mark.parametrize("q", [0.0, 1.0, -1.0, 50.0, math.nan])
@pytest.mark.parametrize("function", [samples_needed, partial(quantile_interval, [1.0] * 100)])
def test_a_quantile_is_a_fraction(function: Callable[[float], object], q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        function(q)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
@pytest.mark.parametrize(
    "function", [steady_from, partial(quantile_interval, q=0.5), lambda values: median_interval([[1.0], values])]
)
def test_values_must_be_finite(function: Callable[[list[float]], object], values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        function(values)


# --- The median over rounds


@given(ROUNDS)
def test_resampled_medians_are_numpys(rounds: list[list[float]]) -> None:
    picks = resample(len(rounds), seed=1)[:20]
    expected = [np.median(np.concatenate([rounds[number] for number in pick])) for pick in picks]
    assert pooled_medians([np.sort(each) for each in rounds], picks).tolist() == expected


@given(ROUNDS.filter(lambda rounds: len(rounds) > 1), st.integers(0, 3))
def test_median_interval_holds_the_median_and_scales(rounds: list[list[float]], seed: int) -> None:
    found = median_interval(rounds, seed=seed)
    assert found is not None
    assert found.low >= 0
    assert found.low * (1 - 1e-9) <= np.median(np.concatenate(rounds)) <= found.high * (1 + 1e-9)
    assert found == median_interval([each[::-1] for each in rounds], seed=seed)
    doubled = median_interval([[2 * value for value in each] for each in rounds], seed=seed)
    assert doubled == Interval(2 * found.low, 2 * found.high)


def test_few_rounds_give_students_interval_and_one_none() -> None:
    assert median_interval([[1.0, 2, 3]]) is None
    assert ends(median_interval([[10.0], [11.0]])) == pytest.approx([4.1469, 16.8531], abs=1e-4)  # 10.5 ± 12.706 * 0.5
    assert ends(median_interval([[1.0], [2.0]])) == pytest.approx([0, 7.8531], abs=1e-4)
    found = median_interval([[1.0], [2.0, 2.0], [3.0], [4.0, 9.0, 4.0]])  # 2.5 ± 3.1824 * 1.2910 / 2
    assert ends(found) == pytest.approx([0.4457, 4.5543], abs=1e-4)
    heavy = median_interval([[1.0], [1.0], [1.0], [1.0], [9.0] * 99])  # 2.6 ± 2.7764 * 3.5777 / sqrt(5) ends at 7.04
    assert ends(heavy) == [0, 9]


def test_rounds_and_not_calls_are_resampled() -> None:
    alike = [[level] * 1_000 for level in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)]
    found = median_interval(alike)  # were the 6,000 calls independent, it would be [1.2, 1.3]
    assert found is not None
    assert found.low <= 1.05
    assert found.high >= 1.45


def test_bad_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        median_interval([])
    with pytest.raises(ValueError, match="at least 0"):
        median_interval([[1.0], [-1.0]])


def test_the_percentiles_are_expanded() -> None:
    grid = np.linspace(0, 1, 100_001)
    # t is 2.2622 with nine degrees of freedom; 2.2622 * sqrt(10 / 9) = 2.3846, and the normal tail there is 0.00855.
    assert ends(expanded_percentiles(grid, 10, 0.95)) == pytest.approx([0.00855, 0.99145], abs=2e-5)


# --- Ratios


def test_ratio_by_hand() -> None:
    found = paired_ratio([[2.0, 9.0, 2.0]] * 3, [[1.0], [1.0, 1.0], [1.0]])
    assert [found.point, *ends(found.interval)] == pytest.approx([2, 2, 2])
    found = paired_ratio([[2.0]], [[1.0]])
    assert found.point == pytest.approx(2)
    assert found.interval is None
    found = paired_ratio([[1.0], [1.0]], [[1.0], [math.exp(-0.1)]])  # logs 0 and 0.1: 0.05 ± 12.706 * 0.05
    assert np.log(ends(found.interval)) == pytest.approx([0.05 - 0.6353, 0.05 + 0.6353], abs=1e-4)


def test_only_rounds_that_both_have_count() -> None:
    base = [[1.0], [2.0], [5.0], [3.0], [9.0]]
    other: RoundTimes = [[1.0], [2.0], [], [3.0]]
    assert paired_ratio(base, other) == paired_ratio([base[0], base[1], base[3]], [other[0], other[1], other[3]])
    with pytest.raises(ValueError, match="no round in common"):
        paired_ratio([[], [1.0]], [[1.0], []])


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_needs_positive_times(bad: float) -> None:
    for rows in (([[1.0]], [[1.0, bad]]), ([[bad]], [[1.0]])):
        with pytest.raises(ValueError, match=r"above zero|finite"):
            paired_ratio(*rows)


def test_rounds_far_apart_give_a_finite_interval() -> None:
    found = paired_ratio([[1e-9], [1e9]], [[1.0], [1.0]])
    assert found.interval is not None
    assert math.isfinite(found.interval.high)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=12), st.floats(0.01, 100))
def test_ratio_is_paired_and_symmetric(pairs: list[tuple[float, float]], drift: float) -> None:
    base, other = [[a] for a, _ in pairs], [[b] for _, b in pairs]
    found, back = paired_ratio(base, other), paired_ratio(other, base)
    low, high = ends(found.interval)
    assert low * (1 - 1e-9) <= found.point <= high * (1 + 1e-9)
    assert back.point == pytest.approx(1 / found.point)
    assert np.log(ends(back.interval)) == pytest.approx([-math.log(high), -math.log(low)], abs=1e-9)
    # What slows both rows in a round cancels.
    drifted = [[[each[0] * drift**i] for i, each in enumerate(row)] for row in (base, other)]
    assert paired_ratio(drifted[0], drifted[1]).point == pytest.approx(found.point)


def test_ratio_agrees_with_the_bootstrap_of_scipy() -> None:
    logs = np.random.default_rng(3).normal(0.05, 0.02, 15)
    found = paired_ratio([[each] for each in np.exp(logs)], [[1.0]] * 15)
    # At 95 % the expanded level for 15 rounds is 1 - 2 * 0.0132 (t = 2.1448, times sqrt(15 / 14)).
    theirs = bootstrap(
        (logs,), np.median, confidence_level=1 - 2 * 0.01321, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert found.point == pytest.approx(math.exp(np.median(logs)))
    assert np.log(ends(found.interval)) == pytest.approx([theirs.low, theirs.high], abs=0.002)


def test_one_disturbed_round_does_not_move_the_ratio() -> None:
    rng = np.random.default_rng(5)
    base, quiet = simulate(rng, effect=0), simulate(rng, effect=0)
    other = [*quiet[:4], *times(quiet[4:5], 10), *quiet[5:]]
    assert paired_ratio(base, other).point == pytest.approx(1, abs=0.02)
    assert verdict(paired_ratio(base, other)) in {"SAME", "CANNOT TELL"}


# --- Ratios of two runs


def test_independent_ratio_by_hand() -> None:
    found = independent_ratio([[2.0, 9.0, 2.0]] * 7, [[1.0], [1.0, 1.0]] * 4)
    assert [found.point, *ends(found.interval)] == pytest.approx([2, 2, 2])
    found = independent_ratio([[2.0]], [[1.0]] * 9)
    assert found.point == pytest.approx(2)
    assert found.interval is None
    # Logs 0 and 0.1 against 0: variances 0.005 / 2 and 0, one degree of freedom: 0.05 ± 12.706 * 0.05.
    found = independent_ratio([[1.0], [math.exp(0.1)]], [[1.0], [1.0]])
    assert np.log(ends(found.interval)) == pytest.approx([0.05 - 0.6353, 0.05 + 0.6353], abs=1e-4)


def test_runs_need_not_have_the_same_number_of_rounds() -> None:
    base, head = [[1.0], [], [1.1], [0.9]], [[2.0]] * 8
    assert independent_ratio(base, head) == independent_ratio([each for each in base if each], head)
    for rows in ((base, [[], []]), ([], head)):
        with pytest.raises(ValueError, match="no round with a call"):
            independent_ratio(*rows)
    with pytest.raises(ValueError, match="above zero"):
        independent_ratio(base, [[0.0]])


@given(
    st.lists(SECONDS, min_size=2, max_size=9),
    st.lists(SECONDS, min_size=2, max_size=9),
    st.floats(0.01, 100),
    st.randoms(),
)
def test_the_order_of_rounds_means_nothing_and_factors_carry_over(
    base: list[float], head: list[float], factor: float, random: Random
) -> None:
    rows = [[each] for each in base], [[each] for each in head]
    found = independent_ratio(*rows)
    low, high = ends(found.interval)
    assert low * (1 - 1e-9) <= found.point <= high * (1 + 1e-9)
    assert found.point == pytest.approx(math.exp(np.median(np.log(base)) - np.median(np.log(head))))
    random.shuffle(rows[0])
    assert independent_ratio(*rows).point == pytest.approx(found.point)
    slower = independent_ratio(times([[each] for each in base], factor), [[each] for each in head])
    assert [slower.point, *ends(slower.interval)] == pytest.approx([factor * each for each in (found.point, low, high)])
    if min(len(base), len(head)) < 6:  # Welch's interval is exactly symmetric, a bootstrap as far as its draws are
        back = independent_ratio([[each] for each in head], [[each] for each in base])
        assert ends(back.interval) == pytest.approx([1 / high, 1 / low])


def test_two_runs_are_not_paired() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 0.05, 12)  # what slows both in a pair cancels in a pair alone
    base, head = ([[math.exp(level)] for level in shared + rng.normal(0, 0.001, 12)] for _ in range(2))
    paired, apart = paired_ratio(base, head), independent_ratio(base, head)
    assert ends(paired.interval)[1] - ends(paired.interval)[0] < 0.01
    assert ends(apart.interval)[1] - ends(apart.interval)[0] > 0.03


def test_far_apart_runs_give_finite_ratios_above_zero() -> None:
    for rows in (([[1e-9], [1e9]], [[1.0], [1.0]]), ([[1.0], [1.0]], [[1e9], [1e-9]])):
        low, high = ends(independent_ratio(*rows).interval)
        assert 0 < low < high < math.inf
        assert ends(paired_ratio(*rows).interval)[0] > 0


@pytest.mark.parametrize(("slowdown", "expected"), [(0.05, "SLOWER"), (0.0, "SAME")])
def test_two_runs_tell_five_per_cent(slowdown: float, expected: Verdict) -> None:
    rng = np.random.default_rng(12)
    verdicts = []
    for _ in range(50):
        base, head = (simulate(rng, 12, effect=0.003, noise=0.01) for _ in range(2))
        verdicts.append(verdict(independent_ratio(base, times(head, 1 + slowdown))))
    assert verdicts.count(expected) >= 45


# --- Verdicts


@pytest.mark.parametrize(
    ("low", "point", "high", "expected"),
    [
        (0.99, 1.0, 1.01, "SAME"),
        (1.005, 1.01, 1.015, "SAME"),  # surely faster, and surely by less than matters
        (0.98, 1.0, 1.01, "CANNOT TELL"),  # 0.98 < 1 / 1.02
        (0.981, 1.0, 1.02, "SAME"),
        (1.001, 1.03, 1.06, "FASTER"),
        (1.001, 1.015, 1.06, "CANNOT TELL"),  # surely faster, perhaps by less than matters
        (0.999, 1.03, 1.06, "CANNOT TELL"),
        (0.94, 1 / 1.05, 0.96, "SLOWER"),
        (0.9, 0.985, 0.999, "CANNOT TELL"),
        (0.5, 1.0, 2.0, "CANNOT TELL"),
    ],
)
def test_verdicts(low: float, point: float, high: float, expected: Verdict) -> None:
    assert verdict(Ratio(point, Interval(low, high))) == expected


def test_without_an_interval_nothing_can_be_told() -> None:
    assert verdict(Ratio(5.0, None)) == "CANNOT TELL"
    assert not slowdown_exceeds(Ratio(0.1, None), 0.05)


@given(st.lists(st.floats(-0.3, 0.3), min_size=3, max_size=3).map(sorted), st.floats(0, 0.2))
def test_exactly_one_verdict_and_it_is_symmetric(logs: list[float], threshold: float) -> None:
    edge = math.log1p(threshold)
    assume(all(abs(abs(each) - edge) > 1e-12 and abs(each) > 1e-12 for each in logs))
    low, point, high = logs
    ratio = Ratio(math.exp(point), Interval(math.exp(low), math.exp(high)))
    holds = {
        "SAME": -edge < low and high < edge,
        "FASTER": low > 0 and point > edge,
        "SLOWER": high < 0 and point < -edge,
    }
    assert sum(holds.values()) <= 1
    expected = next((name for name, held in holds.items() if held), "CANNOT TELL")
    assert verdict(ratio, threshold) == expected
    opposite = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
    assert verdict(swap(ratio), threshold) == opposite.get(expected, expected)


@pytest.mark.parametrize(("threshold", "noise"), [(-0.1, 0.0), (0.02, -0.001)])
@pytest.mark.parametrize("function", [verdict, slowdown_exceeds])
def test_a_threshold_and_a_noise_are_not_negative(
    function: Callable[[Ratio, float, float], object], threshold: float, noise: float
) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        function(Ratio(1.0, None), threshold, noise)


@pytest.mark.parametrize(
    ("low", "point", "high", "noise", "expected"),
    [
        (0.94, 0.95, 0.96, 0.0, "SLOWER"),
        (0.94, 0.95, 0.96, 0.04, "SLOWER"),
        (0.94, 0.95, 0.96, 0.06, "CANNOT TELL"),
        (1.04, 1.05, 1.06, 0.06, "CANNOT TELL"),
        (1.04, 1.05, 1.06, 0.03, "FASTER"),
        (0.995, 1.0, 1.005, 0.01, "SAME"),
        (0.995, 1.0, 1.005, 0.03, "CANNOT TELL"),
    ],
)
def test_what_two_processes_of_one_program_differ_by_is_no_verdict(
    low: float, point: float, high: float, noise: float, expected: Verdict
) -> None:
    ratio = Ratio(point, Interval(low, high))
    assert verdict(ratio, 0.02, noise) == expected
    assert slowdown_exceeds(ratio, 0.01, noise) is (high * 1.01 * (1 + noise) < 1)


def test_the_gate_closes_only_when_the_interval_excludes_what_is_allowed() -> None:
    assert slowdown_exceeds(Ratio(0.9, Interval(0.85, 0.95)), 0.05)  # 1 / 1.05 = 0.952
    assert not slowdown_exceeds(Ratio(0.9, Interval(0.85, 0.953)), 0.05)
    assert not slowdown_exceeds(Ratio(0.95, Interval(0.94, 0.96)), 0.1)
    assert slowdown_exceeds(Ratio(0.9, Interval(0.85, 0.999)), 0.0)
    assert not slowdown_exceeds(Ratio(1.5, Interval(1.4, 1.6)), 0.05)


@pytest.mark.parametrize(
    ("slowdown", "expected", "gate"), [(0.05, "SLOWER", 0), (0.10, "SLOWER", 1), (0.005, "SAME", 0)]
)
def test_five_per_cent_is_slower_and_half_a_per_cent_is_not(slowdown: float, expected: Verdict, gate: int) -> None:
    rng = np.random.default_rng(6)
    verdicts, exceeded = [], []
    for _ in range(100):
        shared = rng.normal(0, 0.05, 15)  # what the machine does to both rows in a round
        rows = [
            [times([calls], math.exp(level))[0] for calls, level in zip(row, shared, strict=True)]
            for row in (simulate(rng, 15, effect=0.003, noise=0.01), simulate(rng, 15, effect=0.003, noise=0.01))
        ]
        ratio = paired_ratio(rows[0], times(rows[1], 1 + slowdown))
        verdicts.append(verdict(ratio))
        exceeded.append(slowdown_exceeds(ratio, 0.05))
    assert verdicts.count(expected) >= 90
    assert verdicts.count("FASTER") == 0
    assert slowdown != 0.005 or verdicts.count("SLOWER") == 0
    assert sum(exceeded) >= 90 if gate else sum(exceeded) <= 5


# --- Steady state


@given(st.floats(1e-6, 1), st.integers(1, 300))
def test_a_constant_trace_is_steady_from_the_start(level: float, calls: int) -> None:
    assert steady_from([level] * calls) == 0


@given(st.lists(SECONDS, min_size=1, max_size=200))
def test_never_more_than_half_is_cut(trace: list[float]) -> None:
    cut = steady_from(trace)
    assert 0 <= cut <= len(trace) / 2
    assert cut % 5 == 0
    assert cut == steady_from([1000 * each for each in trace])


def test_a_step_is_cut_where_it_is() -> None:
    assert steady_from([5.0] * 20 + [1.0] * 400) == 20
    assert steady_from([1.0] * 20 + [5.0] * 400) == 20  # a clock that falls
    assert steady_from([5.0] * 300 + [1.0] * 100) <= 200


@given(st.integers(2, 40), st.integers(50, 400))
def test_a_constant_rest_is_not_cut_further(warm: int, rest: int) -> None:
    assert steady_from([9.0] * (5 * warm) + [1.0] * (5 * rest)) == 5 * warm


def test_mser_by_hand() -> None:
    # Batch medians 9 8 1 2 1 2 1 2: ranks 8 7 2 5 2 5 2 5. Squared sums about the mean over n**2, from cut 0 on:
    # 38/64, 20.86/49, 13.5/36, 10.8/25, 9/16: least with two batches cut.
    trace = [value for value in (9.0, 8, 1, 2, 1, 2, 1, 2) for _ in range(5)]
    assert steady_from(trace) == 10


def test_an_exponential_warm_up_is_cut() -> None:
    rng = np.random.default_rng(7)
    for _ in range(20):
        calls = np.arange(1_000)
        cut = steady_from((1 + 2 * np.exp(-calls / 30) + rng.normal(0, 0.02, 1_000)).tolist())
        assert 100 <= cut <= 250  # at 138 it has sunk to the noise


def test_noise_and_slow_calls_are_not_cut() -> None:
    rng = np.random.default_rng(8)
    cuts = []
    for _ in range(50):
        trace = rng.normal(1, 0.02, 1_000)
        cuts.append(steady_from(trace.tolist()))
        trace[rng.integers(1_000)] = 50
        single = steady_from(trace.tolist())
        start = rng.integers(100, 400)
        trace[start : start + 20] = 50
        assert max(single, steady_from(trace.tolist())) <= max(cuts[-1], 10)
    assert np.mean(cuts) <= 10


# --- Cost


def test_an_exact_line_is_found() -> None:
    sizes = [1, 16, 64, 1024]
    cost = fit_cost(sizes, [1e-5 + 2e-7 * size for size in sizes])
    assert cost is not None
    assert cost.fixed_s == pytest.approx(1e-5)
    assert cost.per_image_s == pytest.approx(2e-7)
    assert cost.fixed_interval.low == pytest.approx(cost.fixed_interval.high)
    assert cost.saturates_at == pytest.approx(450)
    assert cost.fixed_s / (cost.fixed_s + cost.per_image_s * 450) == pytest.approx(0.1)


def test_weighted_least_squares_by_hand() -> None:
    # Divided by t, the line is 1 = a / t + b * B / t: every point has the same relative error.
    cost = fit_cost([1, 2, 4], [2.0, 3.0, 6.0])
    x = np.array([[1 / 2, 1 / 2], [1 / 3, 2 / 3], [1 / 6, 4 / 6]])
    solution = np.linalg.solve(x.T @ x, x.T @ np.ones(3))
    scatter = ((1 - x @ solution) ** 2).sum() / 1
    half = 12.7062 * np.sqrt(scatter * np.diag(np.linalg.inv(x.T @ x)))  # Student, one degree of freedom
    assert cost is not None
    assert [cost.fixed_s, cost.per_image_s] == pytest.approx(solution)
    assert ends(cost.fixed_interval) == pytest.approx([0, solution[0] + half[0]], rel=1e-5)
    assert cost.per_image_interval.high == pytest.approx(solution[1] + half[1], rel=1e-5)


@given(st.lists(st.tuples(st.integers(1, 4096), SECONDS), min_size=3, max_size=8, unique_by=lambda pair: pair[0]))
def test_cost_agrees_with_lsq_linear_and_lies_in_its_intervals(points: list[tuple[int, float]]) -> None:
    sizes, seconds = zip(*points, strict=True)
    cost = fit_cost(sizes, seconds)
    assert cost is not None
    design = np.array([[1 / t, size / t] for size, t in points])
    scale = np.linalg.norm(design, axis=0)
    theirs = lsq_linear(design / scale, np.ones(len(points)), (0, np.inf), method="bvls", tol=1e-12).x / scale
    residual = np.linalg.norm(design @ [cost.fixed_s, cost.per_image_s] - 1)
    assert residual == pytest.approx(np.linalg.norm(design @ theirs - 1), abs=1e-7)
    for value, interval in ((cost.fixed_s, cost.fixed_interval), (cost.per_image_s, cost.per_image_interval)):
        assert interval.low >= 0
        assert value == 0 or interval.low * (1 - 1e-9) <= value <= interval.high * (1 + 1e-9)


def test_costs_are_not_negative() -> None:
    free = fit_cost([1, 10, 100], [1.0, 1.0, 1.0])
    assert free is not None
    assert free.per_image_s == pytest.approx(0, abs=1e-12)
    falling = fit_cost([1, 10, 100], [3.0, 2.0, 1.0])
    assert falling is not None
    assert falling.per_image_s == 0
    assert falling.saturates_at is None
    assert falling.per_image_interval.low == 0
    bent = fit_cost([1, 10, 100], [1.0, 20.0, 400.0])  # more than proportional: no fixed cost
    assert bent is not None
    assert bent.fixed_s == 0
    assert bent.saturates_at == 0


def test_wide_intervals_of_the_times_widen_the_costs() -> None:
    sizes, seconds = [1, 64, 1024], [2.0, 65.0, 1025.0]
    exact = fit_cost(sizes, seconds)
    wide = fit_cost(sizes, seconds, [Interval(0.9 * each, 1.1 * each) for each in seconds])
    assert exact is not None
    assert wide is not None
    assert (wide.fixed_s, wide.per_image_s) == (exact.fixed_s, exact.per_image_s)
    assert exact.fixed_interval.high < 1.001
    # Three points of ± 10 %, two unknowns: the first two points settle the fixed cost, the last ones the slope.
    assert 1.15 < wide.fixed_interval.high < 1.35
    assert 1.05 < wide.per_image_interval.high < 1.12


def test_two_sizes_are_no_line() -> None:
    assert fit_cost([1, 64], [1.0, 2.0]) is None
    assert fit_cost([1, 64, 64], [1.0, 2.0, 2.1]) is None


@pytest.mark.parametrize(
    ("sizes", "seconds", "intervals", "reason"),
    [
        ([1, 2, 3], [1.0, 2.0], None, "differ in number"),
        ([1, 2, 3], [1.0, 2.0, 3.0], [Interval(1, 2)], "differ in number"),
        ([1, 2, 3], [1.0, 0.0, 3.0], None, "above zero"),
        ([0, 2, 3], [1.0, 2.0, 3.0], None, "above zero"),
    ],
)
def test_bad_points_are_refused(
    sizes: list[int], seconds: list[float], intervals: list[Interval] | None, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        fit_cost(sizes, seconds, intervals)


# --- Histograms and intervals


def test_histogram_by_hand() -> None:
    assert histogram([30, 10, 30, 20, 30]) == ((10, 1), (20, 1), (30, 3))
    with pytest.raises(TypeError):
        histogram([1.5])  # type: ignore[list-item]  # that is the point


@given(st.lists(st.integers(0, 2**63)))
def test_a_histogram_loses_only_the_order(values: list[int]) -> None:
    pairs = histogram(values)
    assert [value for value, count in pairs for _ in range(count)] == sorted(values)
    assert len({value for value, _ in pairs}) == len(pairs)


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (math.nan, 1.0), (1.0, math.nan)])
def test_an_interval_has_its_ends_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="cannot go"):
        Interval(low, high)


# --- Coverage, by simulation. 600 runs of nominally 95 %: below 90 % is 5.6 standard errors off.


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, 3, 4, 5, 10, 20])
@pytest.mark.parametrize(("effect", "noise"), [(0.05, 0.02), (0.002, 0.05)], ids=["rounds differ", "calls differ"])
def test_the_median_is_covered(rounds: int, effect: float, noise: float) -> None:
    rng = np.random.default_rng(9)
    hits = sum(covers(median_interval(simulate(rng, rounds, effect=effect, noise=noise)), 1.0) for _ in range(600))
    assert hits / 600 >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, 3, 4, 5, 7, 10, 20])
@pytest.mark.parametrize("disturbed", [0.0, 0.1])
def test_the_ratio_is_covered(rounds: int, disturbed: float) -> None:
    rng = np.random.default_rng(10)
    hits = wrong = 0
    for _ in range(600):
        logs = rng.normal(0, 0.01, rounds)
        logs += (rng.random(rounds) < disturbed) * rng.exponential(0.2, rounds) * rng.choice([-1, 1], rounds)
        ratio = paired_ratio([[each] for each in np.exp(logs)], [[1.0]] * rounds)
        hits += covers(ratio.interval, 1.0)
        wrong += verdict(ratio) in {"FASTER", "SLOWER"}
    assert hits / 600 >= 0.90
    assert wrong / 600 <= 0.05  # two rows that are the same


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [(2, 2), (3, 3), (5, 5), (2, 12), (6, 6), (10, 10), (6, 20), (20, 20)], ids=str)
@pytest.mark.parametrize("disturbed", [0.0, 0.1])
def test_the_ratio_of_two_runs_is_covered(rounds: tuple[int, int], disturbed: float) -> None:
    """A disturbed round is slower, in either run; 600 runs of nominally 95 %, as above."""
    rng = np.random.default_rng(11)
    hits = wrong = 0
    for _ in range(600):
        runs = [
            [[math.exp(log)] for log in rng.normal(0, 0.01, n) + (rng.random(n) < disturbed) * rng.exponential(0.2, n)]
            for n in rounds
        ]
        ratio = independent_ratio(*runs)
        hits += covers(ratio.interval, 1.0)
        wrong += verdict(ratio) in {"FASTER", "SLOWER"}
    assert hits / 600 >= 0.95  # cautious: nothing of what differs between whole runs is in it
    assert wrong / 600 <= 0.05
