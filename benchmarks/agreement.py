"""Does bench agree with others who time the same thing in the same minute?

    python benchmarks/agreement.py -o benchmarks/results/agreement-MACHINE.json [--openvino PYTHON]

Eager: `fmnist-tk bench`, and between its rounds `torch.utils.benchmark.Timer` in a process of its own. OpenVINO, if
PYTHON (this interpreter, unless said otherwise) has it: our measuring loop and OpenVINO's `benchmark_app -api sync`, in
turns, a new process each. Ratios are ours over theirs, paired in time. Exit code 1 when a median is too far off.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result_file import conditions, reasons_of, save

from toolkit.bench import DEFAULT_BATCH_SIZES, Settings, run_bench
from toolkit.bench.engine.prepare import Prepared, prepare_entries
from toolkit.bench.machine.fitness import judge, read_counters
from toolkit.bench.statistics import paired_ratio
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.records import quantile
from toolkit.system.environment import default_threads
from toolkit.system.processes import clean_environment
from toolkit.verbs.export import export_formats

_HERE = Path(__file__).parent
_EAGER_ALLOWED, _OPENVINO_ALLOWED = 0.05, 0.10
_APP = "from openvino.tools.benchmark.main import main; main()"
_VERSION = "import importlib.metadata as m; print(m.version('openvino'))"
_APP_SETTINGS = ["-api", "sync", "-hint", "none", "-nstreams", "1", "-infer_precision", "f32"]
#: Of each repeat with OpenVINO; its application takes whole ones.
_SECONDS = 1
_UNITS = {"us": 1e-6, "ms": 1e-3}


def compared(batch: int, ours_s: Sequence[float], theirs_s: Sequence[float], allowed: float) -> dict[str, Any]:
    """Return a row of the result.

    Args:
        batch: Images per call.
        ours_s: Our median of each repeat, in seconds per call.
        theirs_s: Theirs, each measured beside ours of the same place.
        allowed: By how much the medians may differ: 0.05 is 5 %.
    """
    ratio = paired_ratio([[each] for each in ours_s], [[each] for each in theirs_s])
    return {
        "batch_size": batch,
        "ours_s": quantile(ours_s, 0.5),
        "theirs_s": quantile(theirs_s, 0.5),
        "ratio": ratio.point,
        "interval": ratio.interval and [ratio.interval.low, ratio.interval.high],
        "allowed": allowed,
        "agrees": abs(ratio.point - 1) <= allowed,
        "repeats": {"ours_s": list(ours_s), "theirs_s": list(theirs_s)},
    }


def eager_rows(budget_s: float, threads: int, scratch: Path) -> dict[str, Any]:
    """Compare eager in bench with torch's own timer, round by round."""
    checkpoint = load_checkpoint()
    entries = prepare_entries([], checkpoint, "cpu", scratch, unverified=False)
    sizes = [str(size) for size in DEFAULT_BATCH_SIZES]
    command = [sys.executable, "-P", str(_HERE / "torch_timer.py"), entries[0].golden, str(threads), *sizes]
    theirs: list[dict[str, float]] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment(threads)
    ) as timer:

        def let_them_measure(*_: object) -> None:
            """Between rounds all of our workers sleep."""
            print("measure", file=timer.stdin, flush=True)
            theirs.append(json.loads(timer.stdout.readline()))  # type: ignore[union-attr]  # it is a pipe

        report = run_bench(
            Prepared(checkpoint=checkpoint.record, entries=tuple(entries), skips=()),
            Settings(threads=(threads,), budget_s=budget_s, against_limits=False, control=False),
            scratch,
            watch=let_them_measure,
        )
        timer.communicate()  # its stdin ends, and so does it
    rows = []
    for row in report.latency:
        ours_s = [quantile(each.seconds(), 0.5) for each in row.rounds]
        theirs_s = [each[str(row.batch_size)] for each in theirs]
        rows.append(compared(row.batch_size, ours_s, theirs_s, _EAGER_ALLOWED))
    return {"noise": reasons_of(report), "rows": rows}


