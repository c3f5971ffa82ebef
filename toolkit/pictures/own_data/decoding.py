"""Read pictures, in this process or in several: the same result, in the same order."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import OwnDataError, PictureError
from toolkit.pictures.opening import check_regular
from toolkit.pictures.own_data.listing import Listed
from toolkit.pictures.picture import Invert, of_table, read_picture

# Small enough that a worker with large photos holds up no other, large enough that handing over costs nothing.
_CHUNK: Final = 16


@dataclass(frozen=True)
class Decoded:
    """One picture.

    Attributes:
        pixels: ``(28, 28)`` uint8, bright on dark; None when it cannot be read.
        inverted: Whether dark on bright was turned into that.
        sha256: Of the file.
        remark: Of the picture.
        reason: Why it cannot be read; empty otherwise.
    """

    pixels: NDArray[np.uint8] | None
    inverted: bool = False
    sha256: str = ""
    remark: str = ""
    reason: str = ""


def decode(folder: Path, pictures: Sequence[Listed], *, num_workers: int, invert: Invert = "auto") -> Iterator[Decoded]:
    """Read pictures one after the other.

    Args:
        folder: Where they are.
        pictures: What to read.
        num_workers: Processes that read at the same time; 0 for this one.
        invert: As for `read_picture`.

    Yields:
        A result per picture, in order. A picture that cannot be read is a result, too.

    Raises:
        OwnDataError: If a worker is killed, by the system for its memory or by a fault of a decoder.
    """
    read = partial(_decode_one, folder, invert)
    if not num_workers:
        yield from map(read, pictures)
        return
    # A process that has threads must not be forked: torch, where it is loaded, has some.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_begin)
    try:
        yield from pool.map(read, pictures, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        raise OwnDataError(folder, ["a process that read pictures was killed"], "try --num-workers 0") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_one(folder: Path, invert: Invert, listed: Listed) -> Decoded:
    path = folder / listed.name
    try:
        if listed.content:
            data, invert = listed.content, of_table(invert)
        else:
            check_regular(path, listed.name)
            data = path.read_bytes()  # once, so that the digest is that of what was decoded
        picture = read_picture(data, name=listed.name, invert=invert)
    except PictureError as error:
        return Decoded(None, reason=error.reason)
    except OSError as error:
        return Decoded(None, reason=f"cannot be read ({error.strerror or error})")
    return Decoded(picture.pixels, picture.inverted, hashlib.sha256(data).hexdigest(), picture.remark)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
