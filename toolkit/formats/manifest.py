"""The files beside the artifacts: what is in the folder."""

from pathlib import Path

from toolkit.errors import ReportError
from toolkit.records import ArtifactRecord, Manifest, read_record

MANIFEST, LEDGER, GOLDEN = "manifest.json", "verified.json", "golden.npz"
#: What ``fmnist-tk run`` measured in the folder.
REPORT = "report.json"
#: What ``fmnist-tk bench`` measured last of the folder's artifacts.
BENCH = "bench.json"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, or None if it has none.

    Raises:
        ReportError: If it cannot be read.
    """
    path = folder / MANIFEST
    try:
        return read_record(path, Manifest) if path.exists() else None
    except ReportError as error:
        raise ReportError(path, error.reason, "delete it and export again") from error


def listed(path: Path) -> ArtifactRecord | None:
    """Return what the manifest beside an artifact says of it, or None.

    Raises:
        ReportError: If the manifest cannot be read.
    """
    manifest = read_manifest(path.parent)
    return next((each for each in manifest.artifacts if each.file == path.name), None) if manifest else None
