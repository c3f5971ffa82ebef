"""Questions to a process that nobody trusts: sent and answered in lines of JSON, each followed by bytes.

It is watched: what takes too long or too much memory is killed, with what it has started.
"""

import os
import selectors
import subprocess
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import IO, Final

from toolkit.system.processes import kill_group, last_words, start_module, wait
from toolkit.system.scratch import scratch_folder

_WATCH_S: Final = 0.1
_END_S: Final = 5.0
_CHUNK_BYTES: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 28
_KEPT_BYTES: Final = 1 << 12


class ProcessEndedError(Exception):
    """The process has ended or was killed; the message says how, and why."""


class WatchedProcess:
    """One of our modules in a process of its own, with a folder for scratch files. Each question waits for its answer.

    It ends with this object. When it has ended before, each further question says how.
    """

    def __init__(self, module: str, threads: int, memory_bytes: int) -> None:
        """Start it; its only argument is the folder for scratch files.

        Args:
            module: As after ``python -m``.
            threads: For the runtimes that it imports.
            memory_bytes: Of resident memory that it may take.
        """
        import psutil

        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        until_the_end = ExitStack()
        scratch = until_the_end.enter_context(scratch_folder("apart"))
        self._process = start_module([module, str(scratch)], threads, spin=False, **pipes)
        self._memory_bytes, self._watched = memory_bytes, psutil.Process(self._process.pid)
        self._written = b""
        self._ended: str | None = None
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._pipes: Sequence[IO[bytes]] = [each for each in streams if each]
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        self._end = weakref.finalize(self, _end, self._process, self._pipes, until_the_end)

    def ask(
        self, line: bytes, more: bytes, limit_s: float, expected: Callable[[bytes], int]
    ) -> tuple[bytes, bytearray]:
        """Ask and wait.

        Args:
            line: JSON, without the end of the line.
            more: Bytes that follow it.
            limit_s: How long it may take.
            expected: Of the line that comes back: how many bytes follow it. Whatever it raises for nonsense ends the
                process.

        Returns:
            The line that came back, and the bytes that followed it.

        Raises:
            ProcessEndedError: If it ends, takes too long or too much memory, or makes no sense.
        """
        if self._ended:
            raise ProcessEndedError(self._ended)
        try:
            return self._exchange([memoryview(line + b"\n"), memoryview(more)], time.monotonic() + limit_s, expected)
        except ProcessEndedError as error:
            self._end()
            self._ended = str(error) or last_words(self._process.returncode, self._written)
        except TimeoutError:
            self._end()
            self._ended = f"no answer within {limit_s:.0f} s, its process was killed"
        except (ValueError, MemoryError) as error:
            self._end()
            self._ended = f"its process answered without sense ({type(error).__name__})"
        except BaseException:  # Ctrl-C: nobody knows what it would answer next
            self._end()
            self._ended = "its process was ended"
            raise
        raise ProcessEndedError(self._ended)

    def _exchange(
        self, waiting: list[memoryview], deadline: float, expected: Callable[[bytes], int]
    ) -> tuple[bytes, bytearray]:
        received, line, needed = bytearray(), b"", 0
        stdin, stdout, stderr = self._pipes
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while not line or len(received) < needed:
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
                        raise ProcessEndedError
                    else:
                        received += chunk
                if not line and b"\n" in received[-_CHUNK_BYTES:]:
                    end = received.index(b"\n")
                    line, received = bytes(received[:end]), received[end + 1 :]
                    needed = expected(line)
                self._watch(deadline, len(received))
        return line, received

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
                limit = f"{self._memory_bytes / 2**30:.0f} GiB"
                raise ProcessEndedError(f"it took more than {limit} of memory, its process was killed")


def _end(process: "subprocess.Popen[bytes]", pipes: Sequence[IO[bytes]], until_the_end: ExitStack) -> None:
    kill_group(process)
    until_the_end.close()
    for pipe in pipes:
        with suppress(OSError):
            pipe.close()
