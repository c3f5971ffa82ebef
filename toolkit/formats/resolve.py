"""What a name on the command line means: the artifacts of a folder, or a file, and what is left out and why."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from toolkit.errors import (
    ArtifactNotFoundError,
    CorruptArtifactError,
    FormatError,
    PrecisionError,
    UnknownFormatError,
    UnsafeArtifactError,
)
from toolkit.formats import FORMATS, FormatInfo, check_device, check_packages, find_format, format_of
from toolkit.formats.manifest import BENCH, GOLDEN, LEDGER, MANIFEST, REPORT, read_manifest
from toolkit.formats.target import Target
from toolkit.records import Precision, SkipRecord
from toolkit.system.strangers import HEAD_BYTES, stranger

# What may lie beside artifacts and is none: what the toolkit writes there, texts, pictures, tables, weights.
_OWN: Final = frozenset({MANIFEST, LEDGER, GOLDEN, REPORT, BENCH})
_NO_ARTIFACTS: Final = frozenset(
    (
        *(".md", ".txt", ".log", ".json", ".yml", ".yaml", ".toml", ".html", ".xml", ".csv", ".png", ".svg", ".jpg"),
        *(".npz", ".npy", ".py", ".partial", ".pth", ".ckpt", ".safetensors", ""),
    )
)


def resolve_targets(
    names: Sequence[str], folder: Path, device: str, declared: Precision | None = None, *, trusted: bool = False
) -> tuple[list[Target], list[SkipRecord]]:
    """Find the artifacts that ``names`` mean.

    A name is a format, meaning its artifact in ``folder``, or a file. What is named must be there and must work on
    ``device``. With no names, every artifact in the folder is taken that does, and each other is a skip.

    Args:
        names: Formats and files; empty for all of the folder.
        folder: Of artifacts that are named by their format.
        device: Where they must run.
        declared: The precision that all of them must have, for what cannot be read from files.
        trusted: Whether their user answers for what they do beside computing.

    Raises:
        FormatError: If something named cannot be used, or there is nothing at all.
    """
    if names:
        targets = [replace(_named(name, folder), declared=declared, trusted=trusted) for name in names]
        for target in targets:
            target.check_file()
            check_runs(target, device)
        return list(dict.fromkeys(targets)), []
    present, skips = _in_folder(folder)
    present = [replace(target, declared=declared, trusted=trusted) for target in present]
    found: list[Target] = []
    for target in present:
        target.check_file()
        try:
            check_runs(target, device)
            found.append(target)
        except FormatError as error:
            usual = target.path.name == target.format.file_name
            skips.append(skip_of(target.format.name if usual else target.path.name, error))
    if present and not found:
        why_and_remedy = "; ".join(f"{skip.what}: {skip.reason}; {skip.remedy}" for skip in skips)
        raise ArtifactNotFoundError(folder, f"nothing in it runs on {device}: {why_and_remedy}")
    if not found:
        raise ArtifactNotFoundError(folder, f"write some with: fmnist-tk export --folder {folder}")
    return found, skips


def artifacts_in(folder: Path) -> list[Target]:
    """Return every file of a folder that is an artifact, by format and name; none of a folder that is not there."""
    return _targets(_formats_in(folder))


def _targets(formats: dict[Path, FormatInfo | None]) -> list[Target]:
    found = (Target(info, path) for path, info in formats.items() if info)
    return sorted(found, key=lambda target: (target.format.name, target.path.name))


def _formats_in(folder: Path) -> dict[Path, FormatInfo | None]:
    """Return the format of each file that the toolkit does not write beside artifacts."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return {path: format_of(path) for path in files if path.name not in _OWN and not path.name.startswith(".")}


def _in_folder(folder: Path) -> tuple[list[Target], list[SkipRecord]]:
    """Return the artifacts of a folder by format and name; and a skip for each format and each file that is left out.

    Raises:
        ArtifactNotFoundError: If one that the manifest lists has gone: its check would silently be left out.
    """
    formats = _formats_in(folder)
    targets = _targets(formats)
    _check_complete(folder)
    missing = [info for info in FORMATS.values() if not any(target.format == info for target in targets)]
    skips = [skip_of(info.name, _not_exported(folder / info.file_name, info, folder)) for info in missing]
    beside = {file for target in targets for file in _files_if_whole(target)}
    for path, found in formats.items():
        if not found and path not in beside and path.suffix.lower() not in _NO_ARTIFACTS:
            skips.append(
                SkipRecord(
                    what=path.name,
                    reason="neither its name nor its content is that of a format",
                    remedy=f"formats are {', '.join(FORMATS)}; move it out of {folder} if it is none",
                )
            )
    return targets, skips


def _files_if_whole(target: Target) -> tuple[Path, ...]:
    """Return the files of an artifact; of one that is damaged, which parity reports, only itself."""
    try:
        return target.files()
    except FormatError:
        return (target.path,)


def _check_complete(folder: Path) -> None:
    manifest = read_manifest(folder)
    for each in manifest.artifacts if manifest else ():
        if not (folder / each.file).is_file():
            remedy = f"write it with: fmnist-tk export {each.format} --folder {folder}"
            raise ArtifactNotFoundError(folder / each.file, remedy, "manifest.json lists it")


def check_runs(target: Target, device: str) -> None:
    """Find out whether an artifact's runtime has ``device`` here: the format may, and this build of it not.

    Raises:
        MissingPackageError, UnsupportedDeviceError: If it has not. A file that does not open is another
            matter, which parity reports.
    """
    check_packages(target.format)
    check_device(target.format, device)
    if device != "cpu":
        with suppress(CorruptArtifactError, PrecisionError, UnsafeArtifactError):
            target.open(device)


def skip_of(what: str, error: FormatError) -> SkipRecord:
    """Return the record of something left out because of ``error``."""
    return SkipRecord(what=what, reason=error.statement, remedy=error.remedy)


def _named(name: str, folder: Path) -> Target:
    if name in FORMATS:
        info = find_format(name)
        path = folder / info.file_name
        if not path.is_file():
            raise _not_exported(path, info, folder)
        return Target(info, path)
    path = Path(name)
    if path.is_dir():
        raise ArtifactNotFoundError(path, f"pass a file, or check all of it with --folder {path}", "it is a folder")
    check_no_stranger(path)
    found = format_of(path)
    if path.is_file() and found:
        return Target(found, path)
    if path.is_file():
        suffixes = ", ".join(suffix for info in FORMATS.values() for suffix in info.suffixes)
        reason = f"its content is of no format, and its name does not end in one of {suffixes}"
        raise ArtifactNotFoundError(path, "pass an artifact", reason)
    if found or len(path.parts) > 1:
        raise ArtifactNotFoundError(path, "check the path")
    raise UnknownFormatError(name, FORMATS)


def check_no_stranger(path: Path) -> None:
    """Refuse a file that is known to be something else, such as the pointer that Git LFS leaves in its place.

    Raises:
        ArtifactNotFoundError: Saying what it is, and what to do.
    """
    if path.is_file():
        with path.open("rb") as file:
            known = stranger(file.read(HEAD_BYTES))
        if known:
            what, remedy = known
            raise ArtifactNotFoundError(path, remedy, f"the file {what}")


def _not_exported(path: Path, info: FormatInfo, folder: Path) -> ArtifactNotFoundError:
    return ArtifactNotFoundError(path, f"write it with: fmnist-tk export {info.name} --folder {folder}")
