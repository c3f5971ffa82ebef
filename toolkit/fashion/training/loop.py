"""The training loop: one epoch after the other, each a function of what the last one left."""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch.nn import functional

from toolkit.errors import TrainingError, first_line
from toolkit.fashion.model import Mlp
from toolkit.fashion.training.batches import Batches
from toolkit.fashion.training.evaluate import evaluate
from toolkit.fashion.training.products import forward
from toolkit.fashion.training.recipes import Recipe, learning_rate
from toolkit.fashion.training.state import Snapshot, TrainingRun
from toolkit.records import EpochRecord
from toolkit.workload.images import ImageSet


def fast_bfloat16(device: str) -> bool:
    """Say whether ``device`` multiplies bfloat16 matrices in hardware; elsewhere it is slower than float32."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.11
    return kind == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def training_epochs(
    run: TrainingRun, data: ImageSet, holdout: ImageSet | None, resumed: Snapshot | None
) -> Iterator[Snapshot]:
    """Train, and yield a snapshot after each epoch.

    Args:
        run: What to do; its finished epochs are not done again.
        data: The images to train on.
        holdout: Images to judge each epoch by, or None.
        resumed: Where to go on, or None to begin.

    Raises:
        TrainingError: If the loss is not finite.
    """
    recipe, device = run.recipe, run.device
    torch.set_num_threads(run.threads)
    reduced = recipe.bfloat16 and fast_bfloat16(device)
    batches = Batches(data, recipe, device, torch.bfloat16 if reduced else torch.float32)
    model, optimizer, generator = _start(run, resumed)
    for epoch in range(len(run.epochs) + 1, recipe.epochs + 1):
        started = time.perf_counter()
        loss, accuracy = _one_epoch(model, optimizer, batches, generator, recipe, epoch=epoch, reduced=reduced)
        # The loss is of before the last step, so the weights are looked at as well.
        if not (math.isfinite(loss) and all(bool(each.isfinite().all()) for each in model.parameters())):
            raise TrainingError(
                f"The loss is not finite in epoch {epoch} of {recipe.epochs}; the checkpoint was not written:",
                f"try a smaller --lr than {recipe.lr:g}",
            )
        record = EpochRecord(
            epoch=epoch,
            loss=loss,
            accuracy=accuracy,
            holdout_accuracy=evaluate(model, holdout, device).accuracy if holdout else None,
            duration_s=time.perf_counter() - started,
        )
        run = run.changed(epochs=(*run.epochs, record))
        yield Snapshot.take(run, model, optimizer, generator)


def _start(run: TrainingRun, resumed: Snapshot | None) -> tuple[Mlp, torch.optim.Optimizer, torch.Generator]:
    """Return model, optimizer and generator as they are before the next epoch."""
    generator = torch.Generator().manual_seed(run.seed)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(run.seed)
        model = Mlp(run.config)  # on the CPU, so that every device begins with the same weights
    model.to(run.device)
    optimizer = _optimizer(model, run.recipe)
    if resumed:
        model.load_state_dict(resumed.model)
        try:
            optimizer.load_state_dict(resumed.optimizer)
            generator.set_state(resumed.generator)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:  # whatever a file has there
            reason = f"What --resume goes on from has another optimizer than its recipe ({first_line(error)})"
            raise TrainingError(reason, "train anew, without --resume") from error
    return model, optimizer, generator


def _optimizer(model: Mlp, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer; weight decay is for matrices, not for biases."""
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.endswith("weight")], "weight_decay": recipe.weight_decay},
        {"params": [p for name, p in named if not name.endswith("weight")], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.lr, fused=True)


def _one_epoch(
    model: Mlp,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    generator: torch.Generator,
    recipe: Recipe,
    *,
    epoch: int,
    reduced: bool,
) -> tuple[float, float]:
    """Take one step per batch; return mean loss and accuracy over the images as they were seen."""
    model.train()
    device = next(model.parameters()).device
    total_loss = torch.zeros((), device=device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    steps, images_seen = batches.steps_per_epoch, 0
    for number, (images, labels) in enumerate(batches.epoch(generator), start=(epoch - 1) * steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, number, recipe.epochs * steps)
        with torch.autocast(device.type, torch.bfloat16) if reduced else nullcontext():
            logits = forward(model, images)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        optimizer.step()
        # Sums stay on the device: to read them in each step would make it wait for the host.
        total_loss += loss.detach() * len(labels)
        right += (logits.detach().argmax(1) == labels).sum()
        images_seen += len(labels)
    return total_loss.item() / images_seen, right.item() / images_seen
