"""A report as JUnit XML: a suite per target of parity, and per device of bench and of comparisons.

The dialect is what both schemas in use accept, the one of Jenkins' xUnit plugin (junit-10.xsd) and the one of Ant
(JUnit.xsd of windyroad): the latter wants properties first, both outputs last, and no attribute on ``testsuites``, so
that a reader sums the suites. A time is one that was measured; Ant wants it everywhere, but what was not timed, as
parity, has none. ``tests/golden/junit.xsd`` says it exactly.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from toolkit.plain import plain
from toolkit.records import CheckRecord, FailureRecord, ParityRecord, Report
from toolkit.render.words.bench import (
    comparison_legend,
    comparison_name,
    failed_clock_check,
    fitness_remarks,
    limit_in_words,
    ratio_in_words,
    row_warnings,
    slowdown_in_words,
)
from toolkit.render.words.parity import Explanation, explain, question, reference_of, repeat_command, target_names
from toolkit.render.words.saved import short_names
from toolkit.render.words.sheet import threads_in_words
from toolkit.render.words.speeds import median_in_words, ordered, row_name, verdict_of

# Records hold no host name; the schema of Ant wants this word then.
_HOST: Final = "localhost"
# Schemas read names as tokens, which may not be empty.
_NAMELESS: Final = "unnamed"


def junit_xml(report: Report) -> str:
    """Return a report as JUnit XML.

    Each parity record is a suite with a case per check and probe. So are the rows of each device, with the checks of
    its clock, and its comparisons; a row that is too slow is a failure. Rows that could not be measured are errors and
    skips are skipped cases, each kind in a suite of its own, when there are any.

    Returns:
        A whole document with declaration; to be written as UTF-8.
    """
    root = Element("testsuites")
    explanations = {id(explanation.record): explanation for explanation in explain(report.parity)}
    files = short_names([record.target for record in report.parity])
    for record, file, target in zip(report.parity, files, target_names(report.parity), strict=True):
        suite = _suite(root, report, f"parity {file} {record.device}", _properties(report, record))
        explanation = explanations.get(id(record))
        for check in record.checks:
            name = f"{check.name} [{check.probe}]" if check.probe else check.name
            case = _case(suite, f"fmnist-tk.parity.{target}", name)
            if not check.passed:
                cause = explanation if explanation and explanation.check is check else None
                _fail(case, check.name, check.detail, "\n".join(_failure_text(check, cause)))
        _close(suite, f"repeat with: {repeat_command(report, record)}" if explanation else "")
    devices = [*(each.device for each in report.self_checks), *(each.device for each in report.latency)]
    for device in dict.fromkeys(devices):
        _bench_suite(root, report, device)
    for device in dict.fromkeys(each.device for each in report.comparisons):
        _compare_suite(root, report, device)
    if report.failures:
        suite = _suite(root, report, "failures", [])
        for failure in report.failures:
            _failure_case(suite, failure)
        _close(suite, "")
    if report.skips:
        suite = _suite(root, report, "skipped", [])
        for skip in report.skips:
            case = _case(suite, "fmnist-tk.skipped", skip.what)
            SubElement(case, "skipped", message=plain(f"{skip.reason}; {skip.remedy}"))
        _close(suite, "")
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _properties(report: Report, record: ParityRecord) -> Iterable[tuple[str, str]]:
    yield "target", record.target
    yield "declared precision", record.declared
    yield "precision", record.precision or "not opened"
    yield "threads", "the runtime's own" if record.threads is None else str(record.threads)
    yield "runtime", record.runtime
    yield "runtime version", record.runtime_version
    yield "sha256", record.sha256
    yield "reference", reference_of(record, with_sha=False)
    yield "weights sha256", record.weights_sha256 or ""
    yield "fmnist-tk version", report.tool_version


def _failure_text(check: CheckRecord, cause: Explanation | None) -> Iterator[str]:
    """Yield the lines of a failure, with what explains the target when this check is the cause."""
    yield f"{question(check)}: {check.detail}"
    measured = "not measured" if check.measured is None else f"{check.measured:.6g}"
    yield f"measured: {measured}; limit: {check.bound} {check.limit:g}; unit: {check.unit}"
    if cause:
        for label, text in cause.lines():
            yield f"{label}: {text}"


def _bench_suite(root: Element, report: Report, device: str) -> None:
    """Add the rows of a device and the checks of its clock."""
    suite = _suite(root, report, f"bench {device}", _run_properties(report))
    for record in report.self_checks:
        for check in record.checks if record.device == device else ():
            name = f"{check.name}, {limit_in_words(check)} [{check.detail}]"
            case = _case(suite, f"fmnist-tk.bench.clock.{device}", name)
            if not check.passed:
                _fail(case, "clock", failed_clock_check(record, check))
    lines = []
    for row in ordered(report):
        if row.device == device:
            place = f"batch {row.batch_size}, {threads_in_words(row.threads)}, {row.precision}"
            seconds = sum(part.slice_s for part in row.rounds)
            _case(suite, f"fmnist-tk.bench.{row.target}", f"{row_name(row)} [{place}]", seconds)
            lines.append(f"{row_name(row)}, {place}: {' '.join(median_in_words(row).split())}, {verdict_of(row)}")
    remarks = (*fitness_remarks(report.fitness), *row_warnings(report))
    _close(suite, "\n".join([*lines, *(remark.text for remark in remarks)]))


def _compare_suite(root: Element, report: Report, device: str) -> None:
    """Add the comparisons on a device."""
    suite = _suite(root, report, f"compare {device}", _run_properties(report))
    compared = [each for each in report.comparisons if each.device == device]
    for each in compared:
        name = f"{each.format} [batch {each.batch_size}, {threads_in_words(each.threads)}]"
        case = _case(suite, f"fmnist-tk.compare.{each.target}", name)
        if each.too_slow:
            _fail(case, "slowdown", slowdown_in_words(each))
    lines = [f"{comparison_name(each)}: {ratio_in_words(each.speed)}, {each.speed.verdict}" for each in compared]
    _close(suite, "\n".join([*lines, comparison_legend(report), *report.notes]))


def _run_properties(report: Report) -> Iterable[tuple[str, str]]:
    here, how = report.machine, report.bench
    yield "cpu", here.cpu
    yield "usable cpus", str(here.usable_cpus)
    yield "system", here.system
    yield from ((f"{name} version", version) for name, version in here.versions.items() if name != "fmnist-tk")
    if how:
        gap = f", {how.scenario.interval_s:g} s apart" if how.scenario.interval_s else ""
        yield "scenario", f"{how.scenario.kind}{gap}"
        yield "seed", str(how.seed)
        yield "rounds", str(how.rounds)
        yield "budget in seconds", f"{how.budget_s:g}"
        yield "threshold", f"{how.threshold:g}"
    if report.fitness:
        yield "machine", report.fitness.verdict
    if report.interrupted:
        yield "interrupted", "true"
    yield "fmnist-tk version", report.tool_version


def _failure_case(suite: Element, failure: FailureRecord) -> None:
    batch = f" at batch {failure.batch_size}" if failure.batch_size else ""
    threads = f", {threads_in_words(failure.threads)}" if failure.threads else ""
    case = _case(suite, f"fmnist-tk.failures.{failure.target}", f"runs on {failure.device}{batch}{threads}")
    _fail(case, "failure", failure.reason, tag="error")


def _fail(case: Element, kind: str, message: str, text: str | None = None, *, tag: str = "failure") -> None:
    SubElement(case, tag, type=kind, message=plain(message)).text = plain(message if text is None else text)


def _suite(root: Element, report: Report, name: str, properties: Iterable[tuple[str, str]]) -> Element:
    """Open a suite; `_close` counts its cases."""
    suite = SubElement(
        root,
        "testsuite",
        id=str(len(root)),
        package="fmnist-tk",
        name=_token(name),
        timestamp=_timestamp(report.created_at),
        hostname=_HOST,
    )
    element = SubElement(suite, "properties")
    for key, value in properties:
        SubElement(element, "property", name=key, value=plain(value))
    return suite


def _close(suite: Element, output: str) -> None:
    """Count the cases of a suite, sum up their times, and end it with its outputs."""
    cases = suite.findall("testcase")
    times = [float(case.attrib["time"]) for case in cases if "time" in case.attrib]
    if times:
        suite.set("time", f"{sum(times):.3f}")
    suite.set("tests", str(len(cases)))
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
    SubElement(suite, "system-out").text = plain(output)
    SubElement(suite, "system-err").text = ""


def _case(suite: Element, classname: str, name: str, seconds: float = 0.0) -> Element:
    """Add a case; of one that took no seconds none were measured."""
    time = {"time": f"{seconds:.3f}"} if seconds else {}  # one of the two schemas wants three decimals at most
    return SubElement(suite, "testcase", classname=_token(classname), name=_token(name), attrib=time)


def _token(text: str) -> str:
    """Return ``text`` as one line that is not empty."""
    return " ".join(plain(text).split()) or _NAMELESS


def _timestamp(moment: datetime) -> str:
    """Return a time in UTC, without the zone: the schema of Ant has no place for it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
