"""The main job, end to end, in processes of its own, as a stranger runs it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support import Cli
from toolkit.formats import FORMATS
from toolkit.records import Report, read_record

TUTORIAL = """
import torch
from torch import nn

class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28*28, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, 10)
        )

    def forward(self, x):
        x = self.flatten(x)
        logits = self.linear_relu_stack(x)
        return logits

model = NeuralNetwork()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-1)
for _ in range(20):
    X, y = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
    loss = nn.CrossEntropyLoss()(model(X), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
torch.save(model.state_dict(), "model.pth")
torch.save(model, "whole.pth")
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "FMNIST_TK_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "toolkit", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("short_budgets")
def test_one_command_goes_from_checkpoint_to_the_fastest_artifact(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("run", "--batch", "1,32", "--budget", "2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]
    report = read_record(tmp_path / "exported" / "report.json", Report)
    assert report.passed
    assert {each.format for each in report.artifacts} == set(FORMATS)
    assert {(each.format, each.batch_size) for each in report.latency} == {
        (name, size) for name in ("eager", *FORMATS) for size in (1, 32)
    }
    assert report.arguments == ("run", "--batch", "1,32", "--budget", "2")
    assert report.evaluation
    assert all(each.evaluation for each in report.parity)
    assert report.fitness
    assert {each.batch_size for each in report.fitness.controls} == {1, 32}
    *_, last = lines = result.stdout.splitlines()
    assert len(lines) <= 25
    assert "exported/report.json" in last
    assert last.endswith("fmnist-tk run --checkpoint model.pth")
    monkeypatch.chdir(tmp_path)
    assert cli("report", "exported/report.json").out.splitlines() == lines[:-1]
    details = cli("report", "exported/report.json", "--details").out
    for words in ("Parity on cpu, float32", "Fastest verified", "Before and beside the calls"):
        assert words in details
        assert words not in result.stdout


@pytest.mark.usefixtures("short_budgets")
def test_a_checkpoint_of_the_tutorials_own_script_goes_all_the_way(cli: Cli, in_empty_folder: Path) -> None:
    Path("tutorial.py").write_text(textwrap.dedent(TUTORIAL))
    subprocess.run([sys.executable, "tutorial.py"], check=True)
    for name in ("whole.pth", "model.pth"):
        of_it = ("--checkpoint", name, "--folder", name.removesuffix(".pth"))
        assert cli("export", *of_it, "--no-verify").code == 0  # parity follows
        report = cli("parity", *of_it, "--json").report
        assert len(report.parity) == len(FORMATS)
        assert all(record.agreement == 1 for record in report.parity)
    given = ("bench", "onnx", "--folder", "model", "--batch", "8")
    bench = cli(*given, "--checkpoint", "model.pth", "--json")
    assert bench.code == 0, bench.err
    assert [(row.format, row.role) for row in bench.report.latency] == [
        ("eager", "row"),
        ("onnx", "row"),
        ("eager", "control"),
    ]
    forgotten = cli(*given, "--json").report
    assert forgotten.checkpoint
    assert forgotten.checkpoint.path == "model.pth"
    assert len([note for note in forgotten.notes if "model.pth" in note]) == 1
    assert cli("parity", "onnx", "--folder", "model").code == 0
    Path("model.pth").write_bytes(Path("whole.pth").read_bytes()[:-1])  # no longer what was exported
    assert cli(*given).code == 2  # of the bundled checkpoint: other weights


@pytest.mark.data
@pytest.mark.slow
def test_run_can_train_first(tmp_path: Path) -> None:
    """The strong recipe reaches what the README says: 90.7 % and more."""
    result = run("run", "--train", "--batch", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = read_record(tmp_path / "exported" / "report.json", Report)
    assert report.training is not None
    assert report.training.test_accuracy >= 0.907
    assert (tmp_path / "exported" / "model.safetensors").is_file()


@pytest.mark.data
def test_the_quickstart_recipe_lands_where_the_tutorial_does(tmp_path: Path) -> None:
    result = run("train", "--recipe", "quickstart", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    training = Report.model_validate_json(result.stdout).training
    assert training is not None
    assert 0.62 <= training.test_accuracy <= 0.67
    assert 1.05 <= training.test_loss <= 1.12


@pytest.mark.cuda
def test_the_main_job_on_cuda(tmp_path: Path) -> None:
    result = run("run", "--device", "cuda", "--batch", "1,64", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = read_record(tmp_path / "exported" / "report.json", Report)
    assert {row.device for row in report.latency} == {"cuda"}


@pytest.mark.mps
def test_the_main_job_on_mps(tmp_path: Path) -> None:
    result = run("run", "--device", "mps", "--batch", "1,64", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = read_record(tmp_path / "exported" / "report.json", Report)
    assert {row.device for row in report.latency} == {"mps"}
    assert [skip.what for skip in report.skips] == ["onnx"]
