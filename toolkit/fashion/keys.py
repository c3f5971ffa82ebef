"""Names and digest of the quickstart's weights. Imports no torch: an artifact is inspected by these, too."""

import hashlib
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Of torch.compile and of FullyShardedDataParallel, at any depth.
_WRAPPER = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# Whatever holds the model: DataParallel, AveragedModel, Lightning, a class of the user's.
_HELD = re.compile(r"^(?:.*\.)?(linear_relu_stack\.[0-9]{1,18}\.(?:weight|bias))$")
_DATA_PARALLEL = "module."
#: Name of a weight in the quickstart's state dict.
KEY = re.compile(r"^linear_relu_stack\.([0-9]{1,18})\.(weight|bias)$")


def without_prefix(name: str) -> str:
    """Return a weight's name without what stands before it where the model was part of something else."""
    return split_prefix(name)[1]


def split_prefix(name: str) -> tuple[str, str]:
    """Return what stands before a weight's name where the model was part of something else, and the name itself."""
    unwrapped = _WRAPPER.sub("", name)
    found = _HELD.match(unwrapped)
    plain = found[1] if found else unwrapped.removeprefix(_DATA_PARALLEL)
    return unwrapped.removesuffix(plain), plain


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
