"""Training: from a recipe and Fashion-MNIST, or own pictures, to a checkpoint."""

import math
import shlex
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from toolkit.errors import OutputError, TrainingError, TrainingInterruptedError, UsageError
from toolkit.fashion.checkpoint import save_checkpoint
from toolkit.fashion.data import load_data
from toolkit.fashion.model import build_model
from toolkit.fashion.training.evaluate import evaluate
from toolkit.fashion.training.loop import fast_bfloat16, training_epochs
from toolkit.fashion.training.recipes import RECIPES, Recipe, find_recipe
from toolkit.fashion.training.request import HIDDEN, new_run
from toolkit.fashion.training.saving import (
    SAVE_EVERY_S,
    Saving,
    best_path,
    check_room,
    partial_path,
    write_somewhere,
)
from toolkit.fashion.training.split import hold_back, hold_out, split_notes
from toolkit.fashion.training.state import Snapshot, TrainingRun, load_snapshot, save_snapshot
from toolkit.pictures.own_data import OwnPictures
from toolkit.records import EpochRecord, Report, TrainingSummary, TrainRecord
from toolkit.system.devices import resolve_device
from toolkit.system.environment import new_report
from toolkit.system.files import check_writable
from toolkit.system.progress import Progress, silent
from toolkit.workload.images import ImageSet

__all__ = ["HIDDEN", "RECIPES", "Recipe", "TrainingRun", "find_recipe", "new_run", "train"]


def train(
    run: TrainingRun,
    output: Path,
    *,
    data: Path | None = None,
    workers: int = 2,
    own: OwnPictures | None = None,
    resume: Path | None = None,
    progress: Progress = silent,
    save_every_s: float = SAVE_EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Train a model and write its checkpoint; what it has reached is saved beside that as it goes.

    Args:
        run: Recipe, shape of the model, seed, device and threads; ignored when resuming.
        output: The checkpoint to write, safetensors; an existing file is replaced at the end.
        data: Folder of Fashion-MNIST, or None to look for it.
        workers: Data files read at the same time.
        own: Pictures to train on in place of Fashion-MNIST; a part of them, `TrainingRun.test_share`, is the test set.
        resume: What an interrupted training left; its own run is followed to the same result.
        progress: Told after each epoch.
        save_every_s: Seconds of training that a killed process costs.
        clock: Tells seconds.

    Returns:
        A report with a `TrainRecord`.

    Raises:
        TrainingInterruptedError: On Ctrl-C, after the last finished epoch was saved.
        TrainingError: If the loss is not finite.
        OutputError: If ``output`` cannot be written, or has no room for it; a model that is trained already is put
            elsewhere.
        DataError, CheckpointError: If a file cannot be read.
        UsageError: If own pictures are too few, or not those with which the training that goes on was begun.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"--output {output}: checkpoints are written as safetensors", "end the name in .safetensors")
    check_writable(output)
    snapshot = load_snapshot(resume) if resume else None
    run = snapshot.run if snapshot else run
    resolve_device(run.device)  # an interrupted training may have come from another machine
    run = _with_pictures(run, own, begun=snapshot is not None)
    if own:
        training, test = hold_back(own.data, run.test_share, run.seed)
    else:
        training, test = load_data(data, workers=workers)
    kept, held = hold_out(training, run.holdout, run.seed)
    check_room(run, output)
    saving = Saving(run, output, resume, save_every_s, clock)
    finished = len(run.epochs)
    total = run.recipe.epochs
    try:
        progress("train", finished, total, f"{len(kept):,} images")
        for each in training_epochs(run, kept, held, snapshot):
            snapshot = each
            progress("train", len(each.run.epochs), total, _describe(each, saving.after_epoch(each)))
        assert snapshot is not None  # a recipe has at least one epoch
        report = _finish(snapshot, test, own, output, train_images=len(kept), resumed_from=finished)
        saving.end()
        return report.changed(notes=(*_best_note(saving.best, best_path(output)), *report.notes))
    except KeyboardInterrupt as error:
        raise _interrupted(snapshot, output, data, own) from error


