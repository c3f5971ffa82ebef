"""Training that can stop and go on: everything that the next epoch depends on."""

import copy
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError
from torch import Tensor

from toolkit.errors import CheckpointError
from toolkit.fashion.pickles import read_torch_file
from toolkit.fashion.stored import read_head
from toolkit.fashion.training.recipes import Recipe
from toolkit.fashion.weights import checked_weights
from toolkit.records import EpochRecord, ModelConfig, Record, Sha256
from toolkit.system.files import write_bytes


class TrainingRun(Record):
    """What a training was asked to do and how far it has come; never changes but by an epoch."""

    recipe: Recipe
    config: ModelConfig
    seed: NonNegativeInt
    holdout: NonNegativeInt
    device: str
    threads: PositiveInt
    epochs: tuple[EpochRecord, ...] = ()
    dataset_sha256: Sha256 | None = Field(default=None, description="Of own pictures; null for Fashion-MNIST.")
    test_share: float = Field(default=0.2, gt=0, lt=1, description="Of own pictures, held back of each class.")


@dataclass(frozen=True)
class Snapshot:
    """A finished epoch: copies of the weights, the optimizer and the random numbers to come."""

    run: TrainingRun
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    generator: Tensor

    @classmethod
    def take(
        cls,
        run: TrainingRun,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> "Snapshot":
        """Copy the state of this moment; training that goes on does not change it."""
        return cls(
            run,
            copy.deepcopy(model.state_dict()),
            copy.deepcopy(optimizer.state_dict()),
            generator.get_state(),
        )


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a snapshot as ``torch.save`` does, so that it also serves as a checkpoint.

    Raises:
        OutputError: If it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "model_state_dict": {name: tensor.cpu() for name, tensor in snapshot.model.items()},
            "optimizer_state_dict": snapshot.optimizer,
            "generator_state": snapshot.generator,
            "fmnist_tk": snapshot.run.config.model_dump_json(),
            "run": snapshot.run.model_dump_json(),
        },
        buffer,
    )
    write_bytes(path, buffer.getvalue())


def load_snapshot(path: Path) -> Snapshot:
    """Read what `save_snapshot` wrote, running nothing of it.

    Raises:
        CheckpointError: If the file is anything else.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such file", "pass the .partial.pt that an interrupted training left")
    read_head(path)
    stored = read_torch_file(path)
    try:
        assert isinstance(stored, dict)
        run = TrainingRun.model_validate_json(stored["run"])
        # The sizes that it states are those of numbers that are there, before anything is made by them.
        _, weights = checked_weights(stored["model_state_dict"], path, run.config)
        return Snapshot(run, weights, stored["optimizer_state_dict"], stored["generator_state"])
    except (AssertionError, AttributeError, KeyError, ValidationError) as error:
        raise CheckpointError(
            path,
            "is no interrupted training",
            "pass the .partial.pt that an interrupted training left",
        ) from error
