"""How far correct artifacts lie from the float64 reference: the measurement behind parity's limit of 8 units.

    python benchmarks/parity_spread.py -o benchmarks/results/parity-spread-MACHINE.json

Exports checkpoints of many kinds in every format and puts all checks to each artifact, over seeds of the random inputs
and numbers of threads; every run covers all batch sizes. A run that fails is a false alarm: there must be none.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import numpy as np
import torch

from toolkit.errors import DataNotFoundError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from toolkit.fashion.data import load_data, load_sample
from toolkit.fashion.model import Mlp
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.target import Target
from toolkit.parity import Reference, check_artifact, make_plan
from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS
from toolkit.records import LABELS, PIXELS, ModelConfig, ParityRecord, quantile
from toolkit.system.environment import machine
from toolkit.system.files import write_bytes
from toolkit.verbs.export import export_formats

_HIDDEN: dict[str, tuple[int, ...]] = {
    "linear": (),
    "narrow": (16,),
    "untrained": (512, 512),
    "wide": (1500,),
    "deep": (64,) * 8,
    "odd": (37, 211, 3),
}
# So many models of the quickstart, each after other numbers of steps: seeds and threads repeat one model's luck.
_SHORT, _FEWEST_STEPS, _KINDS_OF_STEPS = 24, 200, 8
_RUNS = 432


def checkpoints(folder: Path) -> Iterator[tuple[str, Checkpoint]]:
    """Yield checkpoints by name: trained, untrained, and with weights of unusual sizes."""
    yield "bundled", load_checkpoint()
    quickstart = _quickstart(folder)
    if quickstart:
        yield "quickstart", quickstart
    yield from _short(folder)
    for seed, (name, hidden) in enumerate(_HIDDEN.items()):
        yield name, _random(folder / f"{name}.safetensors", hidden, seed)
    yield "final ReLU", _random(folder / "relu.safetensors", (512, 512), 20, final_relu=True)
    yield "weights × 1e-6", _random(folder / "small.safetensors", (128, 128), 21, scale=1e-6)
    yield "weights × 1,000", _random(folder / "large.safetensors", (128, 128), 22, scale=1e3)
    yield "weights of zero", _random(folder / "zero.safetensors", (64,), 23, scale=0)


def _quickstart(folder: Path) -> Checkpoint | None:
    """Train as the tutorial does; None without the data set."""
    from toolkit.fashion.training import TrainingRun, find_recipe, train

    run = TrainingRun(
        recipe=find_recipe("quickstart"), config=ModelConfig(), seed=0, holdout=0, device="cpu", threads=2
    )
    try:
        train(run, folder / "quickstart.safetensors")
    except DataNotFoundError:
        return None
    return load_checkpoint(folder / "quickstart.safetensors")


def _short(folder: Path) -> Iterator[tuple[str, Checkpoint]]:
    """Train models of the quickstart's size for a few steps; none without the data set."""
    try:
        data, _ = load_data(download=False)
    except DataNotFoundError:
        return
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    for seed in range(_SHORT):
        torch.manual_seed(seed)
        model = Mlp(ModelConfig())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(_FEWEST_STEPS * (1 + seed % _KINDS_OF_STEPS)):
            chosen = torch.randint(len(labels), (64,))
            logits = model(images[chosen].unsqueeze(1).float() / 255)
            loss = torch.nn.functional.cross_entropy(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        path = folder / f"short-{seed}.safetensors"
        save_checkpoint(path, ModelConfig(), model.state_dict())
        yield f"short {seed}", load_checkpoint(path)


def _random(
    path: Path, hidden: tuple[int, ...], seed: int, *, scale: float = 1, final_relu: bool = False
) -> Checkpoint:
    torch.manual_seed(seed)
    config = ModelConfig(layer_sizes=(PIXELS, *hidden, len(LABELS)), final_relu=final_relu)
    save_checkpoint(path, config, {name: tensor * scale for name, tensor in Mlp(config).state_dict().items()})
    return load_checkpoint(path)


def runs(wanted: int, folder: Path) -> Iterator[tuple[str, int, ParityRecord]]:
    """Yield checkpoint, seed and result of so many runs, or a few more."""
    exported: list[tuple[str, Checkpoint, list[Target]]] = []
    for name, checkpoint in checkpoints(folder):
        place = folder / name
        export_formats(checkpoint, place, verify=False)
        exported.append((name, checkpoint, resolve_targets([], place, "cpu")[0]))
    done = 0
    for seed in count():
        for name, checkpoint, targets in exported:
            plan = make_plan(Reference(checkpoint), seed=seed)
            for target, threads in product(targets, (1, 2)):
                yield name, seed, check_artifact(target, plan, threads=threads)
                done += 1
        if done >= wanted:
            return


def row(checkpoint: str, seed: int, record: ParityRecord) -> dict[str, object]:
    """Return what a result says of the spread."""
    same = [check.measured for check in record.checks if check.name in {"row independence", "determinism"}]
    return {
        "checkpoint": checkpoint,
        "format": record.format,
        "threads": record.threads,
        "seed": seed,
        "passed": record.passed,
        "cause": record.cause,
        "error_ratio": {check.probe: check.measured for check in record.checks if check.name == "values"},
        "largest_difference_between_batches": max((each for each in same if each is not None), default=None),
    }


def summary(rows: list[dict[str, object]], records: list[ParityRecord]) -> dict[str, object]:
    """Return the quantiles of the largest error of each run, by format."""
    by_format: dict[str, list[float]] = {}
    for record in records:
        if record.error_ratio is not None:
            by_format.setdefault(record.format, []).append(record.error_ratio)
    return {
        "runs": len(rows),
        "false_alarms": sum(not each["passed"] for each in rows),
        "limit_in_units": LIMIT_IN_UNITS,
        "largest_error_in_units": {
            name: {"median": quantile(values, 0.5), "p99": quantile(values, 0.99), "max": max(values)}
            for name, values in by_format.items()
        },
    }


def bounds(checkpoint: Checkpoint) -> dict[str, float]:
    """Return a-priori bounds of float32's error on the sample, beside the error itself, in logit units.

    Layer by layer, ``|W| e + g (|W| |x| + |b|)`` for an input off by e (Higham 2002, section 3.5): with g = n u for the
    worst case, and g = sqrt(n) u with the constant 1 as in the probabilistic analysis of Higham and Mary (2019).
    """
    reference, images = Reference(checkpoint), load_sample().inputs()
    expected = reference.logits(images)
    result = {
        "largest_logit": float(np.abs(expected).max()),
        "eager_error": float(reference.float32_errors(images, expected).max()),
    }
    roundoff = float(np.finfo(np.float32).eps) / 2
    for name, power in (("worst_case_bound", 1.0), ("probabilistic_bound", 0.5)):
        values, error = images.reshape(len(images), -1).astype(np.float64), np.zeros(())
        for layer in checkpoint.model().linear_relu_stack:
            if isinstance(layer, torch.nn.Linear):
                weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
                size = np.abs(values) @ np.abs(weight).T + np.abs(bias)
                growth = error @ np.abs(weight).T if error.ndim else error
                error = growth + weight.shape[1] ** power * roundoff * size
                values = values @ weight.T + bias
            else:
                values = np.maximum(values, 0)
        result[name] = float(error.max())
    return result


def main() -> None:
    """Run and write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=_RUNS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows, records = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, seed, record in runs(arguments.runs, Path(folder)):
            records.append(record)
            rows.append(row(name, seed, record))
    facts = {"bundled_on_sample": bounds(load_checkpoint()), **summary(rows, records)}
    result = {"machine": machine().model_dump(), **facts, "rows": rows}
    write_bytes(arguments.output, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
