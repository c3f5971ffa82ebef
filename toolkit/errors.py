"""Every way to be unable to go on, each with its remedy in the sentence.

A result that is bad news (a mismatch, a regression) is a record, never one of these.

    ToolkitError
    ├── UsageError                  an option's value makes no sense
    ├── OutputError                 a file or folder cannot be written
    │   └── FolderBusyError         another process is writing to the folder
    ├── DeviceUnavailableError      no such device here
    ├── CheckpointError             weights cannot be read, or are not this model's
    │   └── UnsafeCheckpointError   the pickle asks for more than weights
    ├── DataError                   Fashion-MNIST cannot be used
    │   └── DataNotFoundError       Fashion-MNIST is nowhere
    ├── PictureError                a file holds no picture that can be read
    ├── OwnDataError                a folder of own pictures, or its labels, cannot be used
    ├── FormatError                 a format or artifact cannot be used
    │   ├── UnknownFormatError
    │   ├── ArtifactNotFoundError
    │   ├── CorruptArtifactError    the runtime cannot open the file
    │   ├── UnsafeArtifactError     the file would run code of its own, or read files of others
    │   ├── CannotCutError          the graph cannot be run up to one of its nodes
    │   ├── MissingPackageError
    │   ├── UnsupportedDeviceError
    │   ├── PrecisionError          the session would not compute in the precision asked for
    │   └── UnverifiedArtifactError bench is asked to time what parity has not passed
    ├── TrainingError               training cannot go on
    │   └── TrainingInterruptedError
    ├── ReportError                 a report or manifest cannot be read
    └── ComparisonError             two reports cannot be compared
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_LONGEST_REASON = 200
# Of an own dataset, in one message.
_MOST_PROBLEMS = 10


def first_line(error: Exception) -> str:
    """Return what a library's error says, its first line and not more than a line; its class if it says nothing."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:_LONGEST_REASON]


class ToolkitError(Exception):
    """The command cannot do its work; the message is one line and ends in what to do."""

    exit_code = 2


class UsageError(ToolkitError):
    """An option's value makes no sense."""


class OutputError(ToolkitError):
    """A file or folder cannot be written."""

    def __init__(self, path: Path, reason: str, remedy: str = "choose another place or make room there") -> None:
        self.path, self.reason, self.remedy = path, reason, remedy
        super().__init__(f"Cannot write {path}: {reason}; {remedy}")


class FolderBusyError(OutputError):
    """Another process is writing artifacts to the folder."""

    def __init__(self, folder: Path) -> None:
        self.path, self.reason = folder, "busy"
        self.remedy = "wait until it has finished or pass another --folder"
        ToolkitError.__init__(self, f"Another fmnist-tk is writing to {folder}; {self.remedy}")


class DeviceUnavailableError(ToolkitError):
    """The device does not exist on this machine, or not in this build of torch."""

    def __init__(self, device: str, reason: str, remedy: str) -> None:
        self.device, self.reason, self.remedy = device, reason, remedy
        super().__init__(f"Device {device!r} is not available: {reason}; {remedy}")


class CheckpointError(ToolkitError):
    """The weights cannot be read, or are not those of this model."""

    def __init__(self, path: Path, reason: str, remedy: str = "pass another --checkpoint") -> None:
        self.path, self.reason, self.remedy = path, reason, remedy
        super().__init__(f"Checkpoint {path}: {reason}; {remedy}")


class UnsafeCheckpointError(CheckpointError):
    """The pickle asks for classes or functions that weights do not need."""

    def __init__(self, path: Path, requested: Iterable[str]) -> None:
        self.requested = tuple(sorted(requested))
        super().__init__(
            path,
            f"refused, nothing of it was run: its pickle asks for {', '.join(self.requested)}",
            "save the weights alone with torch.save(model.state_dict(), path)",
        )


