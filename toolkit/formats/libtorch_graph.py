"""What the archives of TorchScript and torch.export have in common: tensors of torch, members of a zip."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.formats.graph import Role, StoredTensor, bounded

_EXTRA = "/extra/"


def stored_tensor(name: str, role: Role, tensor: Tensor) -> StoredTensor:
    """Return a tensor of torch with its name."""
    return StoredTensor(
        name, role, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), lambda: to_array(tensor)
    )


def to_array(tensor: Tensor) -> NDArray[Any]:
    """Return the values of a tensor: exactly, if need be in a wider dtype, since NumPy has not all of torch's.

    Raises:
        RuntimeError, TypeError, ValueError: If it has no values, or none that can be seen.
    """
    host = tensor.detach().cpu()
    if host.is_quantized:
        host = host.int_repr()
    if host.layout != torch.strided:
        host = host.to_dense()
    if host.is_floating_point() and host.dtype not in {torch.float16, torch.float32, torch.float64}:
        host = host.float()  # bfloat16 and the dtypes of eight bits
    array: NDArray[Any] = host.contiguous().numpy()
    return array


def extra_files(path: Path, own: str) -> dict[str, str]:
    """Return the extra files of an archive as text, but for our ``own``; of long ones and of bytes the digest."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            _, marked, short = name.partition(_EXTRA)
            if marked and short != own:
                found[short] = _as_text(archive.read(name))
    return found


def read_member(path: Path, *endings: str) -> bytes | None:
    """Return the first member of a zip whose name ends in one of ``endings``, or None."""
    with zipfile.ZipFile(path) as archive:
        name = next((name for ending in endings for name in archive.namelist() if name.endswith(ending)), None)
        return archive.read(name) if name else None


def _as_text(data: bytes) -> str:
    try:
        return bounded(data.decode())
    except UnicodeDecodeError:
        return f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}"
