"""The way of the dataset's own photos, for pictures that are not 28 × 28 and grey yet.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms" (2017,
arXiv:1708.07747), section 2: edges close to the corners' colour are trimmed, the longest edge becomes 28 pixels by
leaving out rows and columns, outlines are sharpened with a Gaussian of radius and standard deviation 1, the garment is
centred on 28 × 28, intensities are negated, and the result is grey.

What their photos were spared is done before. A picture of more than their 73 pixels is averaged down to that, or
leaving out pixels would keep noise. Theirs had a white background; the background of any other is scaled to white, or
to black where nothing is negated. Of the 1,000 images of the sample, enlarged, on a grey of 220, 180 or 140 and in
noise, the bundled model gets 89 % right with that step and 73 %, 42 % and 28 % without; 92 % of the originals.
"""

import math
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

_SIDE: Final = 28
# The dataset's photos were thumbnails of 51 × 73.
_LONGEST_EDGE: Final = 73
#: What is no farther from the background is background: 5 % of the whole range.
CLOSE: Final = 0.05 * 255
# Rec. 601, as Pillow's own conversion to grey.
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def to_grey(colours: FloatArray) -> FloatArray:
    """Return ``(H, W)`` of ``(H, W, 1 or 3)``, in the same units."""
    return colours[:, :, 0] if colours.shape[2] == 1 else colours @ _LUMA


def to_bytes(values: FloatArray) -> UInt8Array:
    """Round values in 0 … 255; what lies outside is cut off."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def convert_photo(colours: FloatArray, *, inverted: bool) -> UInt8Array:
    """Take the steps of the paper.

    Args:
        colours: ``(H, W, 1 or 3)`` float32 in 0 … 255.
        inverted: Whether to negate: the garment is dark on bright.

    Returns:
        ``(28, 28)`` uint8, bright on black.
    """
    corner = _corner(_shrink(colours))
    for _ in range(2):  # the first is as exact as a 73rd of the picture, the second as a 73rd of the garment
        colours = _trim(colours, corner)
    colours = _bleach(_shrink(colours), corner, inverted=inverted)
    sharp = _sharpen(_resize(colours))
    grey = to_grey(255 - sharp if inverted else sharp)
    canvas = np.zeros((_SIDE, _SIDE), np.float32)
    top, left = ((_SIDE - edge) // 2 for edge in grey.shape)
    canvas[top : top + grey.shape[0], left : left + grey.shape[1]] = grey
    return to_bytes(canvas)


def _resampled(colours: FloatArray, size: tuple[int, int], how: Image.Resampling) -> FloatArray:
    channels = [Image.fromarray(colours[:, :, each]).resize(size, how) for each in range(colours.shape[2])]
    return np.stack([np.asarray(each, np.float32) for each in channels], axis=2)


def _fitted(colours: FloatArray, edge: int) -> tuple[int, int]:
    """Return width and height with ``edge`` as the longest."""
    height, width = colours.shape[:2]
    longest = max(height, width)
    return max(1, round(width * edge / longest)), max(1, round(height * edge / longest))


def _shrink(colours: FloatArray) -> FloatArray:
    """Average a picture that is larger than those of the dataset down to their size; others stay."""
    if max(colours.shape[:2]) <= _LONGEST_EDGE:
        return colours
    return _resampled(colours, _fitted(colours, _LONGEST_EDGE), Image.Resampling.BOX)


def _corner(colours: FloatArray) -> FloatArray:
    """Return the colour of the corners, ``(channels,)``: the median, which one corner with a garment does not move."""
    corners = colours[[0, 0, -1, -1], [0, -1, 0, -1]]
    return cast("FloatArray", np.median(corners, axis=0).astype(np.float32))


def _trim(colours: FloatArray, corner: FloatArray) -> FloatArray:
    """Cut off edges whose every pixel is within 5 % of the corners' colour; a picture of nothing else stays.

    Of a large picture averages are compared: noise would stop the cut at its first pixel.
    """
    small = _shrink(colours)
    distance = np.sqrt(((small - corner) ** 2).mean(axis=2))
    kept = [np.flatnonzero((distance > CLOSE).any(axis=axis)) for axis in (1, 0)]
    if not len(kept[0]):
        return colours
    rows, columns = (
        slice(int(found[0] * full / few), math.ceil((found[-1] + 1) * full / few))
        for found, full, few in zip(kept, colours.shape, small.shape, strict=False)
    )
    return colours[rows, columns]


def _bleach(colours: FloatArray, corner: FloatArray, *, inverted: bool) -> FloatArray:
    """Scale so that the background's colour becomes white, or black where nothing is inverted."""
    if inverted:
        return np.minimum(colours * (255 / np.maximum(corner, 1)), 255)
    return np.maximum((colours - corner) * (255 / np.maximum(255 - corner, 1)), 0)


def _resize(colours: FloatArray) -> FloatArray:
    """Make the longest edge 28: pixels are left out, or filled in where there are too few."""
    smaller = max(colours.shape[:2]) >= _SIDE
    return _resampled(
        colours, _fitted(colours, _SIDE), Image.Resampling.NEAREST if smaller else Image.Resampling.BILINEAR
    )


def _sharpen(colours: FloatArray) -> FloatArray:
    """Sharpen with a Gaussian of radius 1 and standard deviation 1, beyond the edge its nearest pixel."""
    offsets = np.arange(-1, 2)
    gauss = np.exp(-(offsets[:, np.newaxis] ** 2 + offsets**2) / 2)
    kernel = -gauss
    kernel[1, 1] = 2 * gauss.sum()
    kernel /= kernel.sum()
    padded = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = colours.shape[:2]
    parts = [kernel[i, j] * padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return cast("FloatArray", np.clip(np.sum(parts, axis=0), 0, 255).astype(np.float32))
