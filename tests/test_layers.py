"""What stays out of the start-up path. Who may import whom is kept by import-linter: see pyproject.toml."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit
from made_up import everything
from toolkit.formats import FORMATS, VARIANTS
from toolkit.system.files import write_record

ROOT = Path(toolkit.__file__).parent
RUNTIMES = (
    "torch",
    "torchvision",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "scipy",
    "matplotlib",
)  # pydantic is typer's own choice
MODULES = sorted(ROOT.rglob("*.py"))
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["bench", "--help"],
        ["compare", "--help"],
        ["train", "--help"],
        ["data", "show", "--help"],
        ["report", "--help"],
        ["nosuch"],
    ],
)
def test_the_command_line_starts_without_a_runtime(arguments: list[str]) -> None:
    assert loaded_by(arguments) == set()


def loaded_by(arguments: list[str]) -> set[str]:
    """Return the runtimes that a command loads, whatever its exit code."""
    code = f"""
import sys
from toolkit.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print()
print("LOADED", *[name for name in {RUNTIMES!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    head, *loaded = result.stdout.splitlines()[-1].split()
    assert head == "LOADED"
    return set(loaded)


def test_doctor_and_inspecting_a_graph_load_no_torch(exported: Path) -> None:
    assert loaded_by(["inspect", str(exported / "model.onnx")]) == {"numpy", "onnx", "onnxruntime"}
    assert loaded_by(["doctor"]) == {"numpy", "onnx", "onnxruntime"}


def test_a_report_loads_no_torch_on_any_of_its_ways(tmp_path: Path) -> None:
    write_record(everything(), tmp_path / "report.json")
    outputs = [each for name in ("r.html", "r.md", "r.csv") for each in ("-o", str(tmp_path / name))]
    assert "torch" not in loaded_by(["report", str(tmp_path / "report.json")])
    assert "torch" not in loaded_by(["report", str(tmp_path / "report.json"), *outputs])
    assert all((tmp_path / name).stat().st_size for name in outputs[1::2])


def test_records_errors_and_rendering_import_no_runtime() -> None:
    code = f"""
import sys
import toolkit.system.devices, toolkit.system.environment, toolkit.formats, toolkit.records, toolkit.render.terminal
import toolkit.render.page, toolkit.render.files.latency_csv
print("LOADED", *[name for name in {RUNTIMES!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


def test_modules_stay_small() -> None:
    assert not [path.name for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 300]


def test_only_devices_asks_which_there_are() -> None:
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if re.search(r"(torch\.cuda|backends\.mps)\.is_available", path.read_text(encoding="utf-8"))
    }
    assert asking <= {"system/devices.py"}


def strings_in(path: Path) -> set[str]:
    """Every string of a module but its docstrings, which may show examples."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)} - {
        ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)
    }


def test_nothing_outside_formats_knows_the_name_of_a_format_or_its_suffix() -> None:
    names = {*FORMATS, *VARIANTS} | {suffix for info in FORMATS.values() for suffix in info.suffixes}
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in MODULES
        if path.relative_to(ROOT).parts[0] != "formats"
        for name in strings_in(path) & names
    }
    assert found == {
        ("system/environment.py", "onnx"),  # the distribution, whose version is recorded
        ("records/storage.py", "eager"),  # reports of version 4 told the baseline by its name
    }
