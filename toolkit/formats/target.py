"""Targets: what a name on the command line means, what is known of it, and how it is opened."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolkit.errors import (
    ArtifactNotFoundError,
    CorruptArtifactError,
    FormatError,
    PrecisionError,
    ReportError,
    UnknownFormatError,
    UnsafeArtifactError,
)
from toolkit.formats import (
    FORMATS,
    FormatInfo,
    Session,
    check_device,
    check_packages,
    find_format,
    format_of,
    import_format,
    optional,
)
from toolkit.formats.manifest import BENCH, GOLDEN, LEDGER, MANIFEST, REPORT, listed, read_manifest
from toolkit.records import ArtifactMetadata, Precision, SkipRecord, parse_record
from toolkit.system.files import sha256_of

# What may lie beside artifacts and is none: what the toolkit writes there, texts, pictures, tables, weights.
_OWN: Final = frozenset({MANIFEST, LEDGER, GOLDEN, REPORT, BENCH})
_NO_ARTIFACTS: Final = frozenset(
    (
        *(".md", ".txt", ".log", ".json", ".yml", ".yaml", ".toml", ".html", ".xml", ".csv", ".png", ".svg", ".jpg"),
        *(".npz", ".npy", ".py", ".partial", ".pth", ".ckpt", ".safetensors", ""),
    )
)


@dataclass(frozen=True)
class Target:
    """An artifact on disk, the format that it is read as, and what its user says of it.

    Attributes:
        format: The format.
        path: Its file.
        declared: The precision that it must have; None for what `expected_precision` finds.
    """

    format: FormatInfo
    path: Path
    declared: Precision | None = None

    def files(self) -> tuple[Path, ...]:
        """Return all files that it consists of, itself first.

        Raises:
            UnsafeArtifactError: If it names a file outside its own folder.
            CorruptArtifactError: If it names one that is not there.
        """
        files = optional(self.format, "files", "files")
        return files(self.path) if files else (self.path,)

    def digest(self) -> str:
        """Return its SHA-256: of its file, or of the digests of all its files in order.

        Raises:
            UnsafeArtifactError, CorruptArtifactError: As `files`.
        """
        digests = [sha256_of(each) for each in self.files()]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def metadata(self) -> ArtifactMetadata | None:
        """Return what this toolkit has written into the file, or None.

        Raises:
            FormatError: If the file does not open.
            ReportError: If what stands there cannot be read.
        """
        text = import_format(self.format).read_metadata(self.path)
        return parse_record(text, ArtifactMetadata, self.path) if text else None

    def expected_precision(self) -> Precision | None:
        """Return the precision that its session must have, or None for whatever the file says itself.

        What the manifest lists, and what has the name under which this toolkit exports, must have the precision of its
        format: whatever took its place goes red. A quantised file beside it has another name, ``model.int8.onnx``.
        """
        if self.declared:
            return self.declared
        with suppress(ReportError):
            if listed(self.path):
                return self.format.precision
        return self.format.precision if self.path.name == self.format.file_name else None

    def _is_our_export(self) -> bool:
        """Say whether it has the usual name and our description inside; what others make of an export keeps that."""
        named = self.path.name == self.format.file_name
        return named and import_format(self.format).read_metadata(self.path) is not None

    def load(self, device: str, threads: int | None = None) -> Session:
        """Open it as it is on exactly ``device``: it takes the shape that the artifact wants.

        Args:
            device: Where it must run.
            threads: On the CPU; None leaves it to the runtime.

        Raises:
            FormatError: If it does not open there, or would compute in another precision than it must.
        """
        check_device(self.format, device)
        if not self.path.is_file():
            raise ArtifactNotFoundError(self.path, "check the path")
        self.files()
        session = import_format(self.format).load(self.path, device, threads)
        wanted = self.expected_precision()
        if wanted and session.precision != wanted:
            remedy = f"declare it with --precision {session.precision}, or export the artifact again in {wanted}"
            raise PrecisionError(wanted, session.precision, remedy)
        return session

    def open(self, device: str, threads: int | None = None) -> Session:
        """Open it on exactly ``device`` as a session that takes ``(N, 1, 28, 28)``, whatever shape it wants itself.

        Arguments and errors as `load`. It is opened once, and not called.
        """
        return self.fit(self.load(device, threads))

    def fit(self, session: Session) -> Session:
        """Return a session of this artifact, as `load` gave it, as one that takes ``(N, 1, 28, 28)``."""
        from toolkit.formats.reshaped import IMAGE_SHAPES, declared_shape, fit_session

        shape = declared_shape(session.signature)
        return fit_session(session, IMAGE_SHAPES[0] if shape is None and self._is_our_export() else shape)


def resolve_targets(
    names: Sequence[str], folder: Path, device: str, declared: Precision | None = None
) -> tuple[list[Target], list[SkipRecord]]:
    """Find the artifacts that ``names`` mean.

    A name is a format, meaning its artifact in ``folder``, or a file. What is named must be there and must work on
    ``device``. With no names, every artifact in the folder is taken that does, and each other is a skip.

    Args:
        names: Formats and files; empty for all of the folder.
        folder: Of artifacts that are named by their format.
        device: Where they must run.
        declared: The precision that all of them must have, for what cannot be read from files.

    Raises:
        FormatError: If something named cannot be used, or there is nothing at all.
    """
    if names:
        targets = [_named(name, folder, declared) for name in names]
        for target in targets:
            check_runs(target, device)
        return list(dict.fromkeys(targets)), []
    present, skips = _in_folder(folder, declared)
    found: list[Target] = []
    for target in present:
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


def _targets(formats: dict[Path, FormatInfo | None], declared: Precision | None = None) -> list[Target]:
    found = (Target(info, path, declared) for path, info in formats.items() if info)
    return sorted(found, key=lambda target: (target.format.name, target.path.name))


def _formats_in(folder: Path) -> dict[Path, FormatInfo | None]:
    """Return the format of each file that the toolkit does not write beside artifacts."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return {path: format_of(path) for path in files if path.name not in _OWN and not path.name.startswith(".")}


