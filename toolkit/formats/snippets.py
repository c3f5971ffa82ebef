"""How each format is run without this toolkit: plain lines of its runtime, as literal data."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from toolkit.system.devices import device_index, device_type

if TYPE_CHECKING:
    from toolkit.formats import FormatInfo


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


# Float32 products in float32: torch can be built or told to use TF32, ONNX Runtime uses it unless told otherwise.
_NO_TF32: Final = 'torch.backends.cuda.matmul.fp32_precision = "ieee"  # no TF32'
_ONNX_INFER: Final = ("return session.run(None, {session.get_inputs()[0].name: x})[0]",)
_TORCH_INFER: Final = ("with torch.inference_mode():", "    return module(torch.from_numpy(x)).numpy()")
_TORCH_INFER_THERE: Final = (
    "with torch.inference_mode():",
    '    return module(torch.from_numpy(x).to("DEVICE")).cpu().numpy()',
)
_SCRIPT_LOAD: Final = 'module = torch.jit.load("FILE", map_location="DEVICE")'
_PROGRAM_LOAD: Final = (
    'program = torch.export.passes.move_to_device_pass(torch.export.load("FILE"), "DEVICE")',
    "module = program.module()",
)
_ONNX_CPU: Final = Snippet(
    imports=("import onnxruntime",),
    load=('session = onnxruntime.InferenceSession("FILE", providers=["CPUExecutionProvider"])',),
    infer=_ONNX_INFER,
    archive=False,
)
_ONNX_CUDA: Final = Snippet(
    imports=("import onnxruntime",),
    load=(
        'providers = [("CUDAExecutionProvider", {"device_id": "INDEX", "use_tf32": "0"})]',
        'session = onnxruntime.InferenceSession("FILE", providers=providers)',
        'if session.get_providers()[0] != "CUDAExecutionProvider":',
        '    raise SystemExit("ONNX Runtime fell back to the CPU: this says nothing about CUDA")',
    ),
    infer=_ONNX_INFER,
    archive=False,
)
#: By the name of the format and the kind of device.
_SNIPPETS: Final[dict[tuple[str, str], Snippet]] = {
    ("onnx", "cpu"): _ONNX_CPU,
    ("onnx", "cuda"): _ONNX_CUDA,
    ("torchscript", "cpu"): Snippet(("import torch",), (_SCRIPT_LOAD,), _TORCH_INFER),
    ("torchscript", "cuda"): Snippet(("import torch",), (_NO_TF32, _SCRIPT_LOAD), _TORCH_INFER_THERE),
    ("torchscript", "mps"): Snippet(("import torch",), (_SCRIPT_LOAD,), _TORCH_INFER_THERE),
    ("torch-export", "cpu"): Snippet(("import torch",), ('module = torch.export.load("FILE").module()',), _TORCH_INFER),
    ("torch-export", "cuda"): Snippet(("import torch.export.passes",), (_NO_TF32, *_PROGRAM_LOAD), _TORCH_INFER_THERE),
    ("torch-export", "mps"): Snippet(("import torch.export.passes",), _PROGRAM_LOAD, _TORCH_INFER_THERE),
}


def find_snippet(info: "FormatInfo", device: str, file: str) -> Snippet | None:
    """Return the lines that run ``file`` on ``device``, or None when no plain script is known for the two.

    Args:
        info: The format.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        file: Name of the artifact, which needs no escaping between double quotes.
    """
    found = _SNIPPETS.get((info.name, device_type(device)))
    if found is None:
        return None

    def filled(lines: tuple[str, ...]) -> tuple[str, ...]:
        words = {"FILE": file, "DEVICE": device, "INDEX": str(device_index(device))}
        for word, value in words.items():
            lines = tuple(line.replace(word, value) for line in lines)
        return lines

    return replace(found, load=filled(found.load), infer=filled(found.infer))
