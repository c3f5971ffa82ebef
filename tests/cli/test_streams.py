"""Stdout and stderr of any kind: of few letters, closed, or without a reader; and one place that writes to them."""

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from made_up import everything
from support import ROOT
from toolkit.cli import main
from toolkit.fashion.data import load_sample
from toolkit.records import to_json

HOSTILE = "::error::é\n\x1b[31m##[error]\u202e.png"
COMMANDS = {
    "help": "--help",
    "doctor": "doctor",
    "data info": "data info",
    "data show": "data show --no-png --seed 1",
    "predict": "predict pics",
    "predict csv": "predict pics --csv",
    "inspect": "inspect {exported}/model.onnx",
    "export": "export onnx --folder made",
    "parity": "parity {exported}/model.onnx",
    "report": "report doctor.json",
}


@pytest.fixture
def here(in_empty_folder: Path) -> Path:
    """A folder with pictures, one of them of a hostile name, another that is none."""
    pics = in_empty_folder / "pics"
    pics.mkdir()
    for name in ("a.png", HOSTILE):
        Image.fromarray(load_sample().images[0]).save(pics / name, format="PNG")
    (pics / f"z{HOSTILE}").write_bytes(b"broken")
    (pics / "ü.txt").touch()
    return in_empty_folder


def run(words: str, to: str = "", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = f"{sys.executable} -m toolkit {words} {to}"
    where = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(["bash", "-c", command], capture_output=True, check=False, env=where)


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_works_where_letters_are_few(
    words: str, here: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "doctor.json" in words:
        Path("doctor.json").write_text(to_json(everything()))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as ended:
        main(words.format(exported=exported).split())
    out_bytes, err_bytes = out.buffer.getvalue(), err.buffer.getvalue()  # type: ignore[attr-defined]  # BytesIO has it
    assert ended.value.code in {0, 1}, err_bytes
    assert len(out_bytes) > 100
    assert b"Error" not in err_bytes


def test_json_loses_nothing_where_letters_are_few(here: Path) -> None:
    ended = run("predict pics --json -o predicted.json", PYTHONIOENCODING="ascii")
    assert b"note: ?.txt is no picture by name; left out\n" in ended.stderr
    again = run("report predicted.json --json", PYTHONIOENCODING="ascii")
    for text in (ended.stdout, again.stdout, Path("predicted.json").read_bytes()):
        found = json.loads(text)
        assert [each["source"] for each in found["predictions"]] == ["pics/" + HOSTILE, "pics/a.png"]
        assert found["notes"] == ["ü.txt is no picture by name; left out"]
    assert ended.stdout.isascii()


def test_no_name_steers_the_terminal_or_the_runner(here: Path) -> None:
    ended = run("predict pics; true", GITHUB_ACTIONS="true")
    for text in (ended.stdout.decode(), ended.stderr.decode()):
        assert "é" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]|##\\[", text)
        assert not re.search(r"(?m)^\s*::", text)
    refused = run("predict $'no\\x1b[31m\\n::error::x.png'")
    assert refused.returncode == 2
    assert refused.stderr.count(b"\n") == 1
    assert b"\x1b" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "to", "code"),
    [
        ("predict pics", "2>&-", 1),
        ("doctor", ">&- 2>&-", 0),
        ("predict none.png", "<&- >&- 2>&-", 2),
        ("data info --json", "2>&1 | head -c 1", 0),
        ("predict pics", "2>&1 | true", 0),
        ("no-such", "2>&1 | true", 0),
    ],
)
def test_streams_that_nobody_reads_end_quietly(words: str, to: str, code: int, here: Path) -> None:
    ended = run(words, to)
    assert b"Traceback" not in ended.stdout + ended.stderr
    assert ended.stderr == b""
    assert ended.returncode == code


def test_a_file_that_is_opened_never_takes_the_place_of_a_closed_stream(here: Path) -> None:
    assert run("data show --seed 1", ">&- 2>&-").returncode == 0
    with Image.open("fashion-mnist.png") as drawn:
        drawn.verify()
    assert run("predict pics -o found.json", "2>&- >&-").returncode == 1
    assert len(json.loads(Path("found.json").read_text())["predictions"]) == 2


def test_only_the_console_writes_to_the_streams() -> None:
    """Or a name would find a way out that nobody has looked at."""
    calls = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node.func)}"
        for path in sorted((ROOT / "toolkit").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    written = {each for each in calls if re.search(r": (print|typer\.s?echo|sys\.std(out|err)\.write(lines)?)$", each)}
    assert written == {
        "toolkit/cli/__init__.py: typer.echo",  # help, the version, and the one line of an error
        "toolkit/cli/console/__init__.py: sys.stdout.write",
        "toolkit/cli/console/__init__.py: sys.stderr.write",
    }
