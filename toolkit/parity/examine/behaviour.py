"""Behaviour: the same image gives the same logits, whenever it comes and whatever comes with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.rules.checks import Yardstick, check_same, verdict
from toolkit.records import CheckRecord
from toolkit.workload.images import Float32Array

Infer = Callable[[Float32Array], NDArray[Any]]

#: Around the sizes at which kernels and exporters treat a batch apart: 1, the first vectorised ones, large.
BATCH_SIZES = (1, 2, 3, 7, 8, 16, 64, 1000)
#: Name of the probe that `poison` makes.
POISON = "NaN and infinities in one row"
# Sizes for the comparison of rows: every one up to 64, the powers of two that users choose, and what lies beside them.
# Such a batch may take other code, and its rest, which fills no vector of eight or sixteen, other code again.
_ROW_SIZES = (*range(2, 65), 100, 127, 128, 129, 200, 255, 256, 257, 500, 512, 997, 1000, 1024, 2048)
#: Images of the batch that is called again and again.
ANCHOR_IMAGES = 64
#: Images that the checks of behaviour need: two batches of the anchor's size.
LEAST_IMAGES = 2 * ANCHOR_IMAGES
# Sizes of batches, and the row of each that is poisoned: the first, the last, and between.
_POISONED = ((8, 0), (8, 3), (8, 7), (61, 20), (128, 127))
_NEIGHBOURED_IMAGES = 32


@dataclass(frozen=True)
class Evidence:
    """The answer to a check, and when it failed, the batch ``(N, 1, 28, 28)`` float32 that shows it."""

    check: CheckRecord
    case: Float32Array | None = None


def run_alone(infer: Infer, images: Float32Array) -> NDArray[Any]:
    """Return the logits ``(N, 10)`` of every image in a batch of its own."""
    return np.concatenate([infer(images[i : i + 1]) for i in range(len(images))])


def independence(infer: Infer, images: Float32Array, alone: NDArray[Any], by: Yardstick, *, hostile: bool) -> Evidence:
    """Check that row i of a batch is what row i is alone, at every batch size and whatever its neighbours.

    Args:
        infer: The artifact.
        images: ``(N, 1, 28, 28)`` float32.
        alone: Their logits, each in a batch of its own.
        by: How much of a difference other kernels explain.
        hostile: Whether to try neighbours of ±10,000, too; they shift the scales of dynamic quantisation.
    """
    worst, where, case = 0.0, "", None
    for batch, rows, order in _company(images, hostile=hostile):
        differences = by.differences(infer(batch)[rows], alone[order])
        largest = float(differences.max())
        if not largest <= worst:  # so that NaN counts as well
            row = int(np.nan_to_num(differences, nan=np.inf).argmax())
            worst, where = largest, f": row {rows[row]} of a batch of {len(batch)}"
            if not largest <= by.limit:
                case = batch
                break
    question = f"an image in a batch against the same image alone{where}"
    return Evidence(check_same("row independence", "sample images", worst, by, question), case)


def determinism(infer: Infer, images: Float32Array, first: NDArray[Any], by: Yardstick) -> Evidence:
    """Check that the same batch gives the same logits again, after itself and after batches of other sizes.

    Args:
        infer: The artifact.
        images: ``(N, 1, 28, 28)`` float32, N at least `LEAST_IMAGES`.
        first: What the artifact gave for the first 64 when it was new.
        by: How much of a difference is none.
    """
    anchor, other = images[:ANCHOR_IMAGES], images[ANCHOR_IMAGES : 2 * ANCHOR_IMAGES]
    worst = 0.0
    orders = [[], [other], [other[:1]], [other[:7], images], [other[:3], other], [other[:3], other, other[:16]]]
    for between in orders:
        for batch in between:
            infer(batch)
        largest = by.difference(infer(anchor), first)
        worst = largest if not largest <= worst else worst
    check = check_same("determinism", "sample images", worst, by, "the same batch, called again after other batches,")
    if check.passed:
        return Evidence(check)
    hint = f"{check.detail}: it keeps state, draws random numbers, or was saved in training mode (dropout)"
    return Evidence(check.changed(detail=hint), anchor)


def poison(infer: Infer, images: Float32Array, alone: NDArray[Any], by: Yardstick) -> Evidence:
    """Check that NaN and infinity in one row of a batch leave the other rows as they are.

    What the poisoned row itself gives is the runtime's own affair: some ReLUs keep NaN, some make it zero.
    """
    problems, case = [], None
    for value, (size, row) in product((np.nan, np.inf, -np.inf), _POISONED):
        others = np.arange(size) != row
        batch = images[:size].copy()
        batch[row, 0, 10:18, 10:18] = value
        if not by.difference(infer(batch)[others], alone[:size][others]) <= by.limit:
            problems.append(f"{value:g} in row {row} of a batch of {size} changes other rows")
            case = batch if case is None else case
    return Evidence(verdict("finite", problems[:1], "they stay in their own row", POISON), case)


def _company(
    images: Float32Array, *, hostile: bool
) -> Iterator[tuple[Float32Array, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield batches, the rows of each to look at, and which images these rows are."""
    everything = np.arange(len(images))
    for size in _ROW_SIZES:
        chosen = np.resize(np.roll(everything, -11 * size), size)  # each size other images, all again when it is larger
        yield images[chosen], np.arange(size), chosen
    yield np.ascontiguousarray(images[::-1]), everything, everything[::-1]
    if hostile:
        chosen = everything[:_NEIGHBOURED_IMAGES]
        random = np.random.default_rng(0)
        for neighbour in (0.0, 1.0, 1e4, -1e4):
            batch = np.full((2 * len(chosen), *images.shape[1:]), neighbour, np.float32)
            batch[::2] = images[chosen]
            batch[1::2] *= random.random(batch[1::2].shape, np.float32)
            yield batch, 2 * chosen, chosen
