import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from made_up_records import BAD, GOOD, check, latency, parity, round_of
from toolkit.errors import ReportError
from toolkit.records import (
    CheckName,
    CheckRecord,
    Estimate,
    LatencyRecord,
    ModelConfig,
    QualityRecord,
    RatioRecord,
    Report,
    Scenario,
    check_order,
    parse_record,
    quantile,
    read_record,
    to_json,
)
from toolkit.system.environment import new_report
from toolkit.system.files import write_record

GOLDEN = Path(__file__).parents[1] / "golden" / "report-schema-5.json"
durations = st.floats(1e-9, 1e3)


@given(st.lists(durations, min_size=1), st.floats(0, 1))
def test_quantile_agrees_with_numpy(values: list[float], q: float) -> None:
    assert math.isclose(quantile(values, q), float(np.quantile(values, q)), rel_tol=1e-9)


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_quantile_of_nothing_or_outside_is_an_error(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, q)


@pytest.mark.parametrize(
    ("calls", "p90", "p99"), [(99, False, False), (100, True, False), (999, True, False), (1000, True, True)]
)
def test_a_percentile_needs_ten_calls_beyond_it(calls: int, p90: bool, p99: bool) -> None:
    record = latency(tuple(i / calls for i in range(calls)))
    assert (record.p90_s is not None, record.p99_s is not None) == (p90, p99)
    if p99:
        assert record.p99_s == pytest.approx(float(np.quantile(record.times_s, 0.99)))


def test_throughput_counts_the_slow_calls_too() -> None:
    assert latency((1.0, 1.0, 2.0)).throughput_images_per_s == 3.0


def test_a_histogram_gives_the_same_numbers_as_the_times() -> None:
    times = [1e-6 * each for each in (3, 1, 2, 2, 5)]
    counted = round_of(times, times_ns=(), histogram_ns=((1000, 1), (2000, 2), (3000, 1), (5000, 1)))
    assert sorted(latency(times).times_s) == list(latency((), rounds=(counted,)).times_s)
    assert latency((), rounds=(counted,)).median_s == latency(times).median_s == 2e-6


@pytest.mark.parametrize("changes", [{"times_ns": ()}, {"histogram_ns": ((1, 1),)}])
def test_a_round_has_its_times_in_one_of_two_ways(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="either times or a histogram"):
        round_of((1.0,), **changes)


@pytest.mark.parametrize(
    "values",
    [{"kind": "paced"}, {"kind": "poisson"}, {"kind": "latency", "interval_s": 1}, {"kind": "cold", "interval_s": 1}],
)
def test_only_a_schedule_has_an_interval(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="need an interval"):
        Scenario.model_validate(values)


@given(st.lists(durations, min_size=1, max_size=30))
def test_a_report_is_the_same_after_a_trip_through_json(times: list[float]) -> None:
    report = new_report("bench").model_copy(update={"latency": (latency(tuple(times)),), "parity": (parity(GOOD),)})
    assert Report.model_validate_json(to_json(report)) == report


def test_derived_numbers_are_computed_anew_not_believed() -> None:
    report = new_report("parity").model_copy(update={"parity": (parity(GOOD, BAD),)})
    forged = json.loads(to_json(report))
    forged["passed"] = forged["parity"][0]["passed"] = True
    assert not Report.model_validate(forged).passed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    for make in (lambda: check(measured=value), lambda: round_of((1.0,), slice_s=value)):
        with pytest.raises(ValidationError) as caught:
            make()
        assert [each["type"] for each in caught.value.errors()] == ["finite_number"]


def test_records_are_frozen_and_know_no_other_fields() -> None:
    with pytest.raises(ValidationError) as caught:
        GOOD.measured = 0.5
    assert [each["type"] for each in caught.value.errors()] == ["frozen_instance"]
    with pytest.raises(ValidationError) as caught:
        CheckRecord.model_validate({**GOOD.model_dump(), "colour": "red"})
    assert [(each["loc"], each["type"]) for each in caught.value.errors()] == [(("colour",), "extra_forbidden")]


@pytest.mark.parametrize("sizes", [(784,), (784, 11), (28, 10), (784, 0, 10)])
def test_layers_that_do_not_fit_fashion_mnist_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        ModelConfig(layer_sizes=sizes)


def test_the_fastest_is_the_fastest_verified_of_each_batch() -> None:
    rows = (
        latency((4.0,), format="eager", target="eager", batch_size=1),
        latency((2.0,), batch_size=1),
        latency((1.0,), batch_size=1, format="torchscript", verified=False),
        latency((5.0,), batch_size=64),
        latency((9.0,), batch_size=1024, verified=False),
    )
    fastest = new_report("bench").model_copy(update={"latency": rows}).fastest
    assert [(each.batch_size, each.format, each.ratio_to_eager) for each in fastest] == [
        (1, "onnx", 2.0),
        (64, "onnx", None),
    ]


