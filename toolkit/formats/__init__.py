"""The registry: a format is a folder of this room, and nothing outside the room knows its name.

The folder's ``__init__`` holds ``INFO`` and loads no runtime. Its module ``runtime`` has what `Format` asks for. What
needs no runtime, or not every format can do, has a module of its own, which may be missing:

* ``content.recognises(path)``: whether a file is of this format, whatever it is called;
* ``scan.scan(path)``: what a file asks for beside computing; without it, nobody's file is opened but this user's own;
* ``files.files(path)``: all files of an artifact, itself first;
* ``graph.describe(path)``: graph and tensors, for inspect;
* ``prefixes.cut(path, device, threads)``: the graph cut after each node, to find the layer that is wrong;
* ``snippet.SNIPPETS``: lines that run it without this toolkit, by kind of device;
* ``peaks.products(threads)``: matrix products of its runtime, for the machine's limits.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Final

from toolkit.errors import MissingPackageError, UnknownFormatError, UnsupportedDeviceError
from toolkit.formats.info import FormatInfo
from toolkit.formats.session import Format, Session

if TYPE_CHECKING:
    from toolkit.fashion.model import Mlp

__all__ = [
    "BASELINE",
    "FORMATS",
    "VARIANTS",
    "Format",
    "FormatInfo",
    "Session",
    "check_device",
    "check_packages",
    "find_format",
    "format_of",
    "has_part",
    "import_format",
    "open_model",
    "optional",
    "runtime_version",
]


def _folders() -> list[FormatInfo]:
    """Return what each folder of this room says of itself, in the order of their names."""
    folders = (each.name for each in iter_modules(__path__) if each.ispkg)
    infos = (import_module(f"{__name__}.{name}").INFO for name in folders)
    return sorted(infos, key=lambda info: str(info.name))


_ALL: Final = _folders()
#: Formats whose artifacts are files.
FORMATS: Final[dict[str, FormatInfo]] = {info.name: info for info in _ALL if info.suffixes}
#: Formats without a file, which run the checkpoint itself.
VARIANTS: Final[dict[str, FormatInfo]] = {info.name: info for info in _ALL if not info.suffixes}
#: The one among them that every other format is compared with.
BASELINE: Final[FormatInfo] = next(info for info in _ALL if info.baseline)


def has_part(info: FormatInfo, module: str) -> bool:
    """Say whether the folder of a format has a module of that name."""
    return find_spec(f"{info.module}.{module}") is not None


def optional(info: FormatInfo, module: str, function: str) -> Callable[..., Any] | None:
    """Return a function that a format may have, or None; what is asked for is imported, and nothing else."""
    return getattr(import_module(f"{info.module}.{module}"), function, None) if has_part(info, module) else None


def runtime_version(info: FormatInfo) -> str:
    """Return the installed version of a format's runtime; empty when it is not installed."""
    from toolkit.system.environment import installed_version

    return next((found for name in info.distributions if (found := installed_version(name))), "")


def find_format(name: str) -> FormatInfo:
    """Return the format called ``name`` whose artifacts are files.

    Raises:
        UnknownFormatError: If there is none; the error names the nearest.
    """
    if name not in FORMATS:
        raise UnknownFormatError(name, FORMATS)
    return FORMATS[name]


def format_of(path: Path) -> FormatInfo | None:
    """Return the format of a file, or None. Its suffix is a guess, the longest that fits; the content decides."""
    name = path.name.lower()
    fitting = [(suffix, info) for info in FORMATS.values() for suffix in info.suffixes if name.endswith(suffix)]
    guess = max(fitting, key=lambda each: len(each[0]))[1] if fitting else None
    found = _by_content(path) if path.is_file() else None
    return guess if found is None or (guess and found.name in {guess.name, guess.variant_of}) else found


def _by_content(path: Path) -> FormatInfo | None:
    for info in FORMATS.values():
        recognises = optional(info, "content", "recognises")
        if recognises and recognises(path):
            return info
    return None


def import_format(info: FormatInfo) -> Format:
    """Import the module of a format that loads its runtime.

    Raises:
        MissingPackageError: If a package that it needs is not installed.
    """
    check_packages(info)
    module: Any = import_module(f"{info.module}.runtime")
    return module  # type: ignore[no-any-return]  # a module satisfies the protocol; the contract test proves it


def open_model(model: "Mlp", device: str, threads: int | None = None) -> Session:
    """Return a session of the baseline: the model itself, which is moved to ``device``."""
    module: Any = import_format(BASELINE)
    session: Session = module.open_model(model, device, threads)
    return session


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
