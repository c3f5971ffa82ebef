"""No good artifact fails: the measurement of benchmarks/parity_spread.py, run anew and as it was committed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS

ROOT = Path(__file__).parents[2]
RUNS = 500


def check(result: dict) -> None:
    assert result["runs"] == len(result["rows"]) >= RUNS
    assert result["false_alarms"] == 0
    assert all(row["passed"] for row in result["rows"])
    largest = max(
        ratio for row in result["rows"] for ratio in row["error_ratio"].values()
    )  # a run that measured nothing has null here, and fails
    assert largest < LIMIT_IN_UNITS / 2, "the limit should leave a factor of two"
    assert {row["threads"] for row in result["rows"]} == {1, 2}
    assert len({row["checkpoint"] for row in result["rows"]}) >= 10
    assert len({row["seed"] for row in result["rows"]}) >= 5
    assert {row["format"] for row in result["rows"]} == {"torchscript", "onnx", "torch-export"}


RESULTS = sorted(ROOT.glob("benchmarks/results/parity-spread-*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda each: each.name)
def test_the_committed_measurement_has_no_false_alarm(path: Path) -> None:
    check(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_no_good_artifact_fails(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "parity_spread.py", "--runs", str(RUNS), "-o", tmp_path / "r.json"]
    subprocess.run(command, check=True, cwd=tmp_path)
    check(json.loads((tmp_path / "r.json").read_text(encoding="utf-8")))
