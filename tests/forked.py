"""Processes of a bench that find torch imported, for tests of what these do and not of how they are started.

To import it takes two seconds of processor time, longer than most of them live. So one process imports it, and computes
nothing itself, which a fork would not survive; it forks another for each, which goes on as ``python -m`` would.
"""

import json
import os
import runpy
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from toolkit.system.processes import clean_environment

_MOST_BYTES = 1 << 17


class Importer:
    """The process that has torch imported."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(number)],
                pass_fds=[number],
                env=clean_environment(1),
                start_new_session=True,
            )

    def start(self, words: Sequence[str], threads: int, **streams: Any) -> "Forked":
        """Do what `toolkit.system.processes.start_module` does."""
        process, files, closed = Forked(), [], []
        for name in ("stdin", "stdout", "stderr"):
            match streams[name]:
                case subprocess.PIPE:
                    ends = os.pipe()
                    theirs, ours = ends if name == "stdin" else reversed(ends)
                    setattr(process, name, os.fdopen(ours, "wb" if name == "stdin" else "rb"))
                    files.append(theirs)
                    closed.append(theirs)
                case subprocess.DEVNULL:
                    files.append(os.open(os.devnull, os.O_RDWR))
                    closed.append(files[-1])
                case file:
                    files.append(file.fileno())
        process.news, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = {"words": list(words), "environment": clean_environment(threads), "folder": str(Path.cwd())}
        with theirs:
            socket.send_fds(self._orders, [json.dumps(order).encode()], [*files, theirs.fileno()])
        for each in closed:
            os.close(each)
        process.pid = int(process.news.recv(_MOST_BYTES))
        return process

    def end(self) -> None:
        """End it; what it forked ends when it is done."""
        self._orders.close()
        self._process.wait()


class Forked:
    """What `toolkit.bench.engine.launch` needs of a `subprocess.Popen`."""

    pid: int
    stdin: IO[bytes] | None = None
    stdout: IO[bytes] | None = None
    news: socket.socket
    returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.news.settimeout(timeout)
            try:
                self.returncode = int(self.news.recv(_MOST_BYTES))
            except TimeoutError:
                raise subprocess.TimeoutExpired("forked", timeout or 0) from None
            self.news.close()
        return self.returncode


def serve(orders: socket.socket) -> None:
    """Fork for each order until the tests have ended."""
    import toolkit.fashion.checkpoint  # noqa: F401  with torch and the records

    while True:
        order, files, _, _ = socket.recv_fds(orders, _MOST_BYTES, 4)
        if not order:
            return
        if os.fork() == 0:
            _watch(json.loads(order), files)
        for each in files:
            os.close(each)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _watch(order: dict[str, Any], files: Sequence[int]) -> None:
    """Tell of a process its number and how it ended."""
    pid = os.fork()
    if pid == 0:
        _run(order, files)
    for each in files[:3]:
        os.close(each)
    with socket.socket(fileno=files[3]) as news:
        news.send(str(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(OSError):  # nobody waits for it
            news.send(str(code).encode())
    os._exit(0)


def _run(order: dict[str, Any], files: Sequence[int]) -> None:
    """Be ``python -m`` in a session of its own."""
    code = 1
    try:
        os.setsid()
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        for number, each in enumerate(files[:3]):
            os.dup2(each, number)
        os.closerange(3, max(files) + 1)
        sys.stdin = os.fdopen(0, encoding="utf-8")
        sys.argv = order["words"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001  as Python itself ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