class DataError(ToolkitError):
    """Fashion-MNIST cannot be used: a file is truncated, swapped or foreign."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"Data file {path}: {reason}; replace it or pass another --data")


class DataNotFoundError(DataError):
    """Fashion-MNIST is nowhere and cannot be downloaded."""

    def __init__(self, reason: str, url: str, *, tried: bool = False) -> None:
        self.reason, self.url = reason, url
        fetch = "" if tried else "run fmnist-tk data fetch, "
        ToolkitError.__init__(
            self,
            f"Fashion-MNIST is not here ({reason}); {fetch}install the Debian package dataset-fashion-mnist, "
            f"pass --data DIR, or put the four files of {url} into a folder named by $FMNIST_TK_DATA",
        )


class PictureError(ToolkitError):
    """A file holds no picture that can be read."""

    def __init__(self, source: str, reason: str, remedy: str = "pass a PNG, JPEG or WebP file") -> None:
        self.source, self.reason, self.remedy = source, reason, remedy
        super().__init__(f"Picture {source}: {reason}; {remedy}")


class OwnDataError(ToolkitError):
    """A folder of own pictures, or its labels, cannot be used.

    Attributes:
        problems: Each with its file and line, in order.
    """

    def __init__(
        self, place: Path, problems: Iterable[str], remedy: str = "correct these, nothing was started"
    ) -> None:
        self.place, self.problems, self.remedy = place, tuple(problems), remedy
        shown = "; ".join(self.problems[:_MOST_PROBLEMS])
        more = len(self.problems) - _MOST_PROBLEMS
        rest = f"; and {more:,} more" if more > 0 else ""
        super().__init__(f"Pictures of {place}: {shown}{rest}; {remedy}")


class FormatError(ToolkitError):
    """A format or an artifact cannot be used."""


class UnknownFormatError(FormatError):
    """The name is no format and no file."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(known)
        near = get_close_matches(name.lower(), self.known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? Pass" if near else "pass"
        super().__init__(f"{name!r} is neither a format nor a file; {hint} a file, or one of {', '.join(self.known)}")


class ArtifactNotFoundError(FormatError):
    """The artifact's file does not exist."""

    def __init__(self, path: Path, remedy: str) -> None:
        self.path = path
        super().__init__(f"No artifact at {path}; {remedy}")


class CorruptArtifactError(FormatError):
    """The runtime cannot open the file as an artifact of its format."""

    def __init__(self, path: Path, format: str, reason: str) -> None:
        self.path, self.format, self.reason = path, format, reason
        super().__init__(
            f"Artifact {path} does not open as {format}: {reason}; write it again with: fmnist-tk export {format}"
        )


class UnsafeArtifactError(FormatError):
    """The artifact would run code of its own, or read files of others, when it is opened."""

    def __init__(
        self,
        path: Path,
        requested: Iterable[str],
        remedy: str = "export it again with torch.export.save and tensors only",
    ) -> None:
        self.path, self.requested = path, tuple(requested)
        super().__init__(
            f"Artifact {path}: refused, nothing of it was run: it asks for {', '.join(self.requested)}; {remedy}"
        )


class CannotCutError(FormatError):
    """The artifact's graph cannot be cut after each of its nodes."""

    def __init__(self, path: Path, format: str, reason: str) -> None:
        self.path, self.format, self.reason = path, format, reason
        super().__init__(
            f"Artifact {path} cannot be cut into prefixes as {format}: {reason}; "
            "compare its layers with the checkpoint's by hand"
        )


class MissingPackageError(FormatError):
    """A format needs a package that is not installed."""

    def __init__(self, format: str, package: str) -> None:
        self.format, self.package = format, package
        super().__init__(f"Format {format!r} needs the package {package!r}; install it with: pip install {package}")


class UnsupportedDeviceError(FormatError):
    """The format's runtime cannot execute on the device."""

    def __init__(self, format: str, device: str, reason: str, remedy: str) -> None:
        self.format, self.device, self.reason, self.remedy = format, device, reason, remedy
        super().__init__(f"Format {format!r} does not run on {device!r}: {reason}; {remedy}")


class PrecisionError(FormatError):
    """The session would compute in another precision than the one asked for."""

    def __init__(self, wanted: str, actual: str, remedy: str) -> None:
        self.wanted, self.actual, self.remedy = wanted, actual, remedy
        super().__init__(f"The runtime would compute in {actual}, not in {wanted}; {remedy}")


class UnverifiedArtifactError(FormatError):
    """Bench is asked to time an artifact that parity has not passed."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        self.path, self.reason, self.remedy = path, reason, remedy
        super().__init__(
            f"Artifact {path} is not verified: {reason}; {remedy}, or time it all the same with --unverified"
        )


class TrainingError(ToolkitError):
    """Training cannot go on."""


class TrainingInterruptedError(TrainingError):
    """The user stopped training; what was finished is saved."""

    exit_code = 130


class ReportError(ToolkitError):
    """A report or manifest cannot be read."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        self.path, self.reason, self.remedy = path, reason, remedy
        super().__init__(f"{path}: {reason}; {remedy}")


class ComparisonError(ToolkitError):
    """Two reports cannot be compared."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(f"{reason}; {remedy}")
