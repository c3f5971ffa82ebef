"""Parity: does an artifact still compute the checkpoint's function?

The rule, and the measurements behind it, are in docs/parity.md: within 8 times eager float32's own error against
float64 on the same inputs, whatever the batch, the order of calls and the neighbours.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolkit.errors import OutputError, ToolkitError, first_line
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats.target import Target
from toolkit.formats.verified import note_verified
from toolkit.parity.artifact import check_artifact
from toolkit.parity.evaluation import evaluate_reference
from toolkit.parity.plan import Plan, make_plan
from toolkit.parity.probes import SEED
from toolkit.parity.reference import ArtifactReference, Reference, check_reference
from toolkit.parity.rules.quality import Gates, rejudge
from toolkit.pictures.own_data import OwnPictures
from toolkit.records import FailureRecord, ParityRecord, Report, SkipRecord
from toolkit.system.environment import default_threads, new_report
from toolkit.system.progress import Progress, silent
from toolkit.workload.images import ImageSet

__all__ = ["Gates", "Plan", "Reference", "check_artifact", "check_parity", "evaluate_reference", "make_plan", "rejudge"]


def check_parity(
    targets: Sequence[Target],
    reference: Checkpoint | Target,
    *,
    device: str = "cpu",
    threads: int | None = None,
    gates: Gates | None = None,
    full: ImageSet | None = None,
    own: OwnPictures | None = None,
    seed: int = SEED,
    reproduce: Path | None = None,
    skips: Sequence[SkipRecord] = (),
    progress: Progress = silent,
) -> Report:
    """Check every target against a checkpoint or another artifact, and note beside each whether it passed.

    Float32 is judged by its error, anything lower by its classification; one call may have artifacts of both kinds.

    Args:
        targets: The artifacts, each with its own precision.
        reference: What they must compute. An artifact is opened on the CPU, in float32.
        device: Where they are opened.
        threads: For each session on the CPU; None for the physical cores.
        gates: What lower precision must keep; None for the defaults.
        full: The test set, to be compared on as well; None for the bundled sample alone.
        own: Own pictures in its place; they are the labelled images by which lower precision is judged.
        seed: Of the random probes and of the search.
        reproduce: Folder for reproductions of what fails; None for none.
        skips: What was left out already; it goes into the report.
        progress: Told after each target.

    Returns:
        A report with one `ParityRecord` per target. A mismatch is a result, not an exception.

    Raises:
        FormatError: If a target cannot be tried at all (no such device for it, a package missing), or the reference
            does not open.
    """
    threads = threads or default_threads()
    against = None if isinstance(reference, Checkpoint) else str(reference.path)
    model = (
        Reference(reference)
        if isinstance(reference, Checkpoint)
        else ArtifactReference(replace(reference, declared="float32").open("cpu", threads), seed)
    )
    if against:
        check_reference(model, f"--against {against}")
    plan = replace(
        make_plan(model, seed=seed, full=own.data, source="own pictures")
        if own
        else make_plan(model, seed=seed, full=full),
        gates=gates or Gates(),
        against=against,
        reproduce=reproduce,
    )
    records: list[ParityRecord] = []
    failures: list[FailureRecord] = []
    notes = [*(reference.notes if isinstance(reference, Checkpoint) else ()), *(own.notes if own else ())]
    for number, target in enumerate(targets):
        progress("parity", number, len(targets), target.path.name)
        try:
            record = check_artifact(target, plan, device=device, threads=threads)
        except ToolkitError:
            raise
        except Exception as error:  # noqa: BLE001  a fault of ours with one artifact must not lose what was found of the others
            reason = f"parity itself failed, please report it: {type(error).__name__}: {first_line(error)}"
            failure = FailureRecord(target=str(target.path), format=target.format.name, device=device, reason=reason)
            failures.append(failure)
            continue
        records.append(record)
        try:
            note_verified(target.path.parent, [record])
        except OutputError as error:
            place = f"{error.reason} in {target.path.parent}"
            notes.append(f"bench will not know that {target.path.name} passed: {place}; {error.remedy}")
    progress("parity", len(targets), len(targets))
    if any(record.declared != "float32" for record in records):
        plan = plan.for_lower_precision()
    return new_report("parity").changed(
        checkpoint=reference.record if isinstance(reference, Checkpoint) else None,
        parity=tuple(records),
        evaluation=evaluate_reference(plan),
        failures=tuple(failures),
        skips=tuple(skips),
        notes=tuple(notes),
        datasets=(own.record,) if own else (),
    )
