"""What this user has exported on this machine: digests, in a file of the user's own, outside every artifact's folder.

Whatever lies beside an artifact comes from whoever made it. This file does not, so what it lists is opened as our own
code is, and everything else as a stranger's: scanned, and in a process apart.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def note_exported(digests: Iterable[str]) -> None:
    """Add SHA-256 digests; where the file cannot be written, these artifacts are taken for a stranger's."""
    path = _file()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="ascii") as file:  # one write of few lines: two processes do not mix theirs
            file.write("".join(f"{digest}\n" for digest in digests))


def is_exported_here(digest: str) -> bool:
    """Say whether an artifact of this SHA-256 was exported by this user on this machine."""
    try:
        return digest in _file().read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return False


def _file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("fmnist-tk", appauthor=False) / "exported.sha256"
