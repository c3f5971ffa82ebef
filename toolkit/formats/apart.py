"""Artifacts from strangers: opened in a process apart, which can compute and answer, and little else.

The process gives up what it does not need (`toolkit.system.confine`), is killed when it takes too long or too much
memory, and dies with this one. It answers in JSON and plain arrays: nothing that comes back is unpickled.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import NonNegativeInt

from toolkit.errors import CorruptArtifactError, from_fields
from toolkit.formats.graph import Contents, Role, StoredTensor
from toolkit.formats.prefix import Prefix
from toolkit.formats.session import Session
from toolkit.records import GraphRecord, Precision, Record, Signature
from toolkit.system.environment import default_threads
from toolkit.system.watched import ProcessEndedError, WatchedProcess

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHILD: Final = "toolkit.formats.apart_child"
# Opening imports a runtime, and a larger file takes longer. A call has so long, and more for each image: a
# hundred times what a large network takes on one core.
_OPEN_S, _OPEN_BYTES_PER_S, _CALL_S, _IMAGE_S = 60.0, 20e6, 30.0, 0.5
# Of resident memory: runtimes need up to 1 GiB, and hold weights several times while they prepare them.
_MEMORY_BYTES, _MEMORY_PER_BYTE = 4 << 30, 12
_DTYPES: Final = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64"), 8),
}


class Values(Record):
    """An array whose bytes, in C order, follow the line."""

    dtype: str
    shape: tuple[NonNegativeInt, ...]

    def size_bytes(self) -> int:
        """Return how many bytes these are.

        Raises:
            KeyError: If they are of a dtype that no artifact gives.
        """
        return math.prod(self.shape) * _DTYPES[self.dtype]


class Question(Record):
    """What the process is asked, a line of JSON and the bytes of ``given``."""

    do: Literal["load", "run", "describe", "read", "cut", "run prefix"]
    format: str
    path: str
    trusted: bool = False
    device: str = "cpu"
    threads: int | None = None
    number: NonNegativeInt = 0
    given: Values | None = None


class Tensor(Record):
    """A `StoredTensor` without its values."""

    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    file: str | None
    transposed: bool


class Answer(Record):
    """What it answers: what was asked for, or what went wrong; and the bytes of ``values`` and ``overwritten``."""

    precision: Precision | None = None
    signature: Signature | None = None
    graph: GraphRecord | None = None
    tensors: tuple[Tensor, ...] = ()
    prefix: tuple[str, str] | None = None
    values: Values | None = None
    overwritten: Values | None = None
    error: dict[str, str] | None = None
    fault: str | None = None


class ForeignArtifact:
    """An artifact in a process of its own, started when it is first asked for something."""

    def __init__(self, format: str, path: Path, *, trusted: bool) -> None:
        self._format, self._path, self._trusted = format, path, trusted
        self._process: WatchedProcess | None = None

    def load(self, device: str, threads: int | None = None) -> Session:
        """Open it as `Target.load_here` does.

        Raises:
            FormatError: As there; a process that does not outlive it has a damaged file.
        """
        answer, _ = self._ask("load", device=device, threads=threads)
        if answer.precision is None or answer.signature is None:
            raise self._corrupt("its process answered without sense")
        return ForeignSession(self, "run", 0, answer.precision, answer.signature)

    def contents(self) -> Contents | None:
        """Return what stands inside, as `Target.contents` does; values are read when they are asked for.

        Raises:
            FormatError: As there.
        """
        answer, _ = self._ask("describe")
        if answer.graph is None or answer.signature is None:
            return None
        tensors = (self._stored(number, each) for number, each in enumerate(answer.tensors))
        return Contents(answer.graph, answer.signature, tuple(tensors))

    def prefixes(self, device: str, threads: int | None) -> Iterator[Prefix]:
        """Yield its graph cut after each node, as `toolkit.formats.prefix.open_prefixes` does.

        Raises:
            FormatError: As there.
        """
        number = 0
        while True:
            answer, _ = self._ask("cut", device=device, threads=threads, number=number)
            if answer.prefix is None or answer.precision is None or answer.signature is None:
                return
            session = ForeignSession(self, "run prefix", number, answer.precision, answer.signature)
            yield Prefix(*answer.prefix, session)
            number += 1

    def run(self, do: Literal["run", "run prefix"], number: int, images: "NDArray[np.float32]") -> "NDArray[Any]":
        """Return what it computes; what it does to its images, it does to these.

        Raises:
            RuntimeError: If it fails.
            ProcessEndedError: If it takes too long or too much memory, or crashes.
        """
        import numpy as np

        given = np.ascontiguousarray(images)
        limit_s = _CALL_S + _IMAGE_S * len(given)
        question = self._question(do, number=number, given=given)
        answer, arrays = self._exchange(question, given.tobytes(), limit_s)
        if answer.fault or not arrays:
            raise RuntimeError(answer.fault or "its process answered without sense")
        if len(arrays) > 1 and arrays[1].shape == images.shape and images.flags.writeable:
            np.copyto(images, arrays[1], casting="same_kind")
        return arrays[0]

    def _stored(self, number: int, tensor: Tensor) -> StoredTensor:
        def read() -> "NDArray[Any]":
            _, arrays = self._ask("read", number=number)
            return arrays[0]

        return StoredTensor(
            tensor.name, tensor.role, tensor.dtype, tensor.shape, read, tensor.file, transposed=tensor.transposed
        )

    def _question(self, do: str, *, given: "NDArray[Any] | None" = None, **more: Any) -> Question:
        values = None if given is None else Values(dtype=str(given.dtype), shape=given.shape)
        fixed = {"do": do, "format": self._format, "path": str(self._path), "trusted": self._trusted, "given": values}
        return Question.model_validate({**fixed, **more})

    def _ask(self, do: str, **more: Any) -> "tuple[Answer, list[NDArray[Any]]]":
        """Ask for what needs no images, and raise the error that comes back."""
        try:
            limit_s = _OPEN_S + self._path.stat().st_size / _OPEN_BYTES_PER_S
            answer, arrays = self._exchange(self._question(do, **more), b"", limit_s)
        except ProcessEndedError as error:
            raise self._corrupt(str(error)) from error
        if answer.error:
            raise from_fields(answer.error)
        if answer.fault:
            raise ValueError(answer.fault) if do == "read" else self._corrupt(answer.fault)
        return answer, arrays

    def _exchange(self, question: Question, given: bytes, limit_s: float) -> "tuple[Answer, list[NDArray[Any]]]":
        if self._process is None:
            memory_bytes = _MEMORY_BYTES + _MEMORY_PER_BYTE * self._path.stat().st_size
            self._process = WatchedProcess(CHILD, question.threads or default_threads(), memory_bytes)
        line, received = self._process.ask(question.model_dump_json().encode(), given, limit_s, _expected)
        answer = Answer.model_validate_json(line)
        return answer, list(_arrays(answer, received))

    def _corrupt(self, reason: str) -> CorruptArtifactError:
        return CorruptArtifactError(self._path, self._format, reason)


class ForeignSession:
    """A session that computes in the process of a `ForeignArtifact`; batches and logits are arrays of the host."""

    def __init__(
        self,
        artifact: ForeignArtifact,
        do: Literal["run", "run prefix"],
        number: int,
        precision: Precision,
        signature: Signature,
    ) -> None:
        self._artifact, self._do, self._number = artifact, do, number
        self.precision: Precision = precision
        self.signature = signature

    def to_device(self, images: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Return the images themselves: `run` sends them."""
        return images

    def run(self, batch: Any) -> "NDArray[Any]":
        """Return the logits once the device is done.

        Raises:
            RuntimeError, ProcessEndedError: As `ForeignArtifact.run`.
        """
        return self._artifact.run(self._do, self._number, batch)

    def synchronize(self) -> None:
        """Do nothing: `run` has waited."""

    def to_host(self, logits: Any) -> "NDArray[np.float32]":
        """Return the logits in the dtype that they have."""
        host: NDArray[np.float32] = logits
        return host


def _expected(line: bytes) -> int:
    """Return how many bytes follow an answer.

    Raises:
        ValueError: If it makes no sense.
    """
    answer = Answer.model_validate_json(line)
    try:
        return sum(each.size_bytes() for each in (answer.values, answer.overwritten) if each)
    except KeyError as error:
        raise ValueError(f"an array of {error}") from error


def _arrays(answer: Answer, received: bytearray) -> "Iterator[NDArray[Any]]":
    import numpy as np

    start = 0
    for values in (answer.values, answer.overwritten):
        if values is not None:
            end = start + values.size_bytes()
            yield np.frombuffer(received[start:end], values.dtype).reshape(values.shape)
            start = end
