"""fmnist-tk: from a checkpoint to the fastest artifact that provably computes the same function.

Importing this package imports no runtime: each name of the Python API is imported when it is asked for, and each part
of the command line by the command that needs it. docs/api.md describes the names.
"""

from typing import TYPE_CHECKING, Final

from toolkit._version import __version__

if TYPE_CHECKING:
    from toolkit.errors import ToolkitError
    from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
    from toolkit.formats import Session
    from toolkit.verbs import Report
    from toolkit.verbs.bench import check_clock, run_benchmark
    from toolkit.verbs.compare import compare_reports
    from toolkit.verbs.data import check_data, choose_pictures, fetch_data
    from toolkit.verbs.doctor import check_machine
    from toolkit.verbs.export import export_formats
    from toolkit.verbs.inspection import inspect_files
    from toolkit.verbs.parity import check_parity, rejudge_parity
    from toolkit.verbs.predict import predict
    from toolkit.verbs.report import read_reports
    from toolkit.verbs.run import run_pipeline
    from toolkit.verbs.session import compute_logits, open_session
    from toolkit.verbs.train import train

__all__ = [
    "Checkpoint",
    "Report",
    "Session",
    "ToolkitError",
    "__version__",
    "check_clock",
    "check_data",
    "check_machine",
    "check_parity",
    "choose_pictures",
    "compare_reports",
    "compute_logits",
    "export_formats",
    "fetch_data",
    "inspect_files",
    "load_checkpoint",
    "open_session",
    "predict",
    "read_reports",
    "rejudge_parity",
    "run_benchmark",
    "run_pipeline",
    "train",
]

_MODULES: Final = {
    "Checkpoint": "toolkit.fashion.checkpoint",
    "Report": "toolkit.verbs",
    "Session": "toolkit.formats",
    "ToolkitError": "toolkit.errors",
    "check_clock": "toolkit.verbs.bench",
    "check_data": "toolkit.verbs.data",
    "check_machine": "toolkit.verbs.doctor",
    "check_parity": "toolkit.verbs.parity",
    "choose_pictures": "toolkit.verbs.data",
    "compare_reports": "toolkit.verbs.compare",
    "compute_logits": "toolkit.verbs.session",
    "export_formats": "toolkit.verbs.export",
    "fetch_data": "toolkit.verbs.data",
    "inspect_files": "toolkit.verbs.inspection",
    "load_checkpoint": "toolkit.fashion.checkpoint",
    "open_session": "toolkit.verbs.session",
    "predict": "toolkit.verbs.predict",
    "read_reports": "toolkit.verbs.report",
    "rejudge_parity": "toolkit.verbs.parity",
    "run_benchmark": "toolkit.verbs.bench",
    "run_pipeline": "toolkit.verbs.run",
    "train": "toolkit.verbs.train",
}

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name

    def __getattr__(name: str) -> object:
        """Import a name of the Python API when it is first asked for (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(_MODULES[name]), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        """Return what is here and what can be asked for."""
        return sorted({*globals(), *__all__})
