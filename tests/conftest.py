"""What the tests share: a command line in this process, a folder of artifacts, checkpoints of all kinds."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from support import Cli, Outcome, save_small
from toolkit.cli import main
from toolkit.cli.console import note_typed
from toolkit.cli.options import _state
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.fashion.data import describe_data
from toolkit.records import BandwidthRecord, LimitsRecord, PeakRecord

# A shell lets its background jobs ignore Ctrl-C, and these would hand that on to the processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

# These machines are shared: a slow example says nothing of the code.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason."""
    missing = {
        "cuda": None if torch.cuda.is_available() else "no NVIDIA GPU here",
        "mps": None if torch.backends.mps.is_available() else "no Apple GPU here",
        "data": None if any(each.complete for each in describe_data()) else "no Fashion-MNIST here",
    }
    for item in items:
        for name, reason in missing.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Call the command line in this process."""
    monkeypatch.setitem(_state, "debug", False)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):  # these tests may run there
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        note_typed(())  # a process has one command; what is finished next was not typed
        captured = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Give the next test the threads that this one found."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def limits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take known limits for the machine's: measuring them takes ten seconds for each bench."""
    known = LimitsRecord(
        threads=1,
        peaks=(PeakRecord(runtime="torch", precision="float32", flop_per_s=1e12, shape=(1, 1, 1)),),
        bandwidths=(BandwidthRecord(working_set_bytes=4, bytes_per_s=1e11, kernel="sum"),),
    )
    monkeypatch.setattr("toolkit.bench.measure_limits", lambda *_: known)


@pytest.fixture
def short_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands that measure take two seconds for it unless they say otherwise."""
    monkeypatch.setattr("toolkit.bench.DEFAULT_BUDGET_S", 2.0)
    monkeypatch.setattr("toolkit.verbs.run.BUDGET_S", 2.0)


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder where nothing is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def bundled() -> Checkpoint:
    return load_checkpoint()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every format of the bundled checkpoint. Tests read it; who changes it copies it."""
    folder = tmp_path_factory.mktemp("exported")
    subprocess.run([sys.executable, "-m", "toolkit", "export", "--folder", str(folder), "--quiet"], check=True)
    return folder


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """A checkpoint file of a small untrained model, quick to export."""
    return save_small(tmp_path / "small.safetensors")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written, even by root where the kernel allows such a thing."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user can write everywhere")
    yield folder
    folder.chmod(0o700)