def _with_pictures(run: TrainingRun, own: OwnPictures | None, *, begun: bool) -> TrainingRun:
    """Return the run with the digest of its pictures; one that was begun has it already.

    Raises:
        UsageError: If it was begun with others.
    """
    given = own.record.sha256 if own else None
    if not begun:
        return run.changed(dataset_sha256=given)
    if run.dataset_sha256 == given:
        return run
    if own is None:
        raise UsageError(
            "--resume: it was begun with own pictures", "pass the same --images, and --labels if there were"
        )
    if run.dataset_sha256 is None:
        raise UsageError(f"--images {own.record.name}: the training was begun with Fashion-MNIST", "leave --images out")
    raise UsageError(
        f"--images {own.record.name}: not the pictures and labels with which the training was begun", "pass those"
    )


def _describe(snapshot: Snapshot, trouble: str) -> str:
    last = snapshot.run.epochs[-1]
    held = "" if last.holdout_accuracy is None else f", held out {last.holdout_accuracy:.2%}"
    unsaved = f", not saved: {trouble}" if trouble else ""
    return f"loss {last.loss:.4f}, accuracy {last.accuracy:.2%}{held}{unsaved}"


def _interrupted(
    snapshot: Snapshot | None, output: Path, data: Path | None, own: OwnPictures | None
) -> TrainingInterruptedError:
    """Save the last finished epoch, if any, and return the error that says so."""
    if snapshot is None:
        return TrainingInterruptedError(
            "Interrupted before the first epoch was finished; nothing was saved", "start it again"
        )
    path, _ = write_somewhere(partial(save_snapshot, snapshot), partial_path(output))
    words = [
        "fmnist-tk",
        "train",
        "--resume",
        str(path),
        "--output",
        str(output),
        *(["--data", str(data)] if data else []),
        *(own.record.words() if own else []),
    ]
    run = snapshot.run
    return TrainingInterruptedError(
        f"Interrupted; saved epoch {len(run.epochs)} of {run.recipe.epochs} to {path}",
        f"go on with: {shlex.join(words)}",
    )


def _finish(
    snapshot: Snapshot,
    test: ImageSet,
    own: OwnPictures | None,
    output: Path,
    *,
    train_images: int,
    resumed_from: int,
) -> Report:
    run = snapshot.run
    device = run.device
    weights = {name: tensor.cpu() for name, tensor in snapshot.model.items()}
    result = evaluate(build_model(run.config, weights), test)
    if not math.isfinite(result.loss):
        raise TrainingError(
            "The test loss is not finite; the checkpoint was not written:", f"try a smaller --lr than {run.recipe.lr:g}"
        )
    reduced = run.recipe.bfloat16 and fast_bfloat16(device)
    summary = TrainingSummary(
        recipe=run.recipe.name,
        seed=run.seed,
        epochs=len(run.epochs),
        train_images=train_images,
        test_accuracy=result.accuracy,
        test_loss=result.loss,
        precision="bfloat16 autocast" if reduced else "float32",
        torch_version=torch.__version__,
        dataset=own.record.name if own else None,
        dataset_sha256=run.dataset_sha256,
        test_images=len(test),
    )
    place, trouble = write_somewhere(lambda path: save_checkpoint(path, run.config, weights, summary), output)
    if trouble:
        raise OutputError(output, trouble, f"the trained model is {place}, move it to where it should be")
    record = TrainRecord(
        output=str(output),
        recipe=run.recipe.model_dump(),
        seed=run.seed,
        device=device,
        threads=run.threads,
        train_images=train_images,
        resumed_from_epoch=resumed_from,
        epochs=run.epochs,
        test_loss=result.loss,
        confusion=result.confusion,
        dataset=own.record.name if own else None,
    )
    report = new_report("train").changed(training=record)
    if own is None:
        return report
    notes = (*own.notes, *split_notes(own.data, test, run.test_share, run.seed))
    return report.changed(datasets=(own.record,), notes=notes)


def _best_note(best: EpochRecord | None, path: Path) -> tuple[str, ...]:
    """Say where the epoch is that did best on the images held out, if there were any."""
    if best is None or best.holdout_accuracy is None or not path.is_file():
        return ()
    return (f"epoch {best.epoch} did best on the images held out, {best.holdout_accuracy:.2%}; it is kept as {path}",)
