"""Write what was measured into the documents, between their markers: the run into README.md, the spread into docs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README, PARITY = ROOT / "README.md", ROOT / "docs" / "parity.md"
SPREAD = ROOT / "benchmarks" / "results" / "parity-spread-amd-epyc-2-cores.json"


def printed(path: str) -> str:
    command = [sys.executable, "-m", "toolkit", "report", path]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def spread() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(SPREAD.read_text(encoding="utf-8"))
    return result


def with_spread(text: str) -> str:
    """Return the text with the table of the spread between its markers."""
    measured = spread()
    versions = measured["machine"]["versions"]
    rows = [
        f"| {name} | {row['median']:.2f} | {row['p99']:.2f} | {row['max']:.2f} |"
        for name, row in measured["largest_error_in_units"].items()
    ]
    machine = f"{measured['machine']['cpu']}, {measured['machine']['usable_cpus']} CPUs"
    runtimes = f"torch {versions['torch']}, ONNX Runtime {versions['onnxruntime']}"
    head = [f"| largest error in units, {measured['runs']} runs | median | p99 | max |", "|:--|--:|--:|--:|"]
    tail = ["", f"False alarms: {measured['false_alarms']}. Machine: {machine}; {runtimes}."]
    table = "\n".join([*head, *rows, *tail])
    return re.sub(r"<!-- spread -->\n.*?<!-- end -->", f"<!-- spread -->\n{table}\n<!-- end -->", text, flags=re.DOTALL)


if __name__ == "__main__":
    pattern = re.compile(r"(<!-- report (\S+) -->\n```text\n).*?(```)", re.DOTALL)
    text = pattern.sub(lambda found: f"{found[1]}{printed(found[2])}\n{found[3]}", README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")
    PARITY.write_text(with_spread(PARITY.read_text(encoding="utf-8")), encoding="utf-8")
