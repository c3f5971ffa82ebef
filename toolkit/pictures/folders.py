"""What lies in a folder of pictures, and what is passed over on the way: told in the end, never silently."""

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from toolkit.pictures.picture import SUFFIXES
from toolkit.plain import decoded
from toolkit.records import UnreadableRecord

# Of many names, a sentence shows so many.
_SHOWN: Final = 3
# What systems leave beside pictures and call by no hidden name.
_OF_SYSTEMS: Final = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})
#: Why something is left out.
NO_PICTURE: Final = "no picture by name"
HIDDEN: Final = "hidden or the system's own"
EMPTY: Final = "without a picture"


class LeftOut:
    """Counts what is passed over, by the reason; of the names the first few are kept."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def add(self, name: str | Path, why: str) -> None:
        """Take note of one more."""
        self._counts[why] = self._counts.get(why, 0) + 1
        if self._counts[why] <= _SHOWN:
            self._names.setdefault(why, []).append(decoded(name))

    def notes(self) -> list[str]:
        """Return a sentence for each reason."""
        return [
            f"{some(self._names[why], count)} {'is' if count == 1 else 'are'} {why}; left out"
            for why, count in self._counts.items()
        ]


def some(names: Sequence[str], count: int) -> str:
    """Return a few of the names, and how many more of ``count`` there are."""
    more = count - _SHOWN
    return ", ".join(map(decoded, names[:_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def is_picture(name: str) -> bool:
    """Say whether a file is called like a picture."""
    return Path(name).suffix.lower() in SUFFIXES


def is_hidden(name: str) -> bool:
    """Say whether a file or folder is none of the user's: hidden, or a system's own."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def files_below(
    folder: Path, left: LeftOut, *, within: Path | None = None
) -> Generator[Path | UnreadableRecord, None, bool]:
    """Yield the files of a folder and of those in it, sorted by name; a folder that cannot be read is yielded as that.

    Only the names of the folders on the way down are held in memory. A link to a folder is not followed.

    Args:
        folder: Where to begin.
        left: Told what is hidden, which folders hold no pictures, and which files are none by name; they are yielded.
        within: The folder below which names are told; None for ``folder``.

    Returns:
        Whether there is a picture.
    """
    within = within or folder
    try:
        with os.scandir(folder) as entries:
            found = sorted((each.name, each.is_dir(follow_symlinks=False)) for each in entries)
    except OSError as error:
        reason = f"the folder cannot be read ({error.strerror or error})"
        yield UnreadableRecord(source=decoded(folder), reason=reason, remedy="check its permissions")
        return True
    holds = False
    for name, is_folder in found:
        path = folder / name
        if is_hidden(name):
            left.add(path.relative_to(within), HIDDEN)
        elif is_folder:
            holds |= yield from files_below(path, left, within=within)
        elif not path.is_dir():  # nor a link to a folder
            if is_picture(name):
                holds = True
            else:
                left.add(path.relative_to(within), NO_PICTURE)
            yield path
    if not holds and folder != within:
        left.add(folder.relative_to(within), EMPTY)
    return holds
