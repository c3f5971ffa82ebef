"""What follows from rounds: intervals, ratios, controls, costs, comparisons, energy."""

import math
import random
from collections.abc import Sequence

import pytest

from made_up_records import latency, round_of
from toolkit.bench.engine import rows as rows_module
from toolkit.bench.engine.job import Answer, Entry, Job, Measured
from toolkit.bench.engine.rows import Row
from toolkit.bench.engine.slices import condensed, energy_of, together
from toolkit.bench.statistics.summary import paired_comparisons, process_spread, summarize
from toolkit.records import EnergyDomain, EnergyReading, LatencyRecord, RoundRecord, Unavailable


def row(call_s: float, format: str = "onnx", *, rounds: int = 12, seed: int = 0, **changes: object) -> LatencyRecord:
    """A row whose rounds differ by 1 % as those of all rows do, and by 0.1 % on their own."""
    shared, own = random.Random(7), random.Random(f"{seed} {format}")
    parts = []
    for number in range(rounds):
        level = call_s * shared.gauss(1, 0.01) * own.gauss(1, 0.001)
        parts.append(round_of([level * own.gauss(1, 0.01) for _ in range(100)], number))
    target = "eager" if format == "eager" else f"model.{format}"
    return latency((), target=target, format=format, rounds=tuple(parts), **changes)


def test_ratios_are_paired_so_what_a_round_does_to_all_rows_cancels() -> None:
    rows = (row(1e-3, "eager"), row(0.9e-3), row(1.004e-3, "torchscript"), row(1.1e-3, "torch-export"))
    summary = summarize(rows, threshold=0.02, seed=0)
    eager, *others = summary.rows
    assert eager.to_eager is None
    for each, ratio, verdict in zip(others, (1 / 0.9, 1 / 1.004, 1 / 1.1), ("FASTER", "SAME", "SLOWER"), strict=True):
        assert each.to_eager
        assert each.to_eager.ratio == pytest.approx(ratio, rel=0.002)
        assert each.to_eager.verdict == verdict
        assert each.to_eager.low is not None
        assert each.to_eager.high is not None
        assert each.to_eager.high / each.to_eager.low < 1.006  # rounds themselves differ by 1 %
        assert each.estimate
        assert each.estimate.p50_s
        low, high = each.estimate.p50_s
        assert low <= each.median_s <= high
        assert (high - low) / each.median_s > 0.004
        assert each.estimate.p90_s
        assert each.estimate.p99_s  # 1,200 calls


def test_a_percentile_has_an_interval_when_it_has_enough_calls() -> None:
    (few,) = summarize((latency([1e-3 + 1e-6 * i for i in range(90)]),), threshold=0.02, seed=0).rows
    assert few.estimate
    assert few.estimate.p50_s is None  # one round says nothing of the next
    assert few.estimate.p90_s is None
    assert few.estimate.p99_s is None


def test_rows_are_compared_with_the_eager_of_their_own_threads_batch_and_device() -> None:
    rows = (
        row(1e-3, "eager", threads=1),
        row(2e-3, "eager", threads=2),
        row(1e-3, threads=2),
        row(1e-3, threads=1),
        row(1e-3, threads=1, batch_size=8),
        row(1e-3, threads=1, device="cuda"),
    )
    ratios = [each.to_eager and round(each.to_eager.ratio, 1) for each in summarize(rows, threshold=0.02, seed=0).rows]
    assert ratios == [None, None, 2.0, 1.0, None, None]


def test_the_control_is_eager_beside_itself() -> None:
    rows = (row(1e-3, "eager"), row(1e-3, "eager", seed=1, role="control"), row(1e-3))
    (control,) = summarize(rows, threshold=0.02, seed=0).controls
    assert (control.batch_size, control.verdict) == (4, "SAME")
    assert control.ratio == pytest.approx(1, abs=0.002)


def test_rounds_that_only_one_row_has_do_not_count() -> None:
    eager, other = row(1e-3, "eager"), row(1e-3)
    late = tuple(each for each in other.rounds if each.number >= 6)
    doubled = tuple(
        each.model_copy(update={"times_ns": tuple(2 * value for value in each.times_ns)}) for each in other.rounds[:6]
    )
    gaps = latency((), rounds=(*late,), target="a")
    (_, told) = summarize((eager, gaps), threshold=0.02, seed=0).rows
    assert told.to_eager
    assert told.to_eager.ratio == pytest.approx(1, abs=0.005)
    (_, told) = summarize((eager, latency((), rounds=(*doubled, *late), target="a")), threshold=0.02, seed=0).rows
    assert told.to_eager
    assert told.to_eager.ratio < 0.95


