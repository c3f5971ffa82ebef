"""Train: ``toolkit.train``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from toolkit.errors import UsageError
from toolkit.fashion import training
from toolkit.records import Report
from toolkit.system.arguments import checked
from toolkit.system.devices import leaving_torch_as_it_is
from toolkit.system.progress import Progress, silent
from toolkit.verbs.arguments import MOST_THREADS, check_pictures, path_of, pictures_of, whole

#: torch's generator takes no more.
LARGEST_SEED: Final = 2**63 - 1
#: A layer of more features would need tens of gigabytes.
MOST_FEATURES: Final = 99_999
_WORKERS: Final = 2


@checked
def train(
    output: str | Path,
    *,
    recipe: str = "strong",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    schedule: str | None = None,
    label_smoothing: float | None = None,
    hidden: int | Sequence[int] = training.HIDDEN,
    final_relu: bool = False,
    holdout: int = 0,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    data: str | Path | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    num_workers: int | None = None,
    test_share: float | None = None,
    workers: int | None = None,
    resume: str | Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Train a model on Fashion-MNIST, or on own pictures, and write its checkpoint.

    Args:
        output: The file to write; its name ends in ``.safetensors``. An existing one is replaced at the end.
        recipe: ``strong`` (about 91 % of the test images) or ``quickstart`` (the tutorial's own training).
        epochs: Passes over the training images; None, here and in the next seven, for the recipe's own.
        batch_size: Images per step.
        lr: Learning rate, the largest one of the schedule.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        momentum: Of ``sgd``, 0 to below 1.
        weight_decay: Of the weights, not of biases.
        schedule: ``constant`` or ``one-cycle``.
        label_smoothing: 0 to below 1.
        hidden: Widths of the hidden layers, one number or several.
        final_relu: Whether the model ends in one more ReLU.
        holdout: Training images kept back to judge each epoch.
        seed: Of weights, order and augmentation.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: On the CPU; None for the physical cores.
        data: Folder of the four IDX files; None to look in the usual places and to download them at last.
        images: Folder of own pictures, which take the place of Fashion-MNIST: with ``labels``, or a folder per class.
        labels: CSV of ``file,label`` for ``images``.
        num_workers: Processes that read ``images``; None for this one alone.
        test_share: Of own pictures, what part of each class is held back as the test set; None for a fifth.
        workers: Data files unpacked at the same time; None for 2.
        resume: What an interrupted training saved, to go on with: its recipe, seed, device and threads count, and those
            given here do not.
        progress: Called as ``progress(task, done, total, detail)`` after each epoch.

    Returns:
        A report whose ``training`` holds each epoch, the loss and the confusion matrix on the test images.

    Raises:
        UsageError: If a value makes no sense.
        TrainingInterruptedError: On Ctrl-C; the last finished epoch is saved, and the message says where.
        TrainingError: If the loss is not finite.
        OwnDataError: If own pictures cannot be used.
        DataError, DeviceUnavailableError, OutputError: If data or device is not there, or the file cannot be written.

    Example:
        >>> import toolkit
        >>> report = toolkit.train("trained.safetensors", recipe="quickstart", epochs=1)
        >>> [epoch.epoch for epoch in report.training.epochs]
        [1]
        >>> toolkit.load_checkpoint("trained.safetensors").record.training.recipe
        'quickstart'
    """
    whole("--workers", workers, MOST_THREADS)
    whole("--threads", threads, MOST_THREADS)
    whole("--seed", seed, LARGEST_SEED, least=0)
    check_pictures(images, labels, num_workers, data=data, workers=workers)
    if test_share is not None and images is None:
        raise UsageError("--test-share is for own pictures, Fashion-MNIST has a test set", "pass --images DIR with it")
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "label_smoothing": label_smoothing,
    }
    run = training.new_run(
        recipe,
        changes,
        hidden=[hidden] if isinstance(hidden, int) else hidden,
        final_relu=final_relu,
        seed=seed,
        device=device,
        threads=threads,
        holdout=holdout,
        test_share=test_share,
    )
    own = pictures_of(images, labels, num_workers, progress)
    with leaving_torch_as_it_is():
        return training.train(
            run,
            Path(output),
            data=path_of(data),
            workers=workers or _WORKERS,
            own=own,
            resume=path_of(resume),
            progress=progress,
        )
