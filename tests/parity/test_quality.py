"""Lower precision: measured by classification, judged by gates, judged again from a saved report."""

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime.quantization import QuantType, quantize_dynamic

from support import Cli
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.fashion.data import load_sample
from toolkit.formats import FORMATS
from toolkit.formats.target import Target
from toolkit.formats.verified import check_verified
from toolkit.parity.evaluation import measure_quality
from toolkit.parity.probes import Probe, picture_probe, sample_probe
from toolkit.parity.reference import Reference
from toolkit.parity.rules.quality import Gates, judge_quality, mcnemar
from toolkit.records import QualityRecord, Report, read_record
from toolkit.system.files import write_record
from toolkit.workload.scores import softmax

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_the_exact_binomial_tail(lost: int, gained: int) -> None:
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(lost, n + 1)) / 2**n
    assert mcnemar(lost, gained) == pytest.approx(tail)


def test_softmax_is_shift_invariant_and_finite_for_huge_logits() -> None:
    logits = np.array([[1e4, 1e4 - 1, 0.0]])
    assert softmax(logits) == pytest.approx(softmax(logits - 1e4))
    assert softmax(logits).sum() == pytest.approx(1)


class Fixed:
    """A reference that knows its answers."""

    checkpoint = model = None

    def __init__(self, logits: np.ndarray) -> None:
        self._logits = logits

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self._logits[: len(images)]

    def float32_errors(self, images: np.ndarray, expected: np.ndarray) -> np.ndarray:
        return np.zeros_like(expected)


def one_hot(classes: list[int]) -> np.ndarray:
    return np.eye(10)[classes]


def test_lost_gained_and_disagreements_are_counted_apart() -> None:
    labels = [0, 1, 2, 3, 4]
    reference, artifact = [0, 1, 2, 0, 0], [0, 1, 0, 3, 5]  # image 2 lost, 3 gained, 4 wrong in another way
    probe = Probe("p", np.zeros((5, 1, 28, 28), np.float32), labels=np.array(labels))
    quality = measure_quality(
        lambda _: one_hot(artifact).astype(np.float32), Fixed(one_hot(reference)), probe, "sample"
    )
    assert (quality.reference_right, quality.lost, quality.gained, quality.disagreements) == (3, 1, 1, 3)
    assert quality.accuracy == quality.reference_accuracy == 0.6
    high, low = math.e / (math.e + 9), 1 / (math.e + 9)
    assert quality.max_probability_change == pytest.approx(high - low)
    assert quality.mean_probability_change == pytest.approx(3 * 2 * (high - low) / 50)
    assert quality.relative_noise is None  # the artifact has a 1 in class 5, where the reference is zero


def test_equal_logits_have_no_noise() -> None:
    logits = one_hot([0, 1])
    probe = Probe("p", np.zeros((2, 1, 28, 28), np.float32), labels=np.array([0, 1]))
    quality = measure_quality(lambda _: logits.astype(np.float32), Fixed(logits), probe, "sample")
    assert quality.sqnr_db is None
    assert all(check.passed for check in judge_quality(quality, Gates()))


def test_images_without_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="no labels"):
        measure_quality(lambda x: x, Fixed(one_hot([0])), Probe("p", np.zeros((1, 1, 28, 28), np.float32)), "sample")


def test_batches_do_not_change_what_is_measured(bundled: Checkpoint) -> None:
    reference, model = Reference(bundled), bundled.model().bfloat16()

    def infer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(images).bfloat16()).float().numpy()

    sample = load_sample()
    whole = measure_quality(infer, reference, sample_probe(), "sample")
    parts = measure_quality(infer, reference, Probe("p", sample.images, 64, sample.labels), "sample")
    assert (whole.lost, whole.gained, whole.disagreements) == (parts.lost, parts.gained, parts.disagreements)
    assert whole.sqnr_db == pytest.approx(parts.sqnr_db)
    assert whole.images == len(picture_probe("p", sample)) == 1000


def quality(lost: int, gained: int, images: int = 10_000, disagreements: int | None = None) -> QualityRecord:
    return QualityRecord(
        source="test set",
        images=images,
        reference_right=images * 9 // 10,
        lost=lost,
        gained=gained,
        disagreements=lost + gained if disagreements is None else disagreements,
        mean_probability_change=0.001,
        max_probability_change=0.1,
        relative_noise=0.03,
    )


@pytest.mark.parametrize(
    ("measured", "gates", "failing"),
    [
        (quality(20, 20), Gates(), []),
        (quality(71, 20), Gates(), ["accuracy", "significance"]),
        (quality(51, 0, disagreements=60), Gates(significance=0), ["accuracy"]),
        (quality(40, 5), Gates(), ["significance"]),  # 0.35 points, but hardly by chance
        (quality(40, 5), Gates(significance=0), []),
        (quality(0, 0, disagreements=201), Gates(), ["agreement"]),
        (quality(0, 0, disagreements=200), Gates(), []),
        (quality(10, 40), Gates(max_drop_points=0), []),  # a gain is no drop
    ],
)
def test_each_gate_fails_for_its_own_reason(measured: QualityRecord, gates: Gates, failing: list[str]) -> None:
    assert [check.name for check in judge_quality(measured, gates) if not check.passed] == failing


