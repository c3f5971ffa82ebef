"""Confinement: a process gives up what reading an artifact does not need, before it opens one from a stranger.

It asks the kernel, which takes nothing back: no file grows (``RLIMIT_FSIZE``, any Unix), and on a Linux with Landlock
none is written, made, renamed or removed, no program is started, and no connection is opened. Landlock's constants are
those of ``linux/landlock.h``; its documentation is kernel.org's *userspace-api/landlock*.
"""

import ctypes
import os
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_ONLY = 1
_BENEATH_PATH = 1
_NO_NEW_PRIVILEGES = 38  # prctl(2)
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
# Remove and make anything (bits 4 to 12); with ABI 2 rename across folders (13), with 3 truncate (14).
_CHANGES: Final = {1: _EXECUTE | _WRITE_FILE | sum(1 << bit for bit in range(4, 13)), 2: 1 << 13, 3: 1 << 14}
_TCP: Final = 0b11  # bind and connect, with ABI 4
# What is written without a trace: the sink, and the nodes through which a driver is spoken to.
_DEVICES: Final = ("/dev/null", "/dev/nvidia*", "/dev/dri/*", "/dev/kfd")


def confine(scratch: Path) -> bool:
    """Confine this process and whatever it starts, from now on. Call it before there are threads: they stay free.

    Args:
        scratch: The only folder in which names may be made and removed. No file grows there, either.

    Returns:
        Whether nothing outside can be changed. False without Landlock: a file can then be emptied or removed, though
        nothing can be written.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # Python ignores SIGXFSZ: a write raises OSError
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):
        return sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"} and _landlock(scratch)
    return False


def _landlock(scratch: Path) -> bool:
    """Restrict this thread by Landlock; say whether the kernel has it.

    Raises:
        OSError: If the kernel has it and refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        result = int(libc.syscall(ctypes.c_long(number), *arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    zero = ctypes.c_long(0)
    version = call(_CREATE_RULESET, None, zero, ctypes.c_long(_VERSION_ONLY))
    files = sum(bits for since, bits in _CHANGES.items() if version >= since)
    handled = struct.pack("=QQ", files, _TCP if version >= 4 else 0)
    ruleset = call(_CREATE_RULESET, handled, ctypes.c_long(len(handled)), zero)
    nodes = [(path, _WRITE_FILE) for pattern in _DEVICES for path in Path("/").glob(pattern[1:])]
    for path, allowed in (*nodes, (scratch, files & ~_EXECUTE)):
        node = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", allowed, node)
        call(_ADD_RULE, ctypes.c_long(ruleset), ctypes.c_long(_BENEATH_PATH), rule, zero)
        os.close(node)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    call(_RESTRICT_SELF, ctypes.c_long(ruleset), zero)
    os.close(ruleset)
    return True
