"""How long a person waits for ``--help``: this command line beside a Typer program that does nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.benchmark(group="start-up", min_rounds=15, warmup=True, warmup_iterations=2)
@pytest.mark.parametrize("program", ["bare typer", "fmnist-tk"])
def test_help(program: str, benchmark, tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    command = [sys.executable, str(script)] if program == "bare typer" else [sys.executable, "-m", "toolkit"]
    result = benchmark(subprocess.run, [*command, "--help"], capture_output=True, check=True)
    assert b"Usage:" in result.stdout
