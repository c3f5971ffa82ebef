"""The README promises nothing that is not run, and prints nothing that was not printed."""

import html
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from onnxruntime.quantization import QuantType, quantize_dynamic
from PIL import Image

from support import ROOT, Cli, NeuralNetwork, load_script
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.records import Report, read_record
from toolkit.system.files import write_record

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
RUN = "benchmarks/results/amd-epyc-2-cores-run.json"
# Lines of shell that other tests run, or .ci/run does.
RUN_ELSEWHERE = {
    "pip install . && fmnist-tk run",
    "pip install '.[test]' && pytest",
    "pip install .",
    "python3 -m venv .venv && . .venv/bin/activate",
    "pytest --parity exported/",  # tests/test_testing.py
}
BENCHMARKING = (ROOT / "docs" / "benchmarking.md").read_text(encoding="utf-8")

update_readme = load_script(ROOT / ".ci" / "update_readme.py")


PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of shell and the blocks of Python of a page, in their order."""
    for language, block in re.findall(r"```(sh|python|yaml)\n(.*?)```", text, re.DOTALL):
        if language == "python":
            yield "python", block
        for line in block.splitlines() if language == "sh" else ():
            yield "sh", line
        if language == "yaml":
            yaml.safe_load(block)
            for line in re.findall(r"(?:run:|entry:|-) (fmnist-tk .*)", block):
                yield "sh", line


def test_the_two_commands_stand_there_word_for_word() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert "pip install . && fmnist-tk run" in lines
    assert "pip install '.[test]' && pytest" in lines


def test_table_and_picture_are_of_the_committed_run() -> None:
    assert README.count("<!-- results -->\n") == 1
    assert update_readme.with_results(README) == README
    drawn = update_readme.TERMINAL.read_text(encoding="utf-8")
    assert words_of(drawn) == words_of(update_readme.terminal_picture())  # how they are drawn is the library's matter
    assert "FASTER" in words_of(drawn)
    assert "url(" not in drawn.replace("url(#", "")  # it fetches nothing


def words_of(svg: str) -> list[str]:
    return [html.unescape(word).strip() for word in re.findall(r">([^<]+)</text>", svg)]


def lay_out_for(page: str, exported: Path) -> None:
    """Put into the present folder what a page takes for granted: the main job was run, or a model is at hand."""
    torch.manual_seed(0)
    model = NeuralNetwork()
    torch.save(model.state_dict(), "model.pth")
    if page == "getting-started.md":
        picture = Image.fromarray(255 - load_sample().images[0]).resize((300, 300))
        picture.convert("RGB").save("shoe.jpg")
    else:
        shutil.copytree(exported, "exported")
        shutil.copy(ROOT / "toolkit" / "fashion" / "assets" / "fashion-mlp.safetensors", "model.safetensors")
        write_record(read_record(ROOT / RUN, Report), Path("exported/report.json"))
    if page == "own-pictures.md":
        sample = load_sample()
        Path("photos").mkdir()
        lines = ["file,label\n", *(f"{number}.png, {sample.labels[number]}\n" for number in range(60))]
        Path("labels.csv").write_text("".join(lines), encoding="utf-8")
        for number in range(60):
            Image.fromarray(sample.images[number]).save(f"photos/{number}.png")


@pytest.mark.usefixtures("short_budgets")
@pytest.mark.filterwarnings("ignore:`torch.jit")  # the page of formats loads TorchScript as its readers will
@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_snippet_works_as_written(
    cli: Cli, exported: Path, in_empty_folder: Path, page: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lay_out_for(page, exported)
    text = PAGES[page].read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for language, step in dict.fromkeys(steps(text)):  # what a page says twice is run once
        if language == "python":
            if page != "api.md":  # tests/test_api.py runs its examples
                exec(compile(step, page, "exec"), names)
        elif step.startswith("fmnist-tk "):
            if "int8" in step:
                rounded = {"weight_type": QuantType.QInt8, "per_channel": True}
                quantize_dynamic("exported/model.onnx", "model.int8.onnx", **rounded)
            outcome = cli(*shlex.split(step)[1:])
            assert outcome.code == 0, (step, outcome.err)
        else:
            assert step in RUN_ELSEWHERE, step
    if "test_export" in names:
        names["test_export"](load_checkpoint().model())
    for each in names.values():  # snippets leave files to the end of their program
        if isinstance(each, np.lib.npyio.NpzFile):
            each.close()
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (PAGES[page].parent / link).exists(), link
    for other, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        target = PAGES[page].parent / other if other else PAGES[page]
        anchors = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in anchors}, heading


def test_the_spread_in_the_docs_is_the_committed_one() -> None:
    assert update_readme.with_spread(DOCS) == DOCS
    largest = max(row["max"] for row in update_readme.spread()["largest_error_in_units"].values())
    assert largest < 8 / 2, "docs/parity.md says that the limit leaves a factor of more than two"


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


def test_the_numbers_come_from_committed_results() -> None:
    results = ROOT / "benchmarks" / "results"
    strong = [read_record(results / f"strong-seed-{seed}.json", Report).training for seed in range(3)]
    accuracies = [record.test_accuracy for record in strong if record]
    durations = [record.duration_s for record in strong if record]
    assert f"{sum(accuracies) / 3:.1%}".replace("%", " %") in TRAINING
    assert f"{min(durations):.0f} to {max(durations):.0f} s" in TRAINING
    card = (ROOT / "toolkit" / "fashion" / "assets" / "model-card.md").read_text(encoding="utf-8")
    assert f"Accuracy {accuracies[0]:.2%}" in card
    quick = read_record(results / "quickstart-seed-0.json", Report).training
    assert quick is not None
    assert f"{quick.test_accuracy:.1%}".replace("%", " %") in TRAINING
    assert f"{quick.duration_s:.1f} s" in TRAINING


def test_the_bundled_checkpoint_is_the_first_result(bundled: object) -> None:
    record = read_record(ROOT / "benchmarks" / "results" / "strong-seed-0.json", Report).training
    training = bundled.record.training  # type: ignore[attr-defined]
    assert record is not None
    assert (training.test_accuracy, training.test_loss, training.seed) == (record.test_accuracy, record.test_loss, 0)