def test_costs_are_of_rows_that_were_measured_at_three_batch_sizes() -> None:
    rows = [*(row(20e-6 + 3e-6 * size, batch_size=size) for size in (1, 8, 64, 1024)), row(1e-3, "eager")]
    (cost,) = summarize(rows, threshold=0.02, seed=0).costs
    assert cost.fixed_s == pytest.approx(20e-6, rel=0.1)
    assert cost.per_image_s == pytest.approx(3e-6, rel=0.05)
    assert cost.fixed_interval_s[0] <= cost.fixed_s <= cost.fixed_interval_s[1]
    assert cost.saturates_at == pytest.approx(9 * cost.fixed_s / cost.per_image_s)


@pytest.mark.parametrize(
    ("head_s", "allowed", "too_slow"), [(1.05e-3, 0.02, True), (1.05e-3, 0.10, False), (1.01e-3, 0.02, False)]
)
def test_the_gate_closes_when_the_whole_interval_lies_beyond_it(head_s: float, allowed: float, too_slow: bool) -> None:
    rows = (row(head_s), row(1e-3, role="base", seed=1), row(1e-3, "eager"))
    (comparison,) = paired_comparisons(rows, (), threshold=0.02, seed=0, allowed=allowed)
    assert comparison.too_slow is too_slow
    assert comparison.median_s == rows[0].median_s
    assert comparison.base_median_s == rows[1].median_s
    assert comparison.paired


def of_processes(*levels_s: float, rounds: int = 8, **changes: object) -> LatencyRecord:
    """A row of one process per level; rounds and calls vary by 0.1 %."""
    noise = random.Random(str(levels_s))
    parts = [
        round_of([level * noise.gauss(1, 0.001) for _ in range(50)], place * rounds + number, process=place)
        for place, level in enumerate(levels_s)
        for number in range(rounds)
    ]
    return latency((), rounds=tuple(parts), **changes)


def test_how_much_processes_of_a_row_differ_is_known_from_all_rows() -> None:
    """What the machine did to all rows while the second processes lived, and what rows differ by, is not in it."""
    rows = [
        of_processes(base * (1 + d), 1.1 * base * (1 - d), target=str(d))
        for base, d in ((1e-3, 0.01), (2e-3, -0.01), (1e-3, 0.01), (3e-3, -0.01))
    ]
    spread = process_spread(rows)
    assert spread
    deviation, freedom = spread
    assert freedom == 3
    assert deviation == pytest.approx(0.01 * math.sqrt(8 / 3), rel=0.05)
    assert process_spread(rows[:1]) is None
    assert process_spread([of_processes(1e-3), of_processes(2e-3)]) is None
    alike = process_spread([of_processes(base, 1.1 * base) for base in (1e-3, 2e-3, 3e-3)])
    assert alike
    assert alike[0] < 0.0005


def test_the_interval_of_a_median_holds_what_other_processes_would_have_given() -> None:
    rows = [of_processes(1e-3 * (1 + d), 1e-3 * (1 - d), target=str(d)) for d in (0.01, -0.01, 0.012, -0.008)]
    one = [of_processes(1e-3, rounds=16, target=str(n)) for n in range(4)]
    wide, narrow = (summarize(each, threshold=0.02, seed=0).rows[0].estimate for each in (rows, one))
    assert wide
    assert wide.p50_s
    assert narrow
    assert narrow.p50_s
    assert (narrow.p50_s[1] - narrow.p50_s[0]) / 1e-3 < 0.002
    spread = process_spread(rows)
    assert spread
    half = 3.182 * spread[0] / math.sqrt(2)  # Student's t with 3 degrees of freedom
    assert math.log(wide.p50_s[1] / rows[0].median_s) >= half * 0.999
    assert math.log(rows[0].median_s / wide.p50_s[0]) >= half * 0.999


