"""Whether a file is an archive of TorchScript, told by the names of its members."""

from pathlib import Path

from toolkit.formats.archives import member_names


def recognises(path: Path) -> bool:
    """Say whether a file is a zip with the constants and the code that only TorchScript writes together."""
    names = member_names(path)
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)
