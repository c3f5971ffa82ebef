"""Where stdout and stderr lead: to nowhere when nobody reads them, to stderr while an artifact may print."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOWrapper
from typing import TextIO

__all__ = ["drop", "prepare_streams", "stdout_to_stderr"]

_STDOUT, _STDERR = 1, 2


def prepare_streams() -> None:
    """Make stdout and stderr what any text can be written to.

    One that is closed, as under ``>&-``, leads to nowhere: else the next file that is opened would take its number, and
    get what a library prints. A letter that the encoding of the terminal does not have becomes a question mark.
    """
    for number in (0, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
    sys.stdout = sys.stdout or os.fdopen(_STDOUT, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(_STDERR, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop(stream: TextIO) -> None:
    """Send to nowhere what is still in the buffer of a stream: Python would try, and fail, to write it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to stderr whatever an artifact or a library prints, from Python or not, so that stdout is the report's.

    Where there is no stdout or no stderr at all, as under ``>&-``, only what Python prints is sent there.
    """
    _flush_stdout()
    saved = None
    try:
        with suppress(OSError):
            saved = os.dup(_STDOUT)
            os.dup2(_STDERR, _STDOUT)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _flush_stdout()  # what is still in a buffer was printed meanwhile
        if saved is not None:
            os.dup2(saved, _STDOUT)
            os.close(saved)


def _flush_stdout() -> None:
    """Empty the buffers of Python and of C, which std::cout shares."""
    import ctypes

    if sys.stdout is not None:
        sys.stdout.flush()
    # On Windows None names no library, and there each runtime has a C library of its own.
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).fflush(None)
