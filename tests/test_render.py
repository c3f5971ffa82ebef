import io

import pytest
from rich.console import Console
from test_records import BAD, GOOD, latency, parity

from toolkit.bench.fitness import judge
from toolkit.environment import new_report
from toolkit.records import Bound, Counters, FailureRecord, Report, SkipRecord
from toolkit.render.terminal import render_report
from toolkit.render.units import rate, seconds, size


def text_of(report: Report, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False)
    for part in render_report(report):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0.0, "0.00 ns"),
        (1.234e-8, "12.3 ns"),
        (9.996e-7, "1.00 µs"),
        (1.8e-5, "18.0 µs"),
        (4.41e-4, "441 µs"),
        (0.0026, "2.60 ms"),
        (0.99999, "1.00 s"),
        (49.0, "49.0 s"),
    ],
)
def test_seconds_get_a_fitting_unit(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999 B"), (2_680_723, "2.68 MB"), (1_500, "1.50 kB"), (3e9, "3.00 GB")]
)
def test_sizes_are_in_powers_of_a_thousand(value: float, text: str) -> None:
    assert size(value) == text


def test_rates_have_three_digits() -> None:
    assert rate(1_146_321.5) == "1,150,000"


def test_rows_are_sorted_by_batch_then_median_and_eager_is_one() -> None:
    rows = (
        latency((4e-5,) * 5, batch_size=64, format="eager"),
        latency((5e-5,) * 5, batch_size=1, format="eager"),
        latency((2e-5,) * 5, batch_size=1),
        latency((1e-5,) * 5, batch_size=64, verified=False),
    )
    text = text_of(new_report("bench").model_copy(update={"latency": rows}))
    assert "throughput on cpu, float32, 2 threads" in text
    lines = [line.split() for line in text.splitlines() if "µs" in line][:4]
    assert [(line[0], line[1]) for line in lines] == [("1", "onnx"), ("1", "eager"), ("64", "onnx"), ("64", "eager")]
    assert "2.50" in lines[0]
    assert "unverified" in lines[2]
    assert "fewer than 1,000 calls" in text


def test_parity_is_shown_with_the_cause_of_a_failure() -> None:
    text = text_of(new_report("parity").model_copy(update={"parity": (parity(GOOD, BAD),)}))
    assert "✗ model.onnx: labels: so so" in text


def test_the_limit_the_cost_of_opening_and_the_machine_s_verdict_are_shown() -> None:
    counters = Counters(
        usable_cpus=2,
        unavailable={
            name: "not available here" for name in Counters.model_fields if name not in {"usable_cpus", "unavailable"}
        },
    )
    row = latency((4e-5,) * 5, bound=Bound(seconds=1e-5, kind="memory"), peak_memory_bytes=3_000_000)
    quiet = judge(counters, counters, [1e-3] * 10, None)
    noisy = judge(counters, counters, [1e-3] * 8 + [2e-3] * 4, None)
    report = new_report("bench").model_copy(update={"latency": (row,), "fitness": quiet})
    assert {"25%", "memory", "+3.00", "VALID:"} <= set(text_of(report).replace("(", " ").split())
    text = text_of(report.model_copy(update={"fitness": noisy}))
    assert "! NOISY: the same small work took times that differ" in text
    assert "40.0 µs" in text  # never an empty result


def test_rows_that_differ_get_a_column_for_it() -> None:
    rows = (latency((1.0,), device="cuda"), latency((1.0,), device="cuda:1"))
    text = text_of(new_report("bench").model_copy(update={"latency": rows}))
    assert {"device", "precision", "threads"} <= set(text.split())
    assert "cuda:1" in text


def test_tables_fit_into_a_terminal_of_80_columns() -> None:
    rows = tuple(latency((1.5e-3,) * 1000, batch_size=1024, format=name) for name in ("eager", "torch-export"))
    report = new_report("run").model_copy(update={"latency": rows, "parity": (parity(GOOD),)})
    lines = text_of(report, width=80).splitlines()
    assert sum("1.50 ms" in line and "1,024" in line for line in lines) == 3


def test_paths_are_no_markup() -> None:
    record = parity(GOOD).model_copy(update={"target": "run/x[bold].onnx"})
    assert "x[bold].onnx" in text_of(new_report("parity").model_copy(update={"parity": (record,)}))


def test_failures_skips_and_notes_are_never_left_out() -> None:
    report = new_report("run").model_copy(
        update={
            "failures": (
                FailureRecord(target="x", format="onnx", device="cpu", batch_size=64, reason="out of [memory]"),
            ),
            "skips": (SkipRecord(what="mps", reason="no GPU", remedy="buy one"),),
            "notes": ("mind the gap",),
            "interrupted": True,
        }
    )
    text = text_of(report)
    assert "✗ x at batch 64: out of [memory]" in text
    assert "skipped mps: no GPU; buy one" in text
    assert "! mind the gap" in text
    assert "Interrupted" in text
