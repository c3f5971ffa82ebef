"""Write what was measured into the documents, between their markers: the run into README.md, the rest into docs."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from toolkit.records import Report, read_record
from toolkit.records.units import percent, seconds
from toolkit.render.words.screen import first_screen
from toolkit.render.words.speeds import speed_sheets

ROOT = Path(__file__).parent.parent
README, PARITY, BENCHMARKING = ROOT / "README.md", ROOT / "docs" / "parity.md", ROOT / "docs" / "benchmarking.md"
RESULTS = ROOT / "benchmarks" / "results"
RUN = RESULTS / "amd-epyc-2-cores-run.json"
TERMINAL = ROOT / "docs" / "images" / "terminal.svg"
RESULT_COLUMNS = {"batch", "format", "p50 ±", "images/s", "× eager", "verdict"}
SPREAD = RESULTS / "parity-spread-amd-epyc-2-cores.json"
AGREEMENT = RESULTS / "agreement-amd-epyc-2-cores.json"
BELIEVABLE = RESULTS / "believable-amd-epyc-2-cores.json"


def run_report() -> Report:
    """Return the committed report of `fmnist-tk run`."""
    return read_record(RUN, Report)


def with_results(text: str) -> str:
    """Return the text with the latencies of the committed run between its markers."""
    report = run_report()
    (sheet,) = speed_sheets(report)
    columns = [column for column in sheet.columns if column.title in RESULT_COLUMNS]
    lines = [_cells(column.title for column in columns), _cells("--:" if each.right else ":--" for each in columns)]
    lines += [_cells(words) for words in zip(*(column.cells for column in columns), strict=True)]
    here, versions = report.machine, report.machine.versions
    where = (
        f"{here.cpu}, {here.usable_cpus} CPUs, {report.latency[0].threads} threads; torch {versions['torch']}, "
        f"ONNX Runtime {versions['onnxruntime']}; measured {report.created_at:%Y-%m-%d}."
    )
    return filled(text, "results", "\n".join([*lines, "", where]))


def _cells(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def terminal_picture() -> str:
    """Return what `fmnist-tk report` shows of the committed run in a terminal, as SVG that fetches no font."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, file=nowhere, width=80, highlight=False, markup=False, force_terminal=True)
        console.print(*first_screen(run_report()))
        svg = console.export_svg(title="fmnist-tk run", unique_id="terminal")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


def spread() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(SPREAD.read_text(encoding="utf-8"))
    return result


def filled(text: str, name: str, table: str) -> str:
    """Return the text with a table between the markers of a name."""
    pattern = re.compile(rf"<!-- {name} -->\n.*?<!-- end -->", re.DOTALL)
    return pattern.sub(lambda _: f"<!-- {name} -->\n{table}\n<!-- end -->", text)


def machine(measured: dict[str, Any]) -> str:
    """Return the sentence that names the machine and its runtimes."""
    machine, versions = measured["machine"], measured["machine"]["versions"]
    runtimes = f"torch {versions['torch']}, ONNX Runtime {versions['onnxruntime']}"
    return f"Machine: {machine['cpu']}, {machine['usable_cpus']} CPUs; {runtimes}."


def with_spread(text: str) -> str:
    """Return the text with the table of the spread between its markers."""
    measured = spread()
    rows = [
        f"| {name} | {row['median']:.2f} | {row['p99']:.2f} | {row['max']:.2f} |"
        for name, row in measured["largest_error_in_units"].items()
    ]
    head = [f"| largest error in units, {measured['runs']} runs | median | p99 | max |", "|:--|--:|--:|--:|"]
    tail = ["", f"False alarms: {measured['false_alarms']}. {machine(measured)}"]
    return filled(text, "spread", "\n".join([*head, *rows, *tail]))


def with_trials(text: str) -> str:
    """Return the text with the experiments on bench between their markers."""
    for name, path, lines in (
        ("agreement", AGREEMENT, agreement_lines),
        ("believable", BELIEVABLE, believable_lines),
    ):
        measured = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        text = filled(text, name, "\n".join(lines(measured)) if measured else "Not measured yet.")
    return text


def agreement_lines(measured: dict[str, Any]) -> list[str]:
    """Return the table of the medians, ours and theirs, and where it was measured."""
    lines = ["| what | batch | ours | theirs | ratio | interval | within |", "|:--|--:|--:|--:|--:|:--|:--|"]
    eager, openvino = measured["eager"], measured["openvino"]
    for name, part in (("eager", eager), (f"OpenVINO {openvino.get('version', '')}", openvino)):
        for row in part.get("rows", ()):
            interval = " to ".join(f"{end:.3f}" for end in row["interval"] or ())  # none of a single pair
            lines.append(
                f"| {name} | {row['batch_size']} | {seconds(row['ours_s'])} | {seconds(row['theirs_s'])} "
                f"| {row['ratio']:.3f} | {interval} "
                f"| {percent(row['allowed'])}: {'yes' if row['agrees'] else 'no'} |"
            )
    noise = [*eager["noise"], *openvino.get("noise", ())]
    return [*lines, "", conditions(measured, noise)]


def believable_lines(measured: dict[str, Any]) -> list[str]:
    """Return the table of the questions and answers, and where it was measured."""
    lines = ["| experiment | wanted | found | right |", "|:--|:--|:--|:--|"]
    for each in measured["answers"]:
        right = "yes" if each["right"] else "no"
        lines.append(f"| {each['question']} | {each['wanted']} | {each['found']} | {right} |")
    noise = [*measured["two_runs"]["noise"][0], *measured["two_runs"]["noise"][1], *measured["slowdowns"]["noise"]]
    return [*lines, "", conditions(measured, noise)]


def conditions(measured: dict[str, Any], noise: list[str]) -> str:
    """Return machine, day and noise."""
    told = f"NOISY: {'; '.join(dict.fromkeys(noise))}" if noise else "VALID"
    day = measured["created_at"][:10]
    return f"{machine(measured)} Threads per row: {measured['threads']}. Measured {day}; bench called it {told}."


if __name__ == "__main__":
    README.write_text(with_results(README.read_text(encoding="utf-8")), encoding="utf-8")
    TERMINAL.write_text(terminal_picture(), encoding="utf-8")
    PARITY.write_text(with_spread(PARITY.read_text(encoding="utf-8")), encoding="utf-8")
    BENCHMARKING.write_text(with_trials(BENCHMARKING.read_text(encoding="utf-8")), encoding="utf-8")
