"""Zip archives and pickles, looked at without running anything."""

import pickletools
import re
import zipfile
from collections.abc import Iterator
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Final

#: The globals that weights themselves are pickled with: tensors, storages, ordered dicts.
WEIGHTS_GLOBAL: Final = re.compile(
    r"^(collections\.OrderedDict|(__builtin__|builtins)\.set|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)"
    r"|torch\.storage\.\w+|torch\.\w*Storage|torch\.(float|double|half|bfloat)\w*)$"
)
# Ways to name a global other than in one literal. torch writes protocol 2, which has none of them.
_INDIRECT = {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}
_DIRECTORY_ATTRIBUTE = 0x10
# What an archive may grow by when it is unpacked: torch compresses code alone, and that shrinks some ten times.
_GROWTH, _GROWTH_BYTES = 20, 64 << 20
#: What the reading of a broken zip file can raise.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    KeyError,
    OverflowError,
)


def damaged_member(archive: zipfile.ZipFile) -> str | None:
    """Return the name of a member that is not what was written, or None.

    torch compares no checksums, so a flipped bit would be another weight; and it reads nothing from a
    member that carries the attribute of a directory, so that one is damage, too.

    Raises:
        One of `ZIP_ERRORS`: If the archive cannot be read.
    """
    seen: set[str] = set()
    refuse_bomb(archive)
    for each in archive.infolist():
        # torch finds members whatever their case, so two of one name would be one here and another there.
        if each.external_attr & _DIRECTORY_ATTRIBUTE or each.filename.lower() in seen:
            return each.filename
        seen.add(each.filename.lower())
    return archive.testzip()


def refuse_bomb(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that unpacks to far more than its file, before anything of it is unpacked.

    Raises:
        zipfile.BadZipFile: If it does.
    """
    assert archive.fp is not None  # it is open
    size = archive.fp.seek(0, SEEK_END)
    unpacked = sum(each.file_size for each in archive.infolist())
    if unpacked > _GROWTH_BYTES + _GROWTH * size:
        raise zipfile.BadZipFile(f"its {size:,} bytes would unpack to {unpacked:,}")


def foreign_pickles(data: bytes) -> tuple[str, ...]:
    """Say what a file of ``torch.save`` asks for beyond weights; empty for one that is safe to unpickle.

    Args:
        data: The file: a zip, since torch 1.6.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            refuse_bomb(archive)
            pickles = [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
    except ZIP_ERRORS:
        return ("something that is no archive of torch",)
    asked: dict[str, None] = {}
    for content in pickles:
        try:
            opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(content)]
        except (ValueError, IndexError):
            return ("something that is no pickle",)
        for opcode, argument in opcodes:
            name = str(argument).replace(" ", ".")
            if opcode in _INDIRECT or (opcode == "GLOBAL" and not WEIGHTS_GLOBAL.match(name)):
                asked[name if opcode == "GLOBAL" else f"something by {opcode}"] = None
    return tuple(asked)


def member_names(path: Path) -> list[str]:
    """Return the names of a zip's members; none of a file that is no zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except ZIP_ERRORS:
        return []


def extra_file(path: Path, name: str) -> str | None:
    """Return the text that an archive of torch holds as the extra file ``name``, or None.

    Bytes that are no UTF-8 become text that is no JSON; who parses it says so.

    Raises:
        One of `ZIP_ERRORS`: If the archive cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        refuse_bomb(archive)
        found = next((each for each in archive.namelist() if each.endswith(f"/extra/{name}")), None)
        return archive.read(found).decode(errors="replace") or None if found else None


def read_members(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members of a zip whose names end in ``suffix``."""
    with zipfile.ZipFile(path) as archive:
        refuse_bomb(archive)
        for name in archive.namelist():
            if name.lower().endswith(suffix):
                yield name, archive.read(name)
