"""Files that Pillow opens become numbers: any format, size and mode, whatever their names say."""

import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from toolkit.errors import PictureError, first_line

FloatArray = NDArray[np.float32]

# Pillow would try all that it knows, and for PostScript it starts another program. HEIF is of pillow-heif.
_FORMATS: Final = (
    *("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "ICO", "AVIF", "HEIF"),
    *("JPEG2000", "DIB", "TGA", "PCX", "SGI", "XBM", "XPM", "QOI", "DDS", "PSD", "ICNS"),
)
# What a file that Pillow does not open begins with, what it is then, and what to do.
_KINDS: Final = (
    (b"%PDF", "is a PDF", "export its page as PNG"),
    (b"%!PS", "is PostScript", "export it as PNG"),
    (b"PK\3\4", "is a ZIP archive", "pass the pictures in it"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the picture itself", "run: git lfs pull"),
    (b"<svg", "is SVG, which has no pixels", "export it as PNG"),
    (b"<!doctype html", "is a web page, not a picture", "save the picture itself"),
    (b"<html", "is a web page, not a picture", "save the picture itself"),
    (b"\xff\n", "is JPEG XL, which Pillow does not read", "export it as JPEG"),
    (b"\0\0\0\x0cJXL ", "is JPEG XL, which Pillow does not read", "export it as JPEG"),
)
_HEIC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_HEAD_BYTES: Final = 256
# Pillow warns above as many pixels (a quarter of a GiB in RGB) and refuses twice as many.
_MOST_PIXELS: Final = 89_478_485
# A larger picture is averaged down to edges not below this; a JPEG is decoded at a half, a quarter or an eighth.
_ENOUGH: Final = 512
# Rows of averaged pixels that are converted at a time.
_STRIP: Final = 32
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Integers are scaled by the first of these that holds all: cameras and scanners keep 10 or 12 bits in 16.
_WHITE: Final = 65535
_DEPTHS: Final = {255: 8, 1023: 10, 4095: 12, _WHITE: 16}


@dataclass(frozen=True)
class Opened:
    """What stands in a file.

    Attributes:
        colours: ``(H, W, 1 or 3)`` float32 in 0 … 255; of a large picture averages.
        opacity: ``(H, W)`` float32 in 0 … 1; None where all is opaque.
        remark: What a person should know of how it was read; empty where nothing is odd.
    """

    colours: FloatArray
    opacity: FloatArray | None = None
    remark: str = ""


def check_regular(path: Path, name: str) -> None:
    """Refuse a pipe or a device, which may never end.

    Raises:
        PictureError: If it is one.
        OSError: If there is nothing.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a folder says what it is
        raise PictureError(name, "is a pipe or a device, not a file", "save the picture to a file")


class _Quiet:
    """Silences Pillow's warnings while any thread reads: a bomb is refused here, and the rest is not the user's.

    `warnings.catch_warnings` alone would leave its filters behind when threads leave it in another order than they
    entered.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()


def open_file(source: Path | bytes, name: str) -> Opened:
    """Read a file or the bytes of one; of several frames the first.

    Raises:
        PictureError: If there is no file, or it is no picture, broken, or larger than 89 million pixels.
    """
    with _quiet:
        return _open(source, name)


def _open(source: Path | bytes, name: str) -> Opened:
    try:
        if isinstance(source, Path):
            check_regular(source, name)
            with source.open("rb") as file:
                return _decode_file(file, name)
        return _decode_file(BytesIO(source), name)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except FileNotFoundError as error:
        raise PictureError(name, "there is no such file", "check the path") from error
    except OSError as error:
        if error.strerror:
            raise PictureError(name, f"cannot be read ({error.strerror})", "check the path") from error
        raise _damaged(name, error) from error
    except Exception as error:  # Pillow's decoders raise whatever they meet in a damaged file
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> PictureError:
    return PictureError(name, f"is truncated or damaged ({first_line(error)})", "copy or save it again")


def _too_large(name: str) -> PictureError:
    return PictureError(name, f"has more than {_MOST_PIXELS:,} pixels", "pass a smaller one")


def _decode_file(file: Any, name: str) -> Opened:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise PictureError(name, "is empty")
    file.seek(0)
    try:
        image = Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        raise _unknown(head, name) from error
    with image as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            raise _too_large(name)
        opened.draft("", (_ENOUGH, _ENOUGH))
        opened.load()
        return _to_numbers(_upright(opened), name)


def _unknown(head: bytes, name: str) -> PictureError:
    """Say what a file is that Pillow does not open."""
    if head[4:8] == b"ftyp":
        if b"avif" in head or b"avis" in head:
            return PictureError(name, "is AVIF, damaged or more than this Pillow can read", "export it as JPEG")
        if head[8:12] not in _HEIC:
            return PictureError(name, "is a video or of the like", "save a frame of it as PNG")
        if "HEIF" in _formats():
            return PictureError(name, "is HEIC, and damaged", "copy or export it again")
        remedy = "export it as JPEG, or install pillow-heif"
        return PictureError(name, "is HEIC, which Pillow alone does not read", remedy)
    text = head.lstrip().lower()
    for begin, reason, remedy in _KINDS:
        if head.startswith(begin) or text.startswith(begin) or (begin == b"<svg" and begin in text):
            return PictureError(name, reason, remedy)
    return PictureError(name, "is no picture that Pillow can read")


def _to_numbers(image: Image.Image, name: str) -> Opened:
    if image.mode.startswith(("I", "F")):
        return _of_wide_range(image, name)
    if image.has_transparency_data:
        values = np.asarray(_smaller(image.convert("RGBA")), np.float32)
        opacity = values[:, :, 3] / np.float32(255)
        return Opened(values[:, :, :3], None if (opacity == 1).all() else opacity)
    if image.mode in {"1", "L"}:
        return Opened(np.asarray(_smaller(image.convert("L")), np.float32)[:, :, np.newaxis])
    return Opened(np.asarray(_smaller(image.convert("RGB")), np.float32))


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `_FORMATS` that this Pillow has, HEIF with the package for it."""
    Image.init()
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    return tuple(each for each in _FORMATS if each in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    """Turn a photo as its camera was held; where EXIF cannot be read, it stays as it is."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  the pixels are there, whatever else is broken
        orientation = 1
    turn = _TURNS.get(orientation)
    return image.transpose(turn) if turn is not None else image


def _smaller(image: Image.Image) -> Image.Image:
    factor = _factor(image)
    return image.reduce(factor) if factor > 1 else image


def _factor(image: Image.Image) -> int:
    return max(1, max(image.size) // _ENOUGH)


def _of_wide_range(image: Image.Image, name: str) -> Opened:
    """Scale to 0 … 255 and make smaller: integers of 16 bits are divided by 257, so that white stays white.

    Files of 8, 10 or 12 bits in 16 do not say so: integers are taken for as many bits as hold all of them, and that is
    remarked. Beyond 16 bits, and for floats, there is no range that all files keep to: floats have the first of 0 … 1,
    0 … 255 and 0 … 65,535 that holds all, others their own. Of one value alone nothing can be told: it becomes black.
    """
    low, high = np.inf, -np.inf
    for values in _strips(image):
        if not np.isfinite(values).all():
            raise PictureError(name, "has pixels that are not finite", "save it with 8 or 16 bits per pixel")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    limits: tuple[int, ...] = (1, 255, _WHITE) if image.mode.startswith("F") else tuple(_DEPTHS)
    top: float | None = next((limit for limit in limits if low >= 0 and high <= limit), None)
    remark = ""
    if image.mode.startswith("I") and high > 0 and top is not None and top != _WHITE:
        remark = f"read as {_DEPTHS[int(top)]} bits: no value is above {top:,}"
    bottom, top = (0.0, top) if top is not None else (low, high)
    factor = 255 / (top - bottom) if top > bottom else 0.0
    scaled = (np.rint((values - bottom) * factor).astype(np.float32) for values in _strips(image))
    parts = (Image.fromarray(each) for each in scaled)
    grey = np.concatenate([np.asarray(each.reduce(_factor(image)), np.float32) for each in parts])
    return Opened(grey[:, :, np.newaxis], None, remark)


def _strips(image: Image.Image) -> Iterator[FloatArray]:
    """Yield the rows of an image from the top, a few at a time: a copy of all as floats would be many times the file's.

    Each strip but the last has a multiple of `_factor` rows.
    """
    rows = _STRIP * _factor(image)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height)))).astype(np.float32)
