"""Artifacts from strangers: opened in a process apart, which can compute and answer, and little else.

The process gives up what it does not need (`toolkit.system.confine`), is killed when it takes too long or too much
memory, and dies with this one. It answers in JSON and plain arrays: nothing that comes back is unpickled.
"""

import os
import selectors
import shutil
import subprocess
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from pydantic import NonNegativeInt, ValidationError

from toolkit.errors import CorruptArtifactError, from_fields
from toolkit.formats.graph import Contents, Role, StoredTensor
from toolkit.formats.prefix import Prefix
from toolkit.formats.session import Session
from toolkit.records import GraphRecord, Precision, Record, Signature
from toolkit.system.environment import default_threads
from toolkit.system.processes import kill_group, last_words, start_module, wait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHILD: Final = "toolkit.formats.apart_child"
# Opening imports a runtime, and a larger file takes longer. A call has so long, and more for each image: a
# hundred times what a large network takes on one core.
_OPEN_S, _OPEN_BYTES_PER_S, _CALL_S, _IMAGE_S = 60.0, 20e6, 30.0, 0.5
# Of resident memory: runtimes need up to 1 GiB, and hold weights several times while they prepare them.
_MEMORY_BYTES, _MEMORY_PER_BYTE = 4 << 30, 12
_WATCH_S = 0.1
_END_S = 5.0
_CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 1 << 28
_KEPT_BYTES = 1 << 12
_DTYPES: Final = frozenset(
    ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
)


class Values(Record):
    """An array whose bytes, in C order, follow the line."""

    dtype: str
    shape: tuple[NonNegativeInt, ...]


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


class ArtifactFaultError(Exception):
    """The artifact failed in its process, or its process ended; the message is the runtime's, or says how."""


class ForeignArtifact:
    """An artifact in a process of its own, started when it is first asked for something."""

    def __init__(self, format: str, path: Path, *, trusted: bool) -> None:
        self._format, self._path, self._trusted = format, path, trusted
        self._process: _Process | None = None

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
            ArtifactFaultError: If it fails, takes too long, or its process ends.
        """
        import numpy as np

        given = np.ascontiguousarray(images)
        limit_s = _CALL_S + _IMAGE_S * len(given)
        question = self._question(do, number=number, given=given)
        answer, arrays = self._exchange(question, memoryview(given.tobytes()), limit_s)
        if answer.fault or not arrays:
            raise ArtifactFaultError(answer.fault or "its process answered without sense")
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
            size = self._path.stat().st_size
            answer, arrays = self._exchange(
                self._question(do, **more), memoryview(b""), _OPEN_S + size / _OPEN_BYTES_PER_S
            )
        except ArtifactFaultError as error:
            raise self._corrupt(str(error)) from error
        if answer.error:
            raise from_fields(answer.error)
        if answer.fault:
            raise ValueError(answer.fault) if do == "read" else self._corrupt(answer.fault)
        return answer, arrays

    def _exchange(self, question: Question, given: memoryview, limit_s: float) -> "tuple[Answer, list[NDArray[Any]]]":
        if self._process is None:
            size = self._path.stat().st_size
            self._process = _Process(question.threads or default_threads(), _MEMORY_BYTES + _MEMORY_PER_BYTE * size)
        return self._process.exchange(question, given, limit_s)

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
            ArtifactFaultError: If the artifact fails, takes too long, or ends its process.
        """
        return self._artifact.run(self._do, self._number, batch)

    def synchronize(self) -> None:
        """Do nothing: `run` has waited."""

    def to_host(self, logits: Any) -> "NDArray[np.float32]":
        """Return the logits in the dtype that they have."""
        host: NDArray[np.float32] = logits
        return host


