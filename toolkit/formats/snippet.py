"""How an artifact is run without this toolkit: plain lines of its runtime, which its format's folder has as data."""

from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from toolkit.formats.info import FormatInfo
from toolkit.system.devices import device_index, device_type


@dataclass(frozen=True)
class Snippet:
    """Lines of Python that run an artifact, for a script that has imported numpy as np.

    Attributes:
        imports: Of the runtime.
        load: Statements that open the artifact, by its relative file name.
        infer: Statements that return the logits, an array of the host, for ``x``: float32 on the host, in the shape
            that the artifact wants. On the CPU the runtime gets the memory of ``x`` itself.
        archive: Whether the file is an archive of torch, whose pickles must be looked into before it is opened.
    """

    imports: tuple[str, ...]
    load: tuple[str, ...]
    infer: tuple[str, ...]
    archive: bool = True


#: Lines of torch. Float32 products in float32: torch can be built or told to use TF32.
NO_TF32: Final = 'torch.backends.cuda.matmul.fp32_precision = "ieee"  # no TF32'
TORCH_INFER: Final = ("with torch.inference_mode():", "    return module(torch.from_numpy(x)).numpy()")
TORCH_INFER_THERE: Final = (
    "with torch.inference_mode():",
    '    return module(torch.from_numpy(x).to("DEVICE")).cpu().numpy()',
)


def find_snippet(info: FormatInfo, device: str, file: str) -> Snippet | None:
    """Return the lines that run ``file`` on ``device``, or None when no plain script is known for the two.

    Args:
        info: The format.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        file: Name of the artifact, which needs no escaping between double quotes.
    """
    name = f"{info.module}.snippet"
    known: dict[str, Snippet] = import_module(name).SNIPPETS if find_spec(name) else {}
    found = known.get(device_type(device))
    if found is None:
        return None

    def filled(lines: tuple[str, ...]) -> tuple[str, ...]:
        words = {"FILE": file, "DEVICE": device, "INDEX": str(device_index(device))}
        for word, value in words.items():
            lines = tuple(line.replace(word, value) for line in lines)
        return lines

    return replace(found, load=filled(found.load), infer=filled(found.infer))
