"""Targets and sessions: what a name on the command line means, and how it is opened."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import (
    ArtifactNotFoundError,
    CorruptArtifactError,
    FormatError,
    PrecisionError,
    UnknownFormatError,
    UnsafeArtifactError,
)
from toolkit.formats import (
    FORMATS,
    FormatInfo,
    Session,
    artifact_name,
    check_device,
    check_packages,
    format_of,
    import_format,
)
from toolkit.formats.companions import artifact_files
from toolkit.formats.manifest import read_manifest
from toolkit.formats.reshaped import fit_session, image_shape
from toolkit.records import Precision, SkipRecord


@dataclass(frozen=True)
class Target:
    """An artifact on disk and the format that it is read as."""

    info: FormatInfo
    path: Path


def resolve_targets(names: list[str], folder: Path, device: str) -> tuple[list[Target], list[SkipRecord]]:
    """Find the artifacts that ``names`` mean.

    A name is a format, meaning its artifact in ``folder``, or a file. What is named must be there and
    must work on ``device``. With no names, every format is taken that can, and each other is a skip.

    Raises:
        FormatError: If something named cannot be used, or there is nothing at all.
    """
    if names:
        targets = [_named(name, folder) for name in names]
        for target in targets:
            check_runs(target, device)
        return list(dict.fromkeys(targets)), []
    found: list[Target] = []
    skips: list[SkipRecord] = []
    for info in FORMATS.values():
        path = folder / artifact_name(info)
        try:
            _check_there(path, info, folder)
            check_runs(Target(info, path), device)
            found.append(Target(info, path))
        except FormatError as error:
            skips.append(skip_of(info.name, error))
    _check_complete(folder)
    if not found and any((folder / artifact_name(info)).is_file() for info in FORMATS.values()):
        why_and_remedy = "; ".join(f"{skip.what}: {skip.reason}; {skip.remedy}" for skip in skips)
        raise ArtifactNotFoundError(folder, f"nothing in it runs on {device}: {why_and_remedy}")
    if not found:
        raise ArtifactNotFoundError(folder, f"write some with: fmnist-tk export --folder {folder}")
    return found, skips


def open_session(
    target: Target, device: str, threads: int | None = None, precision: Precision | None = None
) -> Session:
    """Open an artifact on exactly ``device``.

    Args:
        target: The artifact.
        device: Where it must run.
        threads: On the CPU; None leaves it to the runtime.
        precision: The arithmetic that is expected; None for the format's own.

    Returns:
        A session that takes ``(N, 1, 28, 28)``, whatever shape the artifact itself wants.

    Raises:
        FormatError: If it does not open there, with the reason and the remedy.
    """
    session = load_session(target, device, threads, precision)
    shape, called = image_shape(session)
    if called:  # the next call must be a session's first, or what goes wrong in it is hidden
        session = import_format(target.info).load(target.path, device, threads)
    return fit_session(session, shape)


def load_session(
    target: Target, device: str, threads: int | None = None, precision: Precision | None = None
) -> Session:
    """Open an artifact as it is: no call is made to find out which shape it wants.

    Args:
        target: The artifact.
        device: Where it must run.
        threads: On the CPU; None leaves it to the runtime.
        precision: The arithmetic that is expected; None for the format's own.

    Raises:
        FormatError: If it does not open there, with the reason and the remedy.
    """
    check_device(target.info, device)
    if not target.path.is_file():
        raise ArtifactNotFoundError(target.path, "check the path")
    artifact_files(target.info, target.path)
    session = import_format(target.info).load(target.path, device, threads)
    wanted = precision or target.info.precision
    if session.precision != wanted:
        remedy = f"declare it with --precision {session.precision}, or export the artifact again in {wanted}"
        raise PrecisionError(wanted, session.precision, remedy)
    return session


def _check_complete(folder: Path) -> None:
    """Raise when an artifact that the manifest lists has gone: its check would silently be left out.

    Raises:
        ArtifactNotFoundError: Naming it.
    """
    manifest = read_manifest(folder)
    gone = [each for each in manifest.artifacts if not (folder / each.file).is_file()] if manifest else []
    for each in gone:
        raise ArtifactNotFoundError(
            folder / each.file,
            f"write it with: fmnist-tk export {each.format} --folder {folder}",
            "manifest.json lists it",
        )


def check_runs(target: Target, device: str) -> None:
    """Find out whether an artifact's runtime has ``device`` here: the format may, and this build of it not.

    Raises:
        MissingPackageError, UnsupportedDeviceError: If it has not. A file that does not open is another
            matter, which parity reports.
    """
    check_packages(target.info)
    check_device(target.info, device)
    if device != "cpu":
        with suppress(CorruptArtifactError, PrecisionError, UnsafeArtifactError):
            open_session(target, device)


def skip_of(what: str, error: FormatError) -> SkipRecord:
    """Return the record of something left out because of ``error``."""
    return SkipRecord(what=what, reason=error.statement, remedy=error.remedy)


def _named(name: str, folder: Path) -> Target:
    if name in FORMATS:
        info, path = FORMATS[name], folder / artifact_name(FORMATS[name])
        _check_there(path, info, folder)
        return Target(info, path)
    path = Path(name)
    if path.is_dir():
        raise ArtifactNotFoundError(path, f"pass a file, or check all of it with --folder {path}", "it is a folder")
    guessed = format_of(path)
    if path.is_file() and guessed:
        return Target(guessed, path)
    if path.is_file():
        suffixes = ", ".join(info.suffix for info in FORMATS.values())
        raise ArtifactNotFoundError(path, "rename it to say its format", f"its name does not end in one of {suffixes}")
    if guessed or len(path.parts) > 1:
        raise ArtifactNotFoundError(path, "check the path")
    raise UnknownFormatError(name, FORMATS)


def _check_there(path: Path, info: FormatInfo, folder: Path) -> None:
    if not path.is_file():
        raise ArtifactNotFoundError(path, f"write it with: fmnist-tk export {info.name} --folder {folder}")
