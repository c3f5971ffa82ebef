"""The README promises nothing that is not run, and prints nothing that was not printed."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from support import ROOT, Cli, NeuralNetwork, load_script
from toolkit.checkpoint import load_checkpoint
from toolkit.records import Report, read_record

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
BENCHMARKING = (ROOT / "docs" / "benchmarking.md").read_text(encoding="utf-8")

update_readme = load_script(ROOT / ".ci" / "update_readme.py")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_stand_there_word_for_word() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert "pip install . && fmnist-tk run" in lines
    assert "pip install '.[test]' && pytest" in lines


def test_the_table_is_what_a_command_printed(cli: Cli) -> None:
    for path, block in re.findall(r"<!-- report (\S+) -->\n```text\n(.*?)```", README, re.DOTALL):
        printed = [line.rstrip() for line in cli("report", ROOT / path).out.splitlines()]
        assert [line for line in printed if line] == [line for line in block.splitlines() if line]


@pytest.mark.usefixtures("short_budgets")
def test_every_command_works_as_written(cli: Cli, exported: Path, in_empty_folder: Path) -> None:
    """The commands of the README in their order, where the main job was run and the tutorial's checkpoint lies."""
    shutil.copytree(exported, "exported")
    torch.save(NeuralNetwork().state_dict(), "model.pth")
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("fmnist-tk ")]
    assert len(lines) >= 5
    for line in lines:
        if "int8" in line:
            quantize_dynamic("exported/model.onnx", "model.int8.onnx", weight_type=QuantType.QInt8)
        outcome = cli(*shlex.split(line)[1:])
        assert outcome.code == 0, (line, outcome.err)
    names: dict[str, Any] = {}
    for code in blocks("python"):
        exec(compile(code, "README", "exec"), names)
    names["test_export"](load_checkpoint(Path("model.pth")).model())  # the last run of the README exported these


@pytest.mark.usefixtures("short_budgets")
def test_every_command_of_the_docs_works_as_written(cli: Cli, exported: Path, in_empty_folder: Path) -> None:
    shutil.copytree(exported, "exported")
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                if line.startswith("fmnist-tk "):
                    outcome = cli(*shlex.split(line)[1:])
                    assert outcome.code == 0, (path.name, line, outcome.err)
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / link).exists(), (path.name, link)


def test_the_spread_in_the_docs_is_the_committed_one() -> None:
    assert update_readme.with_spread(DOCS) == DOCS
    largest = max(row["max"] for row in update_readme.spread()["largest_error_in_units"].values())
    assert largest < 8 / 3, "docs/parity.md says that the limit leaves a factor of more than three"


def test_the_trials_in_the_docs_are_the_committed_ones() -> None:
    assert update_readme.with_trials(BENCHMARKING) == BENCHMARKING
    for name in ("agreement", "believable"):
        assert BENCHMARKING.count(f"<!-- {name} -->\n") == 1


TRIAL: dict[str, Any] = {
    "created_at": "2026-01-02T03:04:05+00:00",
    "threads": 2,
    "machine": {"cpu": "CPU", "usable_cpus": 4, "versions": {"torch": "2.11", "onnxruntime": "1.23"}},
}
TIMES = {
    "batch_size": 64,
    "ours_s": 4.4e-4,
    "theirs_s": 4.5e-4,
    "ratio": 0.978,
    "interval": [0.97, 0.99],
    "allowed": 0.05,
}
ANSWER = {"question": "eager slowed by 5 %", "wanted": "SLOWER", "found": "SLOWER (0.9500)", "right": True}
WHERE = "Machine: CPU, 4 CPUs; torch 2.11, ONNX Runtime 1.23. Threads per row: 2. Measured 2026-01-02; bench called it"
AGREEMENT = f"""\
| eager | 64 | 440 µs | 450 µs | 0.978 | 0.970 to 0.990 | 5.0 %: yes |

{WHERE} VALID."""
BELIEVABLE = f"""\
| eager slowed by 5 % | SLOWER | SLOWER (0.9500) | yes |

{WHERE} NOISY: heat; load."""


def test_trials_become_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eager = {"noise": [], "rows": [{**TIMES, "agrees": True}]}
    results: dict[str, Any] = {
        "AGREEMENT": {**TRIAL, "eager": eager, "openvino": {"skipped": "not installed"}},
        "BELIEVABLE": {
            **TRIAL,
            "two_runs": {"noise": [["heat"], ["heat", "load"]]},
            "slowdowns": {"noise": []},
            "answers": [ANSWER],
        },
    }
    for name, result in results.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(result), encoding="utf-8")
        monkeypatch.setattr(update_readme, name, path)
    text = update_readme.with_trials(BENCHMARKING)
    assert f"{AGREEMENT}\n<!-- end -->" in text
    assert f"{BELIEVABLE}\n<!-- end -->" in text
    assert update_readme.with_trials(text) == text


def test_every_linked_file_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_numbers_come_from_committed_results() -> None:
    results = ROOT / "benchmarks" / "results"
    strong = [read_record(results / f"strong-seed-{seed}.json", Report).training for seed in range(3)]
    accuracies = [record.test_accuracy for record in strong if record]
    durations = [record.duration_s for record in strong if record]
    assert f"{sum(accuracies) / 3:.1%}".replace("%", " %") in README
    assert f"{min(durations):.0f} to {max(durations):.0f} s" in README
    card = (ROOT / "toolkit" / "assets" / "model-card.md").read_text(encoding="utf-8")
    assert f"Accuracy {accuracies[0]:.2%}" in card
    quick = read_record(results / "quickstart-seed-0.json", Report).training
    assert quick is not None
    assert f"{quick.test_accuracy:.1%}".replace("%", " %") in README
    assert f"{quick.duration_s:.1f} s" in README


def test_the_bundled_checkpoint_is_the_first_result(bundled: object) -> None:
    record = read_record(ROOT / "benchmarks" / "results" / "strong-seed-0.json", Report).training
    training = bundled.record.training  # type: ignore[attr-defined]
    assert record is not None
    assert (training.test_accuracy, training.test_loss, training.seed) == (record.test_accuracy, record.test_loss, 0)
