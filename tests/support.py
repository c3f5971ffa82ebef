"""What test modules import from one another: the outcome of a command, the tutorial's own class."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolkit.fashion.checkpoint import save_checkpoint
from toolkit.fashion.model import Mlp
from toolkit.records import ModelConfig, Report

Cli = Callable[..., "Outcome"]
#: Of a name and of what fills a folder: the folder.
MadeOnce = Callable[[str, Callable[[Path], object]], Path]
ROOT = Path(__file__).parent.parent


def load_script(path: Path) -> Any:
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.out)


def save_small(path: Path, seed: int = 0, config: ModelConfig | None = None) -> Path:
    config = config or ModelConfig(layer_sizes=(784, 16, 10))
    torch.manual_seed(seed)
    save_checkpoint(path, config, Mlp(config).state_dict())
    return path


class NeuralNetwork(nn.Module):
    """The quickstart's class, as its readers have typed it."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.flatten(x)
        return self.linear_relu_stack(x)
