"""The signature check: what an artifact declares of its inputs and outputs."""

from toolkit.formats.reshaped import IMAGE_SHAPES, fits
from toolkit.parity.rules.checks import CLASSES, allowed_dtypes, verdict
from toolkit.records import CheckRecord, Precision, Signature, TensorSpec


def check_signature(
    signature: Signature, declared: Precision = "float32", names: tuple[str | None, str | None] = (None, None)
) -> CheckRecord:
    """Check that there is one image input and one logits output, as far as the format says.

    Args:
        signature: As the session read it.
        declared: The precision by whose rule the artifact is judged; a half model may take and give its own dtype.
        names: What input and output must be called; None where any name is right, as in files of other tools.
    """
    problems = []
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        if len(specs) != 1:
            problems.append(f"it has {len(specs)} {kind}s ({_names(specs)}), not one")
    for kind, specs, shapes, name in (
        ("input", signature.inputs, IMAGE_SHAPES, names[0]),
        ("output", signature.outputs, ((CLASSES,),), names[1]),
    ):
        for spec in specs[:1]:
            problems += _spec_problems(kind, spec, shapes, allowed_dtypes(declared))
            if name and spec.name and spec.name != name:
                problems.append(f"its {kind} is called {spec.name}, not {name} as exported")
    return verdict("signature", problems, f"{_describe(signature.inputs)} to {_describe(signature.outputs)}")


def _spec_problems(kind: str, spec: TensorSpec, shapes: tuple[tuple[int, ...], ...], dtypes: set[str]) -> list[str]:
    """Compare what a format says of a tensor with a free batch dimension followed by one of ``shapes``."""
    problems = []
    if spec.dtype is not None and spec.dtype not in dtypes:
        problems.append(f"its {kind} {spec.name or ''} is {spec.dtype}, not float32".replace("  ", " "))
    if spec.shape is None:
        return problems
    if not any(fits(spec.shape[1:], shape) for shape in shapes):
        wanted = " or ".join(f"(batch, {_joined(shape)})" for shape in shapes[:2])
        problems.append(f"its {kind} {spec.name or ''} has shape ({_joined(spec.shape)}), not {wanted}")
    elif isinstance(spec.shape[0], int):
        problems.append(f"its {kind} has the batch size fixed at {spec.shape[0]}")
    return problems


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(spec.name or "unnamed" for spec in specs) or "none"


def _describe(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(
        f"{spec.name or 'unnamed'} {spec.dtype or ''} {f'({_joined(spec.shape)})' if spec.shape else ''}".strip()
        for spec in specs
    )


def _joined(shape: tuple[int | str | None, ...]) -> str:
    return ", ".join("?" if size is None else str(size) for size in shape)
