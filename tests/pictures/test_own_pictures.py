"""Own pictures in train, parity and bench: what they do there, and what is said of them."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

import toolkit.bench
from support import Cli, save_small
from toolkit.bench.engine.inputs import MOST_PICTURES, keep_pictures, with_pictures
from toolkit.bench.engine.outputs import batch_of
from toolkit.bench.engine.prepare import Prepared, prepare_entries, prepare_request
from toolkit.errors import TrainingInterruptedError, UsageError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.fashion.labels import read_label
from toolkit.fashion.training import TrainingRun, new_run, train
from toolkit.fashion.training.split import hold_back, hold_out, split_notes
from toolkit.formats.golden import read_golden
from toolkit.parity import Reference, make_plan
from toolkit.parity.reference import make_golden
from toolkit.pictures.own_data import OwnPictures, own_pictures
from toolkit.records import LABELS, DatasetRecord, Report
from toolkit.render.terminal import render_report
from toolkit.render.words.parity import repeat_command
from toolkit.system.environment import new_report
from toolkit.workload.images import ImageSet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``pictures`` and ``labels.csv``: 60 images of the sample that are not its first ones."""
    place = tmp_path_factory.mktemp("own")
    sample = load_sample()
    (place / "pictures").mkdir()
    lines = []
    for number in range(60):
        Image.fromarray(sample.images[900 + number]).save(place / "pictures" / f"{number:02}.png")
        lines.append(f"{number:02}.png, {sample.labels[900 + number]}\n")
    (place / "labels.csv").write_text("".join(lines))
    return place


@pytest.fixture
def options(folder: Path) -> list[str]:
    return ["--images", str(folder / "pictures"), "--labels", str(folder / "labels.csv")]


@pytest.fixture(scope="module")
def own(folder: Path) -> OwnPictures:
    return own_pictures(folder / "pictures", folder / "labels.csv", read_label=read_label)


