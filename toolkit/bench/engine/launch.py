"""Launch processes for a bench, and end them whatever happens: a crash or a hang is one row's, never the run's."""

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from pydantic import ValidationError

from toolkit.bench.engine.job import Answer, Job, Order
from toolkit.records import Record, read_record
from toolkit.system.files import write_record
from toolkit.system.processes import kill_group, last_words, start_module, wait

Request = TypeVar("Request", bound=Record)
Result = TypeVar("Result", bound=Record)

WORKER, CHILD = "toolkit.bench.engine.worker", "toolkit.bench.engine.child"
_CHUNK_BYTES = 1 << 16
_END_TIMEOUT_S = 5.0


class WorkerError(Exception):
    """A worker gave no answer; the message says why. It has been ended."""


class WorkerProcess:
    """A clean process for one row. Orders go in and answers come out, a line each."""

    def __init__(self, job: Job, log: Path) -> None:
        """Start it; whatever it and its runtime write on stderr goes into the file ``log``."""
        self._log = log
        with log.open("wb") as stderr:
            self._process = start_module(
                [WORKER], job.threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            )
        assert self._process.stdin is not None  # both are pipes
        assert self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self._buffer = b""
        self._send(job.model_dump_json())

    @property
    def pid(self) -> int:
        """Of the process, which leads a group of its own."""
        return self._process.pid

    def order(self, order: Order) -> None:
        """Tell it what to do next, without waiting for the answer."""
        self._send(order.model_dump_json())

    def answer(self, timeout_s: float) -> Answer:
        """Wait for the answer to the last order.

        Raises:
            WorkerError: If it ends, says that it cannot, or takes longer than ``timeout_s``.
        """
        line = self._line(time.monotonic() + timeout_s)
        if line is None:
            self.kill()
            raise WorkerError(f"no answer within {timeout_s:.0f} s, it was killed")
        if not line.endswith(b"\n"):
            self._close_pipes()
            code = wait(self._process, _END_TIMEOUT_S)
            self.kill()
            raise WorkerError(last_words(code, self._log.read_bytes()))
        try:
            answer = Answer.model_validate_json(line)
        except ValidationError as error:
            self.kill()
            raise WorkerError(f"its answer makes no sense: {line[:80]!r}") from error
        if answer.fault:
            self.kill()
            raise WorkerError(answer.fault)
        return answer

    def kill(self) -> None:
        """End it and whatever it has started, at once; nothing happens when it has ended already."""
        kill_group(self._process)
        self._close_pipes()

    def _send(self, line: str) -> None:
        with suppress(OSError):  # it has ended; the answer that does not come tells why
            self._orders.write(line.encode() + b"\n")
            self._orders.flush()

    def _line(self, deadline: float) -> bytes | None:
        """Return the next line, what came before the end of the stream, or None when ``deadline`` passes."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                chunk = os.read(self._answers.fileno(), _CHUNK_BYTES)
                if not chunk:
                    break
                self._buffer += chunk
        line, newline, self._buffer = self._buffer.partition(b"\n")
        return line + newline

    def _close_pipes(self) -> None:
        for pipe in (self._orders, self._answers):
            with suppress(OSError):
                pipe.close()


def work_apart(
    work: Callable[[Request], Result],
    request: Request,
    result: type[Result],
    *,
    scratch: Path,
    threads: int,
    timeout_s: float,
) -> Result | str:
    """Return what a function makes of a record in a clean process, or why there is nothing.

    Args:
        work: A function of a module; it is imported there again.
        request: What it is given.
        result: The kind of record that it returns.
        scratch: A folder for files that nobody needs afterwards.
        threads: For the runtimes that it imports.
        timeout_s: After so many seconds the process is killed, with what it has started.
    """
    request_file, result_file, log = (scratch / f"{work.__name__}.{name}" for name in ("request", "result", "log"))
    result_file.unlink(missing_ok=True)
    write_record(request, request_file)
    words = [CHILD, f"{work.__module__}:{work.__name__}", str(request_file), str(result_file)]
    with log.open("wb") as output:
        process = start_module(words, threads, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        code = wait(process, timeout_s)
    finally:
        kill_group(process)  # also on Ctrl-C: no child survives the parent
    if code is None:
        return f"no result within {timeout_s:.0f} s"
    if code:
        return last_words(code, log.read_bytes())
    return read_record(result_file, result) if result_file.is_file() else "it wrote no result"
