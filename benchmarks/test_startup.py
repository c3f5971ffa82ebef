"""How long a person waits for a command, and what it costs the processor.

``--help`` beside a Typer program that does nothing; the commands that look at a file or at the machine, which need no
torch; and parity of one file, with all its imports.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.system.files import write_record
from toolkit.verbs.export import export_formats
from toolkit.verbs.parity import check_parity

TOOLKIT = (sys.executable, "-m", "toolkit")
BARE = '''
import typer

app = typer.Typer()


@app.command()
def one(number: int = 1) -> None:
    """The first."""


@app.command()
def two(word: str = "a") -> None:
    """The second."""


app()
'''


def processor_s(command: list[str], folder: Path) -> float:
    """Run a command and return the seconds that all its threads and children computed, system calls included."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.benchmark(group="start-up", min_rounds=15, warmup=True, warmup_iterations=2)
@pytest.mark.parametrize("program", ["bare typer", "fmnist-tk"])
def test_help(program: str, benchmark, tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    command = [sys.executable, str(script)] if program == "bare typer" else [*TOOLKIT]
    result = benchmark(subprocess.run, [*command, "--help"], capture_output=True, check=True)
    assert b"Usage:" in result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``exported/`` and a report of parity."""
    folder = tmp_path_factory.mktemp("work")
    assert export_formats(load_checkpoint(), folder / "exported").passed
    write_record(check_parity(["onnx"], folder=folder / "exported"), folder / "parity.json")
    return folder


@pytest.mark.benchmark(group="a command, from its start to its end")
@pytest.mark.parametrize(
    "command", ["--help", "inspect exported/model.onnx", "doctor", "report parity.json", "parity onnx"]
)
def test_command(command: str, benchmark, folder: Path) -> None:
    used: list[float] = []
    benchmark.pedantic(
        lambda: used.append(processor_s([*TOOLKIT, *command.split()], folder)), rounds=5, warmup_rounds=1
    )
    benchmark.extra_info["processor_s"] = statistics.median(used[1:])
