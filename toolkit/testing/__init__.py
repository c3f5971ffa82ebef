"""Parity for other people's tests: ``assert_parity`` for any pytest or unittest.

from toolkit.testing import assert_parity

def test_export(model):
assert_parity(model, "model.onnx")
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from toolkit.errors import ArtifactNotFoundError, CheckpointError, UsageError
from toolkit.fashion.checkpoint import Checkpoint, checkpoint_of, load_checkpoint
from toolkit.formats import FORMATS, format_of
from toolkit.formats.target import Target
from toolkit.parity import Gates, Reference, check_artifact, make_plan
from toolkit.parity.probes import SEED
from toolkit.parity.reference import ModuleReference, ReferenceModel, check_reference
from toolkit.records import ParityRecord, Precision
from toolkit.system.devices import resolve_device

__all__ = ["assert_parity", "failure_message"]


def assert_parity(
    model_or_checkpoint: nn.Module | Checkpoint | Path | str | None,
    artifact: Path | str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
    gates: Gates | None = None,
    seed: int = SEED,
) -> ParityRecord:
    """Fail unless an artifact computes the function of a model.

    Args:
        model_or_checkpoint: What the artifact must compute: a module that maps ``(N, 1, 28, 28)`` float32 to logits
            ``(N, 10)``, which is copied and left as it is; a checkpoint or its file; None for the bundled checkpoint.
        artifact: The file; its suffix says which format it is.
        device: Where it runs: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: On the CPU; None leaves it to the runtime.
        precision: What the artifact is declared to compute in; less than float32 is judged by its classification.
        gates: What lower precision must keep; None for the defaults.
        seed: Of the random inputs and of the search.

    Returns:
        All that was measured.

    Raises:
        AssertionError: If a check fails, with the cause, the place, and what else failed.
        ToolkitError: If it cannot be tried at all: no such file, no such device, a package missing.
    """
    path, reference = Path(artifact), _reference(model_or_checkpoint)
    info = format_of(path)
    if info is None or not path.is_file():
        suffixes = ", ".join(each.suffix for each in FORMATS.values())
        raise ArtifactNotFoundError(path, f"pass a file whose name ends in one of {suffixes}")
    if precision not in get_args(Precision):
        raise UsageError(f"precision={precision!r}: choose one of {', '.join(get_args(Precision))}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}: pass a number from 1, or None")
    with leaving_torch_as_it_is():
        check_reference(reference, "model_or_checkpoint")
        plan = replace(make_plan(reference, seed=seed), declared=precision, gates=gates or Gates())
        record = check_artifact(Target(info, path), plan, device=resolve_device(device), threads=threads)
    if not record.passed:
        raise AssertionError(failure_message(record))
    return record


@contextmanager
def leaving_torch_as_it_is() -> Iterator[None]:
    """Restore what opening sessions sets for the whole process: threads, and the precision of float32 products."""
    threads = torch.get_num_threads()
    backends: Any = torch.backends  # torch's annotations do not know fp32_precision
    settings = [(each, each.fp32_precision) for each in (backends.mkldnn.matmul, backends.cuda.matmul)]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for backend, precision in settings:
            backend.fp32_precision = precision


def failure_message(record: ParityRecord) -> str:
    """Return why an artifact failed, in a few lines: the cause, the place, what else failed."""
    failure = record.failure
    if failure is None:
        return f"{record.target} passed all {len(record.checks)} checks"
    on = f" on {failure.probe}" if failure.probe else ""
    others = dict.fromkeys(check.name for check in record.checks if not check.passed and check.name != failure.name)
    measured = "" if failure.measured is None else f" (measured {failure.measured:.4g}, "
    measured += f"{failure.bound} {failure.limit:g} {failure.unit})" if measured else ""
    lines = [
        f"{record.target} does not compute the reference's function",
        f"  {failure.name}{on}: {failure.detail}{measured}",
        *([f"  where: {record.divergence.detail}"] if record.divergence else []),
        *([f"  also failed: {', '.join(others)}"] if others else []),
        f"  {record.declared}, {record.runtime} {record.runtime_version} on {record.device}, seed {record.seed}",
    ]
    return "\n".join(lines)


def _reference(given: nn.Module | Checkpoint | Path | str | None) -> ReferenceModel:
    if isinstance(given, nn.Module):
        try:
            return ModuleReference(given, checkpoint_of(given))
        except CheckpointError:  # not of the quickstart's family: its layers are unknown, its function is not
            return ModuleReference(given)
    if isinstance(given, Checkpoint):
        return Reference(given)
    if given is None or isinstance(given, str | Path):
        return Reference(load_checkpoint(None if given is None else Path(given)))
    raise UsageError(f"model_or_checkpoint is a {type(given).__name__}; pass a torch.nn.Module, a file, or None")
