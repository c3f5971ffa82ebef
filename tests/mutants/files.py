"""Mutants of the file: its bytes are not those that were exported, or they were exported from something else."""

import shutil
from collections.abc import Callable
from pathlib import Path

from mutants.mutant import Build, Context, Mutant, one_of
from toolkit.formats import FORMATS

_FLIPS = 20
_MANIFEST = "manifest.json"


def _bytes(change: Callable[[bytes], bytes], *, with_manifest: bool = True) -> Build:
    """Return a builder of the exported artifact after ``change``, beside its manifest or alone."""

    def build(format: str, folder: Path, context: Context) -> Path:
        path = folder / FORMATS[format].file_name
        path.write_bytes(change((context.exported / path.name).read_bytes()))
        if with_manifest:
            shutil.copy(context.exported / _MANIFEST, folder)
        return path

    return build


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _without_end(data: bytes) -> bytes:
    return data[:-100]


def _grown(data: bytes) -> bytes:
    return data + b"\0" * 100


def _flip(number: int) -> Callable[[bytes], bytes]:
    """Return a change of one bit; the places are spread over the file, the bits over the byte."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[(2 * number + 1) * len(data) // (2 * _FLIPS)] ^= 1 << number % 8
        return bytes(changed)

    return change


def _other_format(format: str, folder: Path, context: Context) -> Path:
    names = [info.file_name for info in FORMATS.values()]
    name = FORMATS[format].file_name
    shutil.copy(context.exported / names[(names.index(name) + 1) % len(names)], folder / name)
    return folder / name


def _other_checkpoint(manifest_of: str | None) -> Build:
    """Return a builder of another checkpoint's artifact, beside a manifest of ``exported``, of ``other`` or of none."""

    def build(format: str, folder: Path, context: Context) -> Path:
        path = folder / FORMATS[format].file_name
        shutil.copy(context.other / path.name, path)
        if manifest_of:
            shutil.copy(getattr(context, manifest_of) / _MANIFEST, folder)
        return path

    return build


_CORRUPT = {"half-of-it": _half, "last-bytes-gone": _without_end}
_NO_ARTIFACT = {
    "empty": lambda _: b"",
    "a-text": lambda _: b"This is no model.\n" * 1000,
    "zeros": lambda data: bytes(len(data)),
}

MUTANTS = (
    *(
        Mutant(name, "file", _bytes(change, with_manifest=False), one_of("opens"))
        for name, change in (_CORRUPT | _NO_ARTIFACT).items()
    ),
    # Archives have checksums, so torch's files do not open; ONNX's open with another weight, and the manifest tells.
    *(
        Mutant(f"bit-flip-{number:02}", "file", _bytes(_flip(number)), one_of("opens", "integrity"))
        for number in range(_FLIPS)
    ),
    Mutant("bytes-appended", "file", _bytes(_grown), one_of("opens", "integrity")),
    Mutant("of-another-format", "file", _other_format, one_of("opens")),
    Mutant("of-another-checkpoint-with-this-manifest", "file", _other_checkpoint("exported"), one_of("integrity")),
    Mutant("of-another-checkpoint-without-manifest", "file", _other_checkpoint(None), one_of("integrity")),
    Mutant("older-than-the-checkpoint", "file", _other_checkpoint("other"), one_of("integrity")),
)
