"""What once survived a hostile review, or was failed though it was right: each stays found."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from support import NeuralNetwork
from toolkit.errors import UsageError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from toolkit.fashion.model import Mlp
from toolkit.formats import FORMATS
from toolkit.formats.target import Target
from toolkit.parity import Plan, Reference, check_artifact, check_parity, make_plan
from toolkit.records import ModelConfig, ParityRecord
from toolkit.testing import assert_parity

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")


@pytest.fixture(scope="module")
def plan(bundled: Checkpoint) -> Plan:
    return make_plan(Reference(bundled))


class Wrapped(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))


class WrongBetweenThePowersOfTwo(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        n, y = x.size(0), self.model(x)
        return y.flip(1) if 4 <= n <= 6 or 25 <= n <= 63 or 97 <= n <= 511 else y


class WrongAboveAThousand(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).flip(1) if x.size(0) > 1000 else self.model(x)


class ZeroFirst(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.model(x) * (0.0 if int(self.calls) == 1 else 1.0)


class LaterLouder(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.model(x) * (1.01 if int(self.calls) > 20 else 1.0)


class DoubleForNegativePixels(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        y = self.model(x)
        return y.double() if bool((x < 0).any()) else y


class GuessesTheRange(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        top = x.flatten(1).amax(1).view(-1, 1, 1, 1)
        return self.model(torch.where((top > 6) & (top <= 255), x / 255, x))


class DropsRowsOfNan(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        y = self.model(x)
        return y[torch.isfinite(y).all(dim=1)]


class FewerRowsLater(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        y = self.model(x)
        return y[:5] if x.size(0) == 96 else y


class Scalar(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).sum()


class WrongAndRaisesLater(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) == 256:
            raise RuntimeError("two hundred and fifty-six")
        return self.model(x) * 1.5


@pytest.mark.parametrize(
    ("wrapper", "causes"),
    [
        (WrongBetweenThePowersOfTwo, {"row independence"}),
        (WrongAboveAThousand, {"row independence"}),
        (ZeroFirst, {"determinism"}),
        (LaterLouder, {"determinism"}),
        (DoubleForNegativePixels, {"dtype"}),
        (GuessesTheRange, {"values"}),
        (DropsRowsOfNan, {"shape"}),
        (FewerRowsLater, {"shape"}),
        (Scalar, {"shape"}),
        (WrongAndRaisesLater, {"values", "batch sizes"}),
    ],
)
def test_it_is_found_and_named(
    wrapper: type[Wrapped], causes: set[str], bundled: Checkpoint, plan: Plan, tmp_path: Path
) -> None:
    torch.jit.script(wrapper(bundled.model()).eval()).save(tmp_path / "m.ts.pt")
    report = check_parity([Target(FORMATS["torchscript"], tmp_path / "m.ts.pt")], bundled, threads=1)
    assert not report.failures
    assert report.parity[0].cause in causes, report.parity[0].failure


def check(checkpoint: Checkpoint, model: nn.Module, folder: Path) -> ParityRecord:
    torch.jit.script(model).save(folder / "m.ts.pt")
    return check_artifact(Target(FORMATS["torchscript"], folder / "m.ts.pt"), make_plan(Reference(checkpoint)))


def test_a_masked_class_does_not_hide_the_others(bundled: Checkpoint, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in bundled.state.items()}
    state["linear_relu_stack.4.bias"][7] = -1e12
    save_checkpoint(tmp_path / "masked.safetensors", ModelConfig(), state)
    masked = load_checkpoint(tmp_path / "masked.safetensors")
    assert check(masked, masked.model(), tmp_path).passed
    other = masked.model()
    other.linear_relu_stack[0].weight *= 1.05
    assert check(masked, other, tmp_path).cause == "values"


def test_weights_that_overflow_only_on_absurd_inputs_can_be_verified(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(layer_sizes=(784, 32, 10))
    state = {name: tensor * 10**18.9 for name, tensor in Mlp(config).state_dict().items()}
    save_checkpoint(tmp_path / "huge.safetensors", config, state)
    huge = load_checkpoint(tmp_path / "huge.safetensors")
    record = check(huge, huge.model(), tmp_path)
    assert record.passed, record.failure
    wrong = huge.model()
    wrong.linear_relu_stack[2].weight[3] *= 1.001
    assert check(huge, wrong, tmp_path).cause == "values"


def test_weights_that_overflow_everywhere_cannot(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(layer_sizes=(784, 32, 10))
    state = {name: tensor * 1e25 for name, tensor in Mlp(config).state_dict().items()}
    save_checkpoint(tmp_path / "inf.safetensors", config, state)
    checkpoint = load_checkpoint(tmp_path / "inf.safetensors")
    record = check(checkpoint, checkpoint.model(), tmp_path)
    assert record.cause == "values"
    assert record.failure
    assert record.failure.detail.startswith("eager float32 itself overflows on all 1,000 images")


class Probabilities(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).softmax(1)


class ZeroForNegativePixels(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) * (x.flatten(1).amin(1, keepdim=True) >= 0)


@pytest.mark.parametrize("wrapper", [Probabilities, ZeroForNegativePixels])
def test_lower_precision_still_means_these_logits(
    wrapper: type[Wrapped], bundled: Checkpoint, plan: Plan, tmp_path: Path
) -> None:
    torch.jit.script(wrapper(bundled.model()).bfloat16()).save(tmp_path / "half.ts.pt")
    record = check_artifact(Target(FORMATS["torchscript"], tmp_path / "half.ts.pt", "bfloat16"), plan)
    assert record.cause == "noise"


class Clamped(NeuralNetwork):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).clamp(-200, 200)


def test_a_module_that_does_more_than_its_weights_say_is_compared_by_what_it_does(
    bundled: Checkpoint, tmp_path: Path
) -> None:
    plain, clamped = NeuralNetwork(), Clamped()
    for module in (plain, clamped):
        module.load_state_dict(bundled.state)
    torch.jit.trace(clamped.eval(), torch.zeros(2, 1, 28, 28)).save(tmp_path / "clamped.ts.pt")
    torch.jit.trace(plain.eval(), torch.zeros(2, 1, 28, 28)).save(tmp_path / "plain.ts.pt")
    assert_parity(clamped, tmp_path / "clamped.ts.pt")
    with pytest.raises(AssertionError, match="values on"):
        assert_parity(clamped, tmp_path / "plain.ts.pt")


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        (None, {"precision": "fp16"}, "precision='fp16': choose one of float32"),
        (None, {"threads": 0}, "threads=0: pass a number from 1"),
        (len, {}, "is a builtin_function_or_method; pass a torch.nn.Module"),
        (nn.Linear(784, 10), {}, "cannot be the reference"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 5)), {}, r"for 3 images it gives \(3, 5\), not \(3, 10\)"),
    ],
)
def test_misuse_is_one_sentence(given: object, options: dict[str, object], reason: str, exported: Path) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        assert_parity(given, exported / "model.onnx", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_caller_s_torch_is_left_as_it_was(exported: Path) -> None:
    before = torch.get_num_threads()
    backend = torch.backends.mkldnn.matmul
    precision = backend.fp32_precision
    assert_parity(None, exported / "model.ts.pt", threads=1)
    assert torch.get_num_threads() == before
    assert backend.fp32_precision == precision


def test_an_artifact_that_is_no_model_cannot_be_the_reference(
    bundled: Checkpoint, exported: Path, tmp_path: Path
) -> None:
    torch.jit.script(Scalar(bundled.model())).save(tmp_path / "s.ts.pt")
    with pytest.raises(UsageError) as caught:
        check_parity(
            [Target(FORMATS["onnx"], exported / "model.onnx")], Target(FORMATS["torchscript"], tmp_path / "s.ts.pt")
        )
    assert caught.value.reason.startswith(f"--against {tmp_path / 's.ts.pt'}")


def test_a_fault_of_ours_with_one_artifact_does_not_lose_the_others(
    bundled: Checkpoint, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toolkit.parity as package

    original = package.check_artifact

    def broken(target: Target, *arguments: object, **options: object) -> ParityRecord:
        if target.format.name == "onnx":
            raise IndexError("ours")
        return original(target, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(package, "check_artifact", broken)
    targets = [
        Target(FORMATS[name], exported / file) for name, file in (("onnx", "model.onnx"), ("torch-export", "model.pt2"))
    ]
    report = check_parity(targets, bundled)
    assert [record.passed for record in report.parity] == [True]
    assert not report.passed
    assert "parity itself failed, please report it: IndexError: ours" in report.failures[0].reason


class AlwaysDrops(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(nn.functional.dropout(x, 0.5, training=True))


def test_what_answers_differently_each_time_cannot_be_the_reference(
    bundled: Checkpoint, exported: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="other logits for the same images"):
        assert_parity(AlwaysDrops(bundled.model()), exported / "model.onnx")
    torch.jit.script(AlwaysDrops(bundled.model())).save(tmp_path / "d.ts.pt")
    other = Target(FORMATS["torchscript"], tmp_path / "d.ts.pt")
    with pytest.raises(UsageError) as caught:
        check_parity([Target(FORMATS["onnx"], exported / "model.onnx")], other)
    assert caught.value.reason.startswith(f"--against {other.path}")


class LastRowPoisons(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + 0 * x[x.size(0) - 1].sum()


class GuessesTheDepth(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        top = x.flatten(1).amax(1).view(-1, 1, 1, 1)
        return self.model(torch.where((top > 256) & (top < 9999), x / 65535, x))


class WrongForSomeSmallBatches(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).flip(1) if 18 <= x.size(0) <= 30 else self.model(x)


@pytest.mark.parametrize(
    ("wrapper", "cause"),
    [(LastRowPoisons, "finite"), (GuessesTheDepth, "values"), (WrongForSomeSmallBatches, "row independence")],
)
def test_it_is_found_by_a_second_review(
    wrapper: type[Wrapped], cause: str, bundled: Checkpoint, plan: Plan, tmp_path: Path
) -> None:
    torch.jit.script(wrapper(bundled.model()).eval()).save(tmp_path / "m.ts.pt")
    record = check_artifact(Target(FORMATS["torchscript"], tmp_path / "m.ts.pt"), plan, threads=1)
    assert record.cause == cause, record.failure


class FollowsNoDtype(NeuralNetwork):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


def test_a_module_that_answers_in_float32_can_be_the_reference(bundled: Checkpoint, exported: Path) -> None:
    module = FollowsNoDtype()
    module.load_state_dict(bundled.state)
    assert_parity(module, exported / "model.onnx")


def test_a_matrix_that_no_node_reads_does_not_change_the_precision(exported: Path, plan: Plan, tmp_path: Path) -> None:
    proto = onnx.load(exported / "model.onnx")
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((2, 2), np.int8), "unused"))
    onnx.save(proto, tmp_path / "m.onnx")
    assert check_artifact(Target(FORMATS["onnx"], tmp_path / "m.onnx"), plan).passed
