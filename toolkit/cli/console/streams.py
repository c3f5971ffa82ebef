"""Where stdout leads: to nowhere when its reader has gone, to stderr while an artifact may print."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

__all__ = ["drop_stdout", "stdout_to_stderr"]

_STDOUT, _STDERR = 1, 2


def drop_stdout() -> None:
    """Send to nowhere what is still in the buffer of stdout: Python would try, and fail, to write it at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
