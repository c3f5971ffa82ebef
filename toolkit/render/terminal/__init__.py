"""A report as a person reads it in a terminal, part by part; each is shown when the report has it."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from toolkit.records import CheckpointRecord, Report
from toolkit.render.words.bench import bench_contents, fitness_remarks, method_remarks, row_warnings
from toolkit.render.words.parity import check_sheets, explain
from toolkit.render.words.parts import artifact_sheets, other_parts
from toolkit.render.words.prediction import prediction_parts
from toolkit.render.words.saved import runtimes
from toolkit.render.words.sheet import Remark

_INDENT = 4


def render_report(report: Report, *, whole: bool = False) -> Iterator[RenderableType]:
    """Yield what a person sees of a report, part by part; with ``whole`` long lists to their end."""
    yield from _heading(report)
    yield _OtherParts(report, whole)
    yield from artifact_sheets(report, shortly=True)
    yield from _parity(report)
    yield from bench_contents(report, details=True)
    yield from (*method_remarks(report), *fitness_remarks(report.fitness), *row_warnings(report))
    if not report.gallery:  # which has said what a model takes its pictures for
        yield from prediction_parts(report)
    yield from _remarks(report)


def _heading(report: Report) -> Iterator[RenderableType]:
    here = report.machine
    yield Text(
        f"fmnist-tk {report.tool_version} {report.command} on {here.cpu}, {here.usable_cpus} CPUs, "
        f"{here.system}, Python {here.python}, {runtimes(report)}",
        style="dim",
    )
    if report.checkpoint:
        yield Text(f"Checkpoint {_checkpoint(report.checkpoint)}")


def _checkpoint(record: CheckpointRecord) -> str:
    layers = "-".join(map(str, record.config.layer_sizes)) + (" with a final ReLU" if record.config.final_relu else "")
    text = f"{record.path} ({record.form}): {layers}, {record.config.parameters:,} parameters"
    if record.training:
        text += f", {record.training.test_accuracy:.2%} on {record.training.test_set}"
    return text


@dataclass(frozen=True)
class _OtherParts:
    """What is of neither parity nor bench, as wide as the terminal; predictions come last, drawn in another way."""

    report: Report
    whole: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in other_parts(self.report, whole=self.whole, width=options.max_width):
            yield from part.contents if part.id != "predictions" else ()


def _parity(report: Report) -> Iterator[RenderableType]:
    """Yield what is to be read in ten seconds, then why each failed target failed."""
    yield from check_sheets(report.parity)
    for explanation in explain(report.parity):
        yield Remark(f"{explanation.target}: {explanation.cause}", "bad")
        for label, text in explanation.lines():
            yield Padding(Text.assemble((f"{label}: ", "dim"), text), (0, 0, 0, _INDENT), expand=False)


def _remarks(report: Report) -> Iterator[RenderableType]:
    for failure in report.failures:
        batch = f" at batch {failure.batch_size:,}" if failure.batch_size else ""
        yield Remark(f"{failure.target}{batch}: {failure.reason}", "bad")
    for row in report.latency:
        if row.mismatch:
            yield Remark(f"{row.target} at batch {row.batch_size:,}: {row.mismatch}", "bad")
    for skip in report.skips:
        yield Text(f"– skipped {skip.what}: {skip.reason}; {skip.remedy}", style="yellow")
    for note in report.notes:
        yield Remark(note, "warning")
    if report.interrupted:
        yield Remark("Interrupted: only what was finished before is here", "warning")