def _in_folder(folder: Path, declared: Precision | None) -> tuple[list[Target], list[SkipRecord]]:
    """Return the artifacts of a folder by format and name; and a skip for each format and each file that is left out.

    Raises:
        ArtifactNotFoundError: If one that the manifest lists has gone: its check would silently be left out.
    """
    formats = _formats_in(folder)
    targets = _targets(formats, declared)
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
            target.load(device)


def skip_of(what: str, error: FormatError) -> SkipRecord:
    """Return the record of something left out because of ``error``."""
    return SkipRecord(what=what, reason=error.statement, remedy=error.remedy)


def _named(name: str, folder: Path, declared: Precision | None) -> Target:
    if name in FORMATS:
        info = find_format(name)
        path = folder / info.file_name
        if not path.is_file():
            raise _not_exported(path, info, folder)
        return Target(info, path, declared)
    path = Path(name)
    if path.is_dir():
        raise ArtifactNotFoundError(path, f"pass a file, or check all of it with --folder {path}", "it is a folder")
    found = format_of(path)
    if path.is_file() and found:
        return Target(found, path, declared)
    if path.is_file():
        suffixes = ", ".join(suffix for info in FORMATS.values() for suffix in info.suffixes)
        reason = f"its content is of no format, and its name does not end in one of {suffixes}"
        raise ArtifactNotFoundError(path, "pass an artifact", reason)
    if found or len(path.parts) > 1:
        raise ArtifactNotFoundError(path, "check the path")
    raise UnknownFormatError(name, FORMATS)


def _not_exported(path: Path, info: FormatInfo, folder: Path) -> ArtifactNotFoundError:
    return ArtifactNotFoundError(path, f"write it with: fmnist-tk export {info.name} --folder {folder}")