@pytest.mark.parametrize(
    ("speeds", "named"),
    [
        # The speed beside eager decides, whatever the medians seem to say.
        ({"onnx": (1.6, 434.0, "FASTER")}, ()),
        ({"onnx": (0.9, 1.3, "CANNOT TELL")}, ("eager",)),
        ({"onnx": (0.6, 0.8, "SLOWER")}, ("eager",)),
        ({"onnx": (2.0, 3.0, "FASTER"), "other": (1.9, 2.1, "FASTER")}, ("other",)),
        ({"onnx": (2.0, 3.0, "FASTER"), "other": (1.5, 1.9, "FASTER")}, ()),
    ],
)
def test_what_cannot_be_told_apart_follows_from_the_speed_of_the_same_row(
    speeds: dict[str, tuple[float, float, str]], named: tuple[str, ...]
) -> None:
    meeting = Estimate(p50_s=(0.1, 10.0), p90_s=None, p99_s=None)
    ratios = {
        name: RatioRecord.model_validate({"ratio": (low + high) / 2, "low": low, "high": high, "verdict": verdict})
        for name, (low, high, verdict) in speeds.items()
    }
    rows = [latency((2.0,), format="eager", target="eager", estimate=meeting)]
    rows += [
        latency((1.0,), format=name, target=name, to_eager=each, estimate=meeting) for name, each in ratios.items()
    ]
    (fastest,) = new_report("bench").model_copy(update={"latency": tuple(rows)}).fastest
    assert (fastest.format, fastest.as_fast) == ("onnx", named)


def test_eager_is_told_apart_only_from_what_is_surely_slower() -> None:
    rows = [
        latency((2.0,), format=name, to_eager=RatioRecord(ratio=0.9, low=0.8, high=1.0, verdict=verdict))  # type: ignore[arg-type]  # a str to mypy
        for name, verdict in (("slow", "SLOWER"), ("unsure", "CANNOT TELL"))
    ]
    rows.append(latency((1.0,), format="eager", target="eager"))
    (fastest,) = new_report("bench").model_copy(update={"latency": tuple(rows)}).fastest
    assert (fastest.format, fastest.as_fast) == ("eager", ("unsure",))


def test_reduced_precision_is_ranked_apart_and_what_is_as_fast_is_named() -> None:
    def row(p50_s: float, format: str, precision: str, **changes: object) -> LatencyRecord:
        return latency((p50_s,), format=format, precision=precision, **changes)

    def about(low: float, high: float) -> Estimate:
        return Estimate(p50_s=(low, high), p90_s=None, p99_s=None)

    rows = (
        row(2.0, "onnx", "float32", estimate=about(1.9, 2.1)),
        row(2.05, "torch-export", "float32", estimate=about(2.0, 2.2)),
        row(3.0, "torchscript", "float32", estimate=about(2.9, 3.1)),
        row(1.0, "onnx", "int8", estimate=about(0.9, 1.1)),
        row(0.5, "onnx", "float32", role="base"),
        row(0.4, "eager", "float32", role="control"),
    )
    fastest = new_report("bench").model_copy(update={"latency": rows}).fastest
    assert [(each.exact, each.format, each.precision, each.as_fast) for each in fastest] == [
        (True, "onnx", "float32", ("torch-export",)),
        (False, "onnx", "int8", ()),
    ]


def test_a_report_passes_only_when_nothing_failed() -> None:
    report = new_report("run")
    assert report.passed
    assert report.model_copy(update={"parity": (parity(GOOD),)}).passed
    assert not report.model_copy(update={"parity": (parity(GOOD), parity(GOOD, BAD))}).passed


def test_the_schema_is_frozen() -> None:
    """When this fails, the schema changed: raise its version, then write the golden file anew."""
    schema = json.dumps(Report.model_json_schema(mode="serialization"), indent=1) + "\n"
    assert schema == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("[]", "is not a fmnist-tk/report file"),
        ('{"schema_name": "other"}', "is not a fmnist-tk/report file"),
        ('{"schema_name": "fmnist-tk/report", "schema_version": 6}', "version 6 .*upgrade fmnist-tk"),
        ('{"schema_name": "fmnist-tk/report", "schema_version": 3}', "version 3 .*write it again"),
        ('{"schema_name": "fmnist-tk/report", "schema_version": 5}', "does not fit its schema: tool_version"),
        ('{"schema_name": "fmnist-tk/report", "schema_version": 4}', "does not fit its schema: tool_version"),
    ],
)
def test_a_foreign_file_is_refused_with_what_to_do(text: str, reason: str) -> None:
    with pytest.raises(ReportError, match=reason) as caught:
        parse_record(text, Report, Path("report.json"))
    assert caught.value.path == Path("report.json")
    assert "\n" not in caught.value.reason


