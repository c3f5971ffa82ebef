"""What mutants are made from, made once."""

from pathlib import Path

import pytest

from mutants.mutant import Context
from support import MadeOnce, save_small
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.records import ModelConfig
from toolkit.verbs.export import export_formats


@pytest.fixture(scope="session")
def context(bundled: Checkpoint, exported: Path, made_once: MadeOnce) -> Context:
    """The bundled checkpoint and its artifacts, and those of an untrained one."""

    def export_other(folder: Path) -> None:
        other = load_checkpoint(save_small(folder / "other.safetensors", seed=1, config=ModelConfig()))
        export_formats(other, folder, verify=False)

    return Context(bundled, exported, made_once("other", export_other))
