"""Pictures of people: any file that Pillow reads becomes what the model was trained on, 28 × 28, bright on black.

A grey picture of 28 × 28 keeps its bytes, or is negated as a whole. Anything else goes the way of the dataset's own
photos (`toolkit.pictures.photos`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.pictures.opening import open_file
from toolkit.pictures.photos import CLOSE, convert_photo, to_bytes, to_grey

Invert = Literal["auto", "yes", "no"]
UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

#: What a folder is searched for.
SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
_SIDE: Final = 28
BLANK: Final = "blank: nothing stands out from its background"


@dataclass(frozen=True)
class Picture:
    """A picture as the model takes it.

    Attributes:
        pixels: ``(28, 28)`` uint8, the garment bright on black.
        inverted: Whether dark on bright was turned into that.
        remark: What a person should know of it, such as that it is blank; mostly empty.
    """

    pixels: UInt8Array
    inverted: bool
    remark: str = ""


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
    opened = open_file(source, called)
    colours, opacity = opened.colours, opened.opacity
    inverted = _is_dark_on_bright(colours, opacity) if invert == "auto" else invert == "yes"
    if opacity is not None:
        ground = np.float32(255 if inverted else 0)
        colours = ground + (colours - ground) * opacity[:, :, np.newaxis]
    if colours.shape[:2] == (_SIDE, _SIDE) and not np.ptp(colours, axis=2).any():
        grey = to_bytes(colours[:, :, 0])
        pixels = 255 - grey if inverted else grey
    else:
        pixels = convert_photo(colours, inverted=inverted)
    blank = float(np.ptp(colours, axis=(0, 1)).max()) <= CLOSE
    return Picture(pixels, inverted, "; ".join(filter(None, (opened.remark, BLANK if blank else ""))))


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
