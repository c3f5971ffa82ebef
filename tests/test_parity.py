"""The checks as functions, then whole artifacts: a broken one fails by the check that names the cause."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from support import save_small
from toolkit.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from toolkit.export import export_formats
from toolkit.formats import FORMATS, artifact_name
from toolkit.model import Mlp
from toolkit.parity import Reference, check_artifact
from toolkit.parity.checks import LIMIT_IN_UNITS, check_labels, check_outputs, check_signature, first_failure
from toolkit.records import (
    LABELS,
    ArtifactMetadata,
    ModelConfig,
    ParityRecord,
    Preprocessing,
    Signature,
    TensorSpec,
)
from toolkit.sessions import Target

UNIT = 1e-6


@pytest.fixture(scope="module")
def reference(bundled: Checkpoint) -> Reference:
    return Reference(bundled)


def outcome(actual: np.ndarray, expected: np.ndarray) -> dict[str, bool]:
    return {check.name: check.passed for check in check_outputs("p", [actual], [len(expected)], expected, UNIT)}


EXPECTED = np.random.default_rng(0).normal(size=(20, 10))


@given(st.floats(0, 0.99), st.integers(0, 19), st.integers(0, 9))
def test_an_error_within_the_limit_passes(fraction: float, row: int, column: int) -> None:
    actual = EXPECTED.copy()
    actual[row, column] += fraction * (LIMIT_IN_UNITS - 1) * UNIT  # float32 itself rounds by up to 0.2 units here
    assert all(outcome(actual.astype(np.float32), EXPECTED).values())


@given(st.floats(1.2, 1e6), st.integers(0, 19), st.integers(0, 9), st.sampled_from([-1, 1]))
def test_one_logit_beyond_the_limit_fails(factor: float, row: int, column: int, sign: int) -> None:
    actual = EXPECTED.copy()
    actual[row, column] += sign * factor * LIMIT_IN_UNITS * UNIT
    assert not outcome(actual.astype(np.float32), EXPECTED)["values"]


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 19), st.integers(0, 9))
def test_one_value_that_is_not_finite_fails(value: float, row: int, column: int) -> None:
    actual = EXPECTED.astype(np.float32)
    actual[row, column] = value
    result = outcome(actual, EXPECTED)
    assert result == {"shape": True, "dtype": True, "finite": False}


@pytest.mark.parametrize("shape", [(20, 1), (1, 10), (10,), (20, 11), (19, 10), (20, 10, 1)])
def test_a_shape_that_would_broadcast_fails(shape: tuple[int, ...]) -> None:
    assert outcome(np.zeros(shape, np.float32), EXPECTED) == {"shape": False, "dtype": True}


def test_another_dtype_fails() -> None:
    assert outcome(EXPECTED, EXPECTED) == {"shape": True, "dtype": False}


def test_a_flip_counts_only_when_rounding_cannot_explain_it() -> None:
    expected = np.zeros((2, 10))
    expected[:, 3], expected[0, 5], expected[1, 5] = 1.0, 1.0 - 10 * UNIT, 0.5
    tie, wrong = expected.copy(), expected.copy()
    tie[0, 5] += 12 * UNIT
    wrong[1, 5] = 1.1
    explained = check_labels("p", tie.astype(np.float32), expected, UNIT)
    assert explained.passed
    assert explained.facts["agreement"] == 0.5
    assert not check_labels("p", wrong.astype(np.float32), expected, UNIT).passed


IMAGES, LOGITS = ("batch", 1, 28, 28), ("batch", 10)


def spec(shape: tuple[int | str, ...] | None, dtype: str | None = "float32", name: str = "x") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([spec(IMAGES)], [spec(LOGITS)], None),
        ([spec(None, None)], [spec(None, None)], None),
        ([spec(IMAGES), spec(IMAGES)], [spec(LOGITS)], "2 inputs"),
        ([spec(IMAGES)], [spec(LOGITS), spec(LOGITS, name="hidden")], "2 outputs .x, hidden."),
        ([spec(IMAGES)], [], "0 outputs .none."),
        ([spec((1, 1, 28, 28))], [spec(LOGITS)], "input has the batch size fixed at 1"),
        ([spec(IMAGES)], [spec((64, 10))], "output has the batch size fixed at 64"),
        ([spec(IMAGES, "float64")], [spec(LOGITS)], "input x is float64"),
        ([spec(IMAGES)], [spec(LOGITS, "tensor(int64)")], "output x is tensor"),
        ([spec(IMAGES)], [spec(("batch",))], "output x has shape"),
        ([spec(("batch", 28, 28))], [spec(LOGITS)], "input x has shape"),
        ([spec(IMAGES)], [spec(("batch", 1000))], "output has shape"),
    ],
)
def test_a_signature_fails_by_its_reason(
    inputs: list[TensorSpec], outputs: list[TensorSpec], reason: str | None
) -> None:
    check = check_signature(Signature(inputs=tuple(inputs), outputs=tuple(outputs)))
    assert check.passed == (reason is None)
    if reason:
        import re

        assert re.search(reason, check.detail)


@pytest.mark.parametrize("name", FORMATS)
def test_a_right_artifact_passes(name: str, exported: Path, reference: Reference) -> None:
    record = check_artifact(Target(FORMATS[name], exported / artifact_name(FORMATS[name])), reference)
    assert record.passed, first_failure(record)
    assert {check.name for check in record.checks} >= {
        "opens", "integrity", "signature", "shape", "dtype", "finite", "values", "labels",
    }  # fmt: skip
    assert record.error_ratio is not None
    assert 0 < record.error_ratio <= 4
    assert record.agreement == 1


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(layer_sizes=(784, 10)),
        ModelConfig(layer_sizes=(784, 1500, 10)),
        ModelConfig(layer_sizes=(784, 64, 64, 64, 64, 64, 64, 10)),
        ModelConfig(final_relu=True),
    ],
    ids=["linear", "wide", "deep", "final-relu"],
)
def test_right_artifacts_of_the_whole_family_pass(config: ModelConfig, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save_small(tmp_path / "m.safetensors", config=config))
    report = export_formats([], checkpoint, tmp_path / "out")
    assert report.passed, [first_failure(record) for record in report.parity]
    assert len(report.artifacts) == len(FORMATS)


@pytest.mark.parametrize("weight", [0.0, 1e-30, 1e4])
def test_degenerate_weights_neither_fail_nor_hide(weight: float, tmp_path: Path) -> None:
    config = ModelConfig(layer_sizes=(784, 16, 10))
    state = {name: torch.full_like(tensor, weight) for name, tensor in Mlp(config).state_dict().items()}
    save_checkpoint(tmp_path / "m.safetensors", config, state)
    checkpoint = load_checkpoint(tmp_path / "m.safetensors")
    assert export_formats(["onnx"], checkpoint, tmp_path / "out").passed
    state["linear_relu_stack.2.bias"][4] += max(1e-3, weight * 1e-3)
    save_checkpoint(tmp_path / "other.safetensors", config, state)
    other = Reference(load_checkpoint(tmp_path / "other.safetensors"))
    assert not check_artifact(Target(FORMATS["onnx"], tmp_path / "out" / "model.onnx"), other).passed


def initializer(proto: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(each for each in proto.graph.initializer if each.name == name)).copy()


def replace(proto: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    next(each for each in proto.graph.initializer if each.name == name).CopyFrom(numpy_helper.from_array(value, name))


def one_weight(proto: onnx.ModelProto) -> None:
    value = initializer(proto, "linear_relu_stack.2.weight")
    value[7, 9] += 1e-3
    replace(proto, "linear_relu_stack.2.weight", value)


def float16_weights(proto: onnx.ModelProto) -> None:
    for name in [each.name for each in proto.graph.initializer if each.name.endswith("weight")]:
        replace(proto, name, initializer(proto, name).astype(np.float16).astype(np.float32))


def no_bias(proto: onnx.ModelProto) -> None:
    replace(proto, "linear_relu_stack.4.bias", np.zeros(10, np.float32))


def leaky(proto: onnx.ModelProto) -> None:
    next(node for node in proto.graph.node if node.op_type == "Relu").op_type = "LeakyRelu"


def softmax(proto: onnx.ModelProto) -> None:
    last = proto.graph.node[-1]
    last.output[0] = "before"
    proto.graph.node.append(helper.make_node("Softmax", ["before"], ["logits"], axis=1))


def fixed_batch(proto: onnx.ModelProto) -> None:
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 64


def second_output(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(helper.make_tensor_value_info("relu", TensorProto.FLOAT, ["batch", 512]))


def double_output(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].output[0] = "before"
    proto.graph.node.append(helper.make_node("Cast", ["before"], ["logits"], to=TensorProto.DOUBLE))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def one_class_nan(proto: onnx.ModelProto) -> None:
    value = initializer(proto, "linear_relu_stack.4.bias")
    value[3] = np.nan
    replace(proto, "linear_relu_stack.4.bias", value)


def gain(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].output[0] = "before"
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(1.0001), "gain"))
    proto.graph.node.append(helper.make_node("Mul", ["before", "gain"], ["logits"]))


@pytest.mark.parametrize(
    ("mutate", "cause"),
    [
        (one_weight, "values"),
        (float16_weights, "values"),
        (no_bias, "values"),
        (leaky, "values"),
        (softmax, "values"),
        (gain, "values"),
        (one_class_nan, "finite"),
        (fixed_batch, "signature"),
        (second_output, "signature"),
        (double_output, "signature"),
    ],
)
def test_a_broken_graph_fails_by_the_check_that_names_the_cause(
    mutate: Callable[[onnx.ModelProto], None], cause: str, exported: Path, reference: Reference, tmp_path: Path
) -> None:
    proto = onnx.load(exported / "model.onnx")
    mutate(proto)
    onnx.save(proto, tmp_path / "model.onnx")
    failure = first_failure(check_artifact(Target(FORMATS["onnx"], tmp_path / "model.onnx"), reference))
    assert failure is not None
    assert failure.name == cause


class Squeezed(torch.nn.Module):
    """The classic: right for every batch but a single image."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).squeeze(0)


