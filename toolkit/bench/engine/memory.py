"""How much memory this process holds, and held at most. In bytes."""

import sys
from pathlib import Path
from typing import Final

from toolkit.records import MemoryReading

_SYSTEM: Final = Path("/")
_RESET_PEAK: Final = "5"  # what the kernel takes for: the peak is the present size; proc_pid_clear_refs(5)
_KIB: Final = 1024


def read_memory(root: Path = _SYSTEM, *, reset: bool = False) -> MemoryReading:
    """Read the resident set of this process and its peak; with ``reset`` the peak starts anew, where that is permitted.

    On Linux the peak is VmHWM. getrusage has another one, which a process inherits from the one that started it, so
    that a worker of a large parent would seem large. Elsewhere getrusage is all there is.
    """
    was_reset = reset and _reset_peak(root)
    try:
        status = (root / "proc/self/status").read_text(encoding="utf-8")
        sizes = {name: int(rest.split()[0]) * _KIB for name, rest in _entries(status) if name in {"VmRSS", "VmHWM"}}
        # The kernel adds up the sizes of threads lazily: the peak may lag by some pages.
        rss, peak = sizes["VmRSS"], max(sizes["VmRSS"], sizes["VmHWM"])
    except (OSError, KeyError, ValueError):
        rss, peak = _portable()
    return MemoryReading(rss_bytes=rss, peak_rss_bytes=peak, reset=was_reset)


def peak_growth_bytes(before: MemoryReading, after: MemoryReading) -> int | None:
    """Return how far the peak between two readings lies above the first one's size, in bytes.

    Returns:
        None when that cannot be told: the peak is from before the first reading, and could not be reset.
    """
    if not before.reset and after.peak_rss_bytes == before.peak_rss_bytes > after.rss_bytes:
        return None
    return max(0, after.peak_rss_bytes - before.rss_bytes)


def _entries(status: str) -> list[tuple[str, str]]:
    return [(name, rest) for name, colon, rest in (line.partition(":") for line in status.splitlines()) if colon]


def _reset_peak(root: Path) -> bool:
    file = root / "proc/self/clear_refs"
    try:
        if not file.exists():  # writing would make a file in a copy
            return False
        file.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def _portable() -> tuple[int, int]:
    """Return present and largest resident set in bytes, by psutil and getrusage."""
    import resource

    import psutil

    rss = int(psutil.Process().memory_info().rss)
    unit = 1 if sys.platform == "darwin" else _KIB  # the one field whose unit differs between systems
    return rss, max(rss, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
