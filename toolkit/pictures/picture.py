"""Pictures of people: any file that Pillow reads becomes what the model was trained on, 28 × 28, bright on black.

A grey picture of 28 × 28 keeps its bytes, or is negated as a whole. Anything else goes the way of the dataset's own
photos (`toolkit.pictures.photos`).
"""

import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from toolkit.errors import PictureError, UsageError, first_line
from toolkit.pictures.photos import CLOSE, convert_photo, to_bytes, to_grey

Invert = Literal["auto", "yes", "no"]
UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

#: What a folder is searched for.
SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
# Pillow would try all that it knows, and for PostScript it starts another program.
_FORMATS: Final = (
    *("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "ICO", "AVIF"),
    *("JPEG2000", "DIB", "TGA", "PCX", "SGI", "XBM", "XPM", "QOI", "DDS", "PSD", "ICNS"),
)
_SIDE: Final = 28
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


@dataclass(frozen=True)
class Picture:
    """A picture as the model takes it.

    Attributes:
        pixels: ``(28, 28)`` uint8, the garment bright on black.
        inverted: Whether dark on bright was turned into that.
    """

    pixels: UInt8Array
    inverted: bool


def read_picture(source: Path | bytes, *, name: str | None = None, invert: Invert = "auto") -> Picture:
    """Read one picture of any size and mode; of several frames the first.

    With ``auto`` a picture is inverted when the garment is darker than the background: the background is the median of
    the outermost pixels, the garment what differs from it by more than 5 %, on the mean. Of the 70,000 images of
    Fashion-MNIST, as they are and negated, that is right for all but one, a garment that fills the frame. Where most of
    the outermost pixels are transparent there is no background to compare: then a garment that is rather dark gets a
    white background and is inverted, a bright one gets a black one. With ``yes`` what is transparent becomes white,
    with ``no`` black.

    Args:
        source: A file, or the bytes of one.
        name: How it is called in errors; None for the path.
        invert: Whether the garment is dark on bright.

    Returns:
        The picture. One without any contrast is taken for bright on dark.

    Raises:
        PictureError: If there is no file, or it is no picture, broken, or larger than 89 million pixels.
        UsageError: If ``invert`` is none of the three.
    """
    check_invert(invert)
    called = name or (str(source) if isinstance(source, Path) else "of these bytes")
    with _quiet:
        colours, opacity = _decode(source, called)
    inverted = _is_dark_on_bright(colours, opacity) if invert == "auto" else invert == "yes"
    if opacity is not None:
        ground = np.float32(255 if inverted else 0)
        colours = ground + (colours - ground) * opacity[:, :, np.newaxis]
    if colours.shape[:2] == (_SIDE, _SIDE) and not np.ptp(colours, axis=2).any():
        grey = to_bytes(colours[:, :, 0])
        return Picture(255 - grey if inverted else grey, inverted)
    return Picture(convert_photo(colours, inverted=inverted), inverted)


def of_table(invert: Invert) -> Invert:
    """Return how pixels of a table are read: they are bright on black as the data set's, unless the user says no."""
    return "no" if invert == "auto" else invert


def check_invert(invert: object) -> None:
    """Refuse what `read_picture` would take for no.

    Raises:
        UsageError: If it is not ``auto``, ``yes`` or ``no``.
    """
    if invert not in get_args(Invert):
        raise UsageError(f"invert={invert!r}: no such way", f"pass one of {', '.join(map(repr, get_args(Invert)))}")


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


def _decode(source: Path | bytes, name: str) -> tuple[FloatArray, FloatArray | None]:
    """Return colours ``(H, W, 1 or 3)`` in 0 … 255 and opacity ``(H, W)`` in 0 … 1, None where all is opaque."""
    try:
        if isinstance(source, Path):
            check_regular(source, name)
            with source.open("rb") as file:
                return _decode_file(file, name)
        return _decode_file(BytesIO(source), name)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(name, "is no picture that Pillow can read") from error
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


def _decode_file(file: Any, name: str) -> tuple[FloatArray, FloatArray | None]:
    if not file.read(1):
        raise PictureError(name, "is empty")
    file.seek(0)
    with Image.open(file, formats=_formats()) as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            raise _too_large(name)
        opened.draft("", (_ENOUGH, _ENOUGH))
        opened.load()
        image = _upright(opened)
        if image.mode.startswith(("I", "F")):
            return _of_wide_range(image, name)[:, :, np.newaxis], None
        if image.has_transparency_data:
            values = np.asarray(_smaller(image.convert("RGBA")), np.float32)
            opacity = values[:, :, 3] / np.float32(255)
            return values[:, :, :3], None if (opacity == 1).all() else opacity
        if image.mode in {"1", "L"}:
            return np.asarray(_smaller(image.convert("L")), np.float32)[:, :, np.newaxis], None
        return np.asarray(_smaller(image.convert("RGB")), np.float32), None


@cache
def _formats() -> tuple[str, ...]:
    """Return those of `_FORMATS` that this Pillow has."""
    Image.init()
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


def _of_wide_range(image: Image.Image, name: str) -> FloatArray:
    """Return ``(H, W)`` in 0 … 255, made smaller: integers of 16 bits are scaled by 257, so that white stays white.

    Integers of 32 bits and floats have no range that all files keep to: the first of 0 … 1 (floats only), 0 … 255
    (floats only) and 0 … 65,535 that holds all values is taken, else their own. Of one value alone nothing can be told:
    it becomes black.
    """
    low, high = np.inf, -np.inf
    for values in _strips(image):
        if not np.isfinite(values).all():
            raise PictureError(name, "has pixels that are not finite", "save it with 8 or 16 bits per pixel")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    limits = (1.0, 255.0, 65535.0) if image.mode.startswith("F") else (65535.0,)
    top = next((limit for limit in limits if low >= 0 and high <= limit), None)
    bottom, top = (0.0, top) if top is not None else (low, high)
    factor = 255 / (top - bottom) if top > bottom else 0.0
    scaled = (np.rint((values - bottom) * factor).astype(np.float32) for values in _strips(image))
    parts = (Image.fromarray(each) for each in scaled)
    return np.concatenate([np.asarray(each.reduce(_factor(image)), np.float32) for each in parts])


def _strips(image: Image.Image) -> Iterator[FloatArray]:
    """Yield the rows of an image from the top, a few at a time: a copy of all as floats would be many times the file's.

    Each strip but the last has a multiple of `_factor` rows.
    """
    rows = _STRIP * _factor(image)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height)))).astype(np.float32)


def _is_dark_on_bright(colours: FloatArray, opacity: FloatArray | None) -> bool:
    """Apply the rule of `read_picture`."""
    grey = to_grey(colours)
    border = _outermost(grey)
    if opacity is not None:
        solid = _outermost(opacity) >= 0.5
        if 2 * solid.sum() < len(solid):
            seen = float(opacity.sum(dtype=np.float64))
            return seen > 0 and float((grey * opacity).sum(dtype=np.float64)) / seen < 127.5
        border, grey = border[solid], grey[opacity >= 0.5]
    beyond = grey - np.sort(border)[len(border) // 2]
    return bool(beyond[np.abs(beyond) > CLOSE].sum(dtype=np.float64) < 0)


def _outermost(values: FloatArray) -> FloatArray:
    return np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
