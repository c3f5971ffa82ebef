"""Benches that never ran: rows, controls and comparisons with chosen numbers, for tests of what is made of them."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from made_up_parity import bad, good
from made_up_records import latency, round_of
from toolkit.bench.machine.fitness import judge
from toolkit.records import (
    BandwidthRecord,
    BenchRecord,
    Bound,
    ClockCheck,
    ColdRecord,
    ComparisonRecord,
    ControlRecord,
    CostRecord,
    Counters,
    EnergyRecord,
    Estimate,
    EvaluationRecord,
    FailureRecord,
    FitnessRecord,
    LatencyRecord,
    LimitsRecord,
    PeakRecord,
    RatioRecord,
    Report,
    Scenario,
    SelfCheckRecord,
    SkipRecord,
    Verdict,
    WrongImageRecord,
)
from toolkit.system.environment import new_report

COUNTERS = Counters(
    usable_cpus=2,
    unavailable={
        name: "not available here" for name in Counters.model_fields if name not in {"usable_cpus", "unavailable"}
    },
)


def ratio(point: float, verdict: Verdict = "FASTER", half: float = 0.01) -> RatioRecord:
    return RatioRecord(ratio=point, low=point * (1 - half), high=point * (1 + half), verdict=verdict)


def rounds(
    p50_s: float, calls: int = 100, count: int = 12, spread: float = 0.01, seed: int = 0, **changes: Any
) -> tuple[Any, ...]:
    """Rounds of calls around a median, each round somewhat off it."""
    rng = np.random.default_rng(seed)
    return tuple(
        round_of((p50_s * np.exp(rng.normal(0, spread) + rng.normal(0, spread, calls))).tolist(), number, **changes)
        for number in range(count)
    )


def row(p50_s: float = 2e-5, to_eager: RatioRecord | None = None, calls: int = 100, **changes: Any) -> LatencyRecord:
    """A row of twelve rounds, known to 1 %."""
    values = {
        "rounds": rounds(p50_s, calls),
        "batch_size": 1,
        "to_eager": to_eager,
        "cold": ColdRecord(import_s=0.21, load_s=0.0168, first_call_s=5.2e-5, steady_s=0.031, warmup_calls=400),
        "peak_memory_bytes": 88_100_000,
        "file_bytes": 2_680_000,
        "bound": Bound(seconds=1.06e-5, kind="memory"),
        "no_energy": "not available here: no RAPL counters (/sys/class/powercap is empty)",
        **changes,
    }
    made = latency((), **values)
    if "estimate" in changes:
        return made
    middle = made.median_s
    return made.model_copy(update={"estimate": Estimate(p50_s=(middle * 0.99, middle * 1.01), p90_s=None, p99_s=None)})


def eager(p50_s: float = 5e-5, **changes: Any) -> LatencyRecord:
    values = {"target": "eager", "format": "eager", "runtime": "libtorch", "file_bytes": None, **changes}
    return row(p50_s, **values)


def fitness(*, noisy: bool = False, controls: Sequence[ControlRecord] = ()) -> FitnessRecord:
    canaries = [1e-3] * 8 + [2e-3] * 4 if noisy else [1e-3] * 12
    return judge(COUNTERS, COUNTERS, canaries, controls)


def control(batch_size: int = 1, **changes: Any) -> ControlRecord:
    values = {"device": "cpu", "threads": 2, "ratio": 1.003, "low": 0.998, "high": 1.008, "verdict": "SAME"}
    return ControlRecord.model_validate({**values, "batch_size": batch_size, **changes})


def clock(device: str = "cpu", measured: float | None = 2.5e-7, **changes: Any) -> SelfCheckRecord:
    """A self check whose first question is the overhead; it passes up to a microsecond."""
    values = {"bound": "at most", "unit": "s", "detail": "It must take no time."}
    checks = (
        ClockCheck.model_validate({**values, "name": "overhead", "measured": measured, "limit": 1e-6, **changes}),
        ClockCheck.model_validate({**values, "name": "linear", "measured": 2.01, "limit": 2.2, "unit": "ratio"}),
    )
    return SelfCheckRecord(device=device, overhead_s=measured or 0, checks=checks)


def comparison(point: float = 0.92, verdict: Verdict = "SLOWER", **changes: Any) -> ComparisonRecord:
    values: dict[str, Any] = {
        "target": "model.onnx",
        "base": "model.onnx",
        "format": "onnx",
        "device": "cpu",
        "threads": 2,
        "batch_size": 1,
        "paired": False,
        "median_s": 2e-5,
        "base_median_s": 2e-5 * point,
        "speed": ratio(point, verdict),
        "threshold": 0.02,
    }
    return ComparisonRecord.model_validate({**values, **changes})


def bench(*rows: LatencyRecord, **changes: Any) -> Report:
    """A report of ``fmnist-tk bench``."""
    made = BenchRecord(
        scenario=rows[0].scenario if rows else Scenario(), seed=7, budget_s=30, rounds=12, threshold=0.02
    )
    values = {"latency": rows, "bench": made, "fitness": fitness(), "self_checks": (clock(),)}
    return new_report("bench").model_copy(update={**values, **changes})


def compared(*comparisons: ComparisonRecord, **changes: Any) -> Report:
    """A report of ``fmnist-tk compare``."""
    return new_report("compare").model_copy(update={"comparisons": comparisons, **changes})


def cpu_bench(**changes: Any) -> Report:
    """Four formats at three batch sizes on the CPU, as most people will see them."""
    speeds = {
        "onnx": (1.87e-5, 1.84e-4, 2.77e-3),
        "torchscript": (4.25e-5, 4.53e-4, 5.91e-3),
        "eager": (5.37e-5, 4.67e-4, 6.21e-3),
        "torch-export": (9.56e-5, 5.06e-4, 6.18e-3),
    }
    verdicts: dict[str, tuple[Verdict, ...]] = {
        "onnx": ("FASTER",) * 3,
        "torchscript": ("FASTER", "FASTER", "CANNOT TELL"),
        "torch-export": ("SLOWER", "SLOWER", "SAME"),
    }
    rows = []
    for name, medians in speeds.items():
        for number, (size, p50_s) in enumerate(zip((1, 64, 1024), medians, strict=True)):
            more = {
                "batch_size": size,
                "rounds": rounds(p50_s, 100 if size < 1024 else 20, copy_in_s=2e-7, copy_out_s=3e-7),
            }
            if name == "eager":
                rows.append(eager(p50_s, **more))
                rows.append(eager(p50_s, role="control", **more))
            else:
                speed = ratio(speeds["eager"][number] / p50_s, verdicts[name][number])
                rows.append(row(p50_s, speed, format=name, target=f"model.{name}", **more))
    controls = tuple(control(size) for size in (1, 64, 1024))
    costs = tuple(
        CostRecord(
            target=name,
            format=name,
            device="cpu",
            threads=2,
            fixed_s=fixed,
            fixed_interval_s=(fixed * 0.9, fixed * 1.1),
            per_image_s=2.7e-6,
            per_image_interval_s=(2.6e-6, 2.8e-6),
            saturates_at=9 * fixed / 2.7e-6,
        )
        for name, fixed in (("onnx", 1.6e-5), ("eager", 4.9e-5))
    )
    return bench(*rows, **{"fitness": fitness(controls=controls), "costs": costs, **changes})


def wrong_image(index: int = 7, actual: int = 0, predicted: int = 6, probability: float = 0.9) -> WrongImageRecord:
    """A grey image, lighter to the right."""
    pixels = base64.b64encode(bytes(column * 9 for _ in range(28) for column in range(28))).decode()
    return WrongImageRecord(index=index, actual=actual, predicted=predicted, probability=probability, pixels=pixels)


def evaluation(right: int = 91, *wrong: WrongImageRecord) -> EvaluationRecord:
    """So many of 100 images of each class right, the others taken for the next class."""
    confusion = [[0] * 10 for _ in range(10)]
    for number in range(10):
        confusion[number][number], confusion[number][(number + 1) % 10] = right, 100 - right
    return EvaluationRecord(source="sample", confusion=tuple(map(tuple, confusion)), wrong=wrong)


def everything(**changes: Any) -> Report:
    """A report with every part that a page can show: speeds, limits, parity with a failure, errors, skips, notes."""
    limits = LimitsRecord(
        threads=2,
        peaks=(PeakRecord(runtime="onnxruntime", precision="float32", flop_per_s=5e11, shape=(256, 512, 512)),),
        bandwidths=(BandwidthRecord(working_set_bytes=2_690_192, bytes_per_s=2.4e11, kernel="sum"),),
    )
    records = tuple(
        (bad if name == "torch-export" else good)(
            f"exported/model.{name}", format=name, evaluation=evaluation(60 if name == "torch-export" else 91)
        )
        for name in ("onnx", "torchscript", "torch-export")
    )
    values = {
        "command": "run",
        "arguments": ("run", "--batch", "1,64,1024"),
        "limits": (limits,),
        "evaluation": evaluation(91, wrong_image(), wrong_image(9, 3, 2, 0.8)),
        "parity": records,
        "failures": (FailureRecord(target="model.x", format="x", device="cpu", reason="out of memory"),),
        "skips": (SkipRecord(what="torch-export", reason="a package is missing", remedy="install it"),),
        "notes": ("Seven of ten rounds fitted into the budget",),
    }
    return cpu_bench(**{**values, **changes})


def cuda_bench(**changes: Any) -> Report:
    """CPU and CUDA, two precisions, two numbers of threads: every column that there is."""
    rows = []
    for device, precision, threads, name, p50_s in (
        ("cpu", "float32", 16, "eager", 5.4e-5),
        ("cpu", "float32", 16, "onnx", 1.9e-5),
        ("cuda", "float32", 1, "eager", 4.4e-5),
        ("cuda", "float32", 1, "eager-cudagraph", 1.24e-5),
        ("cuda", "tf32", 1, "onnx", 1.2e-5),
        ("cuda", "float32", 1, "onnx", 3.3e-5),
    ):
        values: dict[str, Any] = {"device": device, "precision": precision, "threads": threads, "format": name}
        if device == "cuda":
            values |= {
                "rounds": rounds(p50_s, copy_in_s=1.1e-5, copy_out_s=9e-6, device_s=p50_s * 0.8),
                "device_memory_bytes": 512_000_000,
                "energy": EnergyRecord(joules=12.0, images=1_000_000, idle_power_w=70),
                "no_energy": None,
            }
        target = "eager" if name.startswith("eager") else "model.onnx"
        baseline = {"cpu": 5.4e-5, "cuda": 4.4e-5}[device]
        rows.append(row(p50_s, None if name == "eager" else ratio(baseline / p50_s), target=target, **values))
    checks = (clock(), clock("cuda", 3.1e-6 / 10))
    controls = (control(threads=16), control(device="cuda", threads=1, ratio=0.999))
    return bench(*rows, **{"self_checks": checks, "fitness": fitness(controls=controls), **changes})
