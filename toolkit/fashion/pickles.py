"""Files of ``torch.save``: read without running what they contain.

`unpickle` reads the pickles as data; this module knows the containers around them: the zip that torch writes since
version 1.6, and the run of bare pickles before. No size that a file states is believed: a storage is taken from bytes
that are there, and a tensor is a view of its storage that is no larger than it.
"""

import math
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from toolkit.errors import CheckpointError, first_line
from toolkit.fashion.unpickle import PICKLE_ERRORS, Machine, Thing
from toolkit.formats.archives import ZIP_ERRORS, damaged_member
from toolkit.system.strangers import stranger_zip

_LARGEST_PICKLE_BYTES: Final = 1 << 26
# Layers that share their weights share a storage, so tensors may be larger than the file, but not by any factor.
_MOST_SHARED: Final = 4
_MOST_DIMENSIONS: Final = 8
_LARGEST_DIMENSION: Final = 1 << 40
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_OF_PICKLE: Final = "torch.storage._load_from_bytes"
_AGAIN: Final = "write it again with torch.save"
_STORAGES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "UntypedStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


@dataclass(frozen=True, eq=False)
class _Storage:
    """Bytes of a file, and the tensor of one dimension that they are."""

    data: bytearray
    tensor: Tensor


class _Tensors:
    """The storages and tensors of one file."""

    def __init__(self, path: Path, size: int, data_of: Callable[[str, int], bytearray]) -> None:
        """Take the file and its size; ``data_of`` gives so many bytes of the storage of a name, or raises."""
        self.path, self.data_of, self.left = path, data_of, _MOST_SHARED * size
        self.storages: dict[str, _Storage] = {}
        self.machine = Machine(
            path,
            self._persistent,
            {
                "torch._utils._rebuild_tensor": self._view,
                "torch._utils._rebuild_tensor_v2": self._view,
                "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
                "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
            },
        )

    def _persistent(self, identifier: Any) -> Any:
        """Return what an identifier means: a storage, or a module's class, which old files have with its source."""
        if identifier[0] == "module":
            return identifier[1]
        _, kind, key, _, count, *views = identifier
        dtype = _STORAGES[kind.name.rpartition(".")[2]]
        if not isinstance(key, str) or not isinstance(count, int) or count < 0 or any(views):
            raise ValueError("a storage that torch does not write today")
        if key not in self.storages:
            data = self.data_of(key, count * dtype.itemsize)
            self.storages[key] = _Storage(
                data, torch.frombuffer(data, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)
            )
        return self.storages[key]

    def _view(self, storage: _Storage | Thing, offset: int, size: Any, stride: Any, *_: object) -> Tensor | Thing:
        if isinstance(storage, Thing):
            return storage
        whole = storage.tensor
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or len(size) > _MOST_DIMENSIONS:
            raise ValueError("a tensor whose sizes and strides do not fit")
        if not all(isinstance(each, int) and 0 <= each < _LARGEST_DIMENSION for each in numbers):
            raise ValueError("a tensor whose sizes are no numbers of elements")
        count = math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if count > whole.numel() or (count and last >= whole.numel()):
            raise CheckpointError(
                self.path,
                f"has a tensor of {'x'.join(map(str, size))} in a storage of {whole.numel():,} numbers",
                "save tensors with all of their numbers: tensor.clone() of one that was expanded",
            )
        self.left -= count * whole.element_size()
        if self.left < 0:
            raise CheckpointError(self.path, "its tensors share storages, and are far larger than the file", _AGAIN)
        return whole.as_strided(size, stride, offset)


