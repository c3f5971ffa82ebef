"""A report as tables in a terminal. One function per part; each part is shown when the report has it."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from toolkit.records import CheckpointRecord, Report
from toolkit.records.units import size
from toolkit.render.terminal.latency import latency_tables
from toolkit.render.terminal.parity import parity_tables
from toolkit.render.words.dataset import dataset_tables
from toolkit.render.words.doctor import doctor_tables
from toolkit.render.words.gallery import gallery_parts
from toolkit.render.words.inspection import inspection_tables
from toolkit.render.words.own_pictures import own_pictures_lines
from toolkit.render.words.prediction import prediction_parts
from toolkit.render.words.tables import make_table
from toolkit.render.words.training import training_tables
from toolkit.render.words.two_files import comparison_tables


def render_report(report: Report, *, whole: bool = False) -> Iterator[RenderableType]:
    """Yield what a person sees of a report, part by part; with ``whole`` long lists to their end."""
    yield from _heading(report)
    if report.training:
        yield from training_tables(report.training)
    if report.doctor:
        yield from doctor_tables(report.doctor)
    yield from dataset_tables(report)
    yield from gallery_parts(report)
    if len(report.inspected) == 2:
        yield from comparison_tables(report, whole=whole)
    else:
        yield from inspection_tables(report, whole=whole)
    if report.artifacts:
        yield _artifacts(report)
    if report.parity:
        yield from parity_tables(report.parity)
    yield from latency_tables(report)
    if not report.gallery:  # which has said what a model takes its pictures for
        yield from prediction_parts(report)
    yield from _remarks(report)


def _heading(report: Report) -> Iterator[RenderableType]:
    here = report.machine
    tools = ", ".join(f"{name} {here.versions[name]}" for name in ("torch", "onnxruntime") if name in here.versions)
    yield Text(
        f"fmnist-tk {report.tool_version} {report.command} on {here.cpu}, {here.usable_cpus} CPUs, "
        f"{here.system}, Python {here.python}, {tools}",
        style="dim",
    )
    if report.checkpoint:
        yield Text(f"Checkpoint {_checkpoint(report.checkpoint)}")
    yield from map(Text, own_pictures_lines(report))


def _checkpoint(record: CheckpointRecord) -> str:
    layers = "-".join(map(str, record.config.layer_sizes)) + (" with a final ReLU" if record.config.final_relu else "")
    text = f"{record.path} ({record.form}): {layers}, {record.config.parameters:,} parameters"
    if record.training:
        text += f", {record.training.test_accuracy:.2%} on {record.training.test_set}"
    return text


def _artifacts(report: Report) -> Table:
    table = make_table("Artifacts", "format", "file", "size", "SHA-256", right=("size",))
    for record in report.artifacts:
        table.add_row(record.format, record.file, size(record.size_bytes), record.sha256[:16] + "…")
    return table


def _remarks(report: Report) -> Iterator[RenderableType]:
    for failure in report.failures:
        batch = f" at batch {failure.batch_size:,}" if failure.batch_size else ""
        yield Text(f"✗ {failure.target}{batch}: {failure.reason}", style="red")
    for row in report.latency:
        if row.mismatch:
            yield Text(f"✗ {row.target} at batch {row.batch_size:,}: {row.mismatch}", style="red")
    for skip in report.skips:
        yield Text(f"– skipped {skip.what}: {skip.reason}; {skip.remedy}", style="yellow")
    for note in report.notes:
        yield Text(f"! {note}", style="yellow")
    if report.interrupted:
        yield Text("! Interrupted: only what was finished before is here", style="yellow")