def test_the_gate_stays_open_for_what_processes_of_one_program_differ_by() -> None:
    """Base and head are the same program; processes of all rows differ, and the head's happened to be slow."""
    levels = ((1.08e-3, 1.06e-3, "row"), (1e-3, 1.04e-3, "base"), (1.05e-3, 1e-3, "row"), (1e-3, 1.06e-3, "row"))
    names = ("onnx", "onnx", "torchscript", "torch-export")
    rows = [of_processes(a, b, format=name, role=role) for (a, b, role), name in zip(levels, names, strict=True)]
    (comparison,) = paired_comparisons(rows, (), threshold=0.02, seed=0, allowed=0.02)
    assert not comparison.too_slow
    assert comparison.speed.verdict != "SLOWER"
    alike = [of_processes(a, a, format=name, role=role) for (a, _, role), name in zip(levels, names, strict=True)]
    (comparison,) = paired_comparisons(alike, (), threshold=0.02, seed=0, allowed=0.02)
    assert comparison.too_slow  # where processes do not differ, 8 % are 8 %


def test_what_runs_side_by_side_has_the_sum_of_the_rates() -> None:
    parts = [
        Measured(times_ns=(1,), calls=calls, wall_s=wall, settled=True) for calls, wall in ((100, 0.1), (300, 0.2))
    ]
    both = together(parts)
    assert both.calls == 400
    assert both.times_ns == (400_000,)  # 1,000 and 1,500 calls per second
    assert both.calls / both.wall_s == pytest.approx(2_500)
    assert together(parts[:1]) is parts[0]


def test_a_long_row_becomes_a_histogram_that_loses_nothing_but_order() -> None:
    times = tuple(1_000 + number % 10 for number in range(500))
    record = RoundRecord(number=0, place=0, calls=500, wall_s=1.0, times_ns=times)
    short = condensed(record)
    assert short.times_ns == ()
    assert sorted(short.seconds()) == sorted(record.seconds())
    unique = record.model_copy(update={"times_ns": tuple(range(500))})
    assert condensed(unique) is unique  # a histogram of it would be larger


def reading(at_s: float, energy_j: float) -> EnergyReading:
    domain = EnergyDomain(name="package-0", energy_j=energy_j, range_j=1000.0)
    return EnergyReading(source="RAPL", at_s=at_s, domains=(domain,))


def slices(*joules: float | None) -> Sequence[RoundRecord]:
    return [round_of([1e-3], n, energy_j=each, slice_s=0.5, slice_calls=10) for n, each in enumerate(joules)]


def test_energy_is_that_of_the_slices_without_idle_power() -> None:
    energy = energy_of(slices(20.0, 30.0), 4, 16.0)
    assert energy
    assert energy.joules == 50 - 16 * 1.0
    assert energy.images == 80
    assert energy.joules_per_image == pytest.approx(34 / 80)
    assert energy_of(slices(20.0, None), 4, 16.0) is None
    assert energy_of(slices(20.0), 4, "not available here: only root may read energy_uj") is None


@pytest.mark.parametrize("known", [True, False])
def test_a_slice_reads_the_counters_before_and_after(known: bool, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    entry = Entry(
        target="eager", format="eager", golden="", device="cpu", runtime="", runtime_version="", verified=True
    )
    one = Row(Job(entry=entry, threads=1, batch_size=4), 0, tmp_path)
    one.processes = 1  # as when its worker was started
    log: list[str] = []
    states = iter([reading(10.0, 990.0), reading(10.5, 5.0)])

    def read_energy(**_: object) -> EnergyReading | Unavailable:
        log.append("read")
        return next(states) if known else Unavailable(reason="not available here: none")

    def ask(*_: object) -> object:
        log.append("measure")
        return Answer(measured=Measured(times_ns=(5,) * 30, calls=30, wall_s=1.0, settled=True))

    monkeypatch.setattr(rows_module, "read_energy", read_energy)
    monkeypatch.setattr(one, "_ask_all", lambda *_: [ask()])
    one.measure(0, 0, 0.1, 0)
    assert log == ["read", "measure", "read"]
    (measured,) = one.rounds
    assert measured.energy_j == (pytest.approx(15.0) if known else None)  # the counter began again at 1,000
    assert measured.slice_s > 0  # by a clock, whether energy is known or not
    assert measured.slice_calls == 30
