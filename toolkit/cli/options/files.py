"""Files that a command writes: it must be able to, and they may be none of those that it reads; before the work."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.system.files import check_writable


def writable_folder(path: Path | None) -> Path | None:
    """Refuse a folder in which nothing can be written; one that is not there yet is not left behind.

    Raises:
        OutputError: If it cannot be made, or nothing can be written into it.
    """
    if path:
        there = path.exists()
        check_writable(path / "reproduction.trial")
        if not there:
            with suppress(OSError):
                path.rmdir()
    return path


def check_files_differ(outputs: Mapping[str, Path | None], inputs: Mapping[str, Iterable[Path | None]]) -> None:
    """Refuse to write one file twice, or over what is read.

    Args:
        outputs: Files to write, by their options; None for one that was not given.
        inputs: Files that are read, by what they are called in the message.

    Raises:
        UsageError: Naming the two.
    """
    taken = {path.resolve(): f"{name} {path}" for name, paths in inputs.items() for path in paths if path}
    for name, path in outputs.items():
        if path is None:
            continue
        other = taken.setdefault(path.resolve(), f"{name} {path}")
        if other != f"{name} {path}":
            raise UsageError(f"{name} {path} and {other} are the same file", f"choose another for {name}")


def check_pictures_kept(
    outputs: Mapping[str, Path | None], folders: Iterable[Path | None], labels: Path | None = None
) -> None:
    """Refuse to write over a picture in a folder of pictures that are read.

    Args:
        outputs: Files to write, by their options; None for one that was not given.
        folders: Of the pictures; None for one that was not given.
        labels: CSV that names pictures below the folders: their names need not be those of pictures.

    Raises:
        UsageError: Naming the file and the folder.
    """
    wanted = {name: path for name, path in outputs.items() if path and path.exists()}
    for folder in folders:
        for name, path in wanted.items() if folder else ():
            if folder and _is_inside(path, folder) and (_is_picture(path) or _is_named(path, folder, labels)):
                raise UsageError(f"{name} {path} is a picture in {folder}, which is read", f"choose another for {name}")


def _is_inside(path: Path, folder: Path) -> bool:
    """Say whether a file, or the link to it, lies below a folder."""
    places = (path.resolve(), path.parent.resolve())
    return any(each.is_relative_to(folder.resolve()) for each in places)


def _is_picture(path: Path) -> bool:
    from toolkit.pictures.picture import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def _is_named(path: Path, folder: Path, labels: Path | None) -> bool:
    if labels is None:
        return False
    from toolkit.fashion.labels import read_label
    from toolkit.pictures.own_data.listing import list_pictures

    listed = list_pictures(folder, labels, read_label).pictures
    return path.resolve() in {(folder / each.name).resolve() for each in listed}


def artifacts_named(names: Iterable[str], folder: Path) -> list[Path]:
    """Return the files that targets of a command line mean; without any, all that the folder may hold."""
    from toolkit.formats import FORMATS

    return [folder / FORMATS[name].file_name if name in FORMATS else Path(name) for name in names or FORMATS]
