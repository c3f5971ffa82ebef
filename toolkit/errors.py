"""Every way to be unable to go on, each with its reason and its remedy.

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

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from toolkit.plain import plain

_LONGEST_REASON = 200
# Of an own dataset, in one message.
_MOST_PROBLEMS = 10
_OF_WEIGHTS = {".pth", ".pt", ".ckpt", ".bin", ".safetensors"}
_NOT_WRITTEN = {"openvino", "tensorrt", "int8", "fp16", "coreml", "litert", "tflite"}  # docs/formats.md tells of them
# Attributes that are paths.
_PATHS = {"path", "place"}


def first_line(error: Exception) -> str:
    """Return what a library's error says, its first line and not more than a line; its class if it says nothing."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:_LONGEST_REASON]


class ToolkitError(Exception):
    """The command cannot do its work; the message is one plain line: what is wrong, and what to do.

    Attributes:
        reason: What is wrong, in few words.
        statement: What is wrong, as a sentence that names of what; the reason, where that does.
        remedy: What to do about it.
        exit_code: Of the command that ends with it.
    """

    exit_code = 2

    def __init__(self, reason: str, remedy: str, *, statement: str | None = None) -> None:
        reason, sentence, remedy = (plain(each, lines=False) for each in (reason, statement or reason, remedy))
        self.reason, self.statement, self.remedy = reason.rstrip(":"), sentence.rstrip(":"), remedy
        super().__init__(f"{sentence}{'' if sentence.endswith((':', '?')) else ';'} {remedy}")


class UsageError(ToolkitError):
    """An option's value makes no sense."""


class OutputError(ToolkitError):
    """A file or folder cannot be written."""

    def __init__(self, path: Path, reason: str, remedy: str = "choose another place or make room there") -> None:
        self.path = path
        super().__init__(reason, remedy, statement=f"Cannot write {path}: {reason}")


class FolderBusyError(OutputError):
    """Another process is writing artifacts to the folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        reason = f"Another fmnist-tk is writing to {folder}"
        ToolkitError.__init__(self, reason, "wait until it has finished or pass another --folder")


class DeviceUnavailableError(ToolkitError):
    """The device does not exist on this machine, or not in this build of torch."""

    def __init__(self, device: str, reason: str, remedy: str) -> None:
        self.device = device
        super().__init__(reason, remedy, statement=f"Device {device!r} is not available: {reason}")


class CheckpointError(ToolkitError):
    """The weights cannot be read, or are not those of this model."""

    def __init__(self, path: Path, reason: str, remedy: str = "pass another --checkpoint") -> None:
        self.path = path
        super().__init__(reason, remedy, statement=f"Checkpoint {path}: {reason}")


class UnsafeCheckpointError(CheckpointError):
    """The pickle asks for classes or functions that weights do not need."""

    def __init__(self, path: Path, requested: Iterable[str]) -> None:
        self.requested = tuple(sorted(requested))
        super().__init__(
            path,
            f"refused, nothing of it was run: its pickle asks for {', '.join(self.requested)}",
            "if it is Linear layers with ReLU between, save its weights alone: torch.save(model.state_dict(), path)",
        )


class DataError(ToolkitError):
    """Fashion-MNIST cannot be used: a file is truncated, swapped or foreign."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(reason, "replace it or pass another --data", statement=f"Data file {path}: {reason}")


class DataNotFoundError(DataError):
    """Fashion-MNIST is nowhere and cannot be downloaded."""

    def __init__(self, reason: str, url: str, *, tried: bool = False) -> None:
        self.url = url
        fetch = "" if tried else "run fmnist-tk data fetch, "
        remedy = (
            f"{fetch}install the Debian package dataset-fashion-mnist, pass --data DIR, "
            f"or put the four files of {url} into a folder named by $FMNIST_TK_DATA"
        )
        ToolkitError.__init__(self, reason, remedy, statement=f"Fashion-MNIST is not here ({reason})")


class PictureError(ToolkitError):
    """A file holds no picture that can be read."""

    def __init__(self, source: str, reason: str, remedy: str = "pass a PNG, JPEG or WebP file") -> None:
        self.source = source
        super().__init__(reason, remedy, statement=f"Picture {source}: {reason}")


class OwnDataError(ToolkitError):
    """A folder of own pictures, or its labels, cannot be used.

    Attributes:
        problems: Each with its file and line, in order.
    """

    def __init__(
        self, place: Path, problems: Iterable[str], remedy: str = "correct these, nothing was started"
    ) -> None:
        self.place, self.problems = place, tuple(problems)
        shown = "; ".join(self.problems[:_MOST_PROBLEMS])
        more = len(self.problems) - _MOST_PROBLEMS
        reason = f"{shown}; and {more:,} more" if more > 0 else shown
        super().__init__(reason, remedy, statement=f"Pictures of {place}: {reason}")


class FormatError(ToolkitError):
    """A format or an artifact cannot be used."""


