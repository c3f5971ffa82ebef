"""Launch processes for a bench, and end them whatever happens: a crash or a hang is one row's, never the run's."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import ValidationError

from toolkit.bench.engine.job import Answer, Job, Order
from toolkit.records import Record, read_record
from toolkit.system.files import write_record

Request = TypeVar("Request", bound=Record)
Result = TypeVar("Result", bound=Record)

WORKER, CHILD = "toolkit.bench.engine.worker", "toolkit.bench.engine.child"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# How long threads spin after a call: each runtime's own default is measured, not what this shell happens to say.
_SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY")
_CHUNK_BYTES = 1 << 16
_END_TIMEOUT_S = 5.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


class WorkerError(Exception):
    """A worker gave no answer; the message says why. It has been ended."""


class WorkerProcess:
    """A clean process for one row. Orders go in and answers come out, a line each."""

    def __init__(self, job: Job, log: Path) -> None:
        """Start it; whatever it and its runtime write on stderr goes into the file ``log``."""
        self._log = log
        with log.open("wb") as stderr:
            self._process = _start([WORKER], job.threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
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
            code = _wait(self._process, _END_TIMEOUT_S)
            self.kill()
            raise WorkerError(last_words(code, self._log))
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
        _kill_group(self._process)
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
        process = _start(words, threads, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        code = _wait(process, timeout_s)
    finally:
        _kill_group(process)  # also on Ctrl-C: no child survives the parent
    if code is None:
        return f"no result within {timeout_s:.0f} s"
    if code:
        return last_words(code, log)
    return read_record(result_file, result) if result_file.is_file() else "it wrote no result"


def die_with_parent() -> None:
    """Ask Linux to kill this process with its parent, even inside a call that never returns; and first, for memory."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment of a clean process: thread counts and spinning are read when a runtime is imported."""
    environment = {name: value for name, value in os.environ.items() if name not in _SPIN_VARIABLES}
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    environment["PYTHONHASHSEED"] = "0"  # or dictionaries of one process are laid out more luckily than another's
    environment["NVIDIA_TF32_OVERRIDE"] = "0"  # float32 rows are float32, whatever a library would choose
    root = str(Path(__file__).resolve().parents[3])
    if root not in sys.path[1:]:  # run from a checkout that is not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return environment


def last_words(code: int | None, log: Path) -> str:
    """Return how a process ended, and the last line that it wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    words = f": {lines[-1][:300]}" if lines else ""
    if code is None:
        return f"the worker said nothing and did not end{words}"
    if code < 0:
        names = {each.value: each.name for each in signal.Signals}  # real-time signals have none
        return f"the worker was killed by {names.get(-code, f'signal {-code}')}{words}"
    return f"the worker ended with exit code {code}{words}"


def _start(words: Sequence[str], threads: int, **streams: Any) -> "subprocess.Popen[bytes]":
    """Start ``python -m`` in a process group of its own: Ctrl-C is the parent's to handle."""
    return subprocess.Popen(  # noqa: S603  our own module under our own interpreter
        [sys.executable, "-P", "-m", *words], env=worker_environment(threads), start_new_session=True, **streams
    )


def _wait(process: "subprocess.Popen[bytes]", timeout_s: float) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process with all of its group, which may outlive it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses a group of which only a zombie is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
