"""Inspect: what stands inside a checkpoint or an artifact, and in what two of them differ."""

from pathlib import Path

from toolkit.records import Report
from toolkit.system.arguments import checked
from toolkit.system.environment import new_report
from toolkit.verbs.inspection.differences import find_differences
from toolkit.verbs.inspection.pairs import compare_tensors
from toolkit.verbs.inspection.read import read_file


@checked
def inspect_files(file: str | Path, other: str | Path | None = None, *, trust: bool = False) -> Report:
    """Describe what stands inside a file, or in what two of them differ.

    An artifact is known by its content and the suffix of its format; anything else is read as a checkpoint, and nothing
    of it is run.

    Args:
        file: A checkpoint, or an artifact of any format.
        other: Another one; a checkpoint and an artifact can be compared as well. None to describe ``file`` alone.
        trust: Whether to open an artifact that asks for more than to compute; still in a process apart that writes
            nothing.

    Returns:
        A report with a record for each file under ``inspected``. Of two it has their tensors in ``tensor_pairs``, and
        has passed if no difference in ``differences`` counts.

    Raises:
        ArtifactNotFoundError: If a file is not there.
        FormatError, CheckpointError: If one cannot be read; of two, its weights too.

    Example:
        >>> import toolkit
        >>> report = toolkit.inspect_files("model.pth", "out/model.ts.pt")
        >>> report.passed, [each.format for each in report.inspected]
        (True, ['state-dict', 'torchscript'])
    """
    first = read_file(Path(file), trusted=trust)
    report = new_report("inspect").changed(inspected=(first.record,))
    if other is None:
        return report
    second = read_file(Path(other), trusted=trust)
    pairs = compare_tensors(first, second)
    return report.changed(
        inspected=(first.record, second.record),
        tensor_pairs=pairs,
        differences=find_differences(first.record, second.record, pairs),
    )