def openvino_rows(python: str, repeats: int, threads: int, scratch: Path) -> dict[str, Any]:
    """Compare our loop around OpenVINO with its own; a dictionary with only ``skipped`` where it is not installed."""
    found = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=False)
    if found.returncode:
        return {"skipped": "OpenVINO is not installed here; pass --openvino PYTHON of an environment that has it"}
    export_formats(load_checkpoint(), scratch, ["onnx"])
    before, rows = read_counters(), []
    for batch in DEFAULT_BATCH_SIZES:
        sides: dict[str, list[float]] = {"ours": [], "theirs": []}
        for repeat in range(repeats):
            for side in sorted(sides, reverse=repeat % 2 == 1):  # who begins alternates
                measure = _ours if side == "ours" else _theirs
                sides[side].append(measure(python, scratch, threads, batch))
        rows.append(compared(batch, sides["ours"], sides["theirs"], _OPENVINO_ALLOWED))
    noise = [each.sentence for each in judge(before, read_counters(), (), ()).reasons]
    return {"version": found.stdout.strip(), "settings": " ".join(_APP_SETTINGS), "noise": noise, "rows": rows}


def _ours(python: str, folder: Path, threads: int, batch: int) -> float:
    script, files = str(_HERE / "openvino_session.py"), [str(folder / "model.onnx"), str(folder / "golden.npz")]
    median: float = json.loads(_printed([python, "-P", script, *files, str(threads), str(batch), "1"], threads))[
        "median_s"
    ]
    return median


def _theirs(python: str, folder: Path, threads: int, batch: int) -> float:
    shape = ["-m", str(folder / "model.onnx"), "-shape", f"[{batch},1,28,28]", "-nthreads", str(threads)]
    printed = _printed([python, "-c", _APP, *shape, *_APP_SETTINGS, "-t", str(_SECONDS)], threads)
    median = re.search(r"Median: +([\d.]+) (\w+)", printed)
    assert median, printed
    return float(median[1]) * _UNITS[median[2]]


def _printed(command: Sequence[str], threads: int) -> str:
    """Return what a process prints that is started as bench starts its workers; it may import this checkout."""
    environment = {**clean_environment(threads), "PYTHONPATH": str(_HERE.parent)}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def table(name: str, part: dict[str, Any]) -> str:
    """Return one part of the result for people."""
    lines = [name, *(f"  NOISY: {each}" for each in part.get("noise", ())), *filter(None, [part.get("skipped")])]
    for row in part.get("rows", ()):
        low, high = row["interval"] or (row["ratio"], row["ratio"])
        lines.append(
            f"  batch {row['batch_size']:>5}: {row['ours_s'] * 1e6:9.1f} µs, theirs {row['theirs_s'] * 1e6:9.1f} µs, "
            f"ratio {row['ratio']:.3f} ({low:.3f} to {high:.3f}) of {len(row['repeats']['ours_s'])} pairs: "
            f"{'agrees' if row['agrees'] else 'DISAGREES'} within {row['allowed']:.0%}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run, write the result as JSON and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for eager")
    parser.add_argument("--repeats", type=int, default=7, help="of each side and batch size with OpenVINO")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--openvino", metavar="PYTHON", default=sys.executable, help="an interpreter that has OpenVINO")
    arguments = parser.parse_args()
    threads = arguments.threads
    result = {**conditions(), "threads": threads}
    with tempfile.TemporaryDirectory() as folder:
        result["eager"] = eager_rows(arguments.budget, threads, Path(folder))
        result["openvino"] = openvino_rows(arguments.openvino, arguments.repeats, threads, Path(folder))
    save(result, arguments.output)
    print(table("eager: bench and torch.utils.benchmark.Timer", result["eager"]))
    print(table("OpenVINO: our loop and benchmark_app -api sync", result["openvino"]))
    rows = [row for part in ("eager", "openvino") for row in result[part].get("rows", ())]
    sys.exit(0 if all(row["agrees"] for row in rows) else 1)


if __name__ == "__main__":
    main()
