"""What stays out of the start-up path. Who may import whom is kept by import-linter: see pyproject.toml."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit
from made_up import everything
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
import toolkit.render.page, toolkit.render.files.tidy
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


def test_only_the_registry_and_its_own_file_name_a_format() -> None:
    for path in MODULES:
        relative = path.relative_to(ROOT).as_posix()
        if relative.startswith(("formats/", "cli/")):
            continue
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & {"torchscript", "torch-export"}, relative
