"""Inspect: what stands inside a checkpoint or an artifact, and in what two of them differ."""

from pathlib import Path

from toolkit.records import Report
from toolkit.system.environment import new_report
from toolkit.verbs.inspection.differences import find_differences
from toolkit.verbs.inspection.pairs import compare_tensors
from toolkit.verbs.inspection.read import read_file


def inspect_file(path: Path) -> Report:
    """Describe a file: an artifact by the suffix of its format, anything else as a checkpoint.

    Returns:
        A report with one record under ``inspected``.

    Raises:
        ArtifactNotFoundError: If there is no such file.
        FormatError, CheckpointError: If it cannot be read.
    """
    return new_report("inspect").changed(inspected=(read_file(path).record,))


def compare_files(a: Path, b: Path) -> Report:
    """Describe two files and in what they differ; a checkpoint and an artifact can be compared as well.

    Returns:
        A report with two records under ``inspected``; it has passed if no difference counts.

    Raises:
        ArtifactNotFoundError: If one of them is not there.
        FormatError, CheckpointError: If one cannot be read, its weights too.
    """
    first, second = read_file(a), read_file(b)
    pairs = compare_tensors(first, second)
    return new_report("inspect").changed(
        inspected=(first.record, second.record),
        tensor_pairs=pairs,
        differences=find_differences(first.record, second.record, pairs),
    )
