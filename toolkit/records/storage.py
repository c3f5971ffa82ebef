"""Records as JSON: read with suspicion."""

import json
import re
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from toolkit.errors import ReportError, first_line
from toolkit.records.base import Record

# Controls beyond those that JSON itself escapes, what turns the direction of a line, and how older commands of GitHub
# Actions begin.
_STEERING: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|#(?=#\\[)")
R = TypeVar("R", bound=Record)


def to_json(record: Record) -> str:
    """Return a record as indented JSON that ends in a newline; what would steer a terminal is escaped in it."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", record.model_dump_json(indent=1)) + "\n"


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record of ``kind`` from a JSON file.

    Raises:
        ReportError: If the file is missing, is not JSON, or belongs to another schema or version.
    """
    return parse_record(read_text(path), kind, path)


def read_text(path: Path) -> str:
    """Return the text of a file that this tool may have written.

    Raises:
        ReportError: If the file is missing, cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise ReportError(path, f"cannot be read ({reason})", "pass a file that fmnist-tk wrote") from error


def parse_record(text: str, kind: type[R], path: Path) -> R:
    """Read a record of ``kind`` from JSON text; ``path`` is named in errors.

    Raises:
        ReportError: If the text is not JSON, or belongs to another schema or version.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # of a number of very many digits, of very deep lists
        raise ReportError(path, f"is not JSON ({first_line(error)})", "write it again") from error
    upgraded = _of_this_version(value, kind)
    _check_schema(upgraded, kind, path)
    try:
        return kind.model_validate_json(text if upgraded is value else json.dumps(upgraded))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise ReportError(path, f"does not fit its schema: {place}: {first['msg']}{more}", "write it again") from error


def _of_this_version(value: Any, kind: type[Record]) -> Any:
    """Return a report of the version before as one of this version; anything else as it is.

    Version 5 stores which row is the baseline, and of a checkpoint that predicts that it needs no parity; before, both
    were told by the name eager.
    """
    if not isinstance(value, dict) or (value.get("schema_name"), value.get("schema_version")) != (
        "fmnist-tk/report",
        4,
    ):
        return value
    rows = value.get("latency", [])
    if "latency" in kind.model_fields and isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        marked = [{**row, "baseline": row.get("format") == "eager"} for row in rows]
        predictor = value.get("predictor")
        if isinstance(predictor, dict) and predictor.get("format") == "eager":
            predictor = {**predictor, "verified": None}
        return {**value, "latency": marked, "predictor": predictor, "schema_version": 5}
    return value


def _check_schema(value: object, kind: type[Record], path: Path) -> None:
    fields = kind.model_fields
    if "schema_name" not in fields:
        return
    name, version = fields["schema_name"].default, fields["schema_version"].default
    if not isinstance(value, dict) or value.get("schema_name") != name:
        raise ReportError(path, f"is not a {name} file", "pass a file that fmnist-tk wrote")
    found = value.get("schema_version")
    if found != version:
        newer = isinstance(found, int) and found > version
        remedy = "upgrade fmnist-tk" if newer else "write it again with this fmnist-tk"
        raise ReportError(path, f"has version {found} of {name}, this fmnist-tk reads version {version}", remedy)
