import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

import toolkit.fashion.training as train_module
from support import NeuralNetwork
from toolkit.errors import CheckpointError, OutputError, TrainingError, TrainingInterruptedError, UsageError
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.fashion.training import TrainingRun, find_recipe, saving, train
from toolkit.fashion.training.batches import Batches
from toolkit.fashion.training.loop import training_epochs
from toolkit.fashion.training.products import forward
from toolkit.fashion.training.recipes import Recipe, learning_rate
from toolkit.fashion.training.state import Snapshot, load_snapshot, save_snapshot
from toolkit.records import ModelConfig
from toolkit.system.progress import Progress
from toolkit.workload.images import ImageSet

SMALL = ModelConfig(layer_sizes=(784, 24, 10))


@pytest.fixture(autouse=True)
def sample_is_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on 800 and test on 200 of the bundled images."""
    sample = load_sample()
    order = np.random.default_rng(1).permutation(1000)
    parts = [ImageSet(sample.images[chosen], sample.labels[chosen]) for chosen in (order[:800], order[800:])]
    monkeypatch.setattr(train_module, "load_data", lambda folder, workers: tuple(parts))


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(name: str = "strong", *, epochs: int = 4, seed: int = 0, holdout: int = 0, **changes: object) -> TrainingRun:
    recipe = Recipe.model_validate({**find_recipe(name).model_dump(), "batch_size": 64, "epochs": epochs, **changes})
    return TrainingRun(recipe=recipe, config=SMALL, seed=seed, holdout=holdout, device="cpu", threads=1)


def test_quickstart_is_the_tutorials_own_mathematics() -> None:
    sample = load_sample()
    recipe = find_recipe("quickstart").model_copy(update={"epochs": 19})  # 19 epochs of 16 steps
    ours = TrainingRun(recipe=recipe, config=ModelConfig(), seed=7, holdout=0, device="cpu", threads=1)
    *_, last = training_epochs(ours, sample, None, None)

    torch.manual_seed(7)
    model = NeuralNetwork()
    loader = DataLoader(
        TensorDataset(torch.from_numpy(sample.inputs()), torch.from_numpy(sample.labels)), batch_size=64
    )
    loss_fn = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    steps = 0
    for _ in range(19):
        for x, y in loader:
            loss_fn(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            steps += 1
    assert steps == 304
    for name, theirs in model.state_dict().items():
        assert torch.allclose(last.model[name], theirs, rtol=1e-5, atol=1e-7), name
    torch.manual_seed(7)
    initial = NeuralNetwork().state_dict()
    assert not torch.allclose(last.model["linear_relu_stack.0.weight"], initial["linear_relu_stack.0.weight"])


def test_training_writes_a_checkpoint_that_says_how_it_came_to_be(tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    report = train(run(epochs=12, lr=0.01), output)
    record = report.training
    assert record is not None
    assert len(record.epochs) == 12
    assert record.epochs[-1].loss < record.epochs[0].loss
    assert record.test_accuracy > 0.6
    assert sum(map(sum, record.confusion)) == 200
    checkpoint = load_checkpoint(output).record
    assert checkpoint.config == SMALL
    assert checkpoint.training is not None
    assert checkpoint.training.test_accuracy == record.test_accuracy
    assert checkpoint.training.recipe == "strong"


@pytest.mark.parametrize("name", ["quickstart", "strong"])
def test_same_seed_same_bytes(name: str, tmp_path: Path) -> None:
    outputs = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for output, seed in zip(outputs, (5, 5, 6), strict=True):
        train(run(name, seed=seed, epochs=2), output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert outputs[0].read_bytes() != outputs[2].read_bytes()


def test_training_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(run(epochs=1), tmp_path / "m.safetensors")
    assert torch.equal(torch.rand(3), expected)


def interrupt_after(epoch: int) -> object:
    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        if done == epoch:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_training_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    train(run(holdout=50), whole)
    with pytest.raises(TrainingInterruptedError, match="saved epoch 2 of 4") as caught:
        train(run(holdout=50), resumed, progress=interrupt_after(2))  # type: ignore[arg-type]
    assert caught.value.exit_code == 130
    assert not resumed.exists()
    partial = tmp_path / "resumed.partial.pt"
    assert load_checkpoint(partial).record.config == SMALL
    report = train(run(seed=99), resumed, resume=partial)
    assert resumed.read_bytes() == whole.read_bytes()
    assert report.training is not None
    assert report.training.resumed_from_epoch == 2
    assert [epoch.epoch for epoch in report.training.epochs] == [1, 2, 3, 4]


def test_an_interrupt_before_the_first_epoch_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterruptedError, match="nothing was saved"):
        train(run(), tmp_path / "m.safetensors", progress=interrupt_after(0))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_only_a_partial_training_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(NeuralNetwork().state_dict(), path)
    for wrong, reason in ((path, "is no interrupted training"), (tmp_path / "none.pt", "no such file")):
        with pytest.raises(CheckpointError, match=reason):
            train(run(), tmp_path / "m.safetensors", resume=wrong)


def test_a_loss_that_is_not_finite_stops_and_writes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    output.write_bytes(b"a good model")
    with pytest.raises(TrainingError, match=r"not finite in epoch 1.*smaller --lr"):
        train(run("quickstart", lr=1e20), output)
    assert output.read_bytes() == b"a good model"


def test_an_output_that_cannot_be_written_is_found_before_training(tmp_path: Path) -> None:
    folder, file = tmp_path / "x.safetensors", tmp_path / "file"
    folder.mkdir()
    file.write_text("")
    for output, wrong in ((folder, folder), (file / "m.safetensors", file)):
        with pytest.raises(OutputError) as caught:
            train(run(), output, progress=interrupt_after(0))  # type: ignore[arg-type]
        assert caught.value.path == wrong


def test_held_out_images_judge_and_do_not_train(tmp_path: Path) -> None:
    report = train(run(holdout=100, epochs=2), tmp_path / "m.safetensors")
    assert report.training is not None
    assert report.training.train_images == 700
    assert all(epoch.holdout_accuracy is not None for epoch in report.training.epochs)


def test_file_order_is_kept_without_shuffling() -> None:
    sample = load_sample()
    recipe = find_recipe("quickstart")
    batches = list(Batches(sample, recipe, "cpu", torch.float32).epoch(torch.Generator()))
    assert [len(labels) for _, labels in batches] == [64] * 15 + [40]
    assert torch.equal(torch.cat([images for images, _ in batches]), torch.from_numpy(sample.inputs()))
    assert torch.cat([labels for _, labels in batches]).tolist() == sample.labels.tolist()


def test_augmentation_only_mirrors_and_moves() -> None:
    sample = load_sample()
    few = ImageSet(sample.images[:40], sample.labels[:40])
    recipe = find_recipe("strong").model_copy(update={"batch_size": 16})
    padded = np.pad(few.inputs(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    originals = {
        np.ascontiguousarray(view[i]).tobytes(): few.labels[i]
        for y in range(3)
        for x in range(3)
        for view in (padded[:, :, y : y + 28, x : x + 28], padded[:, :, y : y + 28, x : x + 28][..., ::-1])
        for i in range(40)
    }
    batches = Batches(few, recipe, "cpu", torch.float32)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(6):
        for images, labels in batches.epoch(generator):
            for image, label in zip(images.numpy(), labels.tolist(), strict=True):
                key = np.ascontiguousarray(image).tobytes()
                assert originals[key] == label
                seen.add(key)
    assert len(seen) > 80  # 40 images in 18 variants, 240 of them shown


@given(steps=st.integers(2, 5000), warmup=st.floats(0.01, 0.9))
def test_one_cycle_is_pytorchs(steps: int, warmup: float) -> None:
    recipe = find_recipe("strong").model_copy(update={"warmup": warmup})
    rates = [learning_rate(recipe, step, steps) for step in range(steps)]
    assert all(0 < rate <= recipe.lr * (1 + 1e-12) for rate in rates)
    peak = int(np.argmax(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    rising = warmup * steps - 1
    if rising >= 1 and steps - 1 - rising >= 1:  # PyTorch has no first or second half below one step
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        theirs = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=steps, pct_start=warmup, cycle_momentum=False
        )
        for rate in rates[: min(steps, 50)]:
            assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
            optimizer.step()
            theirs.step()


def endless_training(folder: Path) -> subprocess.Popen[str]:
    """Start ``fmnist-tk train`` on the bundled images, with more epochs than any test waits for."""
    script = """
        import toolkit.fashion.training
        from toolkit.cli import main
        from toolkit.fashion.data import load_sample
        toolkit.fashion.training.load_data = lambda folder, workers: (load_sample(), load_sample())
        main(["train", "--epochs", "100000", "--hidden", "8", "--threads", "1", "-o", "out/model.safetensors"])
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=folder, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_last_finished_epoch_and_exits_130(sent: signal.Signals, tmp_path: Path) -> None:
    process = endless_training(tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train 3/"):
            break
    time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "fmnist-tk train --resume out/model.partial.pt --output out/model.safetensors" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.partial.pt"]


@pytest.mark.parametrize("final_relu", [False, True])
@pytest.mark.parametrize("hidden", [[], [16], [32, 24, 16]])
def test_the_fast_forward_is_the_models_own_with_its_gradient(hidden: list[int], final_relu: bool) -> None:
    model = Mlp(ModelConfig(layer_sizes=(784, *hidden, 10), final_relu=final_relu))
    images, labels = torch.rand(48, 1, 28, 28), torch.randint(10, (48,))
    gradients = []
    for function in (model, lambda inputs: forward(model, inputs)):
        model.zero_grad()
        loss = torch.nn.functional.cross_entropy(function(images), labels)
        loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) == 2 * (len(hidden) + 1)
    for expected, actual in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    assert any(bool(gradient.any()) for gradient in gradients[1])


