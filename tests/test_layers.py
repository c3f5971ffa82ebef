"""Who may import whom, and what stays out of the start-up path."""

import ast
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


def imports_of(path: Path, *, module_level: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if module_level else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


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
import toolkit.render.page, toolkit.render.files.tidy
print("LOADED", *[name for name in {RUNTIMES!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_and_modules_stay_small(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    every = imports_of(path, module_level=False)
    inside = {name.split(".")[1] for name in every if name.startswith("toolkit.")}
    if part not in {"cli", "__main__"}:
        assert "cli" not in inside
    lower = {"sessions", "manifest", "golden", "checkpoint", "pickles", "weights", "data", "model", "devices"}
    if part in {*lower, "own_data", "datasets"}:
        assert not inside & {"run", "training", "api", "export", "parity", "bench", "inspection", "doctor", "render"}
    if part in {"records", "errors", "render", "files", "progress", "archives"}:
        assert inside <= {"records", "errors", "files", "render"}
    if part == "formats":
        assert inside <= {"formats", "archives", "files", "records", "errors", "devices", "model", "environment"}
    if part != "devices":
        assert not any(
            f"{module}.is_available" in path.read_text(encoding="utf-8") for module in ("torch.cuda", "backends.mps")
        )
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


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
