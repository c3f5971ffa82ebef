"""The process that checks the clock on a device: ``python -m toolkit.bench.selfcheck.child DEVICE RESULT.json``.

It has the device's runtime to itself; what is wrong with the device ends it, and is told by its last line.
"""

import sys
from pathlib import Path

from toolkit.bench.engine.launch import die_with_parent
from toolkit.bench.selfcheck import self_check
from toolkit.system.files import write_record


def main(device: str, result_path: str) -> None:
    """Check the clock on ``device`` and write the record into a file."""
    write_record(self_check(device), Path(result_path))


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])
