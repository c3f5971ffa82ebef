"""JUnit XML: valid by both schemas in use, the same counts as the records, whatever stands in a detail."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree

from made_up import bench, clock, compared, comparison, cuda_bench, eager, fitness, ratio, rounds, row
from made_up_parity import SAMPLE, bad, counted, good, lower, record, unopened
from toolkit.plain import plain
from toolkit.records import FailureRecord, ParityRecord, Report, Scenario, SkipRecord
from toolkit.render.files.junit import junit_xml
from toolkit.render.words.bench import (
    comparison_name,
    failed_clock_check,
    fitness_remarks,
    ratio_in_words,
    slowdown_in_words,
)
from toolkit.render.words.parity import explain, repeat_command
from toolkit.system.environment import new_report

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "golden" / "junit.xsd"))
FAILURE = FailureRecord(target="model.onnx", format="onnx", device="cpu", batch_size=64, reason="out of memory")
SHORT = rounds(2e-5, 3, 1)
SKIP = SkipRecord(what="torch-export", reason="not in exported", remedy="export it")


def report_of(*records: ParityRecord, **changes: Any) -> Report:
    return new_report("parity").model_copy(update={"parity": records, **changes})


FULL = report_of(good(), bad(), unopened(), lower(), failures=(FAILURE,), skips=(SKIP,))


def parsed(report: Report) -> Any:
    """The document, validated."""
    root = etree.fromstring(junit_xml(report).encode())
    SCHEMA.assertValid(root)
    return root


def test_a_report_with_everything_is_valid() -> None:
    root = parsed(FULL)
    assert [suite.get("name") for suite in root] == [
        "parity model.ts.pt cpu",
        "parity model.onnx cpu",
        "parity model.pt2 cpu",
        "parity model.int8.onnx cpu",
        "failures",
        "skipped",
    ]
    assert [suite.get("id") for suite in root] == list("012345")


def test_a_report_with_nothing_is_valid() -> None:
    assert len(parsed(new_report("parity"))) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root.set("tests", "3"),
        lambda root: root[0].set("time", ""),
        lambda root: root[0].set("timestamp", "2026-01-01T00:00:00+00:00"),
        lambda root: root[0].attrib.pop("hostname"),
        lambda root: root[0].append(root[0][0]),
        lambda root: root[0].insert(0, deepcopy(root[0][0])),
        lambda root: root[0].remove(root[0].find("system-err")),
        lambda root: root[0].find("testcase").set("name", " "),
        lambda root: root[1].find("testcase/failure").attrib.pop("type"),
        lambda root: root[1].find("testcase/failure").addnext(etree.Element("skipped", message="")),
    ],
)
def test_the_schema_refuses_what_one_of_the_two_in_use_refuses(change: Any) -> None:
    root = parsed(FULL)
    change(root)
    assert not SCHEMA.validate(root)


def test_another_reader_finds_the_same_counts() -> None:
    xml = JUnitXml.fromstring(junit_xml(FULL).encode())
    for suite, target in zip(xml, FULL.parity, strict=False):
        failed = sum(not check.passed for check in target.checks)
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(target.checks), failed, 0, 0)
        assert sum(any(isinstance(each, Failure) for each in case.result) for case in suite) == failed
    failures, skipped = list(xml)[4:]
    assert (failures.tests, failures.failures, failures.errors, failures.skipped) == (1, 0, 1, 0)
    assert (skipped.tests, skipped.failures, skipped.errors, skipped.skipped) == (1, 0, 0, 1)
    kinds = [type(result) for suite in (failures, skipped) for case in suite for result in case.result]
    assert kinds == [Error, Skipped]
    stored = [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in xml]
    xml.update_statistics()  # junitparser counts anew, also for the whole
    assert [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in xml] == stored
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == tuple(map(sum, zip(*stored, strict=True)))


def test_what_was_not_timed_has_no_time() -> None:
    assert not parsed(FULL).xpath("//@time")
    assert not parsed(bench(row(rounds=SHORT), self_checks=(clock(),))).xpath("//@time")
    assert not parsed(compared(comparison())).xpath("//@time")


def test_a_case_is_a_check_on_a_probe() -> None:
    suite = parsed(report_of(good()))[0]
    cases = [(case.get("classname"), case.get("name"), case.get("time")) for case in suite.findall("testcase")]
    assert cases[0] == ("fmnist-tk.parity.model.ts.pt", "opens", None)
    assert cases[4][1] == f"values [{SAMPLE}]"
    assert len(set(cases)) == len(cases) == len(good().checks)


def test_one_file_on_two_devices_is_two_suites_whose_cases_differ() -> None:
    root = parsed(report_of(good(), good(device="cuda:0")))
    assert [suite.get("name") for suite in root] == ["parity model.ts.pt cpu", "parity model.ts.pt cuda:0"]
    assert len({(case.get("classname"), case.get("name")) for case in root.iter("testcase")}) == 2 * len(good().checks)


def test_a_failure_tells_detail_measure_limit_and_unit_and_the_cause_where_it_diverges() -> None:
    suite = parsed(report_of(bad()))[0]
    values, labels, rows = [
        case.find("failure") for case in suite.findall("testcase") if case.find("failure") is not None
    ]
    assert values.get("type") == "values"
    assert values.get("message") == next(each.detail for each in bad().checks if each.name == "values")
    assert "measured: 39.12; limit: at most 8; unit: × eager's own rounding" in values.text
    assert "where:" not in values.text
    assert "measured: 3; limit: at most 0; unit: flips" in labels.text
    (why,) = explain([bad()])
    assert [label for label, _ in why.lines()] == ["where", "reproduction", "also failed"]
    for label, fact in why.lines():
        assert f"{label}: {fact}" in rows.text.splitlines()
    assert suite.findtext("system-out") == f"repeat with: {repeat_command(report_of(bad()), bad())}"


def test_a_check_that_was_not_measured_says_so() -> None:
    failure = parsed(report_of(unopened()))[0].find("testcase/failure")
    assert "measured: not measured; limit: at most 0; unit: problems" in failure.text


def test_properties_name_what_was_checked() -> None:
    suite = parsed(report_of(lower(threads=None)))[0]
    properties = {each.get("name"): each.get("value") for each in suite.findall("properties/property")}
    assert properties["target"] == "model.int8.onnx"
    assert properties["declared precision"] == properties["precision"] == "int8"
    assert properties["threads"] == "the runtime's own"
    assert (properties["runtime"], properties["runtime version"]) == ("onnxruntime", "1.31.0")
    assert properties["sha256"] == "a" * 64
    assert (properties["reference"], properties["weights sha256"]) == ("the checkpoint", "b" * 64)


class TestBench:
    """A suite per device with a case per row, one of comparisons, failures as of every command."""

    SLOW = comparison(allowed_slowdown=0.05, too_slow=True)

    def test_a_bench_with_everything_is_valid(self) -> None:
        rows = cuda_bench().latency
        rows += (row(role="base"), eager(role="control"), row(verified=False, mismatch="off by 39", target="b.onnx"))
        report = bench(
            *rows,
            self_checks=(clock(), clock("cuda", 3e-6)),
            comparisons=(self.SLOW, comparison(1.1, "FASTER", device="cuda", threads=1)),
            fitness=fitness(noisy=True),
            failures=(FAILURE.model_copy(update={"threads": 1}), FAILURE.model_copy(update={"threads": 2})),
            skips=(SKIP,),
        )
        root = parsed(report)
        assert [suite.get("name") for suite in root] == [
            "bench cpu",
            "bench cuda",
            "compare cpu",
            "compare cuda",
            "failures",
            "skipped",
        ]
        assert [suite.get("failures") for suite in root] == ["0", "1", "1", "0", "0", "0"]
        assert [suite.get("errors") for suite in root] == ["0", "0", "0", "0", "2", "0"]
        names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
        assert len(set(names)) == len(names)
        xml = JUnitXml.fromstring(junit_xml(report).encode())
        stored = [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in xml]
        xml.update_statistics()
        assert [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in xml] == stored

    def test_a_case_is_a_row_and_controls_are_none(self) -> None:
        parts = rounds(2e-5, slice_s=0.06)
        rows = (row(2e-5, ratio(2.5), batch_size=1024, rounds=parts), eager(), eager(role="control"))
        (suite,) = parsed(bench(*rows, self_checks=()))
        cases = [(case.get("classname"), case.get("name"), case.get("time")) for case in suite.findall("testcase")]
        assert cases == [
            ("fmnist-tk.bench.eager", "eager [batch 1, 2 threads, float32]", None),
            ("fmnist-tk.bench.model.onnx", "onnx [batch 1024, 2 threads, float32]", "0.720"),
        ]
        assert suite.get("time") == "0.720"
        assert "onnx, batch 1024, 2 threads, float32: 20.0 µs ±1.0 %, FASTER" in suite.findtext("system-out")

    def test_properties_tell_how_and_where_it_was_measured(self) -> None:
        paced = bench(row(scenario=Scenario(kind="paced", interval_s=0.01)), fitness=fitness(noisy=True))
        (suite,) = parsed(paced)
        properties = {each.get("name"): each.get("value") for each in suite.findall("properties/property")}
        assert (properties["scenario"], properties["seed"], properties["rounds"]) == ("paced, 0.01 s apart", "7", "12")
        assert (properties["budget in seconds"], properties["threshold"]) == ("30", "0.02")
        assert properties["machine"] == "NOISY"
        assert properties["torch version"] == paced.machine.versions["torch"]
        for remark in fitness_remarks(paced.fitness):
            assert remark.text in suite.findtext("system-out").splitlines()

    def test_a_report_that_was_interrupted_says_so(self) -> None:
        assert 'name="interrupted" value="true"' in junit_xml(bench(row(), interrupted=True))
        assert "interrupted" not in junit_xml(bench(row()))

    def test_a_clock_that_is_wrong_is_a_failure(self) -> None:
        wrong = clock(measured=3e-6)
        (suite,) = parsed(bench(self_checks=(wrong,)))
        (failure,) = suite.iter("failure")
        assert failure.get("type") == "clock"
        assert failure.get("message") == failed_clock_check(wrong, wrong.checks[0])
        names = [case.get("name") for case in suite.iter("testcase")]
        assert names == [
            "overhead, at most 1.00 µs [It must take no time.]",
            "linear, at most 2.2 [It must take no time.]",
        ]

    def test_a_row_that_is_too_slow_is_a_failure_with_the_sentence(self) -> None:
        report = compared(self.SLOW, comparison(1.0, "SAME", batch_size=64), notes=("versions differ",))
        (suite,) = parsed(report)
        assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("compare cpu", "2", "1")
        (failure,) = suite.iter("failure")
        assert failure.get("message") == slowdown_in_words(self.SLOW) == failure.text
        assert suite.find("testcase").get("name") == "onnx [batch 1, 2 threads]"
        out = suite.findtext("system-out")
        for each in report.comparisons:
            assert f"{comparison_name(each)}: {ratio_in_words(each.speed)}, {each.speed.verdict}" in out.splitlines()
        assert out.endswith("versions differ")

    @given(st.text(), st.text())
    def test_any_text_gives_a_valid_document(self, name: str, detail: str) -> None:
        rows = (row(target=name, format=name, rounds=SHORT), eager(rounds=SHORT))
        parsed(bench(*rows, self_checks=(clock(measured=None, detail=detail),)))
        parsed(compared(comparison(target=name, format=name, too_slow=True), notes=(detail,)))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC),
        datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001  a file may hold a time without a zone
    ],
)
def test_the_timestamp_is_the_reports_in_utc(moment: datetime) -> None:
    assert parsed(report_of(good(), created_at=moment))[0].get("timestamp") == "2026-01-02T03:04:05"


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_gives_a_valid_document(detail: str, probe: str, name: str, reason: str) -> None:
    checks = (counted("opens", 1, detail), counted("finite", 1, detail, probe=probe))
    report = report_of(
        record(name, *checks, against=name, runtime_version=detail),
        failures=(FAILURE.model_copy(update={"reason": reason, "target": name}),),
        skips=(SkipRecord(what=name, reason=reason, remedy=detail),),
    )
    root = parsed(report)
    assert root[0].find("testcase/failure").get("message") == plain(detail)


@given(st.text(st.characters(categories=["Cc", "Cs", "Cn", "Ll", "So"])))
def test_what_xml_forbids_is_replaced(text: str) -> None:
    element = etree.Element("x", value=plain(text))  # lxml refuses forbidden characters
    assert etree.fromstring(etree.tostring(element)).get("value") == plain(text)


def test_control_characters_of_a_terminal_are_replaced() -> None:
    report = report_of(record("m.onnx", counted("opens", 1, "\x1b[31mbad\x00\x08 & <b>]]>")))
    assert parsed(report)[0].find("testcase/failure").get("message") == "�[31mbad�� & <b>]]>"
