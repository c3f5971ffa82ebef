"""Rounds, rows and parity records that never ran, for tests of what is made of them."""

from collections.abc import Sequence
from typing import Any

from toolkit.records import CheckRecord, LatencyRecord, ParityRecord, RoundRecord


def round_of(times_s: Sequence[float], number: int = 0, **changes: object) -> RoundRecord:
    """A round of calls that followed one another without a gap."""
    values = {
        "number": number,
        "place": 0,
        "calls": len(times_s),
        "wall_s": sum(times_s),
        "times_ns": [round(each * 1e9) for each in times_s],
    }
    return RoundRecord.model_validate({**values, **changes})


def latency(times_s: Sequence[float], **changes: object) -> LatencyRecord:
    """A row of one round; ``rounds`` gives it others."""
    cold = {"import_s": 0.3, "load_s": 0.1, "first_call_s": 0.2, "steady_s": 0.25, "warmup_calls": 3}
    values = {
        "target": "model.onnx",
        "format": "onnx",
        "runtime": "onnxruntime",
        "runtime_version": "1",
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "batch_size": 4,
        "verified": True,
        "cold": cold,
    }
    values |= changes
    values.setdefault("baseline", values["format"] == "eager")
    if "rounds" not in values:
        values["rounds"] = (round_of(times_s),)
    return LatencyRecord.model_validate(values)


def parity(*checks: CheckRecord) -> ParityRecord:
    return ParityRecord(
        target="model.onnx",
        format="onnx",
        device="cpu",
        precision="float32",
        threads=1,
        sha256="0" * 64,
        weights_sha256="1" * 64,
        runtime="onnxruntime",
        runtime_version="1",
        checks=checks,
    )


def check(name: str = "values", measured: float | None = 1.0, **changes: Any) -> CheckRecord:
    values = {"name": name, "measured": measured, "limit": 8.0, "unit": "×", "detail": "so so"}
    return CheckRecord.model_validate({**values, **changes})


GOOD, BAD = check(), check("labels", 9.0)
