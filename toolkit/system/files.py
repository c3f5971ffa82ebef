"""Files that are complete or absent: atomic replacement, digests and a lock for a folder."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from toolkit.errors import FolderBusyError, OutputError
from toolkit.records import Record, to_json

_CHUNK_BYTES = 1 << 20
# Weights hardly compress, so on a file system that packs files they stay above this.
_LEAST_WRITTEN = 1 / 16
_SMALL_BYTES = 1 << 24


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it to ``path`` when the block succeeds.

    A reader sees the old file or the new one, never a part. When the block raises, or the process
    dies, the old file stays; the temporary file of a killed process is hidden and is never read.

    Raises:
        OutputError: If the folder cannot be made or written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.is_dir():
            raise OutputError(path, "it is a folder, not a file")
        make_folder(path.parent)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the final name
        temporary.replace(path)
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` as a whole or not at all.

    Raises:
        OutputError: If that cannot be done.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_record(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    write_bytes(path, to_json(record).encode())


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents.

    Raises:
        OutputError: If that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(folder, "it is a file, not a folder") from error
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def is_hollow(path: Path) -> bool:
    """Say whether hardly any of a large file was ever written, so that its size says nothing of its content."""
    status = path.stat()
    blocks = getattr(status, "st_blocks", None)  # of 512 bytes; not on every system
    return status.st_size > _SMALL_BYTES and blocks is not None and blocks * 512 < status.st_size * _LEAST_WRITTEN


@contextmanager
def folder_lock(folder: Path, name: str = ".lock", wait_s: float = 0.0) -> Iterator[None]:
    """Hold ``folder`` for one writer; the system lets go when the process ends, however it ends.

    Args:
        folder: It is made if it is not there.
        name: Of the lock: who holds another one is not in the way.
        wait_s: How long to wait for another process that holds it.

    Raises:
        FolderBusyError: If another process holds it all that time.
        OutputError: If the folder cannot be made or written.
    """
    from filelock import FileLock, Timeout

    make_folder(folder)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise FolderBusyError(folder) from error
    except OSError as error:
        raise OutputError(folder, error.strerror or str(error)) from error
    try:
        yield
    finally:
        lock.release()


def check_writable(path: Path) -> None:
    """Find out before long work whether ``path`` can be written at its end.

    Raises:
        OutputError: If it cannot.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise OutputError(path, "it is a folder, not a file")
    trial = path.with_name(f".{path.name}.{os.getpid()}.trial")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from error
