"""What the tests share: a command line in this process, a folder of artifacts, checkpoints of all kinds."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from forked import Importer
from support import Cli, MadeOnce, Outcome, save_small
from toolkit import bench
from toolkit.bench.engine.rounds import Rounds
from toolkit.cli import main
from toolkit.cli.console import note_typed
from toolkit.cli.options import _state
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.fashion.data import describe_data
from toolkit.records import BandwidthRecord, LimitsRecord, PeakRecord, SelfCheckRecord

# A shell lets its background jobs ignore Ctrl-C, and these would hand that on to the processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

# These machines are shared: a slow example says nothing of the code.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


# What is exported here is not noted in the list of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="fmnist-tk-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

_LONGEST = {"test_readme.py", "test_run.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason; put first what takes longest, for no process to end with."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)
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
def exported_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every artifact for this user's own; for a stranger's, where a test has ``from_strangers``."""
    ours = "from_strangers" not in request.fixturenames
    monkeypatch.setattr("toolkit.formats.target.is_exported_here", lambda digest: ours)


@pytest.fixture
def from_strangers() -> None:
    """Take every artifact for a stranger's, as on a machine that got it from elsewhere."""


@pytest.fixture(autouse=True)
def limits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take known limits for the machine's: measuring them takes ten seconds for each bench."""
    known = LimitsRecord(
        threads=1,
        peaks=(PeakRecord(runtime="torch", precision="float32", flop_per_s=1e12, shape=(1, 1, 1)),),
        bandwidths=(BandwidthRecord(working_set_bytes=4, bytes_per_s=1e11, kernel="sum"),),
    )
    monkeypatch.setattr("toolkit.bench.measure_limits", lambda *_: known)


@pytest.fixture(autouse=True)
def onnx_runtime_waits_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let its threads sleep while they wait, here where nothing is timed: other tests need the cores meanwhile."""
    real = onnxruntime.SessionOptions

    def options() -> onnxruntime.SessionOptions:
        settings = real()
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return settings

    monkeypatch.setattr(onnxruntime, "SessionOptions", options)


_checked: dict[tuple[str, ...], tuple[SelfCheckRecord, ...]] = {}


@pytest.fixture(autouse=True)
def clock_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask only the first bench of this process whether the clock is honest, and again after it was not."""
    real = bench._self_checks

    def self_checks(devices: tuple[str, ...], scratch: Path) -> tuple[SelfCheckRecord, ...]:
        found = _checked.get(devices) or real(devices, scratch)
        if all(each.passed for each in found):
            _checked[devices] = found
        return found

    monkeypatch.setattr(bench, "_self_checks", self_checks)


@pytest.fixture(scope="session")
def importer() -> Iterator[Importer]:
    """The process that has torch imported."""
    process = Importer()
    yield process
    process.end()


@pytest.fixture
def torch_at_hand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes of a bench find torch imported; on Linux, for elsewhere a fork may not survive that."""
    if sys.platform == "linux":
        monkeypatch.setattr("toolkit.bench.engine.launch.start_module", request.getfixturevalue("importer").start)


@pytest.fixture
def short_budgets(torch_at_hand: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every bench take a second for its rounds and open one worker of one thread per row, whatever is asked for."""

    def short(*arguments: Any, budget_s: float, restarts: int, **more: Any) -> Rounds:
        return Rounds(*arguments, budget_s=min(budget_s, 1.0), restarts=0, **more)

    monkeypatch.setattr("toolkit.bench.Rounds", short)
    monkeypatch.setattr("toolkit.bench.default_threads", lambda: 1)


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder where nothing is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def bundled() -> Checkpoint:
    return load_checkpoint()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Let one of the processes make a folder; each gets a copy, for commands note in it what they did."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, make: Callable[[Path], object]) -> Path:
        made, unfinished = shared / f"{name}-made-once", shared / f"{name}-unfinished"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(made)
        return shutil.copytree(made, tmp_path_factory.mktemp(name), dirs_exist_ok=True)

    return get


@pytest.fixture(scope="session")
def exported(made_once: MadeOnce) -> Path:
    """A folder with every format of the bundled checkpoint. Tests read it; who changes it copies it."""
    command = [sys.executable, "-m", "toolkit", "export", "--quiet", "--folder"]
    return made_once("exported", lambda folder: subprocess.run([*command, str(folder)], check=True))


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
