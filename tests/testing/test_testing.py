"""What other people's tests use: assert_parity and the pytest plugin."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from support import NeuralNetwork
from toolkit.errors import ArtifactNotFoundError, CheckpointError
from toolkit.fashion.checkpoint import Checkpoint, checkpoint_of
from toolkit.parity import Gates
from toolkit.testing import assert_parity


@pytest.fixture
def network(bundled: Checkpoint) -> NeuralNetwork:
    module = NeuralNetwork()
    module.load_state_dict(bundled.state)
    return module


def test_a_module_a_checkpoint_a_file_or_none_is_the_reference(
    network: NeuralNetwork, bundled: Checkpoint, exported: Path, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pth")
    network.train()
    for given in (network, bundled, tmp_path / "model.pth", str(tmp_path / "model.pth"), None):
        record = assert_parity(given, exported / "model.onnx", threads=1)
        assert record.passed
        assert record.weights_sha256 == bundled.record.weights_sha256
    assert network.training  # the caller's module is left as it is
    assert next(network.parameters()).dtype == torch.float32


def test_a_mismatch_is_an_assertion_error_that_tells_cause_and_place(network: NeuralNetwork, exported: Path) -> None:
    with torch.no_grad():
        layer = network.linear_relu_stack[2]
        assert isinstance(layer, nn.Linear)
        layer.weight[3] += 0.01
    with pytest.raises(AssertionError) as caught:
        assert_parity(network, exported / "model.pt2")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{exported / 'model.pt2'} does not compute the reference's function"
    assert lines[1].startswith("  integrity: stale: exported from the weights")
    assert "also failed: values" in lines[2]


class Other(nn.Module):
    """Not of the quickstart's family."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Conv2d(1, 4, 5), nn.GELU(), nn.Flatten(), nn.Linear(4 * 24 * 24, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_module_of_any_other_kind_can_be_the_reference(tmp_path: Path) -> None:
    module = Other().eval()
    torch.jit.script(module).save(tmp_path / "conv.ts.pt")
    record = assert_parity(module, tmp_path / "conv.ts.pt")
    assert record.weights_sha256 is None
    wrong = copy.deepcopy(module)
    with torch.no_grad():
        wrong.inner[3].bias[2] += 1e-3
    with pytest.raises(AssertionError, match="values"):
        assert_parity(wrong, tmp_path / "conv.ts.pt")


def test_a_module_with_the_same_weights_and_another_function_is_no_checkpoint(network: NeuralNetwork) -> None:
    assert checkpoint_of(network).record.form == "module"
    assert not checkpoint_of(network).record.config.final_relu
    network.linear_relu_stack.append(nn.ReLU())
    assert checkpoint_of(network).record.config.final_relu
    network.linear_relu_stack[1] = nn.GELU()
    with pytest.raises(CheckpointError, match="computes something else"):
        checkpoint_of(network)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_lower_precision_is_declared_and_gated(network: NeuralNetwork, tmp_path: Path) -> None:
    torch.jit.script(copy.deepcopy(network).bfloat16()).save(tmp_path / "half.ts.pt")
    assert assert_parity(network, tmp_path / "half.ts.pt", precision="bfloat16").quality
    assert assert_parity(network, tmp_path / "half.ts.pt").declared == "bfloat16"  # the file says it
    with pytest.raises(AssertionError, match="opens"):
        assert_parity(network, tmp_path / "half.ts.pt", precision="float32")
    with pytest.raises(AssertionError, match="agreement"):
        assert_parity(network, tmp_path / "half.ts.pt", precision="bfloat16", gates=Gates(min_agreement=1))


@pytest.mark.parametrize("name", ["none.onnx", "model.txt"])
def test_what_is_no_artifact_is_an_error_and_not_a_failure(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(ArtifactNotFoundError) as caught:
        assert_parity(None, tmp_path / name)
    assert caught.value.path == tmp_path / name


def run_pytest(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_pytest_collects_one_test_per_artifact(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "exported")
    result = run_pytest("--parity", "exported/model.onnx", cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert "1 passed" in result.stdout
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 64
    (folder / "model.onnx").write_bytes(data)
    result = run_pytest("--parity", "exported", cwd=tmp_path)
    assert result.returncode == 1
    assert "1 failed, 2 passed" in result.stdout
    assert "integrity" in result.stdout
    assert "Traceback" not in result.stdout


def test_without_the_option_artifacts_are_not_collected_and_nothing_is_imported(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\ndef test_it():\n    assert 'torch' not in sys.modules and 'toolkit.parity' not in sys.modules\n"
    )
    shutil.copytree(exported, tmp_path / "exported")
    result = run_pytest(".", cwd=tmp_path)
    assert "1 passed" in result.stdout, result.stdout


def test_a_checkpoint_that_cannot_be_read_is_one_line(exported: Path, tmp_path: Path) -> None:
    result = run_pytest("--parity", "--parity-checkpoint", "none.pth", exported / "model.onnx", cwd=tmp_path)
    assert result.returncode == 1
    assert "none.pth" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_callers_who_turned_gradients_off_are_served(mode: type, bundled: Checkpoint, exported: Path) -> None:
    with mode():
        assert assert_parity(bundled, exported / "model.onnx").passed