@pytest.fixture(scope="module")
def int8_file(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    proto = onnx.load(exported / "model.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, path.with_name("plain.onnx"))
    quantize_dynamic(path.with_name("plain.onnx"), path, weight_type=QuantType.QInt8)
    return path


def test_int8_is_judged_by_accuracy_and_refused_where_float32_is_demanded(int8_file: Path, cli: Cli) -> None:
    result = cli("parity", int8_file, "--precision", "float32", "--json")
    (record,) = result.report.parity
    assert (result.code, record.cause, record.precision) == (1, "opens", None)
    result = cli("parity", int8_file, "--json")
    (record,) = result.report.parity
    assert result.code == 0, record.failure
    assert record.declared == record.precision == "int8"
    assert record.quality
    assert record.quality.images in {1_000, 10_000}
    assert {"accuracy", "significance", "agreement"} <= {check.name for check in record.checks}
    assert "values" not in {check.name for check in record.checks}
    assert 0.97 < record.quality.agreement < 1
    assert record.quality.sqnr_db
    assert record.quality.sqnr_db > 20


def test_a_saved_report_is_judged_again_without_the_artifact(int8_file: Path, cli: Cli, tmp_path: Path) -> None:
    report = cli("parity", int8_file, "--precision", "int8", "--json").report
    (record,) = report.parity
    worse = record.model_copy(update={"target": "gone.onnx", "quality": quality(40, 10)})
    write_record(report.model_copy(update={"parity": (worse,)}), tmp_path / "report.json")
    for (drop, points), (agreement, fraction) in itertools.product(
        [("loose", 0.5), ("tight", 0.2)], [("loose", 0.9), ("tight", 0.999)]
    ):
        options = ("--max-drop", points, "--min-agreement", fraction, "--significance", 0, "--json")
        result = cli("parity", "--rejudge", tmp_path / "report.json", *options)
        assert result.code == (0 if (drop, agreement) == ("loose", "loose") else 1)
        failing = {check.name for check in result.report.parity[0].checks if not check.passed}
        assert failing == {name for name, how in (("accuracy", drop), ("agreement", agreement)) if how == "tight"}
    assert read_record(tmp_path / "report.json", Report).parity == (worse,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_models_are_judged_by_their_accuracy(
    dtype: torch.dtype, bundled: Checkpoint, cli: Cli, tmp_path: Path
) -> None:
    torch.jit.script(bundled.model().to(dtype)).save(tmp_path / "half.ts.pt")
    name = str(dtype).removeprefix("torch.")
    result = cli("parity", tmp_path / "half.ts.pt", "--precision", name, "--json")
    assert result.code == 0, result.report.parity[0].failure
    assert result.report.parity[0].precision == name
    assert cli("parity", tmp_path / "half.ts.pt", "--json").report.parity[0].declared == name  # the file says it
    assert cli("parity", tmp_path / "half.ts.pt", "--precision", "float32").code == 1
    assert cli("parity", tmp_path / "half.ts.pt", "--precision", "int8").code == 1


def test_rejudging_judges_float32_rows_by_the_limit_of_today(exported: Path, cli: Cli, tmp_path: Path) -> None:
    report = cli("parity", "onnx", "--folder", exported, "--json").report
    (record,) = report.parity
    looser = tuple(
        each.model_copy(update={"measured": 9.0, "limit": 10.0}) if each.name == "values" else each
        for each in record.checks
    )
    write_record(
        report.model_copy(update={"parity": (record.model_copy(update={"checks": looser}),)}), tmp_path / "r.json"
    )
    result = cli("parity", "--rejudge", tmp_path / "r.json", "--json")
    assert (result.code, result.report.parity[0].cause) == (1, "values")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--rejudge", "none.json"], "none.json"),
        (["onnx", "--rejudge", "none.json"], "--rejudge takes its targets from the report"),
        (["--precision", "fp8"], "--precision fp8: no such precision; choose one of float32, tf32"),
        (["--max-drop", "-1"], "--max-drop"),
        (["--checkpoint", "a.pth", "--against", "b.onnx"], "--checkpoint and --against"),
        (["--against", "none.onnx"], "none.onnx"),
        (["--full", "--data", "nowhere"], "--data nowhere"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], named: str, exported: Path, cli: Cli, in_empty_folder: Path
) -> None:
    result = cli("parity", *arguments, "--folder", exported)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1
    assert named in result.err


def test_a_report_without_parity_cannot_be_judged(cli: Cli, tmp_path: Path) -> None:
    cli("doctor", "-o", tmp_path / "doctor.json")
    result = cli("parity", "--rejudge", tmp_path / "doctor.json")
    assert result.code == 2
    assert "the report of fmnist-tk doctor has no parity in it" in result.err


def test_a_wrong_declaration_does_not_undo_a_pass(
    exported: Path, bundled: Checkpoint, tmp_path: Path, cli: Cli
) -> None:
    folder = shutil.copytree(exported, tmp_path / "copy")
    target = Target(FORMATS["onnx"], folder / "model.onnx")
    assert cli("parity", target.path, "--precision", "int8").code == 1
    check_verified(target, bundled.record.weights_sha256, "cpu", "")
