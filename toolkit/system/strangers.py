"""Files of strangers: what they are if not what their name says, and their words made fit for a sentence."""

from collections.abc import Sequence
from typing import Final

from toolkit.plain import plain

#: How much of the beginning `stranger` wants to see.
HEAD_BYTES: Final = 512
_PAGES: Final = (b"<!doctype html", b"<html", b"<head", b"<?xml")
_MODELS: Final = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")
_MOST_NAMED: Final = 8
_LONGEST_NAME: Final = 80
_FROM_NUMPY: Final = "save its weights with torch.save({name: torch.from_numpy(array), ...}, 'model.pth')"
_UNPACK: Final = "unpack it, and pass the file that is inside"
_STRANGERS: Final = (
    (b"version https://git-lfs.github.com/spec/", "is a Git LFS pointer, not the file itself", "run: git lfs pull"),
    (b"\x1f\x8b", "is packed with gzip", _UNPACK),
    (b"\xfd7zXZ\0", "is packed with xz", _UNPACK),
    (b"BZh", "is packed with bzip2", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "is packed with 7-Zip", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "is packed with Zstandard", _UNPACK),
    (b"Rar!", "is packed with RAR", _UNPACK),
    (b"\x93NUMPY", "is a NumPy array", _FROM_NUMPY),
    (b"\x89HDF", "is HDF5, as Keras writes it", "pass a file of torch.save or safetensors"),
)


def stranger(head: bytes) -> tuple[str, str] | None:
    """Return what a file is instead, and what to do; None for one that is not known here.

    Args:
        head: Its first `HEAD_BYTES`.
    """
    found = next(((what, remedy) for mark, what, remedy in _STRANGERS if head.startswith(mark)), None)
    if head[257:262] == b"ustar":
        return "is packed with tar", _UNPACK
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return "is a web page, not the file itself", "download the raw file, not the page that shows it"
    if head and not head.strip(b"\0"):
        return "begins with nothing but zeros: it never arrived whole", "copy it again from where it was made"
    return found


def stranger_zip(names: Sequence[str]) -> tuple[str, str]:
    """Return what a zip of these members is, and what to do: it is a whole zip, and not one of torch.

    Args:
        names: Of its members.
    """
    models = [name for name in names if name.lower().endswith(_MODELS)]
    if models:
        return f"is a zip that holds {some(models)}", _UNPACK
    if names and all(name.endswith(".npy") for name in names):
        return f"is a NumPy archive of {some(names)}", _FROM_NUMPY
    return f"is a zip that holds {some(names) or 'nothing'}", "pass a file of torch.save or safetensors"


def some(names: Sequence[str]) -> str:
    """Join names that stand in a file: the first few of many, none very long, and nothing that steers a terminal."""
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(shown, names[:_MOST_NAMED])) + more


def shown(name: str) -> str:
    """Return a name that stands in a file as it can be printed."""
    cut = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return plain(cut, lines=False)
