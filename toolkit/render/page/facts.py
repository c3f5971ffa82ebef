"""The sections of a report that tell where, with what, what is missing, and how to do it again."""

import shlex
from collections.abc import Iterator

from toolkit.records import Report, TrainRecord
from toolkit.records.units import fraction, seconds, size
from toolkit.render.page.blocks import Block, Commands, Facts, Failure, Section, section
from toolkit.render.words.bench import fitness_remarks, method_remarks, row_warnings
from toolkit.render.words.parts import artifact_sheets, other_parts
from toolkit.render.words.saved import moment
from toolkit.render.words.sheet import NONE, Remark, sheet_of
from toolkit.render.words.two_files import files_verdict


def of_some_commands(report: Report) -> Iterator[Section]:
    """Yield what only some commands have: the training, what is inside of files, predictions, and the like."""
    if report.training:
        yield section("training", "Training", _training(report.training))
    for part in other_parts(report, whole=True):
        if part.id != "training":  # which has a section of its own, by epoch
            yield section(part.id, part.title, part.contents)


def machine(report: Report) -> Iterator[Block | Remark]:
    """Yield where the numbers are from, and under which conditions they were measured."""
    yield Facts(tuple(_machine(report)))
    yield from (*fitness_remarks(report.fitness), *row_warnings(report), *method_remarks(report))


def _machine(report: Report) -> Iterator[tuple[str, str]]:
    here = report.machine
    plural = "" if here.physical_cores == 1 else "s"
    yield "Processor", here.cpu
    yield "Cores", f"{here.physical_cores} physical core{plural}, {here.usable_cpus} usable CPUs"
    yield "Memory", size(here.memory_bytes)
    for each in report.accelerators:
        memory = size(each.memory_bytes) if each.memory_bytes else None
        facts = (each.name, memory, each.driver and f"driver {each.driver}", *each.unavailable.values())
        yield each.device, ", ".join(filter(None, facts))
    yield "System", here.system
    yield "Python", here.python
    yield "Made", moment(report)
    if report.fitness:
        yield "Fit for timing", report.fitness.verdict


def _training(record: TrainRecord) -> Iterator[Block]:
    facts = (
        ("Recipe", ", ".join(f"{name} {value}" for name, value in record.recipe.items())),
        ("Images", f"{record.train_images:,}"),
        ("Epochs", f"{len(record.epochs)} in {seconds(record.duration_s)} on {record.device}"),
        ("Seed", str(record.seed)),
        ("Test set", f"{fraction(record.test_accuracy)} right, loss {record.test_loss:.4f}"),
        ("Wrote", record.output),
    )
    words = {
        "epoch": lambda each: str(each.epoch),
        "loss": lambda each: f"{each.loss:.4f}",
        "accuracy": lambda each: fraction(each.accuracy),
        "held out": lambda each: NONE if each.holdout_accuracy is None else fraction(each.holdout_accuracy),
        "time": lambda each: seconds(each.duration_s),
    }
    yield Facts(facts)
    yield sheet_of("Loss and accuracy by epoch", record.epochs, words, right=words)


def gaps(report: Report) -> Iterator[Block | Remark]:
    """Yield what was skipped and why, what failed, and what else a person must know."""
    failures = [
        Failure(f"{each.target}{f' at batch {each.batch_size:,}' if each.batch_size else ''}", each.reason)
        for each in report.failures
    ]
    failures += [
        Failure(f"{row.target} at batch {row.batch_size:,}", row.mismatch) for row in report.latency if row.mismatch
    ]
    failures += [Failure(each.source, f"{each.reason}; {each.remedy}") for each in report.unreadable]
    if any(each.counts for each in report.differences):
        files = " and ".join(each.path for each in report.inspected)
        failures.append(Failure(files, files_verdict(report)))
    if failures:
        yield tuple(failures)
    if report.skips:
        words = {"what": lambda e: e.what, "why": lambda e: e.reason, "to have it": lambda e: e.remedy}
        yield sheet_of("What was skipped", report.skips, words)
    yield from (Remark(note, "note") for note in report.notes)
    if report.interrupted:
        yield Remark("Interrupted: only what was finished before is here", "warning")
    if not (failures or report.skips or report.notes or report.interrupted):
        failed = "nothing failed" if report.passed else "what failed is told above"
        yield f"Nothing was skipped, {failed}, and there is nothing to add."


def again(report: Report) -> Iterator[Block]:
    """Yield how the report can be made again."""
    commands = []
    if report.arguments:
        words = ["fmnist-tk", *report.arguments]
        commands.append(("The command", shlex.join(words)))
        if report.bench and not any(word.split("=")[0] == "--seed" for word in words):
            commands.append(("With the same order of turns", shlex.join([*words, "--seed", str(report.bench.seed)])))
        yield Commands(tuple(commands))
    else:
        yield "The report does not tell the words of its command: it was made from Python, or of what was kept."
    yield Facts(tuple(_provenance(report)))
    yield from artifact_sheets(report, shortly=False)


def _provenance(report: Report) -> Iterator[tuple[str, str]]:
    if report.bench:
        how = report.bench
        yield "Seed of bench", str(how.seed)
        yield "Budget", f"{seconds(how.budget_s)} for {how.rounds} rounds"
    seeds = sorted({record.seed for record in report.parity})
    if seeds:
        yield "Seed of parity", ", ".join(map(str, seeds))
    if report.checkpoint:
        yield "Checkpoint", f"{report.checkpoint.path} ({report.checkpoint.form})"
        sizes = "-".join(map(str, report.checkpoint.config.layer_sizes))
        yield "Model", f"{sizes}, {report.checkpoint.config.parameters:,} parameters"
        yield "Weights SHA-256", report.checkpoint.weights_sha256
    else:
        weights = dict.fromkeys(each.weights_sha256 for each in report.parity if each.weights_sha256)
        for digest in weights:
            yield "Weights SHA-256", digest
    yield "Versions", ", ".join(f"{name} {version}" for name, version in report.machine.versions.items())