def read_torch_file(path: Path) -> object:
    """Return what ``torch.save`` wrote: plain values, tensors on the CPU, and a `Thing` for all else.

    Raises:
        UnsafeCheckpointError: If the pickle asks for a class or function that no checkpoint needs.
        CheckpointError: If the file is damaged, no checkpoint, or states sizes that it has not.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(2) == b"PK":
            return _read_zip(file, path, size)
        file.seek(0)
        return _read_pickles(file, path, size)


def _read_zip(file: BinaryIO, path: Path, size: int) -> object:
    with _damage(path, ZIP_ERRORS), zipfile.ZipFile(file) as archive:
        found = _pickle_member(archive, path, size)

        def data_of(key: str, count: int) -> bytearray:
            member = archive.getinfo(f"{found.removesuffix('data.pkl')}data/{key}")
            if count > member.file_size:
                raise CheckpointError(path, f"states {count:,} bytes for a storage of {member.file_size:,}", _AGAIN)
            return bytearray(archive.read(member))

        pickled = archive.read(found)
        with _damage(path, PICKLE_ERRORS, "cannot be read as weights"):
            return _Tensors(path, size, data_of).machine.read(BytesIO(pickled))


def _pickle_member(archive: zipfile.ZipFile, path: Path, size: int) -> str:
    """Return the name of the member that is the pickle, after all members were checked."""
    names = archive.namelist()
    if any("/code/" in name or name.endswith("/archive_format") for name in names):
        raise CheckpointError(
            path, "is an exported artifact, not a checkpoint", "pass it as a target: fmnist-tk parity FILE"
        )
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if not pickles:
        raise CheckpointError(path, *stranger_zip(names))
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(path, "was compressed after torch.save had written it", _AGAIN)
    if sum(member.file_size for member in members) > size or len(pickles) > 1:
        raise CheckpointError(path, "is damaged: its members overlap", "copy it again from where it was made")
    if archive.getinfo(pickles[0]).file_size > _LARGEST_PICKLE_BYTES:
        raise CheckpointError(path, f"its pickle is larger than {_LARGEST_PICKLE_BYTES:,} bytes", _AGAIN)
    damaged = damaged_member(archive)
    if damaged:
        raise CheckpointError(path, f"is damaged: {damaged} is not what was written")
    order = pickles[0].removesuffix("data.pkl") + "byteorder"
    if order in names and archive.read(order) != sys.byteorder.encode():
        raise CheckpointError(path, "was written by a machine of the other byte order", "save it again on this one")
    return pickles[0]


def _read_pickles(file: BinaryIO, path: Path, size: int) -> object:
    """Read a file from before torch 1.6, or of plain pickle: its storages follow the pickles."""
    left = size

    def data_of(_: str, count: int) -> bytearray:
        nonlocal left
        left -= count
        if left < 0:
            raise CheckpointError(path, f"states storages that are larger than its {size:,} bytes", _AGAIN)
        return bytearray(count)  # which is filled when its bytes come

    tensors = _Tensors(path, size, data_of)
    head = BytesIO(file.read(_LARGEST_PICKLE_BYTES))
    with _damage(path, PICKLE_ERRORS, "cannot be read as weights"):
        value = tensors.machine.read(head)
        if _OF_PICKLE in tensors.machine.asked:
            raise CheckpointError(path, "was written by pickle.dump, not by torch.save", _AGAIN)
        if value != _MAGIC:
            return value
        tensors.machine.read(head)  # the version of the protocol
        tensors.machine.read(head)  # of the system that wrote it
        value, keys = tensors.machine.read(head), tensors.machine.read(head)
        if not isinstance(keys, list) or {str(key) for key in keys} != tensors.storages.keys():
            raise ValueError("its list of storages is not that of its tensors")
    file.seek(head.tell())
    for key in keys:
        storage = tensors.storages[str(key)]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.tensor.numel() or file.readinto(storage.data) != len(storage.data):  # type: ignore[attr-defined]  # of every open file
            raise CheckpointError(path, "is truncated or damaged: its numbers are not all there")
    return value


@contextmanager
def _damage(path: Path, errors: tuple[type[Exception], ...], what: str = "is truncated or damaged") -> Iterator[None]:
    """Say of a file that it is damaged where one of ``errors`` comes up."""
    try:
        yield
    except errors as error:
        raise CheckpointError(path, f"{what} ({first_line(error)})", _AGAIN) from error
