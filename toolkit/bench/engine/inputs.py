"""Own pictures as the inputs of timed calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolkit.bench.engine.prepare import Prepared

if TYPE_CHECKING:
    from toolkit.pictures.own_data import OwnPictures

#: So many are kept at most: the largest default batch. As floats they are 3 MB in each worker.
MOST_PICTURES: Final = 1024


def keep_pictures(own: "OwnPictures", scratch: Path) -> Path:
    """Write up to 1,024 pictures where the process that prepares finds them, drawn so that small batches are of all.

    Returns:
        A NumPy file, ``(n, 28, 28)`` uint8.
    """
    import numpy as np

    path = scratch / "pictures.npy"
    chosen = np.random.default_rng(0).permutation(len(own.data))[:MOST_PICTURES]
    np.save(path, own.data.images[chosen])
    return path


def with_pictures(prepared: Prepared, own: "OwnPictures", against: Path | None = None) -> Prepared:
    """Return what was prepared with what its report says of the pictures.

    Args:
        prepared: Made with `keep_pictures`.
        own: The pictures.
        against: What rows are compared with; the golden images of a folder stand for its own checkpoint.
    """
    count = min(len(own.data), MOST_PICTURES)
    how = (
        f"{count:,} of the {len(own.data):,} own pictures, drawn at random" if count < len(own.data) else "own pictures"
    )
    notes = [
        *prepared.notes,
        *own.notes,
        f"timed, and compared with the reference, on {how}; larger batches repeat them",
    ]
    if against and against.is_dir():
        notes.append(
            f"rows of {against} are timed and compared on its golden.npz: what its checkpoint makes of own pictures "
            "does not stand there"
        )
    return prepared.changed(datasets=(own.record,), notes=tuple(notes))
