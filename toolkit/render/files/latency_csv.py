"""Latencies as CSV: one line per row and report, units in the names of the columns, nothing scaled."""

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Final

from toolkit.plain import Value, cell
from toolkit.records import LatencyRecord
from toolkit.render.words.saved import SavedReport
from toolkit.render.words.speeds import evaluation_of, is_baseline, verdict_of

_OF_REPORTS: Final[dict[str, Callable[[SavedReport], Value]]] = {
    "file": lambda each: each.file,
    "created_at": lambda each: each.report.created_at.isoformat(),
    "command": lambda each: each.report.command,
    "tool_version": lambda each: each.report.tool_version,
    "cpu": lambda each: each.report.machine.cpu,
    "system": lambda each: each.report.machine.system,
    "usable_cpus": lambda each: each.report.machine.usable_cpus,
    "fit": lambda each: each.report.fitness.verdict if each.report.fitness else None,
    "weights_sha256": lambda each: each.report.checkpoint.weights_sha256 if each.report.checkpoint else None,
}
_OF_ROWS: Final[dict[str, Callable[[LatencyRecord], Value]]] = {
    "device": lambda row: row.device,
    "format": lambda row: row.format,
    "role": lambda row: row.role,
    "target": lambda row: row.target,
    "runtime": lambda row: row.runtime,
    "runtime_version": lambda row: row.runtime_version,
    "precision": lambda row: row.precision,
    "threads": lambda row: row.threads,
    "scenario": lambda row: row.scenario.kind,
    "scenario_interval_s": lambda row: row.scenario.interval_s,
    "batch_size_images": lambda row: row.batch_size,
    "rounds": lambda row: len(row.rounds),
    "calls": lambda row: len(row.times_s),
    "p50_s": lambda row: row.median_s,
    "p50_low_s": lambda row: row.estimate.p50_s[0] if row.estimate and row.estimate.p50_s else None,
    "p50_high_s": lambda row: row.estimate.p50_s[1] if row.estimate and row.estimate.p50_s else None,
    "p90_s": lambda row: row.p90_s,
    "p99_s": lambda row: row.p99_s,
    "throughput_images_per_s": lambda row: row.throughput_images_per_s,
    "ratio_to_eager": lambda row: _ratio(row, "ratio"),
    "ratio_to_eager_low": lambda row: _ratio(row, "low"),
    "ratio_to_eager_high": lambda row: _ratio(row, "high"),
    "verdict": lambda row: row.to_eager.verdict if row.to_eager else verdict_of(row) if is_baseline(row) else None,
    "verified": lambda row: row.verified,
    "mismatch": lambda row: row.mismatch,
    "bound_s": lambda row: row.bound.seconds if row.bound else None,
    "bound_by": lambda row: row.bound.kind if row.bound else None,
    "share_of_limit": lambda row: row.share_of_limit,
    "import_s": lambda row: row.cold.import_s,
    "load_s": lambda row: row.cold.load_s,
    "first_call_s": lambda row: row.cold.first_call_s,
    "peak_memory_bytes": lambda row: row.peak_memory_bytes,
    "device_memory_bytes": lambda row: row.device_memory_bytes,
    "file_bytes": lambda row: row.file_bytes,
    "energy_j_per_image": lambda row: row.energy.joules_per_image if row.energy else None,
}
_ACCURACY: Final = ("accuracy", "accuracy_images")


def latency_csv(saved: Sequence[SavedReport]) -> str:
    """Return every row that was timed in some reports, controls included, as CSV with a line of names.

    What is not known is an empty cell. A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_OF_REPORTS, *_OF_ROWS, *_ACCURACY])
    for each in saved:
        facts = [of(each) for of in _OF_REPORTS.values()]
        for row in each.report.latency:
            numbers = [of(row) for of in _OF_ROWS.values()]
            found = evaluation_of(row, each.report)
            accuracy = (found.accuracy, found.images) if found else (None, None)
            writer.writerow(map(cell, [*facts, *numbers, *accuracy]))
    return text.getvalue()


def _ratio(row: LatencyRecord, name: str) -> float | None:
    if is_baseline(row):
        return 1.0 if name == "ratio" else None
    value: float | None = getattr(row.to_eager, name, None)
    return value
