"""What stays out of the start-up path. Who may import whom is kept by import-linter: see pyproject.toml."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import toolkit

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
    code = f"""
import sys
from toolkit.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print("LOADED", *[name for name in {RUNTIMES!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


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
