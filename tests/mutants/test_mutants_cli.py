"""What people see of a broken artifact: exit code 1, and a sentence that names the cause."""

import re
from pathlib import Path
from typing import get_args

import pytest

from mutants import calls, files, graph, outputs, weights
from mutants.mutant import Context, Family, Mutant
from support import Cli

_SHOWN = (
    (weights.MUTANTS, "second-weight-up", "onnx", "off by"),
    (graph.MUTANTS, "softmax-appended", "torch-export", "softmax"),
    (outputs.MUTANTS, "float64-output", "torchscript", "float64, not float32"),
    (calls.MUTANTS, "input-cleared", "torchscript", "overwrites"),
    (files.MUTANTS, "older-than-the-checkpoint", "onnx", "stale"),
)
CASES = [
    (mutant, format_name, words)
    for mutants, name, format_name, words in _SHOWN
    for mutant in mutants
    if mutant.name == name
]


def test_every_family_is_shown() -> None:
    assert [mutant.family for mutant, _, _ in CASES] == list(get_args(Family))


@pytest.mark.parametrize(("mutant", "format", "words"), CASES, ids=[mutant.name for mutant, _, _ in CASES])
def test_the_command_line_names_the_cause(
    mutant: Mutant, format: str, words: str, context: Context, cli: Cli, tmp_path: Path
) -> None:
    path = mutant.build(format, tmp_path, context)
    assert path is not None
    outcome = cli("parity", path)
    assert outcome.code == 1
    (cause,) = mutant.causes_in(format)
    sentence = re.search(rf"{re.escape(path.name)}: {cause}\b.*(\n.+)*", outcome.out)
    assert sentence, outcome.out
    assert words in " ".join(sentence[0].split())


def test_the_command_line_passes_what_is_right(context: Context, cli: Cli) -> None:
    assert cli("parity", context.exported / "model.onnx").code == 0
