"""Clean processes of our own modules: how they are started, how they end with their parent, and what they leave."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# How long threads spin after a call: each runtime's own default is measured, not what this shell happens to say.
_SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY")
_PR_SET_PDEATHSIG = 1  # prctl(2)


def start_module(words: Sequence[str], threads: int, *, spin: bool = True, **streams: Any) -> subprocess.Popen[bytes]:
    """Start ``python -m`` in a process group of its own: Ctrl-C is the parent's to handle.

    Args:
        words: The module and its arguments.
        threads: For the runtimes that it imports.
        spin: Whether their threads may spin after a call, as is each runtime's own way; False while others compute.
        streams: As `subprocess.Popen` takes them.
    """
    environment = clean_environment(threads) | ({} if spin else {"OMP_WAIT_POLICY": "passive"})
    return subprocess.Popen(  # noqa: S603  our own module under our own interpreter
        [sys.executable, "-P", "-m", *words], env=environment, start_new_session=True, **streams
    )


def clean_environment(threads: int) -> dict[str, str]:
    """Return the environment of a clean process: thread counts and spinning are read when a runtime is imported."""
    environment = {name: value for name, value in os.environ.items() if name not in _SPIN_VARIABLES}
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    environment["PYTHONHASHSEED"] = "0"  # or dictionaries of one process are laid out more luckily than another's
    environment["PYTHONIOENCODING"] = "utf-8"  # of what it prints, whatever the terminal can show
    environment["NVIDIA_TF32_OVERRIDE"] = "0"  # float32 rows are float32, whatever a library would choose
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path[1:]:  # run from a checkout that is not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return environment


def die_with_parent() -> None:
    """Ask Linux to kill this process with its parent, even inside a call that never returns; and first, for memory."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """Return the exit code of a process, or None if it has not ended after so many seconds."""
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all of its group, which may outlive it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses a group of which only a zombie is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_words(code: int | None, written: bytes) -> str:
    """Return how a process ended, and the last line of what it has written."""
    lines = written.decode(errors="replace").strip().splitlines()
    words = f": {lines[-1][:300]}" if lines else ""
    if code is None:
        return f"the worker said nothing and did not end{words}"
    if code < 0:
        names = {each.value: each.name for each in signal.Signals}  # real-time signals have none
        return f"the worker was killed by {names.get(-code, f'signal {-code}')}{words}"
    return f"the worker ended with exit code {code}{words}"
