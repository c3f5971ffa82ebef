"""An artifact as it was a moment ago: what is hashed is what is opened, whoever replaces the file meanwhile."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import CorruptArtifactError, FormatError
from toolkit.formats.session import Session
from toolkit.formats.target import Target
from toolkit.records import Precision
from toolkit.system.scratch import scratch_folder


@dataclass(frozen=True)
class Copy:
    """A copy of an artifact where nobody else writes.

    Attributes:
        of: The artifact.
        target: The copy.
        sha256: Of its bytes, as `Target.digest`.
    """

    of: Target
    target: Target
    sha256: str

    def open(self, device: str, threads: int | None = None, declared: Precision | None = None) -> Session:
        """Open the copy as the artifact would be opened.

        Args:
            device: Where it must run.
            threads: On the CPU; None leaves it to the runtime.
            declared: The precision that it must have; None for that of the artifact.

        Raises:
            FormatError: As `Target.open`, naming the artifact.
        """
        with _naming(self.of, self.target.path):
            return replace(self.target, declared=declared or self.target.declared).open(device, threads)


@contextmanager
def copied(target: Target) -> Iterator[Copy]:
    """Give a copy of all files of an artifact. It is gone after the block; a session that was opened stays.

    Raises:
        FormatError: If one of the files is not there or cannot be read.
    """
    with scratch_folder("copy") as scratch:
        place = scratch / target.path.name
        target.check_file()
        try:
            for file in target.files():
                copy = place.parent / file.relative_to(target.path.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        except OSError as error:
            raise CorruptArtifactError(target.path, target.format.name, error.strerror or str(error)) from error
        private = replace(target, path=place, declared=target.expected_precision())
        with _naming(target, place):
            digest = private.digest()
        yield Copy(target, replace(private, sha256=digest), digest)


@contextmanager
def _naming(target: Target, place: Path) -> Iterator[None]:
    """Let errors name the artifact, not its copy."""

    def named(text: str) -> str:
        return text.replace(str(place), str(target.path)).replace(str(place.parent), str(target.path.parent))

    try:
        yield
    except FormatError as error:
        error.args = (named(str(error)),)
        for name, value in vars(error).items():
            if isinstance(value, str | Path):
                setattr(error, name, type(value)(named(str(value))))
        raise
