"""What files tell of an installation, beside what the packages themselves say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.system import installed
from toolkit.system.installed import installation_problem, may_have_gpu, torch_without_gpu

LIBRARY = "made_up_package/lib.so.1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution of a package and a library, with the list that an installer writes."""
    description = tmp_path / "made_up_package-1.0.dist-info"
    for path in (tmp_path / "made_up_package", description):
        path.mkdir()
    (tmp_path / "made_up_package" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / LIBRARY).write_bytes(b"code")
    (description / "METADATA").write_text("Name: made-up-package\nVersion: 1.0\n")
    (description / "RECORD").write_text(
        f"made_up_package/__init__.py,sha256=x,26\n{LIBRARY},sha256=x,4\nmade_up_package/note.txt,sha256=x,9\n"
        "made_up_package-1.0.dist-info/RECORD,,\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_what_is_complete_has_no_problem_and_is_not_imported(folder: Path) -> None:
    assert installation_problem("made_up_package") is None


def test_a_library_that_was_stripped_is_no_problem(folder: Path) -> None:
    (folder / LIBRARY).write_bytes(b"c")
    assert installation_problem("made_up_package") is None


@pytest.mark.parametrize("file", [LIBRARY, "made_up_package/__init__.py"])
def test_an_empty_file_is_named(file: str, folder: Path) -> None:
    (folder / file).write_bytes(b"")
    problem = installation_problem("made_up_package")
    assert problem == f"{file} is missing or empty; reinstall with: pip install --force-reinstall made_up_package"


def test_a_missing_library_is_named(folder: Path) -> None:
    (folder / LIBRARY).unlink()
    assert LIBRARY in str(installation_problem("made_up_package"))


def test_a_package_that_no_installer_finished_is_told(folder: Path) -> None:
    (folder / "made_up_package-1.0.dist-info").rename(folder / "left")
    assert "half installed" in str(installation_problem("made_up_package"))


def test_a_package_that_is_not_there_is_told() -> None:
    assert installation_problem("nosuch") == "nosuch is not installed; install it with: pip install nosuch"


def test_torch_is_complete_here_and_its_files_say_what_it_says() -> None:
    assert installation_problem("torch") is None
    build = torch_without_gpu()
    assert (build.__version__, build.version.cuda) == (torch.__version__, torch.version.cuda)


def build(cuda: str | None) -> Any:
    return SimpleNamespace(version=SimpleNamespace(cuda=cuda))


@pytest.mark.parametrize(
    ("cuda", "driver", "platform", "possible"),
    [
        ("13.0", None, "linux", True),
        ("13.0", "libnosuch.so.1", "linux", False),
        (None, None, "linux", False),
        (None, "libnosuch.so.1", "darwin", True),
    ],
)
def test_a_gpu_takes_a_build_for_it_and_a_driver(
    cuda: str | None, driver: str | None, platform: str, possible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_DRIVER", driver)  # None is this process itself, which can always be opened
    monkeypatch.setattr(installed, "sys", SimpleNamespace(platform=platform))
    assert may_have_gpu(build(cuda)) is possible
