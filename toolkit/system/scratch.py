"""Folders for files that nobody needs afterwards: what a killed process leaves, the next one removes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "fmnist-tk-"
# The file that a folder's owner holds locked for as long as it lives: the system lets go of it, however it ends.
_OWNER: Final = ".owner"


@contextmanager
def scratch_folder(purpose: str, within: Path | None = None) -> Iterator[Path]:
    """Give a folder that is gone after the block, and remove those of processes that are.

    A folder is removed when its owner no longer holds its lock. One in use, of another user, or that was never locked
    is left alone, however old it is.

    Args:
        purpose: A word for its name.
        within: Where to make it; None for the system's folder for temporary files.

    Raises:
        OSError: If it cannot be made.
    """
    parent = within or Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-", dir=parent))
    owner = _claim(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if owner is not None:
            os.close(owner)


def _claim(folder: Path) -> int | None:
    """Lock a new folder; None where the system has no locks, and the folder is then nobody's to remove."""
    unlocked = folder / f"{_OWNER}.new"  # who looks for abandoned folders must not find the file before it is locked
    owner = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    if not _lock(owner):
        os.close(owner)
        return None
    unlocked.rename(folder / _OWNER)
    return owner


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it has just gone, or is of another user
            if folder.is_symlink() or not (folder / _OWNER).is_file() or folder.stat().st_uid != os.getuid():
                continue
            owner = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if _lock(owner):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(owner)


def _lock(file: int) -> bool:
    """Lock an open file without waiting; say whether that was possible."""
    try:
        import fcntl  # not on Windows, where a folder is removed by its own process alone
    except ImportError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
