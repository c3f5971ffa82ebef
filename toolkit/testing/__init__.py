"""Parity for other people's tests: ``assert_parity`` for any pytest or unittest.

from toolkit.testing import assert_parity

def test_export(model):
assert_parity(model, "model.onnx")

The pytest plugin lies in this package and is loaded in every pytest of the environment, so nothing heavy is imported
before it is needed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from toolkit.errors import ArtifactNotFoundError, CheckpointError, UsageError
from toolkit.plain import plain

if TYPE_CHECKING:
    from torch import nn

    from toolkit.fashion.checkpoint import Checkpoint
    from toolkit.parity import Gates
    from toolkit.parity.reference import ReferenceModel
    from toolkit.records import ParityRecord, Precision

__all__ = ["assert_parity", "failure_message"]


def assert_parity(
    model_or_checkpoint: "nn.Module | Checkpoint | Path | str | None",
    artifact: Path | str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    precision: "Precision | None" = None,
    gates: "Gates | None" = None,
    seed: int | None = None,
) -> "ParityRecord":
    """Fail unless an artifact computes the function of a model.

    Args:
        model_or_checkpoint: What the artifact must compute: a module that maps ``(N, 1, 28, 28)`` float32 to logits
            ``(N, 10)``, which is copied and left as it is; a checkpoint or its file; None for the bundled checkpoint.
        artifact: The file; its suffix says which format it is.
        device: Where it runs: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: On the CPU; None leaves it to the runtime.
        precision: What the artifact is declared to compute in; None for what the file says, which for files that are
            listed in a manifest or called as this toolkit exports them must be that of their format. Less than float32
            is judged by its classification.
        gates: What lower precision must keep; None for the defaults.
        seed: Of the random inputs and of the search; None for the default.

    Returns:
        All that was measured.

    Raises:
        AssertionError: If a check fails, with the cause, the place, and what else failed.
        ToolkitError: If it cannot be tried at all: no such file, no such device, a package missing.
    """
    from dataclasses import replace

    from toolkit.formats import FORMATS, format_of
    from toolkit.formats.target import Target
    from toolkit.parity import Gates, check_artifact, make_plan
    from toolkit.parity.probes import SEED
    from toolkit.parity.reference import check_reference
    from toolkit.records import Precision
    from toolkit.system.devices import leaving_torch_as_it_is, resolve_device

    path, reference = Path(artifact), _reference(model_or_checkpoint)
    info = format_of(path)
    if info is None or not path.is_file():
        suffixes = ", ".join(each.suffixes[0] for each in FORMATS.values())
        raise ArtifactNotFoundError(path, f"pass a file whose name ends in one of {suffixes}")
    if precision is not None and precision not in get_args(Precision):
        raise UsageError(f"precision={precision!r}:", f"choose one of {', '.join(get_args(Precision))}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}:", "pass a number from 1, or None")
    with leaving_torch_as_it_is():
        check_reference(reference, "model_or_checkpoint")
        plan = replace(make_plan(reference, seed=SEED if seed is None else seed), gates=gates or Gates())
        record = check_artifact(Target(info, path, precision), plan, device=resolve_device(device), threads=threads)
    if not record.passed:
        raise AssertionError(failure_message(record))
    return record


def failure_message(record: "ParityRecord") -> str:
    """Return why an artifact failed, in a few lines: the cause, the place, what else failed."""
    from toolkit.render.words.parity import explain

    found = next(explain([record]), None)
    if found is None:
        return f"{record.target} passed all {len(record.checks)} checks"
    check = found.check
    limits = f"{check.bound} {check.limit:g} {check.unit}"
    measured = "" if check.measured is None else f" (measured {check.measured:.4g}, {limits})"
    lines = [
        f"{record.target} does not compute the reference's function",
        f"  {found.cause}{measured}",
        *(f"  {label}: {text}" for label, text in found.lines()),
        f"  {record.declared}, {record.runtime} {record.runtime_version} on {record.device}, seed {record.seed}",
    ]
    return plain("\n".join(lines))


def _reference(given: "nn.Module | Checkpoint | Path | str | None") -> "ReferenceModel":
    from torch import nn

    from toolkit.fashion.checkpoint import Checkpoint, checkpoint_of, load_checkpoint
    from toolkit.parity.reference import ModuleReference, Reference

    if isinstance(given, nn.Module):
        try:
            return ModuleReference(given, checkpoint_of(given))
        except CheckpointError:  # not of the quickstart's family: its layers are unknown, its function is not
            return ModuleReference(given)
    if isinstance(given, Checkpoint):
        return Reference(given)
    if given is None or isinstance(given, str | Path):
        return Reference(load_checkpoint(None if given is None else Path(given)))
    raise UsageError(f"model_or_checkpoint is a {type(given).__name__}", "pass a torch.nn.Module, a file, or None")
