"""What is installed here, read from files: torch takes two seconds of processor time to import, and a list does not."""

import ast
import csv
import ctypes
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

# Without the driver's library no build of torch finds an NVIDIA GPU.
_DRIVER: Final = "libcuda.so.1"
_LIBRARIES: Final = {".so", ".dylib", ".pyd", ".dll"}


def installation_problem(name: str) -> str | None:
    """Return what is wrong with an installed distribution, or None if all its packages and libraries are there.

    Nothing is imported, so what only shows then is not found: another distribution or a library of the system that is
    missing, a file that is there and damaged.

    Args:
        name: Of the distribution; its import package has the same name.
    """
    if find_spec(name) is None:
        return f"{name} is not installed; install it with: pip install {name}"
    remedy = f"reinstall with: pip install --force-reinstall {name}"
    try:
        found = distribution(name)
    except PackageNotFoundError:  # an installer writes this last
        return f"{name} is only half installed; {remedy}"
    for file, _, size in csv.reader((found.read_text("RECORD") or "").splitlines()):
        if size and _needed(file) and not _there(Path(str(found.locate_file(file))), int(size)):
            return f"{file} is missing or empty; {remedy}"
    return None


def _needed(file: str) -> bool:
    return file.endswith("/__init__.py") or not _LIBRARIES.isdisjoint(Path(file).suffixes)


def _there(path: Path, size: int) -> bool:
    """Say whether a file is there; images of containers strip libraries, so another size is no fault, but none is."""
    try:
        return path.stat().st_size > 0 or size == 0
    except OSError:
        return False


def torch_without_gpu() -> Any:
    """Return a stand-in for the module torch, which says of itself what torch would where there is no GPU.

    Raises:
        OSError, ValueError: If torch is not installed, or its description cannot be read.
    """
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        raise OSError("torch is not installed; install it with: pip install torch")
    facts: dict[str, Any] = {}
    for node in ast.parse(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                facts[ast.unparse(target)] = node.value.value
    return SimpleNamespace(
        __version__=facts["__version__"],
        version=SimpleNamespace(cuda=facts.get("cuda")),
        cuda=SimpleNamespace(is_available=lambda: False),
        backends=SimpleNamespace(mps=SimpleNamespace(is_built=lambda: False)),
    )


def may_have_gpu(torch: Any) -> bool:
    """Say whether only torch itself can tell if it can use a GPU, by its module or the stand-in for that."""
    if sys.platform == "darwin":
        return True
    if torch.version.cuda is None:
        return False
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True
