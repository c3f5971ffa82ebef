"""Parity of one artifact: open it, ask every check, and say why and where it fails."""

from toolkit.errors import CorruptArtifactError, FormatError, PrecisionError, ReportError, UnsafeArtifactError
from toolkit.formats import Session, runtime_version
from toolkit.formats.manifest import listed
from toolkit.formats.target import Target
from toolkit.parity.evaluation import evaluate_artifact, measure_quality
from toolkit.parity.examine import Examination, examine
from toolkit.parity.explain import explain, reproduce
from toolkit.parity.plan import Plan
from toolkit.parity.rules.checks import check_contract, check_integrity, verdict
from toolkit.parity.rules.quality import judge_quality
from toolkit.parity.rules.signature import check_signature
from toolkit.records import (
    ArtifactMetadata,
    ArtifactRecord,
    CheckRecord,
    ParityRecord,
    Precision,
    QualityRecord,
    check_order,
)
from toolkit.system.files import sha256_of


def check_artifact(target: Target, plan: Plan, *, device: str = "cpu", threads: int | None = None) -> ParityRecord:
    """Put all checks to one artifact, by the rule of the precision that it computes in.

    Args:
        target: The artifact.
        plan: What it must compute, and on what it is compared.
        device: Where it is opened.
        threads: For the session; None leaves it to the runtime.

    Raises:
        FormatError: If it cannot be tried at all: no such device for its runtime, a package missing.
    """
    sha256, session, opens = _open(target, device, threads)
    rule: Precision = session.precision if session else target.declared or "float32"
    if rule != "float32":
        plan = plan.for_lower_precision()
    entry, inside, unreadable = _described(target, opened=session is not None)
    reference = plan.reference.checkpoint
    checks = [opens, unreadable or check_integrity(sha256, reference, entry, inside)]
    quality: QualityRecord | None = None
    examination: Examination | None = None
    if session:
        names = target.format.names if inside else (None, None)
        checks.append(check_signature(session.signature, rule, names))
        checks.append(check_contract(reference, inside))
        examination = examine(session, plan.expectations, plan.sample, plan.probes, seed=plan.seed, declared=rule)
        checks += examination.checks
        if rule != "float32" and _finite(examination):
            quality = measure_quality(examination.calls, plan.reference, plan.labelled, plan.source)
            checks += judge_quality(quality, plan.gates)
    record = ParityRecord(
        target=str(target.path),
        format=target.format.name,
        device=device,
        declared=rule,
        precision=session.precision if session else None,
        threads=threads,
        sha256=sha256,
        weights_sha256=reference.weights_sha256 if reference else None,
        against=plan.against,
        seed=plan.seed,
        runtime=target.format.runtime,
        runtime_version=runtime_version(target.format),
        checks=tuple(sorted(checks, key=lambda check: check_order(check.name))),
        quality=quality,
        evaluation=evaluate_artifact(examination.calls, plan) if examination else None,
    )
    if examination:
        record = explain(record, target, plan, examination)
    if plan.reproduce and not record.passed:
        record = reproduce(record, target, plan, examination, plan.reproduce)
    return record


def _open(target: Target, device: str, threads: int | None) -> tuple[str, Session | None, CheckRecord]:
    """Open an artifact; return the digest of what was opened, the session or None, and the check."""
    sha256 = sha256_of(target.path)  # before it is opened, not of what may replace it meanwhile
    try:
        sha256 = target.digest()
        session = target.open(device, threads)
    except (CorruptArtifactError, PrecisionError, UnsafeArtifactError) as error:
        return sha256, None, verdict("opens", [str(error)], "")
    return sha256, session, verdict("opens", [], f"with {target.format.runtime} on {device}, {session.precision}")


def _described(
    target: Target, *, opened: bool
) -> tuple[ArtifactRecord | None, ArtifactMetadata | None, CheckRecord | None]:
    """Return what the manifest beside an artifact says of it and what stands inside it, or why that cannot be read."""
    try:
        return listed(target.path), target.metadata() if opened else None, None
    except (FormatError, ReportError) as error:
        return None, None, verdict("integrity", [str(error)], "")


def _finite(examination: Examination) -> bool:
    """Say whether the logits can be classified at all."""
    needed = {"batch sizes", "shape", "dtype", "finite"}
    return all(check.passed for check in examination.checks if check.name in needed)
