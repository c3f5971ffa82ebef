"""The verdict on the machine: made-up counters, one fault at a time."""

from typing import Any

import pytest
from pydantic import ValidationError

from toolkit.bench.machine.fitness import canary, judge
from toolkit.records import ControlRecord, Counters, FitnessRecord

CALM = (0.001,) * 20
# Two CPUs for 30 s, of which the run itself keeps 1.9 busy.
BEFORE = {
    "usable_cpus": 2,
    "cpus": 2,
    "total_s": 1000.0,
    "busy_s": 100.0,
    "steal_s": 1.0,
    "own_cpu_s": 5.0,
    "load_1min": 0.2,
    "throttled_periods": 4,
    "throttled_s": 0.5,
    "governors": {"policy0": "performance"},
    "thermal_throttles": 7,
    "other_benches": (),
    "on_battery": False,
    "gpu_slowdowns": (),
    "unavailable": {},
}
AFTER = BEFORE | {"total_s": 1060.0, "busy_s": 157.2, "own_cpu_s": 62.0, "load_1min": 1.9}


def counters(base: dict[str, Any], **changes: Any) -> Counters:
    return Counters(**(base | changes))


def judged(before: dict[str, Any] | None = None, canary_s: tuple[float, ...] = CALM, **after: Any) -> FitnessRecord:
    return judge(counters(BEFORE, **(before or {})), counters(AFTER, **after), canary_s, (control(),))


def control(verdict: Any = "SAME") -> ControlRecord:
    return ControlRecord(device="cpu", threads=2, batch_size=64, ratio=1.001, low=0.99, high=1.012, verdict=verdict)


def test_an_idle_machine_is_valid() -> None:
    record = judged()
    assert (record.verdict, record.reasons, record.remarks) == ("VALID", (), ())
    assert record.elapsed_s == 30.0
    assert record.own_cpus == pytest.approx(1.9)
    assert record.foreign_cpus == pytest.approx(0.2 / 30)
    assert record.steal_share == 0.0
    assert record.canary_spread == 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steal_s": 1.7}, "1.2% of the CPU time was given to other virtual machines"),
        ({"throttled_s": 0.6}, "stopped the run for 0.1 s, in 0 periods"),
        ({"throttled_periods": 5}, "in 1 periods"),
        ({"thermal_throttles": 9}, "heat lowered the CPU's clock 2 times"),
        ({"other_benches": (77, 12)}, "another bench of fmnist-tk was running (process 12, 77)"),
        ({"own_cpu_s": 58.0}, "other processes kept 0.14 of 2 CPUs busy"),
        ({"load_1min": 4.0}, "the load of others was 2.1 on 2 usable CPUs"),
        ({"gpu_slowdowns": ("GPU 0: heat, by hardware",)}, "GPU 0: heat, by hardware"),
    ],
)
def test_each_disturbance_is_one_reason_with_a_remedy(changes: dict[str, Any], words: str) -> None:
    record = judged(**changes)
    (reason,) = record.reasons
    assert words in reason.sentence
    assert reason.remedy
    assert record.verdict == "NOISY"
    assert FitnessRecord.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize(
    "changes",
    [
        {"steal_s": 1.5},  # 0.9 % of what was wanted
        {"own_cpu_s": 59.5},  # others had 4.5 % of the two CPUs
        {"load_1min": 3.8},  # 1.9 of it are the run's own
    ],
)
def test_less_than_the_limit_is_no_reason(changes: dict[str, Any]) -> None:
    assert judged(**changes).verdict == "VALID"


def test_load_before_the_run_is_all_of_others() -> None:
    record = judged({"load_1min": 2.1})
    assert "the load of others was 2.1" in record.reasons[0].sentence


def test_work_on_cpus_that_the_run_may_not_use_is_no_reason() -> None:
    large = {"cpus": 64, "busy_s": 100.0 + 40 * 30, "total_s": 1000.0 + 64 * 30}
    assert judged({"cpus": 64}, **large).verdict == "VALID"
    full = large | {"busy_s": 100.0 + 64 * 30, "own_cpu_s": 5.0 + 1.5 * 30}
    assert "of 64 CPUs busy, and the run may use 2" in judged({"cpus": 64}, **full).reasons[0].sentence


def test_shares_of_less_than_a_second_are_luck() -> None:
    short = {"total_s": 1001.0, "busy_s": 101.0, "own_cpu_s": 5.0, "steal_s": 1.5}
    assert judged(**short).verdict == "VALID"


def test_what_costs_speed_without_noise_is_a_remark() -> None:
    record = judged(
        governors={"policy0": "powersave", "policy1": "performance"},
        on_battery=True,
        gpu_slowdowns=("GPU 0: power cap",),
    )
    assert record.verdict == "VALID"
    assert [each.sentence for each in record.remarks] == [
        "the frequency governor is powersave, not performance",
        "the machine ran on its battery",
        "the GPU ran at its power limit (GPU 0: power cap)",
    ]


def test_an_unsteady_canary_is_noisy() -> None:
    record = judged(canary_s=(0.001,) * 15 + (0.00116,) * 5)
    assert record.canary_spread == pytest.approx(0.16)
    assert "differ by 16% between slices" in record.reasons[0].sentence
    assert judged(canary_s=(0.001,) * 15 + (0.00114,) * 5).verdict == "VALID"
    assert judged(canary_s=(*CALM, 1.0)).verdict == "VALID"  # one that was interrupted is not the machine
    assert judged(canary_s=(0.001,) * 5 + (0.1,) * 4).canary_spread is None


@pytest.mark.parametrize("verdict", ["FASTER", "SLOWER", "CANNOT TELL"])
def test_a_baseline_that_differs_from_itself_is_noisy(verdict: str) -> None:
    record = judge(counters(BEFORE), counters(AFTER), CALM, (control(verdict),))
    assert f"eager against itself is {verdict} at batch 64 on cpu: ratio 1.001" in record.reasons[0].sentence


def test_a_machine_without_counters_is_judged_by_what_there_is() -> None:
    names = Counters.model_fields.keys() - {"usable_cpus", "unavailable"}
    nothing = Counters(usable_cpus=1, unavailable=dict.fromkeys(names, "not available here: a test"))
    record = judge(nothing, nothing, (), ())
    assert record.verdict == "VALID"
    assert record.steal_share is record.foreign_cpus is record.canary_spread is record.elapsed_s is None
    assert judge(nothing, nothing, CALM, (control("SLOWER"),)).verdict == "NOISY"
    assert judge(counters(BEFORE), nothing, (), ()).verdict == "VALID"


def test_a_verdict_cannot_be_written_into_a_file() -> None:
    text = judged(steal_s=9.0).model_dump_json().replace("NOISY", "VALID")
    assert FitnessRecord.model_validate_json(text).verdict == "NOISY"
    with pytest.raises(ValidationError):
        counters(BEFORE, steal_s=None)


def test_the_canary_is_timed_without_its_warm_up() -> None:
    times = iter([5.0, 7.5])
    assert canary(clock=lambda: next(times)) == 2.5
    assert canary() > 0
