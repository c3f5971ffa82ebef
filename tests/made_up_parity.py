"""Parity records of artifacts that are good, bad, lower or do not open."""

from typing import Any

from toolkit.records import CheckRecord, DivergenceRecord, ParityRecord, QualityRecord, ReproductionRecord

ROUNDING = "× eager's own rounding"


WHERE = "linear_relu_stack.0 agrees; linear_relu_stack.2 (node Gemm 'linear_1') is off by 39 × eager's own rounding"


ALONE = f"a row and the same row alone differ by 40 {ROUNDING}"


REPRODUCTION = ReproductionRecord(folder="repro/model-onnx", shown=True, note="AssertionError: off by 1")


SAMPLE, NOISE = "sample images", "uniform random (seed 0)"


def counted(name: str, problems: int | None = 0, detail: str = "all is well", **changes: Any) -> CheckRecord:
    """A check that counts problems."""
    values = {"name": name, "measured": problems, "limit": 0, "unit": "problems", "detail": detail}
    return CheckRecord.model_validate({**values, **changes})


def measured(name: str, value: float | None, detail: str = "", limit: float = 8, **changes: Any) -> CheckRecord:
    """A check that measures."""
    values = {"name": name, "measured": value, "limit": limit, "unit": ROUNDING, "detail": detail, "probe": SAMPLE}
    return CheckRecord.model_validate({**values, **changes})


def labels(flips: int, **changes: Any) -> CheckRecord:
    return measured("labels", flips, f"{1000 - flips} of 1,000 labels agree", 0, unit="flips", **changes)


def record(target: str, *checks: CheckRecord, **changes: Any) -> ParityRecord:
    values = {
        "target": target,
        "format": "onnx",
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "sha256": "a" * 64,
        "weights_sha256": "b" * 64,
        "runtime": "onnxruntime",
        "runtime_version": "1.31.0",
        "checks": checks,
    }
    return ParityRecord.model_validate({**values, **changes})


def good(target: str = "exported/model.ts.pt", **changes: Any) -> ParityRecord:
    checks = (
        counted("opens"),
        counted("integrity"),
        counted("finite", probe=SAMPLE),
        counted("finite", probe=NOISE),
        measured("values", 1.0),
        measured("values", 1.171, probe=NOISE),
        labels(0),
        labels(0, probe=NOISE),
        measured("determinism", 0),
        measured("row independence", 0.5),
    )
    return record(target, *checks, **changes)


def bad(target: str = "exported/model.onnx", **changes: Any) -> ParityRecord:
    checks = (
        counted("opens"),
        counted("integrity"),
        counted("finite", probe=SAMPLE),
        measured("values", 39.12, f"off by 39.1 {ROUNDING} (0.00013 against 3.4e-06), worst at image 17, logit 3"),
        measured("values", 2.5, probe=NOISE),
        labels(3),
        measured("determinism", 0),
        measured("row independence", 40, ALONE),
    )
    divergence = DivergenceRecord(layer="linear_relu_stack.2", node="linear_1", error_ratio=39.0, detail=WHERE)
    extra = {"divergence": divergence, "reproduction": REPRODUCTION}
    return record(target, *checks, **{**extra, **changes})


def unopened(target: str = "exported/model.pt2", **changes: Any) -> ParityRecord:
    check = counted("opens", None, "member data/weights/0 has a wrong CRC; export it again")
    return record(target, check, precision=None, **changes)


def lower(target: str = "model.int8.onnx", **changes: Any) -> ParityRecord:
    quality = QualityRecord(
        source="sample",
        images=1000,
        reference_right=912,
        lost=4,
        gained=1,
        disagreements=9,
        mean_probability_change=0.00123,
        max_probability_change=0.0871,
        relative_noise=0.02685,
    )
    checks = (
        counted("opens"),
        measured("accuracy", 0.3, limit=1, unit="points lost"),
        measured("agreement", 0.991, limit=0.98, bound="at least", unit="fraction of labels"),
        measured("determinism", 0, limit=2, unit="× its own error"),
    )
    extra = {"declared": "int8", "precision": "int8", "quality": quality}
    return record(target, *checks, **{**extra, **changes})
