"""Whether a file is an ONNX model, told by its first bytes."""

from pathlib import Path

# A ModelProto begins with field 1, its IR version, a small number; the next field is one of its others.
_IR_VERSION = 0x08
_LATER_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA})


def recognises(path: Path) -> bool:
    """Say whether a file begins as a ModelProto does."""
    with path.open("rb") as file:
        head = file.read(3)
    return len(head) == 3 and head[0] == _IR_VERSION and 0 < head[1] < 0x80 and head[2] in _LATER_FIELDS