def test_an_interrupt_in_the_very_end_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "evaluate", interrupted)
        with pytest.raises(TrainingInterruptedError):
            train(run(), tmp_path / "m.safetensors", data=tmp_path)
    train(run(), tmp_path / "m.safetensors", resume=tmp_path / "m.partial.pt")
    train(run(), tmp_path / "whole.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_weights_that_overflow_in_the_last_step_stop_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="The test loss is not finite"):
        train(run("quickstart", lr=1e38, epochs=1, batch_size=800), tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_written_under_a_name_that_promises_another_form(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end the name in \.safetensors"):
        train(run(), tmp_path / "model.pth")


class Clock:
    """A clock on which an epoch takes a second and a save none."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def progress(self, task: str, done: int, total: int, detail: str = "") -> None:
        self.now += 1.0


def saved_epochs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return what is saved from now on: the name of the file, and the epoch in it."""
    saves: list[tuple[str, int]] = []

    def noting(snapshot: Snapshot, path: Path) -> None:
        save_snapshot(snapshot, path)
        assert load_snapshot(path).run == snapshot.run
        saves.append((path.name, len(snapshot.run.epochs)))

    monkeypatch.setattr(saving, "save_snapshot", noting)
    return saves


def test_training_is_saved_each_time_the_interval_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves, clock = saved_epochs(tmp_path, monkeypatch), Clock()
    train(run(epochs=9), tmp_path / "m.safetensors", save_every_s=3, clock=clock, progress=clock.progress)
    # Nine epochs: the first ends at 1 s, and the saves that are due at 3, 6 and 9 s are of epochs 3, 6 and 9.
    assert saves == [("m.partial.pt", 3), ("m.partial.pt", 6), ("m.partial.pt", 9)]
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_saves_that_take_long_come_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves, clock = saved_epochs(tmp_path, monkeypatch), Clock()
    quick = saving.save_snapshot

    def slow(snapshot: Snapshot, path: Path) -> None:
        quick(snapshot, path)
        clock.now += 2

    monkeypatch.setattr(saving, "save_snapshot", slow)
    train(run(epochs=45), tmp_path / "m.safetensors", save_every_s=3, clock=clock, progress=clock.progress)
    assert [epoch for _, epoch in saves] == [3, 41]  # 2 s of a save, and then 38 s without one


def test_the_best_epoch_on_held_out_images_is_kept_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves = saved_epochs(tmp_path, monkeypatch)
    report = train(run(epochs=8, lr=0.02, holdout=50), tmp_path / "m.safetensors")
    assert report.training is not None
    held = [epoch.holdout_accuracy or 0.0 for epoch in report.training.epochs]
    assert saves == [("m.best.pt", i + 1) for i in range(8) if i == 0 or held[i] > max(held[:i])]
    best = tmp_path / "m.best.pt"
    assert load_checkpoint(best).record.config == SMALL
    assert len(load_snapshot(best).run.epochs) == held.index(max(held)) + 1
    assert [note for note in report.notes if str(best) in note]


def test_a_training_that_goes_on_knows_how_good_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "m.safetensors"
    with pytest.raises(TrainingInterruptedError):
        train(run(epochs=8, lr=0.02, holdout=50), output, progress=interrupt_after(4))  # type: ignore[arg-type]
    saves = saved_epochs(tmp_path, monkeypatch)
    report = train(run(), output, resume=tmp_path / "m.partial.pt")
    assert report.training is not None
    held = [epoch.holdout_accuracy or 0.0 for epoch in report.training.epochs]
    assert saves == [("m.best.pt", i + 1) for i in range(4, 8) if held[i] > max(held[:i])]
    assert not (tmp_path / "m.partial.pt").exists()


def test_a_killed_training_can_be_gone_on_with(tmp_path: Path) -> None:
    script = """
        from pathlib import Path
        from toolkit.fashion import training
        from toolkit.fashion.data import load_sample
        training.load_data = lambda folder, workers: (load_sample(), load_sample())
        run = training.new_run("strong", {"epochs": 100_000}, hidden=[8], device="cpu", threads=1)
        report = lambda task, done, total, detail: print(done, flush=True)
        training.train(run, Path("out/model.safetensors"), save_every_s=0, clock=lambda: 0.0, progress=report)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 5:
            break
    process.kill()
    process.communicate()
    partial = tmp_path / "out" / "model.partial.pt"
    assert load_checkpoint(partial).record.config.layer_sizes == (784, 8, 10)
    assert len(load_snapshot(partial).run.epochs) >= 5
    with pytest.raises(TrainingInterruptedError, match="saved epoch"):
        train(run(), tmp_path / "go-on.safetensors", resume=partial, progress=interrupt_after_one_more())


def interrupt_after_one_more() -> Progress:
    begun: list[int] = []

    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        begun.append(done)
        if done > begun[0]:
            raise KeyboardInterrupt

    return progress


def test_a_disk_too_small_is_found_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = 4 * SMALL.parameters

    def train_with(free: int) -> None:
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        train(run(epochs=1), tmp_path / "m.safetensors", progress=interrupt_after(0))  # type: ignore[arg-type]

    # AdamW keeps two numbers for each weight, and the save before is there until the next is complete.
    needed = weights + 2 * 3 * weights
    with pytest.raises(OutputError, match="training writes up to 535 kB there, and 534 kB are free") as caught:
        train_with(needed - 1000)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainingInterruptedError):
        train_with(needed)


def gone_after(epoch: int, folder: Path) -> Progress:
    """Put a file in the place of ``folder`` after an epoch: whatever is written there fails from now on."""

    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        if done == epoch:
            shutil.rmtree(folder)
            folder.write_text("")

    return progress


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_model_that_cannot_be_written_at_the_end_is_put_elsewhere(tmp_path: Path, temporary: Path) -> None:
    output, whole = tmp_path / "out" / "m.safetensors", tmp_path / "whole.safetensors"
    with pytest.raises(OutputError, match="the trained model is ") as caught:
        train(run(), output, progress=gone_after(4, output.parent))
    (saved,) = temporary.rglob("m.safetensors")
    assert str(saved) in caught.value.remedy
    assert "\n" not in str(caught.value)
    train(run(), whole)
    assert saved.read_bytes() == whole.read_bytes()


def test_where_nothing_can_be_written_the_place_asked_for_is_named(tmp_path: Path, temporary: Path) -> None:
    output = tmp_path / "out" / "m.safetensors"
    temporary.rmdir()
    with pytest.raises(OutputError, match="it is a file, not a folder") as caught:
        train(run(), output, progress=gone_after(4, output.parent))
    assert caught.value.path == output.parent


def test_a_save_that_fails_does_not_end_training(tmp_path: Path, temporary: Path) -> None:
    output, details = tmp_path / "out" / "m.safetensors", []
    gone = gone_after(2, output.parent)

    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        gone(task, done, total, detail)
        details.append(detail)
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterruptedError, match="saved epoch 4 of 4") as caught:
        train(run(), output, save_every_s=0, clock=Clock(), progress=progress)
    assert ["not saved: it is a file, not a folder" in detail for detail in details] == [False] * 3 + [True] * 2
    (saved,) = temporary.rglob("m.partial.pt")
    assert str(saved) in caught.value.reason
    assert len(load_snapshot(saved).run.epochs) == 4