class UnknownFormatError(FormatError):
    """The name is no format and no file."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(known)
        there_is, near = f"one of {', '.join(self.known)}", get_close_matches(name.lower(), self.known, n=1, cutoff=0.5)
        if Path(name).suffix.lower() in _OF_WEIGHTS:
            super().__init__(f"{name!r} is no format", f"weights go to --checkpoint: --checkpoint {name}")
        elif name.lower() in _NOT_WRITTEN:
            super().__init__(f"{name!r} is not written yet; docs/formats.md says where it stands", f"pass {there_is}")
        else:
            remedy = f"{f'did you mean {near[0]!r}? Pass' if near else 'pass'} a file, or {there_is}"
            super().__init__(f"{name!r} is neither a format nor a file", remedy)


class ArtifactNotFoundError(FormatError):
    """The artifact's file does not exist; ``instead`` says what is there or should be."""

    def __init__(self, path: Path, remedy: str, instead: str | None = None) -> None:
        self.path = path
        super().__init__(f"No artifact at {path}{f'; {instead}' if instead else ''}", remedy)


class CorruptArtifactError(FormatError):
    """The runtime cannot open the file as an artifact of its format."""

    def __init__(self, path: Path, format: str, reason: str, remedy: str | None = None) -> None:
        self.path, self.format = path, format
        statement = f"Artifact {path} does not open as {format}: {reason}"
        again = f"write it again: with fmnist-tk export {format}, if that wrote it"
        super().__init__(reason, remedy or again, statement=statement)


class UnsafeArtifactError(FormatError):
    """The artifact would run code of its own, or read files of others, when it is opened."""

    def __init__(
        self,
        path: Path,
        requested: Iterable[str],
        remedy: str = "pass --trust if you know where it comes from",
    ) -> None:
        self.path, self.requested = path, tuple(requested)
        reason = f"refused, nothing of it was run: it asks for {', '.join(self.requested)}"
        super().__init__(reason, remedy, statement=f"Artifact {path}: {reason}")


class CannotCutError(FormatError):
    """The artifact's graph cannot be cut after each of its nodes."""

    def __init__(self, path: Path, format: str, reason: str) -> None:
        self.path, self.format = path, format
        statement = f"Artifact {path} cannot be cut into prefixes as {format}: {reason}"
        super().__init__(reason, "compare its layers with the checkpoint's by hand", statement=statement)


class MissingPackageError(FormatError):
    """A format needs a package that is not installed."""

    def __init__(self, format: str, package: str) -> None:
        self.format, self.package = format, package
        super().__init__(f"Format {format!r} needs the package {package!r}", f"install it with: pip install {package}")


class UnsupportedDeviceError(FormatError):
    """The format's runtime cannot execute on the device."""

    def __init__(self, format: str, device: str, reason: str, remedy: str) -> None:
        self.format, self.device = format, device
        super().__init__(reason, remedy, statement=f"Format {format!r} does not run on {device!r}: {reason}")


class PrecisionError(FormatError):
    """The session would compute in another precision than the one asked for."""

    def __init__(self, wanted: str, actual: str, remedy: str) -> None:
        self.wanted, self.actual = wanted, actual
        super().__init__(f"The runtime would compute in {actual}, not in {wanted}", remedy)


class UnverifiedArtifactError(FormatError):
    """Bench is asked to time an artifact that parity has not passed.

    Attributes:
        check: How to let parity judge it, the better part of the remedy.
    """

    def __init__(self, path: Path, reason: str, check: str) -> None:
        self.path, self.check = path, check
        remedy = f"{check}, or time it all the same with --unverified"
        super().__init__(reason, remedy, statement=f"Artifact {path} is not verified: {reason}")


class TrainingError(ToolkitError):
    """Training cannot go on."""


class TrainingInterruptedError(TrainingError):
    """The user stopped training; what was finished is saved."""

    exit_code = 130


class ReportError(ToolkitError):
    """A report or manifest cannot be read."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        self.path = path
        super().__init__(reason, remedy, statement=f"{path}: {reason}")


class ComparisonError(ToolkitError):
    """Two reports cannot be compared."""


def to_fields(error: ToolkitError) -> dict[str, str]:
    """Return an error as text that another process can read: its class and its attributes, paths included."""
    fields = {name: str(value) for name, value in vars(error).items() if isinstance(value, str | Path)}
    return {**fields, "class": type(error).__name__}


def from_fields(fields: Mapping[str, str]) -> ToolkitError:
    """Return the error that another process has put into fields; one of its class, with its message."""
    kind = globals().get(fields.get("class", ""))
    if not (isinstance(kind, type) and issubclass(kind, ToolkitError)):  # the other process may be a stranger's
        kind = ToolkitError
    error: ToolkitError = kind.__new__(kind)  # each class is made of other arguments
    ToolkitError.__init__(error, fields["reason"], fields["remedy"], statement=fields["statement"])
    for name in fields.keys() - {"class"}:
        setattr(error, name, Path(fields[name]) if name in _PATHS else fields[name])
    return error
