"""The checks as functions, then whole artifacts: a broken one fails by the check that names the cause."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support import save_small
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.formats import FORMATS
from toolkit.formats.target import Target
from toolkit.parity import Plan, Reference, check_artifact, make_plan
from toolkit.parity.probes import Probe, sample_probe
from toolkit.parity.reference import Expectations, expectation
from toolkit.parity.rules.checks import (
    check_batch_sizes,
    check_dtype,
    check_finite,
    check_labels,
    check_shape,
    check_values,
)
from toolkit.parity.rules.signature import check_signature
from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS, class_units, rounding_unit
from toolkit.records import (
    LABELS,
    ArtifactMetadata,
    ModelConfig,
    ParityRecord,
    Precision,
    Preprocessing,
    Signature,
    TensorSpec,
)
from toolkit.verbs.export import export_formats

UNIT = 1e-6
UNITS = np.full(10, UNIT)


@pytest.fixture(scope="module")
def plan(bundled: Checkpoint) -> Plan:
    return make_plan(Reference(bundled))


EXPECTED = np.random.default_rng(0).normal(size=(20, 10))


def errors_of(actual: np.ndarray) -> np.ndarray:
    return np.abs(actual.astype(np.float32) - EXPECTED)


@given(st.floats(0, 0.99), st.integers(0, 19), st.integers(0, 9))
def test_an_error_within_the_limit_passes(fraction: float, row: int, column: int) -> None:
    actual = EXPECTED.copy()
    actual[row, column] += fraction * (LIMIT_IN_UNITS - 1) * UNIT  # float32 itself rounds by up to 0.2 units here
    assert check_values("p", errors_of(actual), UNITS).passed


@given(st.floats(1.2, 1e6), st.integers(0, 19), st.integers(0, 9), st.sampled_from([-1, 1]))
def test_one_logit_beyond_the_limit_fails(factor: float, row: int, column: int, sign: int) -> None:
    actual = EXPECTED.copy()
    actual[row, column] += sign * factor * LIMIT_IN_UNITS * UNIT
    check = check_values("p", errors_of(actual), UNITS)
    assert not check.passed
    assert f"image {row}, logit {column}" in check.detail


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 19), st.integers(0, 9))
def test_one_value_that_is_not_finite_fails_unless_float32_overflows(value: float, row: int, column: int) -> None:
    actual = EXPECTED.astype(np.float32)
    actual[row, column] = value
    assert not check_finite("p", actual).passed
    assert check_finite("p", actual, np.arange(20) != row).passed


def test_nothing_to_compare_is_a_failure() -> None:
    check = check_values("p", np.empty((0, 10)), UNITS, overflowing=20)
    assert (check.passed, check.measured) == (False, None)
    assert "overflows on all 20 images" in check.detail


@pytest.mark.parametrize("shape", [(20, 1), (1, 10), (10,), (20, 11), (19, 10), (20, 10, 1), ()])
def test_a_shape_that_would_broadcast_fails(shape: tuple[int, ...]) -> None:
    check = check_shape([(20, (20, 10)), (20, shape)])
    assert not check.passed
    assert f"20 image(s) gave {shape}" in check.detail


@pytest.mark.parametrize(
    ("dtype", "declared", "passed"),
    [
        ("float32", "float32", True),
        ("float64", "float32", False),
        ("float16", "float32", False),
        ("float16", "float16", True),
        ("int64", "int8", False),
    ],
)
def test_dtypes_of_outputs(dtype: str, declared: Precision, passed: bool) -> None:
    assert check_dtype(["float32", dtype], declared).passed == passed


def test_a_flip_counts_only_when_rounding_cannot_explain_it() -> None:
    expected = np.zeros((2, 10))
    expected[:, 3], expected[0, 5], expected[1, 5] = 1.0, 1.0 - 10 * UNIT, 0.5
    tie, wrong = expected.copy(), expected.copy()
    tie[0, 5] += 12 * UNIT
    wrong[1, 5] = 1.1
    explained = check_labels("p", tie.astype(np.float32), expected, UNITS)
    assert explained.passed
    assert explained.facts["agreement"] == 0.5
    assert not check_labels("p", wrong.astype(np.float32), expected, UNITS).passed


@given(st.floats(0, 1e30), st.floats(0, 1e30))
def test_the_unit_is_never_zero_nor_infinite(error: float, logit: float) -> None:
    unit = rounding_unit(np.full((1, 10), error), np.full((1, 10), logit))
    assert 0 < unit < np.inf
    assert unit >= error
    assert unit >= logit * 5e-8


@given(st.floats(0, 1e10), st.floats(0, 1e10), st.floats(0, 1))
def test_luck_with_few_images_is_made_up_for_at_most_fourfold(error: float, logit: float, usual: float) -> None:
    errors, expected = np.full((1, 10), error), np.full((1, 10), logit)
    without, unit = rounding_unit(errors, expected), rounding_unit(errors, expected, usual)
    assert without <= unit <= max(4 * error, without)
    if usual * logit <= 4 * error:
        assert unit == max(without, usual * logit)
    assert np.all(class_units(errors, expected, usual) == unit)


def test_the_usual_error_is_that_of_real_images(bundled: Checkpoint) -> None:
    known = Expectations(Reference(bundled))
    sample = known.of(sample_probe())
    assert known.usual == pytest.approx(sample.units.max() / np.abs(sample.logits).max(), rel=1e-9)
    assert 1e-8 < known.usual < 1e-5
    images = load_sample().inputs()
    few = Probe("few", images[np.abs(sample.logits).max(1).argsort()[:3]])
    expected = known.reference.logits(few.images)
    alone = expectation(expected, known.reference.float32_errors(few.images, expected))
    assert np.all(known.of(few).units >= alone.units)
    assert np.any(known.of(few).units > alone.units)


def test_a_class_that_dwarfs_the_others_has_a_unit_of_its_own() -> None:
    errors, expected = np.full((5, 10), 1e-6), np.ones((5, 10))
    errors[:, 7], expected[:, 7] = 1e4, -1e12
    units = class_units(errors, expected)
    assert units[7] == pytest.approx(6e4, rel=0.1)
    assert set(np.delete(units, 7)) == {4e-6}
    assert np.all(class_units(np.full((5, 10), 1e-6), np.ones((5, 10))) == 1e-6)


def test_batch_sizes_that_fail_are_named_with_those_that_work() -> None:
    check = check_batch_sizes({1: "boom", 2: "bang"}, (1, 2, 64))
    assert check.detail == "works with 64 images, fails with 1 and 2: boom"
    assert not check.passed


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
        ([spec(("batch", 28, 28))], [spec(LOGITS)], None),
        ([spec(("batch", 784))], [spec(LOGITS)], None),
        ([spec(("batch", 3, 28, 28))], [spec(LOGITS)], "input x has shape"),
        ([spec(())], [spec(LOGITS)], "input x has shape"),
        ([spec(IMAGES)], [spec(("batch", 1000))], "output x has shape"),
    ],
)
def test_a_signature_fails_by_its_reason(
    inputs: list[TensorSpec], outputs: list[TensorSpec], reason: str | None
) -> None:
    check = check_signature(Signature(inputs=tuple(inputs), outputs=tuple(outputs)))
    assert check.passed == (reason is None)
    if reason:
        assert re.search(reason, check.detail)


def test_names_matter_only_in_files_that_promise_them() -> None:
    signature = Signature(inputs=(spec(IMAGES),), outputs=(spec(LOGITS, name="scores"),))
    assert check_signature(signature).passed
    check = check_signature(signature, names=("x", "logits"))
    assert "its output is called scores, not logits as exported" in check.detail


@pytest.mark.parametrize("name", FORMATS)
def test_a_right_artifact_passes(name: str, exported: Path, plan: Plan) -> None:
    record = check_artifact(Target(FORMATS[name], exported / FORMATS[name].file_name), plan)
    assert record.passed, record.failure
    assert record.cause is None
    assert {check.name for check in record.checks} >= {
        "opens", "integrity", "signature", "batch sizes", "shape", "dtype", "finite", "values", "labels", "contract",
        "input kept", "determinism", "row independence",
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
    report = export_formats(checkpoint, tmp_path / "out")
    assert report.passed, [record.failure for record in report.parity]
    assert len(report.artifacts) == len(FORMATS)


@pytest.mark.parametrize("weight", [0.0, 1e-30, 1e4])
def test_degenerate_weights_neither_fail_nor_hide(weight: float, tmp_path: Path) -> None:
    config = ModelConfig(layer_sizes=(784, 16, 10))
    state = {name: torch.full_like(tensor, weight) for name, tensor in Mlp(config).state_dict().items()}
    save_checkpoint(tmp_path / "m.safetensors", config, state)
    checkpoint = load_checkpoint(tmp_path / "m.safetensors")
    assert export_formats(checkpoint, tmp_path / "out", ["onnx"]).passed
    state["linear_relu_stack.2.bias"][4] += max(1e-3, weight * 1e-3)
    save_checkpoint(tmp_path / "other.safetensors", config, state)
    other = make_plan(Reference(load_checkpoint(tmp_path / "other.safetensors")))
    assert not check_artifact(Target(FORMATS["onnx"], tmp_path / "out" / "model.onnx"), other).passed


def check_copy(exported: Path, folder: Path, name: str, plan: Plan) -> ParityRecord:
    return check_artifact(Target(FORMATS[name], folder / FORMATS[name].file_name), plan)


def test_a_truncated_artifact_fails_to_open(exported: Path, plan: Plan, tmp_path: Path) -> None:
    data = (exported / "model.pt2").read_bytes()
    (tmp_path / "model.pt2").write_bytes(data[: len(data) // 2])
    record = check_copy(exported, tmp_path, "torch-export", plan)
    assert [check.name for check in record.checks] == ["opens", "integrity"]
    assert record.cause == "opens"
    assert record.precision is None


def test_a_file_that_is_not_the_one_in_the_manifest_fails_by_integrity(
    exported: Path, plan: Plan, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "copy")
    proto = onnx.load(folder / "model.onnx")
    proto.doc_string = "touched"
    onnx.save(proto, folder / "model.onnx")
    failure = check_copy(exported, folder, "onnx", plan).failure
    assert failure is not None
    assert (failure.name, "not the exported one" in failure.detail) == ("integrity", True)


@pytest.mark.parametrize("name", FORMATS)
def test_a_stale_artifact_is_named_as_such(name: str, exported: Path, tmp_path: Path) -> None:
    other = make_plan(Reference(load_checkpoint(save_small(tmp_path / "m.safetensors", config=ModelConfig()))))
    failure = check_artifact(Target(FORMATS[name], exported / FORMATS[name].file_name), other).failure
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
    field: str, change: dict[str, object], exported: Path, plan: Plan, tmp_path: Path
) -> None:
    proto = onnx.load(exported / "model.onnx")
    metadata = ArtifactMetadata.model_validate_json(proto.metadata_props[0].value)
    proto.metadata_props[0].value = metadata.model_copy(update=change).model_dump_json()
    onnx.save(proto, tmp_path / "model.onnx")
    failure = check_artifact(Target(FORMATS["onnx"], tmp_path / "model.onnx"), plan).failure
    assert failure is not None
    assert (failure.name, field in failure.detail) == ("contract", True)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_right_artifacts_pass_on_cuda(name: str, exported: Path, plan: Plan) -> None:
    target = Target(FORMATS[name], exported / FORMATS[name].file_name)
    record = check_artifact(target, plan, device="cuda")
    assert record.passed, record.failure


@pytest.mark.mps
@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_right_artifacts_pass_on_mps(name: str, exported: Path, plan: Plan) -> None:
    target = Target(FORMATS[name], exported / FORMATS[name].file_name)
    record = check_artifact(target, plan, device="mps")
    assert record.passed, record.failure
