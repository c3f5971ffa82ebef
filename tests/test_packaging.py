import subprocess
import sys
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest

import toolkit

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = folder.glob("fmnist_tk-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_checkpoint_the_sample_their_papers_and_the_templates(wheel: zipfile.ZipFile) -> None:
    sizes = {each.filename: each.file_size for each in wheel.infolist()}
    assert sizes["toolkit/fashion/assets/fashion-mlp.safetensors"] > 2_600_000
    assert 0 < sizes["toolkit/fashion/assets/sample.npz"] <= 500_000
    assert "toolkit/fashion/assets/LICENSE-fashion-mnist.txt" in sizes
    assert "toolkit/fashion/assets/model-card.md" in sizes
    assert "toolkit/py.typed" in sizes
    for name in ("page.html.jinja", "blocks.html.jinja", "style.css"):
        assert sizes[f"toolkit/render/page/templates/{name}"] > 1000
    assert any(name.endswith("licenses/LICENSE") for name in sizes)


def test_the_wheel_holds_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if name.endswith(".py")}
    assert packed == {path.relative_to(ROOT).as_posix() for path in (ROOT / "toolkit").rglob("*.py")}
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"toolkit", f"fmnist_tk-{toolkit.__version__}.dist-info"}


def test_the_installed_version_is_the_packages() -> None:
    assert metadata("fmnist-tk")["Version"] == toolkit.__version__


def test_the_top_level_holds_what_was_agreed() -> None:
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    tops = {name.split("/")[0] for name in tracked if not name.startswith(".")}
    agreed = {
        "toolkit",
        "benchmarks",
        "exported",
        "tests",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs",
    }
    assert tops == agreed