class _Process:
    """The process apart. One question at a time; when it has ended, each further one says how."""

    def __init__(self, threads: int, memory_bytes: int) -> None:
        import psutil

        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._scratch = Path(mkdtemp(prefix="fmnist-tk-"))
        self._process = start_module([CHILD, str(self._scratch)], threads, spin=False, **pipes)
        self._memory_bytes, self._watched = memory_bytes, psutil.Process(self._process.pid)
        self._written = b""
        self._ended: str | None = None
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._pipes: Sequence[IO[bytes]] = [each for each in streams if each]
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        self._end = weakref.finalize(self, _end, self._process, self._pipes, self._scratch)

    def exchange(self, question: Question, given: memoryview, limit_s: float) -> "tuple[Answer, list[NDArray[Any]]]":
        """Ask and wait.

        Raises:
            ArtifactFaultError: If it ends, takes more than ``limit_s`` or more memory than it may, or makes no sense.
        """
        if self._ended:
            raise ArtifactFaultError(self._ended)
        try:
            return self._exchange(question, given, time.monotonic() + limit_s)
        except _GivenUpError as error:
            self._end()
            self._ended = str(error) or last_words(self._process.returncode, self._written)
        except TimeoutError:
            self._end()
            self._ended = f"no answer within {limit_s:.0f} s, its process was killed"
        except (ValidationError, ValueError, MemoryError) as error:
            self._end()
            self._ended = f"its process answered without sense ({type(error).__name__})"
        except BaseException:  # Ctrl-C, or the pipes are gone: nobody knows what it would answer next
            self._end()
            self._ended = "its process was ended"
            raise
        raise ArtifactFaultError(self._ended)

    def _exchange(self, question: Question, given: memoryview, deadline: float) -> "tuple[Answer, list[NDArray[Any]]]":
        waiting = [memoryview(question.model_dump_json().encode() + b"\n"), given]
        received = bytearray()
        answer: Answer | None = None
        needed = 0
        with selectors.DefaultSelector() as selector:
            stdin, stdout, stderr = self._pipes
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while answer is None or len(received) < needed:
                for key, _ in selector.select(_WATCH_S):
                    if key.fileobj is stdin:
                        waiting = self._send(waiting)
                        if not waiting:
                            selector.unregister(stdin)
                        continue
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    if key.fileobj is stderr:
                        self._written = (self._written + chunk)[-_KEPT_BYTES:]
                        if not chunk:
                            selector.unregister(stderr)
                    elif not chunk:
                        wait(self._process, _END_S)
                        raise _GivenUpError
                    else:
                        received += chunk
                if answer is None and b"\n" in received[-_CHUNK_BYTES:]:
                    line, _, rest = received.partition(b"\n")
                    answer, received = Answer.model_validate_json(bytes(line)), bytearray(rest)
                    needed = sum(map(_size, (answer.values, answer.overwritten)))
                self._watch(deadline, len(received))
        return answer, list(_arrays(answer, received))

    def _send(self, waiting: list[memoryview]) -> list[memoryview]:
        try:
            sent = os.write(self._pipes[0].fileno(), waiting[0][:_CHUNK_BYTES])
        except BrokenPipeError:  # it has ended; the end of its answers tells how
            return []
        return [each for each in (waiting[0][sent:], *waiting[1:]) if each]

    def _watch(self, deadline: float, received: int) -> None:
        import psutil

        if time.monotonic() > deadline:
            raise TimeoutError
        if received > max(_LONGEST_LINE, self._memory_bytes):
            raise ValueError
        with suppress(psutil.Error):  # it has ended
            if self._watched.memory_info().rss > self._memory_bytes:
                raise _GivenUpError(
                    f"it took more than {self._memory_bytes / 2**30:.0f} GiB of memory, its process was killed"
                )


class _GivenUpError(Exception):
    """The process has ended or must; without a message, its last words tell why."""


def _size(values: Values | None) -> int:
    """Return the bytes of an array that is to come.

    Raises:
        ValueError: If it is of a dtype that no artifact gives.
    """
    import numpy as np

    if values is None:
        return 0
    if values.dtype not in _DTYPES:
        raise ValueError(values.dtype)
    size = np.dtype(values.dtype).itemsize
    for each in values.shape:
        size *= each
    return size


def _arrays(answer: Answer, received: bytearray) -> "Iterator[NDArray[Any]]":
    import numpy as np

    start = 0
    for values in (answer.values, answer.overwritten):
        if values is not None:
            end = start + _size(values)
            yield np.frombuffer(received[start:end], values.dtype).reshape(values.shape)
            start = end


def _end(process: "subprocess.Popen[bytes]", pipes: Sequence[IO[bytes]], scratch: Path) -> None:
    kill_group(process)
    shutil.rmtree(scratch, ignore_errors=True)
    for pipe in pipes:
        with suppress(OSError):
            pipe.close()
