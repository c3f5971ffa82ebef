"""The batch of a row, and whether what comes out is right."""

from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray

from toolkit.formats import Session
from toolkit.formats.golden import Golden
from toolkit.workload.noise import MOST_NOISE, relative_noise

_BYTES_PER_IMAGE: Final = 4 * 28 * 28


def wrong_outputs(session: Session, golden: Golden, images: NDArray[np.float32]) -> str | None:
    """Return what is wrong with a session's outputs for a batch, or None: fast because wrong is no result.

    Float32 is held to the golden limit, a lower precision to the noise that parity allows it. ``images`` are the golden
    inputs, again and again ``(N, 1, 28, 28)``.
    """
    logits = session.run(session.to_device(images))
    session.synchronize()
    actual = np.asarray(session.to_host(logits))
    expected = np.resize(golden.logits, (len(images), golden.logits.shape[1]))
    if actual.shape != expected.shape:
        return f"its outputs have shape {actual.shape}, not {expected.shape}; check it with: fmnist-tk parity"
    if session.precision != "float32":
        noise = relative_noise(((actual - expected) ** 2).sum(0), (expected**2).sum(0))
        if noise is None or noise > MOST_NOISE:
            found = "not finite" if noise is None else f"off by {noise:.2g} of their size, allowed are {MOST_NOISE:g}"
            return f"its outputs are {found}; check it with: fmnist-tk parity"
        return None
    error = np.abs(actual - expected).max()
    if not error <= golden.limit:  # so that NaN is wrong, too
        return f"its outputs are off by {error:.2g}, allowed are {golden.limit:.2g}; check it with: fmnist-tk parity"
    return None


def batch_of(golden: Golden, size: int) -> NDArray[np.float32]:
    """Return the golden inputs as often as ``size`` images need.

    Raises:
        MemoryError: If they would not fit: the system would otherwise kill a process for it, and perhaps another one.
    """
    wanted, free = size * _BYTES_PER_IMAGE, psutil.virtual_memory().available
    if wanted > free:
        raise MemoryError(
            f"a batch of {size:,} images takes {wanted / 1e9:.3g} GB, {free / 1e9:.3g} GB are free; take a smaller one"
        )
    return np.ascontiguousarray(np.resize(golden.inputs, (size, *golden.inputs.shape[1:])))
