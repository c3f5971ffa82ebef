"""Whether a file is an archive of torch.export, told by the names of its members."""

from pathlib import Path

from toolkit.formats.archives import member_names

# Since torch 2.8, and before.
_MARKS = ("/archive_format", "serialized_exported_program.json")


def recognises(path: Path) -> bool:
    """Say whether a file is a zip that holds an exported program."""
    return any(name.endswith(_MARKS) for name in member_names(path))
