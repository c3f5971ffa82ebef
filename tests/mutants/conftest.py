"""What mutants are made from, made once."""

from pathlib import Path

import pytest

from mutants.mutant import Context
from support import save_small
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.records import ModelConfig
from toolkit.verbs.export import export_formats


@pytest.fixture(scope="session")
def context(bundled: Checkpoint, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """The bundled checkpoint and its artifacts, and those of an untrained one."""
    folder = tmp_path_factory.mktemp("other")
    other = load_checkpoint(save_small(folder / "other.safetensors", seed=1, config=ModelConfig()))
    export_formats(other, folder, verify=False)
    return Context(bundled, exported, folder)
