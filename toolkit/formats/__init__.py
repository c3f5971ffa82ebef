"""The registry: what is known of each format without importing its runtime.

A format is a module with the functions of `Format`. To add one, write the module, add a line here and
an extra to pyproject.toml; the contract test then covers it.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from toolkit.errors import MissingPackageError, UnknownFormatError, UnsupportedDeviceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from toolkit.fashion.model import Mlp
    from toolkit.records import ArtifactMetadata, Precision, Signature

    FloatArray = NDArray[np.float32]


class Session(Protocol):
    """A loaded artifact on one device with one thread setting. It never reads a clock."""

    @property
    def precision(self) -> "Precision":
        """The arithmetic that really runs, read back from the runtime."""

    @property
    def signature(self) -> "Signature":
        """Inputs and outputs as the artifact declares them."""

    def to_device(self, images: "FloatArray") -> Any:
        """Copy ``(N, 1, 28, 28)`` float32 from the host into the runtime's own kind of batch."""

    def run(self, batch: Any) -> Any:
        """Compute the runtime's own kind of logits; may return before the device is done."""

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def to_host(self, logits: Any) -> "FloatArray":
        """Return the logits as the artifact gave them, an array of the host; ``(N, 10)`` float32 if all is well."""


class Format(Protocol):
    """What a module of this package provides."""

    def export(self, model: "Mlp", path: Path, metadata: "ArtifactMetadata") -> None:
        """Write ``model`` (evaluation mode, float32, CPU) to ``path`` as one file."""

    def load(self, path: Path, device: str, threads: int | None) -> Session:
        """Open ``path`` on exactly ``device``; ``threads`` None leaves the runtime its own choice.

        Raises:
            CorruptArtifactError: If the file does not open.
            UnsupportedDeviceError, PrecisionError: If the session would not be what was asked for.
        """

    def read_metadata(self, path: Path) -> str | None:
        """Return the JSON of `ArtifactMetadata` inside the file, or None if it has none.

        Raises:
            CorruptArtifactError: If the file does not open.
        """


@dataclass(frozen=True)
class FormatInfo:
    """A line of the registry.

    Attributes:
        name: As on the command line.
        suffix: Of the file names.
        runtime: The engine that executes it.
        distributions: Packages whose version is the runtime's, by the names it is published under.
        precision: The arithmetic that a session must have.
        devices: Kinds of device on which the runtime can execute.
        keeps_float32: What to do when the runtime computes in less than float32.
        names: What input and output are called in the files that `Format.export` writes; None where a format
            has no names.
        packages: Import names that must be there.
        module: The module of this package that implements it.
    """

    name: str
    suffix: str
    runtime: str
    distributions: tuple[str, ...]
    precision: "Precision"
    devices: tuple[str, ...]
    packages: tuple[str, ...]
    module: str
    keeps_float32: str
    names: tuple[str | None, str | None]


_LIBTORCH_ADVICE: Final = "set torch.set_float32_matmul_precision('highest'), and take casts out of the model"
FORMATS: Final[dict[str, FormatInfo]] = {
    info.name: info
    for info in (
        FormatInfo(
            name="torchscript",
            suffix=".ts.pt",
            runtime="libtorch",
            distributions=("torch",),
            precision="float32",
            devices=("cpu", "cuda", "mps"),
            packages=("torch",),
            module="torchscript",
            keeps_float32=_LIBTORCH_ADVICE,
            names=("images", None),
        ),
        FormatInfo(
            name="onnx",
            suffix=".onnx",
            runtime="onnxruntime",
            distributions=("onnxruntime", "onnxruntime-gpu"),
            precision="float32",
            devices=("cpu", "cuda"),
            packages=("onnx", "onnxscript", "onnxruntime"),
            module="onnx",
            keeps_float32="set use_tf32 to 0 (CUDA) or leave mlas.enable_gemm_fastmath_arm64_bfloat16 off (ARM)",
            names=("input", "logits"),
        ),
        FormatInfo(
            name="torch-export",
            suffix=".pt2",
            runtime="libtorch",
            distributions=("torch",),
            precision="float32",
            devices=("cpu", "cuda", "mps"),
            packages=("torch",),
            module="torch_export",
            keeps_float32=_LIBTORCH_ADVICE,
            names=("images", None),
        ),
    )
}
#: The baseline of every table: no file, the checkpoint itself.
EAGER: Final = "eager"
#: Eager replayed as a CUDA graph: on CUDA a row of its own, without the cost of launching each kernel.
EAGER_CUDAGRAPH: Final = "eager-cudagraph"
_STEM: Final = "model"


def artifact_name(info: FormatInfo) -> str:
    """Return the file name under which a format is exported."""
    return _STEM + info.suffix


def runtime_version(info: FormatInfo) -> str:
    """Return the installed version of a format's runtime; empty when it is not installed."""
    from toolkit.system.environment import installed_version

    return next((found for name in info.distributions if (found := installed_version(name))), "")


def find_format(name: str) -> FormatInfo:
    """Return the format called ``name``.

    Raises:
        UnknownFormatError: If there is none; the error names the nearest.
    """
    if name not in FORMATS:
        raise UnknownFormatError(name, FORMATS)
    return FORMATS[name]


def format_of(path: Path) -> FormatInfo | None:
    """Return the format that the suffix of ``path`` belongs to, or None."""
    return next((info for info in FORMATS.values() if path.name.endswith(info.suffix)), None)


def import_format(info: FormatInfo) -> Format:
    """Import the module of a format.

    Raises:
        MissingPackageError: If a package that it needs is not installed.
    """
    check_packages(info)
    module: Any = import_module(f"toolkit.formats.{info.module}")
    return module  # type: ignore[no-any-return]  # a module satisfies the protocol; the contract test proves it


def check_packages(info: FormatInfo) -> None:
    """Find out without importing anything whether a format's packages are installed.

    Raises:
        MissingPackageError: Naming the first that is not.
    """
    for package in info.packages:
        if find_spec(package) is None:
            raise MissingPackageError(info.name, package)


def check_device(info: FormatInfo, device: str) -> None:
    """Check that the runtime of a format has the kind of ``device``.

    Raises:
        UnsupportedDeviceError: If it has not.
    """
    kind = device.partition(":")[0]
    if kind not in info.devices:
        raise UnsupportedDeviceError(
            info.name,
            device,
            f"{info.runtime} executes on {', '.join(info.devices)}",
            "choose one of these with --device",
        )
