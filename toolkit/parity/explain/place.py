"""Where a reproduction is put. The rule: no file is lost that the toolkit has not written itself."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from toolkit.errors import OutputError
from toolkit.formats.target import Target
from toolkit.system.files import check_writable

#: The file of facts in a reproduction; under ``files`` it lists all that was written, itself too.
FACTS: Final = "versions.json"
_DIGEST_DIGITS: Final = 8


def folder_name(target: Target, sha256: str, device: str) -> str:
    """Return what the reproduction of an artifact of this digest on this device is called."""
    name = target.path.name
    stem = next((name.removesuffix(each) for each in target.format.suffixes if name.endswith(each)), target.path.stem)
    parts = (stem, target.format.name, sha256[:_DIGEST_DIGITS], *(() if device == "cpu" else device.split(":")))
    return "-".join(parts)  # no colon, which some file systems refuse


def check_place(final: Path) -> None:
    """Find out before the work whether ``final`` can be made, and whether what is there is ours to replace.

    Raises:
        OutputError: If it cannot, or is not.
    """
    check_writable(final.with_name(f".{final.name}"))
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        raise OutputError(final, "something is there that is no reproduction")
    foreign = sorted(files_in(final) - _own_files(final))
    if foreign:
        raise OutputError(final, f"{foreign[0]} in it was not written with the reproduction and would be lost")


def files_in(folder: Path) -> set[str]:
    """Return the relative names of all files and links in a folder, and of the folders in it that hold nothing."""
    return {
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*")
        if each.is_symlink() or not each.is_dir() or not any(each.iterdir())
    }


def _own_files(folder: Path) -> set[str]:
    """Return the names that the list of an earlier reproduction gives; none where there is no such list."""
    try:
        return set(json.loads((folder / FACTS).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def replacing_folder(final: Path) -> Iterator[Path]:
    """Give an empty folder beside ``final``; when the block has put the facts there, rename it to ``final``.

    Raises:
        OutputError: If that cannot be done; what was there before stays.
    """
    temporary, earlier = (final.with_name(f".{final.name}.{os.getpid()}.{each}") for each in ("tmp", "old"))
    try:
        temporary.mkdir()
        yield temporary
        if (temporary / FACTS).is_file():
            if final.exists():
                final.replace(earlier)
            temporary.replace(final)
    except OSError as error:
        if earlier.exists() and not final.exists():
            earlier.replace(final)
        raise OutputError(final, error.strerror or str(error)) from error
    finally:
        for each in (temporary, earlier):
            shutil.rmtree(each, ignore_errors=True)
