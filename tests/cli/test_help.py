"""``--help``: what it shows is true, whole, and fits into eighty columns."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from support import Cli
from toolkit.cli import app

ROOT: Any = typer.main.get_command(app)
BOX = "│╭╮╰╯─"


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Give every command with the words that lead to it, the groups themselves included."""
    yield " ".join(path), group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]


def examples(path: str) -> list[str]:
    """Return the examples of a command, without the program's name."""
    return re.findall(r"^\s*fmnist-tk ((?!COMMAND).+)$", (COMMANDS[path].help or "").partition("Examples:")[2], re.M)


def shown(cli: Cli, path: str, monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    """Return the lines of a command's help on a terminal of so many columns, without its frames."""
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        monkeypatch.setenv(name, str(columns))
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", columns)
    outcome = cli(*path.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    return [line.strip(BOX + " ") for line in outcome.out.splitlines() if len(line) <= columns or pytest.fail(line)]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("path", LEAVES)
def test_a_command_has_a_sentence_a_paragraph_and_two_examples(path: str) -> None:
    summary, *rest = (COMMANDS[path].help or "").partition("Examples:")[0].strip().split("\n\n")
    assert summary.endswith(".")
    assert rest
    assert len(examples(path)) >= 2


@pytest.mark.parametrize(("path", "line"), [(path, line) for path in COMMANDS for line in examples(path)])
def test_an_example_is_of_its_command_and_parses(path: str, line: str, in_empty_folder: Path) -> None:
    """Options exist and values fit; that it runs as well is shown where the command is tested."""
    words = shlex.split(line)
    command = ROOT
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is COMMANDS[path] or path == ""
    context = command.make_context(path or line, words)
    assert not context.args


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("path", COMMANDS)
def test_all_of_it_is_shown_and_no_example_is_broken(
    path: str, columns: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Square brackets are markup to rich: what it takes for a tag would vanish."""
    lines = shown(cli, path, monkeypatch, columns)
    for line in examples(path):
        assert f"fmnist-tk {line}" in lines
    text = squeezed(" ".join(lines))
    assert squeezed(COMMANDS[path].help or "") in text
    for each in COMMANDS[path].params:
        for word in squeezed(each.help or "").split(","):  # commas stand where a line may break
            assert all(part in text for part in re.findall(r"[\w$./:%<>\[\]-]+", word)), (each.name, word)


@pytest.mark.parametrize("path", LEAVES)
def test_the_help_of_an_option_is_a_sentence_with_its_default_in_words(path: str) -> None:
    for each in COMMANDS[path].params:
        assert (each.help or "").endswith("."), each.name
        if each.param_type_name == "option" and not each.is_flag:
            assert not (each.show_default and each.default is not None), each.name


def test_no_runtime_is_imported_for_any_of_it(tmp_path: Path) -> None:
    code = f"""
import sys
from toolkit.cli import main
for path in {list(COMMANDS)!r}:
    try:
        main([*path.split(), "--help"])
    except SystemExit:
        pass
heavy = ("torch", "torchvision", "numpy", "onnx", "onnxruntime", "scipy", "matplotlib", "PIL")
print("LOADED", *[name for name in heavy if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("command", ["run", "export", "parity", "bench", "predict"])
def test_weights_are_named_by_every_command_in_the_same_ways(command: str) -> None:
    (option,) = (each for each in COMMANDS[command].params if each.name == "checkpoint")
    assert option.opts == ["--checkpoint", "--weights", "-c"]