def test_reading_what_is_missing_or_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="No such file"):
        read_record(tmp_path / "none.json", Report)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportError, match="is not text"):
        read_record(tmp_path / "binary.json", Report)


def test_a_written_record_can_be_read(tmp_path: Path) -> None:
    report = new_report("doctor")
    write_record(report, tmp_path / "new" / "report.json")
    assert read_record(tmp_path / "new" / "report.json", Report) == report


@pytest.mark.parametrize(
    ("measured", "bound", "passed"),
    [
        (8.0, "at most", True),
        (8.1, "at most", False),
        (8.0, "at least", True),
        (7.9, "at least", False),
        (None, "at most", False),
        (None, "at least", False),
    ],
)
def test_a_check_passes_by_what_was_measured(measured: float | None, bound: str, passed: bool) -> None:
    record = check(measured=measured, bound=bound)
    assert record.passed == passed
    assert CheckRecord.model_validate({**record.model_dump(), "passed": not passed}).passed == passed


def test_the_cause_is_the_most_specific_failure() -> None:
    assert parity(GOOD).cause is None
    assert parity(GOOD).failure is None
    record = parity(GOOD, check("values", 9.0, probe="sample"), check("row independence", 9.0), BAD)
    assert record.cause == "row independence"
    assert record.failure == record.checks[2]
    assert parity(check("opens", None), check("integrity", None)).cause == "opens"


def test_every_check_has_a_place_and_can_be_a_cause() -> None:
    names = get_args(CheckName)
    assert [check_order(name) for name in names] == list(range(len(names)))
    assert {parity(check(name, None)).cause for name in names} == set(names)


def quality(**changes: Any) -> QualityRecord:
    values = {
        "source": "sample",
        "images": 100,
        "reference_right": 90,
        "lost": 4,
        "gained": 1,
        "disagreements": 7,
        "mean_probability_change": 0.01,
        "max_probability_change": 0.5,
        "relative_noise": 0.1,
    }
    return QualityRecord.model_validate({**values, **changes})


def test_quality_is_derived_from_counts() -> None:
    record = quality()
    assert (record.accuracy, record.reference_accuracy, record.drop_points) == (0.87, 0.9, 3.0)
    assert record.agreement == pytest.approx(0.93)
    assert record.sqnr_db == pytest.approx(20)
    assert quality(relative_noise=0).sqnr_db is None
    low, high = record.drop_interval_points
    # By hand from Bonett and Price's formula: p12 = 5/102, p21 = 2/102, z = 1.96.
    assert (low, high) == pytest.approx((-2.1106, 7.9930), abs=1e-3)


@given(st.integers(0, 90), st.integers(0, 10))
def test_the_interval_of_a_drop_holds_its_adjusted_estimate_and_stays_possible(lost: int, gained: int) -> None:
    low, high = quality(lost=lost, gained=gained, disagreements=lost + gained).drop_interval_points
    assert -100 <= low <= 100 * (lost - gained) / 102 <= high <= 100


@pytest.mark.parametrize("changes", [{"lost": 91}, {"gained": 11}, {"disagreements": 4}, {"disagreements": 101}])
def test_counts_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=r"more images lost|labels disagree"):
        quality(**changes)


def test_a_report_of_the_version_before_is_read() -> None:
    rows = (latency((4.0,), format="eager", target="eager"), latency((2.0,)))
    report = new_report("bench").changed(latency=rows)
    old = json.loads(to_json(report))
    old["schema_version"] = 4
    for row in old["latency"]:
        del row["baseline"]
    assert parse_record(json.dumps(old), Report, Path("old.json")) == report


def test_a_record_is_not_changed_into_an_impossible_one() -> None:
    row = latency((1.0,))
    assert row.changed(batch_size=8).batch_size == 8
    assert row.changed(rounds=(round_of((3.0,)),)).median_s == 3.0  # what was computed before is not kept
    for impossible in ({"batch_size": 0}, {"rounds": ()}, {"precision": "int3"}, {"nonsense": 1}):
        with pytest.raises(ValidationError):
            row.changed(**impossible)
