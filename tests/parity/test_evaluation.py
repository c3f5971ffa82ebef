"""Evaluation: counts and errors from logits, and how they come into reports."""

import base64
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from support import Cli
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.fashion.data import load_sample
from toolkit.parity import evaluate_reference, make_plan
from toolkit.parity.evaluation import evaluate, evaluate_artifact
from toolkit.parity.examine.calls import RuntimeFailedError
from toolkit.parity.plan import Plan
from toolkit.parity.probes import Probe
from toolkit.parity.reference import Reference
from toolkit.records import MOST_WRONG, EvaluationRecord, WrongImageRecord

PIXELS = base64.b64encode(bytes(784)).decode()


def probe(labels: list[int]) -> Probe:
    """Pictures whose first pixel is their number."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(len(labels)) % 256
    return Probe("p", images, labels=np.array(labels))


def logits_of(classes: list[int], confidence: list[float] | None = None) -> np.ndarray:
    return np.eye(10)[classes] * np.array(confidence or [1.0] * len(classes))[:, np.newaxis]


def test_images_are_counted_by_actual_and_predicted_class() -> None:
    found = evaluate(logits_of([0, 1, 1, 9]), probe([0, 1, 2, 2]), "sample")
    assert found
    expected = np.zeros((10, 10), int)
    expected[0, 0] = expected[1, 1] = expected[2, 1] = expected[2, 9] = 1
    assert np.array_equal(found.confusion, expected)
    assert (found.images, found.right, found.accuracy) == (4, 2, 0.5)


def test_the_most_confident_errors_come_first_with_their_pixels() -> None:
    found = evaluate(logits_of([1, 2, 3, 4], [1, 3, 2, 9]), probe([0, 0, 0, 4]), "sample")
    assert found
    assert [(each.index, each.actual, each.predicted) for each in found.wrong] == [(1, 0, 2), (2, 0, 3), (0, 0, 1)]
    assert [base64.b64decode(each.pixels)[0] for each in found.wrong] == [1, 2, 0]
    assert found.wrong[0].probability == pytest.approx(np.exp(3) / (np.exp(3) + 9))


def test_errors_are_taken_only_among_some_and_never_more_than_fit() -> None:
    among = np.array([False, True, True])
    found = evaluate(logits_of([1, 1, 1]), probe([0, 0, 1]), "sample", among)
    assert found
    assert [each.index for each in found.wrong] == [1]
    assert found.right == 1  # all of them are counted
    many = evaluate(logits_of([1] * 100), probe([0] * 100), "test set")
    assert many
    assert [each.index for each in many.wrong] == list(range(MOST_WRONG))  # of equal ones the first


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60))
def test_the_counts_are_those_of_a_plain_loop(pairs: list[tuple[int, int]]) -> None:
    found = evaluate(logits_of([b for _, b in pairs]), probe([a for a, _ in pairs]), "sample")
    assert found
    assert found.right == sum(a == b for a, b in pairs)
    assert all(found.confusion[a][b] == pairs.count((a, b)) for a, b in pairs)
    assert len(found.wrong) == min(found.images - found.right, MOST_WRONG)


def test_floats_are_kept_as_the_pictures_they_came_from() -> None:
    sample = load_sample()
    floats = Probe("p", sample.inputs()[:3], labels=np.array([9, 9, 9]))
    pictures = Probe("p", sample.images[:3], labels=np.array([9, 9, 9]))
    logits = logits_of([0, 0, 0])
    assert evaluate(logits, floats, "sample") == evaluate(logits, pictures, "sample")


@pytest.mark.parametrize("logits", [np.zeros((2, 9)), np.zeros((3, 10)), np.full((2, 10), np.nan)])
def test_what_cannot_be_classified_is_not_evaluated(logits: np.ndarray) -> None:
    assert evaluate(logits, probe([0, 1]), "sample") is None


def test_images_without_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="no labels"):
        evaluate(np.zeros((1, 10)), Probe("p", np.zeros((1, 28, 28), np.uint8)), "sample")


@pytest.mark.parametrize(
    ("changes", "field", "kind"),
    [
        ({"pixels": "###"}, "pixels", "value_error"),
        ({"pixels": PIXELS[:-4]}, "pixels", "value_error"),
        ({"predicted": 3}, None, "value_error"),
        ({"actual": 10}, "actual", "less_than"),
        ({"probability": 1.1}, "probability", "less_than_equal"),
    ],
)
def test_an_image_that_cannot_be_wrong_so_is_refused(changes: dict[str, object], field: str | None, kind: str) -> None:
    values = {"index": 0, "actual": 3, "predicted": 5, "probability": 0.5, "pixels": PIXELS}
    WrongImageRecord.model_validate(values)
    with pytest.raises(ValidationError) as caught:
        WrongImageRecord.model_validate({**values, **changes})
    assert [(each["loc"], each["type"]) for each in caught.value.errors()] == [((field,) if field else (), kind)]


@pytest.mark.parametrize(
    ("confusion", "reason"),
    [([[1] * 10] * 9, "10 by 10"), ([[1] * 9] * 10, "10 by 10"), ([[0] * 10] * 10, "at least one image")],
)
def test_a_matrix_that_is_none_is_refused(confusion: list[list[int]], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        EvaluationRecord.model_validate({"source": "sample", "confusion": confusion})


@pytest.fixture(scope="module")
def plan(bundled: Checkpoint) -> Plan:
    return make_plan(Reference(bundled))


def test_an_artifact_keeps_only_errors_that_the_reference_does_not_make(plan: Plan) -> None:
    reference = evaluate_reference(plan)
    assert reference
    assert (reference.source, reference.images) == ("sample", 1000)
    assert reference.accuracy == pytest.approx(0.919, abs=0.002)
    same = evaluate_artifact(plan.reference.logits, plan)
    assert same
    assert (same.confusion, same.wrong) == (reference.confusion, ())
    worse = evaluate_artifact(lambda images: np.roll(plan.reference.logits(images), 1, axis=1), plan)
    assert worse
    assert worse.right < 100 < len(load_sample().labels) - worse.right
    shown = {each.index for each in worse.wrong}
    assert len(shown) == MOST_WRONG
    right = plan.expectations.of(plan.labelled).logits.argmax(1) == plan.labelled.labels
    assert all(right[index] for index in shown)


def failing(images: np.ndarray) -> np.ndarray:
    raise RuntimeFailedError(images, "no more")


@pytest.mark.parametrize("infer", [failing, lambda images: np.zeros((len(images), 3)), lambda images: np.zeros(3)])
def test_an_artifact_that_fails_is_not_evaluated(infer: object, plan: Plan) -> None:
    assert evaluate_artifact(infer, plan) is None  # type: ignore[arg-type]  # it stands for a session


@pytest.mark.data
def test_the_whole_test_set_is_evaluated_with_logits_that_parity_has_anyway(bundled: Checkpoint) -> None:
    from toolkit.fashion.data import load_test_set

    plan = make_plan(Reference(bundled), full=load_test_set())
    assert plan.labelled is plan.probes[0]
    found = evaluate_reference(plan)
    assert found
    assert (found.source, found.images) == ("test set", 10_000)


def test_parity_and_its_table_tell_the_accuracy(exported: Path, tmp_path: Path, cli: Cli) -> None:
    shutil.copy(exported / "model.onnx", tmp_path)
    given = ("parity", str(tmp_path / "model.onnx"), "-o", str(tmp_path / "report.json"), "--details")
    outcome = cli(*given)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if line.startswith(" accuracy ")]
    assert line.split()[1:] == ["91.90", "%"]
    report = cli("report", tmp_path / "report.json", "--json").report
    assert report.evaluation
    assert report.parity[0].evaluation
    assert report.parity[0].evaluation.confusion == report.evaluation.confusion
    assert report.arguments == given


def test_export_evaluates_what_it_verifies_and_nothing_else(small_file: Path, tmp_path: Path, cli: Cli) -> None:
    def export(*more: str) -> EvaluationRecord | None:
        words = ("export", "onnx", "--checkpoint", small_file, "--folder", tmp_path / "out", "--json", *more)
        return cli(*words).report.evaluation

    found = export()
    assert found
    assert found.images == 1000
    assert export("--no-verify") is None
