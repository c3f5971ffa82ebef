"""Calls of a session: in from the host, out to the host."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.formats import Session


def call_session(session: Session, images: NDArray[np.float32]) -> NDArray[Any]:
    """Return what a session computes for ``(n, 1, 28, 28)`` float32; on the CPU it may write to ``images``."""
    native = session.run(session.to_device(images))
    session.synchronize()
    return np.array(session.to_host(native))  # a copy: the runtime may use its memory again
