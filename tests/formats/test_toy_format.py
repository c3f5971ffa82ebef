"""A format is one folder: a made-up one is put beside the others, and no other file is touched."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import toolkit

INIT = '''
"""Toy: the weights in a NumPy archive, multiplied by NumPy."""

from toolkit.formats.info import FormatInfo

INFO = FormatInfo(
    module=__name__,
    name="toy",
    runtime="numpy",
    distributions=("numpy",),
    precision="float32",
    devices=("cpu",),
    packages=("numpy",),
    suffixes=(".toy",),
    names=("pixels", "scores"),
)
'''
RUNTIME = '''
"""Writes and opens toys."""

import numpy as np

from toolkit.errors import CorruptArtifactError, first_line
from toolkit.records import Signature, TensorSpec


def export(model, path, metadata):
    """Write the weights in order, and the description."""
    weights = [each.detach().numpy() for each in model.state_dict().values()]
    with path.open("wb") as file:
        np.savez(file, *weights, description=metadata.model_dump_json())


def load(path, device, threads=None):
    """Open an archive."""
    return Session([value for name, value in _read(path).items() if name != "description"])


def read_metadata(path):
    """Return the description."""
    text = _read(path).get("description")
    return None if text is None else str(text)


def _read(path):
    try:
        with np.load(path) as stored:
            return dict(stored)
    except Exception as error:
        raise CorruptArtifactError(path, "toy", first_line(error)) from error


class Session:
    """Linear layers with a ReLU between them."""

    precision = "float32"
    signature = Signature(
        inputs=(TensorSpec(name="pixels", dtype="float32", shape=("batch", 1, 28, 28)),),
        outputs=(TensorSpec(name="scores", dtype="float32", shape=("batch", 10)),),
    )

    def __init__(self, weights):
        self._layers = list(zip(weights[::2], weights[1::2], strict=True))

    def to_device(self, images):
        return images

    def run(self, batch):
        values = batch.reshape(len(batch), -1)
        for number, (weight, bias) in enumerate(self._layers):
            values = values @ weight.T + bias
            if number + 1 < len(self._layers):
                values = np.maximum(values, 0)
        return values

    def synchronize(self): ...

    def to_host(self, logits):
        return logits
'''
SCAN = '''
"""NumPy refuses pickles by itself: a toy can do nothing but compute."""


def scan(path):
    """Name what a toy asks for beside computing: nothing."""
    return []
'''
# One process for all commands: what is proved is that they know the format, not how fast they start.
COMMANDS = """
import contextlib, io, json, pathlib, sys
import numpy as np
from toolkit.cli import main

def call(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            main([*words, "--quiet"] if words[0] != "doctor" else list(words))
        except SystemExit as ended:
            return ended.code, out.getvalue()

def report(*words):
    code, out = call(*words, "--json")
    return code, json.loads(out)

result = {}
code, doctor = report("doctor")
result["doctor"] = [each["works"] for each in doctor["doctor"]["formats"] if each["format"] == "toy"]
code, exported = report("export", "toy", "--folder", "out")
result["export"] = code, [each["file"] for each in exported["artifacts"]]
code, parity = report("parity", "--folder", "out")
result["parity"] = code, [(each["format"], each["passed"]) for each in parity["parity"]]
short = ("--batch", "1", "--budget", "0.5", "--restarts", "0", "--no-limits")
code, bench = report("bench", "toy", "--folder", "out", *short)
result["bench"] = code, [each["format"] for each in bench["latency"] if each["role"] == "row"], bench["failures"]
code, inside = report("inspect", "out/model.toy")
result["inspect"] = code, inside["inspected"][0]["format"], inside["inspected"][0]["precision"]
result["report"] = call("report", "out/bench.json", "-o", "page.html")[0], "toy" in open("page.html").read()
whole = open("out/model.toy", "rb").read()
causes = {}
pathlib.Path("out/manifest.json").unlink()  # which knows the digest, and would name every change alike
with np.load("out/model.toy") as stored:
    values = dict(stored)
def mutant(name, **changes):
    with open("out/model.toy", "wb") as file:
        np.savez(file, **{**values, **changes})
    code, found = report("parity", "toy", "--folder", "out")
    causes[name] = code, found["parity"][0]["cause"]
weight = values["arr_2"].copy()
weight[7, 7] += 0.001
mutant("a weight", arr_2=weight)
mutant("the description", description="{}")
mutant("float16", arr_0=values["arr_0"].astype(np.float16).astype(np.float32))
open("out/model.toy", "wb").write(whole[:1000])
code, found = report("parity", "toy", "--folder", "out")
causes["cut short"] = code, found["parity"][0]["cause"]
result["mutants"] = causes
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the commands say of a copy of the package in which one folder is new."""
    import json

    root = tmp_path_factory.mktemp("with-toy")
    shutil.copytree(Path(toolkit.__file__).parent, root / "toolkit", ignore=shutil.ignore_patterns("__pycache__"))
    folder = root / "toolkit" / "formats" / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text(textwrap.dedent(INIT).lstrip())
    (folder / "runtime.py").write_text(textwrap.dedent(RUNTIME).lstrip())
    (folder / "scan.py").write_text(textwrap.dedent(SCAN).lstrip())
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_doctor_knows_it(result: dict[str, object]) -> None:
    assert result["doctor"] == [True]


def test_it_is_exported_verified_and_timed(result: dict[str, object]) -> None:
    assert result["export"] == [0, ["model.toy"]]
    assert result["parity"] == [0, [["toy", True]]]
    assert result["bench"] == [0, ["eager", "toy"], []]


def test_it_is_inspected_without_a_reader_of_its_graph(result: dict[str, object]) -> None:
    assert result["inspect"] == [0, "toy", "float32"]


def test_its_rows_are_on_the_page(result: dict[str, object]) -> None:
    assert result["report"] == [0, True]


def test_its_mutants_die_by_the_check_that_names_them(result: dict[str, object]) -> None:
    assert result["mutants"] == {
        "a weight": [1, "values"],
        "the description": [1, "integrity"],
        "float16": [1, "values"],
        "cut short": [1, "opens"],
    }