class Pair(Squeezed):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return self.model(images), images


class SmallBatches(Squeezed):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.model(images)
        if images.size(0) > 16:
            logits[20] += 1e-3
        return logits


class Raises(Squeezed):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.size(0) == 7:
            raise RuntimeError("seven")
        return self.model(images)


@pytest.mark.parametrize(
    ("wrap", "cause"), [(Squeezed, "shape"), (Pair, "runs"), (SmallBatches, "values"), (Raises, "runs")]
)
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_broken_behaviour_fails_by_the_check_that_names_the_cause(
    wrap: type[Squeezed], cause: str, bundled: Checkpoint, reference: Reference, tmp_path: Path
) -> None:
    torch.jit.script(wrap(bundled.model())).save(tmp_path / "model.ts.pt")
    failure = first_failure(check_artifact(Target(FORMATS["torchscript"], tmp_path / "model.ts.pt"), reference))
    assert failure is not None
    assert failure.name == cause


def check_copy(exported: Path, folder: Path, name: str, reference: Reference) -> ParityRecord:
    return check_artifact(Target(FORMATS[name], folder / artifact_name(FORMATS[name])), reference)


def test_a_truncated_artifact_fails_to_open(exported: Path, reference: Reference, tmp_path: Path) -> None:
    data = (exported / "model.pt2").read_bytes()
    (tmp_path / "model.pt2").write_bytes(data[: len(data) // 2])
    record = check_copy(exported, tmp_path, "torch-export", reference)
    assert [check.name for check in record.checks] == ["opens"]
    assert not record.passed
    assert record.precision is None


def test_a_file_that_is_not_the_one_in_the_manifest_fails_by_integrity(
    exported: Path, reference: Reference, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "copy")
    proto = onnx.load(folder / "model.onnx")
    proto.doc_string = "touched"
    onnx.save(proto, folder / "model.onnx")
    failure = first_failure(check_copy(exported, folder, "onnx", reference))
    assert failure is not None
    assert (failure.name, "not the exported one" in failure.detail) == ("integrity", True)


@pytest.mark.parametrize("name", FORMATS)
def test_a_stale_artifact_is_named_as_such(name: str, exported: Path, tmp_path: Path) -> None:
    other = Reference(load_checkpoint(save_small(tmp_path / "m.safetensors", config=ModelConfig())))
    failure = first_failure(check_artifact(Target(FORMATS[name], exported / artifact_name(FORMATS[name])), other))
    assert failure is not None
    assert failure.name == "integrity"
    assert "stale" in failure.detail
    assert "of the checkpoint bundled" in failure.detail


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("labels", {"labels": tuple(reversed(LABELS))}),
        ("preprocessing", {"preprocessing": Preprocessing(high=255.0)}),
        ("config", {"config": ModelConfig(final_relu=True)}),
    ],
)
def test_an_artifact_that_says_other_things_of_itself_fails(
    field: str, change: dict[str, object], exported: Path, reference: Reference, tmp_path: Path
) -> None:
    proto = onnx.load(exported / "model.onnx")
    metadata = ArtifactMetadata.model_validate_json(proto.metadata_props[0].value)
    proto.metadata_props[0].value = metadata.model_copy(update=change).model_dump_json()
    onnx.save(proto, tmp_path / "model.onnx")
    failure = first_failure(check_artifact(Target(FORMATS["onnx"], tmp_path / "model.onnx"), reference))
    assert failure is not None
    assert (failure.name, field in failure.detail) == ("integrity", True)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_right_artifacts_pass_on_cuda(name: str, exported: Path, reference: Reference) -> None:
    target = Target(FORMATS[name], exported / artifact_name(FORMATS[name]))
    record = check_artifact(target, reference, device="cuda")
    assert record.passed, first_failure(record)


@pytest.mark.mps
@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_right_artifacts_pass_on_mps(name: str, exported: Path, reference: Reference) -> None:
    target = Target(FORMATS[name], exported / artifact_name(FORMATS[name]))
    record = check_artifact(target, reference, device="mps")
    assert record.passed, first_failure(record)
