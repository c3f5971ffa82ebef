"""The files below a folder, and which of them a name in a table means."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from toolkit.pictures.folders import LeftOut, files_below, is_picture


class Names:
    """What is in a folder of pictures.

    Attributes:
        there: Paths of all files below it, with ``/`` between their parts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = (each for each in files_below(folder, LeftOut()) if isinstance(each, Path))
        self.there = frozenset(path.relative_to(folder).as_posix() for path in files)
        self._by_base = _grouped(self.there, lambda name: PurePosixPath(name).name.casefold())
        self._by_stem = _grouped(filter(is_picture, self.there), lambda name: str(PurePosixPath(name).with_suffix("")))

    def find(self, text: str) -> tuple[str, str | None]:
        """Return the path below the folder that a name means, and what is wrong with it or None.

        An absolute path counts where it leads into the folder, a name without its suffix where one picture fits.
        """
        name = self._inside(text)
        if not text:
            return "", "the file is missing"
        if name is None:
            return text, f"{text!r} is outside the folder; write paths below {self._folder}"
        if _is_file(self._folder / name):
            return name, None
        fitting = self._by_stem.get(name, [])
        if len(fitting) == 1:
            return fitting[0], None
        base = self._by_base.get(PurePosixPath(name.replace("\\", "/")).name.casefold(), [])
        same = [each for each in base if each.casefold() == name.casefold()]
        near = fitting or same or base
        several = len(near) > 1 and not fitting
        hint = f": did you mean {' or '.join(map(repr, near))}?" if near and not several else ""
        return name, f"{text!r} is not there{hint}"

    def _inside(self, text: str) -> str | None:
        """Return a path below the folder as it is written or resolved; None where it leads elsewhere."""
        path = Path(text)
        if ".." in path.parts or Path(text.replace("\\", "/")).is_absolute() > path.is_absolute():
            return None
        if not path.is_absolute():
            return path.as_posix()
        with suppress(ValueError):
            return path.relative_to(self._folder.absolute()).as_posix()
        with suppress(OSError, ValueError):  # a name that no file can have leads nowhere
            return path.resolve().relative_to(self._folder.resolve()).as_posix()
        return None


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[key(name)].append(name)
    return groups


def _is_file(path: Path) -> bool:
    """Say whether there is a file; what is too long for a name, or holds a NUL, names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
