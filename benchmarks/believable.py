"""Can bench be believed? Four experiments whose right answer is known.

    python benchmarks/believable.py -o benchmarks/results/believable-MACHINE.json

1. Two runs of the default bench: do the intervals of their medians overlap, row by row?
2. In both, eager beside itself: is that SAME?
3. Eager slowed by 5 % must be SLOWER, by 0.5 % must not be.
4. With a busy loop on every core the run must be NOISY.

Four minutes. Exit code 1 when an answer is wrong; on a machine that is not idle, 1 to 3 may be.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from result_file import conditions, fitness_of, reasons_of, save
from slowed_worker import SLOWED

from toolkit.bench import DEFAULT_BUDGET_S, Settings, run_bench
from toolkit.bench.engine import launch
from toolkit.bench.engine.job import Entry
from toolkit.bench.engine.prepare import Prepared, prepare_entries
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.formats.resolve import resolve_targets
from toolkit.records import LatencyRecord, Report, quantile
from toolkit.system.environment import default_threads, usable_cpus
from toolkit.verbs.export import export_formats

_HERE = Path(__file__).parent
_WANTED_OVERLAP = 0.9
#: Percent, and whether that must be called SLOWER.
_SLOWDOWNS = {5.0: True, 0.5: False}
_BATCH = 64
_BUSY_BUDGET_S = 10.0
#: A busy loop ends by itself, whatever happens to this process.
_BUSY = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"
_DETACH = (
    "import subprocess, sys\n"
    "for _ in range(int(sys.argv[1])):\n"
    "    print(subprocess.Popen([sys.executable, '-c', sys.argv[2]], stdout=subprocess.DEVNULL).pid)"
)


def prepare(folder: Path) -> Prepared:
    """Export the bundled checkpoint in every format, and return what bench needs to know of it."""
    checkpoint = load_checkpoint()
    export_formats(checkpoint, folder)
    targets, skips = resolve_targets([], folder, "cpu")
    entries = prepare_entries(targets, checkpoint, "cpu", folder, unverified=False)
    return Prepared(checkpoint=checkpoint.record, entries=tuple(entries), skips=tuple(skips))


def two_runs(prepared: Prepared, settings: Settings, scratch: Path) -> dict[str, Any]:
    """Run the default bench twice and compare the intervals of the medians, row by row."""
    runs = [run_bench(prepared, settings, scratch) for _ in range(2)]
    noise = [reasons_of(run) for run in runs]
    rows: list[dict[str, Any]] = [
        {
            "row": f"{one.target}, batch {one.batch_size}",
            "p50_s": [one.median_s, other.median_s],
            "intervals_s": [_interval(one), _interval(other)],
            "overlap": _overlap(_interval(one), _interval(other)),
            "widths": [_width(one), _width(other)],
        }
        for one, other in zip(*(run.latency for run in runs), strict=True)
        if one.role == "row"
    ]
    overlapping = sum(row["overlap"] for row in rows)
    return {
        "agreement": {
            "rows": rows,
            "overlapping": overlapping,
            "of": len(rows),
            "median_width": quantile([width for row in rows for width in row["widths"]], 0.5),
            "right": overlapping >= _WANTED_OVERLAP * len(rows),
        },
        "controls": _controls(*runs),
        "rounds": [run.bench.rounds for run in runs if run.bench],
        "noise": noise,
    }


def _controls(*runs: Report) -> dict[str, Any]:
    pairs = [
        {"batch_size": each.batch_size, "ratio": each.ratio, "interval": (each.low, each.high), "verdict": each.verdict}
        for run in runs
        for each in fitness_of(run).controls
    ]
    return {"pairs": pairs, "right": all(pair["verdict"] == "SAME" for pair in pairs)}


def _interval(row: LatencyRecord) -> tuple[float, float]:
    assert row.estimate
    assert row.estimate.p50_s, "the budget gave one round"
    return row.estimate.p50_s


def _width(row: LatencyRecord) -> float:
    """Return the width of the interval as a fraction of the median: wide ones overlap without saying much."""
    low, high = _interval(row)
    return (high - low) / row.median_s


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def slowdowns(prepared: Prepared, settings: Settings, scratch: Path) -> dict[str, Any]:
    """Time eager beside eager that is slowed by a known share."""
    eager = prepared.entries[0]
    entries = (eager, *(_slowed(eager, percent) for percent in _SLOWDOWNS))
    with slowed_workers():
        report = run_bench(prepared.changed(entries=entries), replace(settings, batch_sizes=(_BATCH,)), scratch)
    noise = reasons_of(report)
    rows = []
    for (percent, is_slower), row in zip(_SLOWDOWNS.items(), _of_format(report, SLOWED), strict=True):
        assert row.to_eager
        rows.append(
            {
                "slowed_by_percent": percent,
                "ratio": row.to_eager.ratio,
                "interval": (row.to_eager.low, row.to_eager.high),
                "verdict": row.to_eager.verdict,
                "right": (row.to_eager.verdict == "SLOWER") == is_slower,
            }
        )
    return {"batch_size": _BATCH, "rows": rows, "control": _controls(report)["pairs"], "noise": noise}


def _slowed(eager: Entry, percent: float) -> Entry:
    return eager.changed(target=f"eager slowed {percent:g} %", format=SLOWED, baseline=False)


def _of_format(report: Report, name: str) -> list[LatencyRecord]:
    return [row for row in report.latency if row.format == name]


@contextmanager
def slowed_workers() -> Iterator[None]:
    """Let bench start `slowed_worker` in place of its own worker."""
    module, path = launch.WORKER, os.environ.get("PYTHONPATH", "")
    launch.WORKER = "slowed_worker"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_HERE), path]))
    try:
        yield
    finally:
        launch.WORKER = module
        os.environ["PYTHONPATH"] = path


def among_busy_loops(prepared: Prepared, settings: Settings, scratch: Path) -> dict[str, Any]:
    """Time eager while every core is kept busy by others."""
    with busy_loops(usable_cpus()):
        time.sleep(1)
        short = replace(settings, batch_sizes=(_BATCH,), budget_s=_BUSY_BUDGET_S)
        report = run_bench(prepared.changed(entries=prepared.entries[:1]), short, scratch)
    verdict = fitness_of(report).verdict
    return {"verdict": verdict, "reasons": reasons_of(report), "right": verdict == "NOISY"}


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep so many CPUs busy with processes that are not children of this one: bench counts its own as its own."""
    started = subprocess.run(
        [sys.executable, "-c", _DETACH, str(count), _BUSY], stdout=subprocess.PIPE, text=True, check=True
    )
    try:
        yield
    finally:
        for pid in map(int, started.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def answers(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each question with what is wanted, what was found, and whether that is right."""
    runs, busy = result["two_runs"], result["busy"]
    overlap, controls = runs["agreement"], runs["controls"]
    yield {
        "question": f"two runs of {result['budget_s']:g} s: intervals of p50 that overlap",
        "wanted": "at least 9 of 10",
        "found": f"{overlap['overlapping']} of {overlap['of']}; "
        f"they are {overlap['median_width']:.1%} of p50 wide in the median",
        "right": overlap["right"],
    }
    yield {
        "question": "eager beside itself, in both",
        "wanted": "SAME",
        "found": "; ".join(f"batch {each['batch_size']}: {_told(each)}" for each in controls["pairs"]),
        "right": controls["right"],
    }
    for row in result["slowdowns"]["rows"]:
        yield {
            "question": f"eager slowed by {row['slowed_by_percent']:g} %",
            "wanted": "SLOWER" if _SLOWDOWNS[row["slowed_by_percent"]] else "not SLOWER",
            "found": _told(row),
            "right": row["right"],
        }
    yield {
        "question": "a busy loop on every core",
        "wanted": "NOISY",
        "found": ": ".join(filter(None, [busy["verdict"], "; ".join(busy["reasons"])])),
        "right": busy["right"],
    }


def _told(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    interval = "" if low is None else f", {low:.4f} to {high:.4f}"
    return f"{row['verdict']} ({row['ratio']:.4f}{interval})"


def main() -> None:
    """Run, write the result as JSON and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=DEFAULT_BUDGET_S, help="seconds of each of the first three")
    parser.add_argument("--threads", type=int, default=default_threads())
    arguments = parser.parse_args()
    # The machine's limits are measured after the rows and change none of them.
    settings = Settings(threads=(arguments.threads,), budget_s=arguments.budget, against_limits=False)
    result = {**conditions(), "threads": arguments.threads, "budget_s": arguments.budget}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        prepared = prepare(scratch)
        result["two_runs"] = two_runs(prepared, settings, scratch)
        result["slowdowns"] = slowdowns(prepared, settings, scratch)
        result["busy"] = among_busy_loops(prepared, settings, scratch)
    result["answers"] = list(answers(result))
    save(result, arguments.output)
    for noise in (*result["two_runs"]["noise"], result["slowdowns"]["noise"]):
        for reason in noise:
            print(f"NOISY: {reason}")
    for each in result["answers"]:
        print(f"{'right' if each['right'] else 'WRONG'}  {each['question']}: {each['found']}")
    sys.exit(0 if all(each["right"] for each in result["answers"]) else 1)


if __name__ == "__main__":
    main()
