"""Targets: what is known of an artifact, and how it is opened."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from toolkit.errors import (
    ArtifactNotFoundError,
    FormatError,
    PrecisionError,
    ReportError,
    UnsafeArtifactError,
)
from toolkit.formats import FormatInfo, Session, check_device, check_packages, import_format, optional
from toolkit.formats.apart import ForeignArtifact
from toolkit.formats.exported_here import is_exported_here
from toolkit.formats.graph import Contents, describe_artifact
from toolkit.formats.manifest import listed
from toolkit.formats.prefix import Prefix, open_prefixes
from toolkit.formats.reshaped import IMAGE_SHAPES, declared_shape, fit_session
from toolkit.records import ArtifactMetadata, Precision, parse_record
from toolkit.system.files import is_hollow, sha256_of


@dataclass(frozen=True)
class Target:
    """An artifact on disk, the format that it is read as, and what its user says of it.

    Attributes:
        format: The format.
        path: Its file.
        declared: The precision that it must have; None for what `expected_precision` finds.
        trusted: Whether its user answers for what it does beside computing: it is not scanned.
        sha256: Its digest where that is known, as of a copy to which nobody else writes; None to compute it.
    """

    format: FormatInfo
    path: Path
    declared: Precision | None = None
    trusted: bool = False
    sha256: str | None = None

    def check_file(self) -> None:
        """Make sure that there is a file, all of it written, whose size says what it takes to read it.

        Raises:
            ArtifactNotFoundError: If there is none.
            UnsafeArtifactError: If most of it was never written.
        """
        if not self.path.is_file():
            raise ArtifactNotFoundError(self.path, "check the path")
        if is_hollow(self.path):
            raise UnsafeArtifactError(self.path, ["memory for a file that is mostly a hole"])

    def files(self) -> tuple[Path, ...]:
        """Return all files that it consists of, itself first.

        Raises:
            UnsafeArtifactError: If it names a file outside its own folder, or one that is mostly a hole.
            CorruptArtifactError: If it names one that is not there.
        """
        files = optional(self.format, "files", "files")
        return files(self.path) if files else (self.path,)

    def digest(self) -> str:
        """Return its SHA-256: of its file, or of the digests of all its files in order.

        Raises:
            UnsafeArtifactError, CorruptArtifactError: As `files`.
        """
        if self.sha256:
            return self.sha256
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

    def check_safe(self) -> None:
        """Refuse what would do more than compute when it is opened; nothing of it runs.

        Raises:
            UnsafeArtifactError: Naming what it asks for; for a format that nothing can scan, that.
        """
        self.check_file()
        if self.trusted or self._is_ours():
            return
        scan = optional(self.format, "scan", "scan")
        asked = scan(self.path) if scan else [f"trust: nothing tells what a file of {self.format.name} does"]
        if asked:
            raise UnsafeArtifactError(self.path, asked)

    def load(self, device: str, threads: int | None = None) -> Session:
        """Open it in this process as it is on exactly ``device``: it takes the shape that the artifact wants.

        Args:
            device: Where it must run.
            threads: On the CPU; None leaves it to the runtime.

        Raises:
            FormatError: If it does not open there, asks for more than to compute, or would compute in another
                precision than it must.
        """
        return self._judged(self.load_here(device, threads))

    def open(self, device: str, threads: int | None = None) -> Session:
        """Open it on exactly ``device`` as a session that takes ``(N, 1, 28, 28)``, whatever shape it wants itself.

        What this user has not exported on this machine is opened in a process apart. It is opened once, and not called.

        Arguments and errors as `load`.
        """
        return self.fit(self._judged(self.session(device, threads)))

    def session(self, device: str, threads: int | None = None) -> Session:
        """Open it as it is, here or apart as `open` does, in whatever precision it computes.

        Raises:
            FormatError: If it does not open on ``device``, or asks for more than to compute.
        """
        apart = self._apart()
        return apart.load(device, threads) if apart else self._load(device, threads)

    def load_here(self, device: str, threads: int | None = None) -> Session:
        """Open it as `session` does, in this process; what is not this user's own is scanned before."""
        self.check_safe()
        return self._load(device, threads)

    def _load(self, device: str, threads: int | None) -> Session:
        check_device(self.format, device)
        self.check_file()
        self.files()
        return import_format(self.format).load(self.path, device, threads)

    def _judged(self, session: Session) -> Session:
        wanted = self.expected_precision()
        if wanted and session.precision != wanted:
            remedy = f"declare it with --precision {session.precision}, or export the artifact again in {wanted}"
            raise PrecisionError(wanted, session.precision, remedy)
        return session

    def fit(self, session: Session) -> Session:
        """Return a session of this artifact, as `load` gave it, as one that takes ``(N, 1, 28, 28)``."""
        shape = declared_shape(session.signature)
        return fit_session(session, IMAGE_SHAPES[0] if shape is None and self._is_our_export() else shape)

    def contents(self) -> Contents | None:
        """Return what stands inside; None where its format has no reader. The file is only read.

        Raises:
            FormatError: If it cannot be read as one of its format, or asks for more than to compute.
        """
        apart = self._apart()
        return apart.contents() if apart else describe_artifact(self.format, self.path)

    def prefixes(
        self, device: str, threads: int | None, reshape: tuple[int, ...] = IMAGE_SHAPES[0]
    ) -> Iterator[Prefix]:
        """Cut it after each node between its images and its logits, in order of execution.

        Nodes that give no floating-point tensor are left out where the graph tells. Each prefix is made when it is
        asked for, and nothing fails before the first is. The file is only read.

        Args:
            device: Where the prefixes run.
            threads: For each session; None leaves it to the runtime.
            reshape: Shape of one image as the graph takes it, where the graph itself does not say.

        Raises:
            CannotCutError: If the format cannot be cut, or the graph cannot be cut: control flow, for example.
            FormatError: If the artifact does not open.
        """
        apart = self._apart()
        cut = apart.prefixes(device, threads) if apart else open_prefixes(self.format, self.path, device, threads)
        for prefix in cut:
            shape = declared_shape(prefix.session.signature) or reshape
            yield replace(prefix, session=fit_session(prefix.session, shape))

    def _apart(self) -> ForeignArtifact | None:
        """Return the process that opens it; None for what this user has exported here, which this process opens."""
        return None if self._is_ours() else _foreign(self, self._digest_if_whole())

    def _is_ours(self) -> bool:
        digest = self._digest_if_whole()
        return digest is not None and is_exported_here(digest)

    def _digest_if_whole(self) -> str | None:
        try:
            return self.digest()
        except (FormatError, OSError):
            return None


@lru_cache(maxsize=1)  # the next question about the same bytes goes to the same process
def _foreign(target: Target, digest: str | None) -> ForeignArtifact:  # noqa: ARG001  the digest is a key: other bytes, another process
    check_packages(target.format)
    return ForeignArtifact(target.format.name, target.path, trusted=target.trusted)
