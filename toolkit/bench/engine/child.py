"""Work in a process of its own: ``python -m toolkit.bench.engine.child MODULE:FUNCTION REQUEST.json RESULT.json``.

The function makes one record of another. Runtimes that it imports do not slow down, and do not end, who asked for it.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

from toolkit.records import read_record
from toolkit.system.files import write_record
from toolkit.system.processes import die_with_parent


def main(place: str, request_path: str, result_path: str) -> None:
    """Call ``MODULE:FUNCTION`` with the record in one file and write what it returns into the other."""
    module, _, name = place.partition(":")
    work = getattr(import_module(module), name)
    kind = next(iter(get_type_hints(work).values()))  # of the first parameter
    write_record(work(read_record(Path(request_path), kind)), Path(result_path))


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])
