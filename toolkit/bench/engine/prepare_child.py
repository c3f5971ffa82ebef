"""The process that prepares a bench: ``python -m toolkit.bench.engine.prepare_child REQUEST.json OUTCOME.json``."""

import sys
from pathlib import Path
from typing import Final

from toolkit.bench.engine.launch import die_with_parent, run_child
from toolkit.bench.engine.prepare import Outcome, Prepared, Request, prepare_or_say_why
from toolkit.errors import ToolkitError, from_fields
from toolkit.records import read_record
from toolkit.system.files import write_record

_TIMEOUT_S: Final = 300.0
_REMEDY: Final = "run fmnist-tk doctor, which says what works here"


def prepare_apart(request: Request) -> Prepared:
    """Prepare in a process of its own, so that this one imports no runtime.

    Raises:
        ToolkitError: What the other process raised, or how it ended.
    """
    from toolkit.system.environment import default_threads

    scratch = Path(request.scratch)
    asked, told = scratch / "request.json", scratch / "outcome.json"
    write_record(request, asked)
    trouble = run_child(
        __name__,
        [str(asked), str(told)],
        threads=default_threads(),
        log=scratch / "prepare.log",
        timeout_s=_TIMEOUT_S,
    )
    if trouble:
        raise ToolkitError(f"The bench cannot be prepared: {trouble}", _REMEDY)
    outcome = read_record(told, Outcome)
    if outcome.prepared is None:
        raise from_fields(outcome.error) if outcome.error else ToolkitError("The bench cannot be prepared", _REMEDY)
    return outcome.prepared


def main(request_path: str, outcome_path: str) -> None:
    """Prepare what one file asks for and write the outcome into the other."""
    write_record(prepare_or_say_why(read_record(Path(request_path), Request)), Path(outcome_path))


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])
