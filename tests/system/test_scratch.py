"""Scratch folders: of the living they stay, of the dead they go."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from toolkit.system.scratch import scratch_folder

OWNER = """
    import sys
    from pathlib import Path
    from toolkit.system.scratch import scratch_folder
    with scratch_folder("test", Path(sys.argv[1])) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("what a bench leaves")
        print(folder, flush=True)
        sys.stdin.read()
"""


def owner_in(parent: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Start a process that has a scratch folder until its input ends; return it and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_of_a_killed_process_is_removed_by_the_next_and_one_in_use_is_not(tmp_path: Path) -> None:
    killed, abandoned = owner_in(tmp_path)
    living, in_use = owner_in(tmp_path)
    killed.kill()
    killed.communicate()
    assert (abandoned / "deep" / "file").is_file()
    with scratch_folder("other", tmp_path) as mine:
        assert set(tmp_path.iterdir()) == {in_use, mine}
        assert (in_use / "deep" / "file").is_file()
        with scratch_folder("another", tmp_path) as second:  # of this very process
            assert set(tmp_path.iterdir()) == {in_use, mine, second}
    living.communicate("")
    assert living.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder("test", tmp_path):
        _ = len(list(tmp_path.glob("fmnist-tk-test-*"))) / 0
    assert list(tmp_path.iterdir()) == []


def test_the_system_says_where_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("test") as folder:
        assert folder.parent == tmp_path


def abandoned_in(parent: Path) -> Path:
    process, folder = owner_in(parent)
    process.kill()
    process.communicate()
    return folder


def test_what_is_not_surely_abandoned_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    theirs = abandoned_in(elsewhere)
    link = tmp_path / "fmnist-tk-link"
    link.symlink_to(theirs)
    never_locked = tmp_path / "fmnist-tk-saved-1"
    never_locked.mkdir()
    os.utime(never_locked, (0, 0))  # age says nothing
    file = tmp_path / "fmnist-tk-file"
    file.touch()
    linked_lock = tmp_path / "fmnist-tk-linked-lock"
    linked_lock.mkdir()
    (linked_lock / ".owner").symlink_to(theirs / ".owner")
    with scratch_folder("test", tmp_path):
        pass
    assert set(tmp_path.iterdir()) == {elsewhere, link, never_locked, file, linked_lock}
    assert theirs.is_dir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
        with scratch_folder("test", elsewhere):
            pass
        assert theirs.is_dir()
    with scratch_folder("test", elsewhere):
        assert not theirs.exists()