def numbered(labels: list[int]) -> ImageSet:
    """Pictures that can be told apart: each has its own number as its first pixels."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(len(labels)), 256)
    return ImageSet(images, np.array(labels, np.int64))


def numbers(data: ImageSet) -> list[int]:
    return (data.images[:, 0, 0].astype(int) * 256 + data.images[:, 0, 1]).tolist()


@given(
    labels=st.lists(st.integers(0, 9), min_size=11, max_size=60), share=st.floats(0.01, 0.99), seed=st.integers(0, 9)
)
def test_a_part_of_each_class_is_held_back(labels: list[int], share: float, seed: int) -> None:
    data = numbered(labels)  # of eleven pictures two are of one class
    training, test = hold_back(data, share, seed)
    assert sorted(numbers(training) + numbers(test)) == list(range(len(labels)))
    for part in (training, test):
        assert part.labels.tolist() == [labels[number] for number in numbers(part)]
    for label, count in enumerate(np.bincount(labels, minlength=10)):
        held = int((test.labels == label).sum())
        assert (1 <= held < count) if count > 1 else held == 0
        assert count < 2 or abs(held - share * count) <= 1
    again = hold_back(data, share, seed)
    assert [numbers(each) for each in again] == [numbers(training), numbers(test)]


def test_what_is_trained_on_is_not_in_the_order_of_classes() -> None:
    data = numbered(sorted([*range(10)] * 20))
    training, test = hold_back(data, 0.2, 0)
    assert np.unique(training.labels[:40]).size > 5
    assert numbers(hold_back(data, 0.2, 1)[1]) != numbers(test)
    kept, held = hold_out(training, 10, 0)
    assert held is not None
    assert sorted(numbers(kept) + numbers(held)) == sorted(numbers(training))
    with pytest.raises(UsageError, match="--holdout 160: leaves nothing of 160 images to train on; pass a smaller"):
        hold_out(training, 160, 0)


def test_notes_name_classes_that_were_not_learned_or_not_tested() -> None:
    data = numbered([0, 0, 1, 1, 2])
    notes = split_notes(data, hold_back(data, 0.125, 3)[1], 0.125, 3)
    assert notes == [
        "tested on 2 of the own pictures (12.5% of each class, held back by seed 3), not on Fashion-MNIST's test set",
        f"there are no pictures of {', '.join(LABELS[3:])}: the model cannot learn what they look like",
        "of Pullover there is one picture only: it was trained on, so the test has none",
    ]
    with pytest.raises(UsageError, match="no class has two pictures, so none can be held back for the test; put"):
        hold_back(numbered([1, 2, 3]), 0.2, 0)


def run(**changes: object) -> TrainingRun:
    return new_run("strong", {"epochs": 3, "batch_size": 16}, hidden="8", device="cpu", threads=1, **changes)  # type: ignore[arg-type]


def test_training_on_own_pictures_claims_no_test_set(own: OwnPictures, tmp_path: Path) -> None:
    report = train(run(), tmp_path / "m.safetensors", own=own)
    assert report.training is not None
    tested = sum(map(sum, report.training.confusion))
    assert report.training.train_images + tested == 60
    assert report.datasets == (own.record,)
    assert report.training.dataset == str(own.record.name)
    summary = load_checkpoint(tmp_path / "m.safetensors").record.training
    assert summary is not None
    assert (summary.dataset, summary.dataset_sha256) == (own.record.name, own.record.sha256)
    assert (summary.test_images, summary.test_set) == (tested, f"{tested} own pictures held back")
    shown = report.model_copy(update={"checkpoint": load_checkpoint(tmp_path / "m.safetensors").record, "notes": ()})
    console = Console(file=io.StringIO(), width=400)
    console.print(*render_report(shown))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count(f"on {tested} own pictures held back") == 2
    assert "test set" not in text
    assert "tested on" in report.notes[0]


def test_the_share_is_of_each_class(own: OwnPictures, tmp_path: Path) -> None:
    report = train(run(test_share=0.5), tmp_path / "m.safetensors", own=own)
    assert report.training is not None
    held = [sum(row) for row in report.training.confusion]
    assert all(abs(count - 2 * kept) <= 1 for count, kept in zip(own.record.class_counts, held, strict=True))


def interrupt_after(epoch: int) -> object:
    def progress(_: str, done: int, __: int, ___: str = "") -> None:
        if done == epoch:
            raise KeyboardInterrupt

    return progress


def test_training_goes_on_with_the_same_pictures_only(own: OwnPictures, tmp_path: Path) -> None:
    whole, resumed, partial = (tmp_path / name for name in ("w.safetensors", "r.safetensors", "r.partial.pt"))
    train(run(), whole, own=own)
    with pytest.raises(TrainingInterruptedError) as caught:
        train(run(), resumed, own=own, progress=interrupt_after(2))  # type: ignore[arg-type]
    assert str(caught.value).endswith(" ".join(own.record.words()))
    others = DatasetRecord.model_validate({**own.record.model_dump(), "sha256": "0" * 64})
    with pytest.raises(UsageError, match="not the pictures and labels with which the training was begun; pass those"):
        train(run(), resumed, resume=partial, own=OwnPictures(own.data, own.names, own.inverted, others, ()))
    with pytest.raises(UsageError, match="begun with own pictures; pass the same --images, and --labels if there were"):
        train(run(), resumed, resume=partial)
    train(run(), resumed, own=own, resume=partial)
    assert resumed.read_bytes() == whole.read_bytes()


def test_training_begun_with_fashion_mnist_takes_no_own_pictures(
    own: OwnPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.fashion.training.load_data", lambda folder, workers: (load_sample(), load_sample()))
    with pytest.raises(TrainingInterruptedError):
        train(run(), tmp_path / "m.safetensors", progress=interrupt_after(1))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the training was begun with Fashion-MNIST; leave --images out"):
        train(run(), tmp_path / "m.safetensors", resume=tmp_path / "m.partial.pt", own=own)


def test_train_from_the_command_line(cli: Cli, options: list[str], in_empty_folder: Path) -> None:
    words = ["--epochs", 2, "--hidden", 8, "--batch-size", 16, "--threads", 1, "--device", "cpu"]
    outcome = cli("train", *options, *words, "--test-share", "30%", "--json")
    assert outcome.code == 0, outcome.err
    assert "pictures 60/60" in outcome.err
    assert outcome.report.datasets[0].images == 60
    assert "30% of each class" in outcome.report.notes[0]
    again = cli("train", *options, "--resume", "x.pt", "--test-share", "30%")
    assert "leave out --test-share" in again.err


@pytest.mark.parametrize("command", ["train", "parity", "bench"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "x.csv"], "--labels belongs to --images; pass --images DIR"),
        (["--num-workers", "1"], "--num-workers belongs to --images; pass --images DIR"),
        (
            ["--labels", "x.csv", "--num-workers", "0"],
            "--labels and --num-workers belong to --images; pass --images DIR",
        ),
        (["--images", "nowhere"], "Pictures of nowhere: no such folder; pass the folder that holds the pictures"),
    ],
)
def test_options_that_need_each_other(
    command: str, words: list[str], message: str, cli: Cli, in_empty_folder: Path, exported: Path
) -> None:
    outcome = cli(command, *words, *([] if command == "train" else ["--folder", exported]))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("command", "words", "named"),
    [
        ("train", ["--data", "x"], "--data"),
        ("train", ["--workers", "2"], "--workers"),
        ("parity", ["--data", "x"], "--data"),
        ("parity", ["--full", "--data", "x"], "--data, --full"),
    ],
)
def test_own_pictures_are_in_place_of_fashion_mnist(
    command: str, words: list[str], named: str, cli: Cli, options: list[str]
) -> None:
    outcome = cli(command, *options, *words)
    assert outcome.code == 2
    assert f"--images is in place of Fashion-MNIST, so {named} would have no effect; leave one out" in outcome.err


def test_options_that_read_no_pictures_refuse_them(cli: Cli, options: list[str], in_empty_folder: Path) -> None:
    assert "--images would have no effect" in cli("bench", "--selfcheck", *options).err
    assert "so --images would have no effect" in cli("parity", "--rejudge", "x.json", *options).err
    assert "pass --images DIR with it" in cli("train", "--test-share", "10%").err
    outcome = cli("train", *options, "--test-share", "100%")
    assert (outcome.code, "--test-share 1.0: Input should be less than 1" in outcome.err) == (2, True)


def test_parity_compares_values_on_own_pictures(
    cli: Cli, options: list[str], exported: Path, own: OwnPictures, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "copy")
    outcome = cli("parity", "onnx", "--folder", tmp_path / "copy", *options, "--threads", 1, "--json")
    assert outcome.code == 0, outcome.err
    probes = {check.probe for check in outcome.report.parity[0].checks if check.name == "values"}
    assert "own pictures and sample images" in probes
    assert outcome.report.datasets == (own.record,)
    command = repeat_command(outcome.report, outcome.report.parity[0])
    assert command.startswith("fmnist-tk parity ")
    assert " ".join(options) in command
    assert "--full" not in command


def test_lower_precision_is_judged_by_own_pictures_alone(own: OwnPictures, small_file: Path) -> None:
    reference = Reference(load_checkpoint(small_file))
    plan = make_plan(reference, full=own.data, source="own pictures")
    assert (plan.source, plan.labelled.name, len(plan.labelled)) == ("own pictures", "own pictures", 60)
    assert plan.labelled.labels is own.data.labels
    filled = plan.probes[0]
    assert (filled.name, len(filled)) == ("own pictures and sample images", 1000)
    assert np.array_equal(filled.images[:60], own.data.images)
    assert np.array_equal(filled.images[60:], load_sample().images[:940])
    many = ImageSet(np.concatenate([load_sample().images] * 2), np.concatenate([load_sample().labels] * 2))
    whole = make_plan(reference, full=many, source="own pictures").probes[0]
    assert (whole.name, len(whole)) == ("own pictures", 2000)
    test_set = make_plan(reference, full=many)
    assert (test_set.source, test_set.probes[0].name) == ("test set", "test set")


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_lower_precision_says_by_which_pictures(cli: Cli, options: list[str], tmp_path: Path) -> None:
    weights = save_small(tmp_path / "small.safetensors")
    torch.jit.script(load_checkpoint(weights).model().to(torch.bfloat16)).save(tmp_path / "half.ts.pt")
    options = [*options, "--checkpoint", str(weights)]
    outcome = cli("parity", tmp_path / "half.ts.pt", "--precision", "bfloat16", *options, "--threads", 1, "--json")
    quality = outcome.report.parity[0].quality
    assert quality is not None, outcome.err
    assert (quality.source, quality.images) == ("own pictures", 60)
    accuracy = next(check for check in outcome.report.parity[0].checks if check.name == "accuracy")
    assert accuracy.probe == "60 images (own pictures)"


def test_own_pictures_are_the_inputs_of_timed_calls(bundled: Checkpoint, own: OwnPictures, tmp_path: Path) -> None:
    kept = keep_pictures(own, tmp_path)
    (eager,) = prepare_entries([], bundled, "cpu", tmp_path, unverified=False, pictures=kept)
    golden = read_golden(Path(eager.golden))
    assert golden.inputs.shape == (60, 1, 28, 28)
    mine, theirs = (sorted(each.tobytes() for each in images) for images in (golden.inputs, own.data.inputs()))
    assert mine == theirs
    np.testing.assert_allclose(
        golden.logits, Reference(bundled).logits(golden.inputs), rtol=1e-12
    )  # sums in another order
    assert np.array_equal(batch_of(golden, 130)[120:], golden.inputs[:10])
    usual = make_golden(Reference(bundled)).limit
    assert usual <= golden.limit < 2 * usual  # sixty pictures more, beside the whole sample


def test_of_many_pictures_bench_draws_some(own: OwnPictures, tmp_path: Path, bundled: Checkpoint) -> None:
    many = numbered(sorted([*range(10)] * 200))
    more = OwnPictures(many, (), own.inverted, own.record, ("odd",))
    pixels = np.load(keep_pictures(more, tmp_path))
    chosen = numbers(ImageSet(pixels, np.zeros(len(pixels), np.int64)))
    assert len(chosen) == len(set(chosen)) == MOST_PICTURES
    assert len({many.labels[each] for each in chosen[:64]}) == 10  # small batches are of all classes
    nothing = Prepared(checkpoint=bundled.record, entries=(), skips=())
    told = with_pictures(nothing, more, tmp_path)
    assert told.datasets == (own.record,)
    drawn = "timed, and compared with the reference, on 1,024 of the 2,000 own pictures, drawn at random"
    assert told.notes[:2] == ("odd", f"{drawn}; larger batches repeat them")
    assert told.notes[2].startswith(f"rows of {tmp_path} are timed and compared on its golden.npz")
    assert len(with_pictures(nothing, own, tmp_path / "model.pth").notes) == 1


def test_bench_hands_the_pictures_on(
    cli: Cli, options: list[str], exported: Path, own: OwnPictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[Prepared, int]] = []

    def run_bench(prepared: Prepared, *_: object, **__: object) -> Report:
        seen.extend((prepared, len(read_golden(Path(each.golden)).inputs)) for each in prepared.entries)
        return new_report("bench")

    monkeypatch.setattr(toolkit.bench, "run_bench", run_bench)
    monkeypatch.setattr("toolkit.verbs.bench.prepare_apart", prepare_request)
    base = save_small(tmp_path / "base.safetensors")
    for against, counts in ((base, [60, 60, 60]), (exported, [60, 60, 16])):
        seen.clear()
        outcome = cli("bench", "onnx", "--folder", exported, *options, "--against", against, "--json")
        assert outcome.code == 0, outcome.err
        assert [count for _, count in seen] == counts
        assert seen[0][0].datasets == (own.record,)
    seen.clear()
    assert cli("bench", "onnx", "--folder", exported).code == 0
    assert [count for _, count in seen] == [16, 16]
    assert seen[0][0].datasets == ()


def test_predict_says_how_many_of_them_it_has_right(cli: Cli, options: list[str], in_empty_folder: Path) -> None:
    outcome = cli("predict", *options, "--num-workers", 1, "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.report.predictions
    labels = load_sample().labels[900:960]
    assert [each.actual for each in found] == [LABELS[label] for label in labels]
    assert [Path(each.source).name for each in found] == [f"{number:02}.png" for number in range(60)]
    right = sum(each.label == each.actual for each in found)
    shown = cli("predict", *options).out
    assert f"{right} of 60 right" in shown
    assert all(f'Actual: "{each.actual}"  {each.source}' in shown for each in found)
    assert cli("predict", *options[:2]).code == 2  # loose pictures, and no folder per class
    with Path(options[3]).open(encoding="utf-8") as lines:
        Path("labels.csv").write_text("".join(lines) + "60.png, 3\n")
    outcome = cli("predict", *options[:3], "labels.csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert "labels.csv line 61: '60.png'" in outcome.err


def test_the_api_takes_them_too(
    options: list[str], own: OwnPictures, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {"images": options[1], "labels": options[3]}
    report = toolkit.train(tmp_path / "m.safetensors", recipe="quickstart", epochs=1, test_share=0.3, **pictures)
    assert report.training is not None
    assert report.datasets == (own.record,)
    shutil.copytree(exported, tmp_path / "copy")
    checked = toolkit.check_parity("onnx", folder=tmp_path / "copy", threads=1, **pictures)
    assert checked.passed
    assert checked.datasets == (own.record,)
    monkeypatch.setattr("toolkit.bench.run_bench", lambda prepared, *_, **__: prepared)
    monkeypatch.setattr("toolkit.verbs.bench.keep_result", lambda *_: None)
    assert toolkit.run_benchmark("onnx", folder=exported, **pictures).datasets == (own.record,)
    for wrong in ({"labels": options[3]}, {**pictures, "full": True}):
        with pytest.raises(UsageError):
            toolkit.check_parity("onnx", folder=exported, **wrong)
    with pytest.raises(UsageError, match="--test-share is for own pictures"):
        toolkit.train(tmp_path / "n.safetensors", test_share=0.3)


@pytest.mark.parametrize("command", ["parity", "bench"])
@pytest.mark.parametrize("option", ["--output", "--junit", "--markdown"])
def test_no_result_replaces_labels_pictures_or_artifacts(
    cli: Cli, folder: Path, exported: Path, options: list[str], command: str, option: str
) -> None:
    for path in (folder / "labels.csv", folder / "pictures" / "07.png", exported / "model.onnx"):
        before = path.read_bytes()
        outcome = cli(command, "onnx", "--folder", exported, *options, option, path)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{option} {path} " in outcome.err
        assert f"choose another for {option}" in outcome.err
        assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["parity", "bench"])
def test_no_result_replaces_a_picture_by_another_name_or_a_link_to_one(
    cli: Cli, exported: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "own").mkdir()
    Image.fromarray(load_sample().images[0]).save(tmp_path / "elsewhere.png")
    (tmp_path / "own" / "photo").write_bytes((tmp_path / "elsewhere.png").read_bytes())
    (tmp_path / "own" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "labels.csv").write_text("photo,9\n")
    for name in ("photo", "link.png"):
        own = ["--images", tmp_path / "own", "--labels", tmp_path / "labels.csv"]
        outcome = cli(command, "onnx", "--folder", exported, *own, "-o", tmp_path / "own" / name)
        assert (outcome.code, outcome.out) == (2, "")
        assert "choose another for --output" in outcome.err
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "elsewhere.png").read_bytes()
