"""Names and digest of the quickstart's weights. Imports no torch: an artifact is inspected by these, too."""

import hashlib
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
#: Name of a weight in the quickstart's state dict.
KEY = re.compile(r"^linear_relu_stack\.(\d+)\.(weight|bias)$")


def without_prefix(name: str) -> str:
    """Return a weight's name without what DataParallel and torch.compile put before it."""
    while prefix := next((each for each in _PREFIXES if name.startswith(each)), None):
        name = name.removeprefix(prefix)
    return name


def arrays_sha256(weights: Mapping[str, NDArray[np.float32]]) -> str:
    """Return the digest of weights: names, shapes and float32 bytes, in the order of the names.

    It does not depend on the file format, so an artifact and its checkpoint can be compared.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name]
        digest.update(f"{name}:{values.shape}:".encode())
        digest.update(values.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()
