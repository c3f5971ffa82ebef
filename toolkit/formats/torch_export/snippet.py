"""How an exported program is run without this toolkit."""

from typing import Final

from toolkit.formats.snippet import NO_TF32, TORCH_INFER, TORCH_INFER_THERE, Snippet

_LOAD: Final = (
    'program = torch.export.passes.move_to_device_pass(torch.export.load("FILE"), "DEVICE")',
    "module = program.module()",
)
#: By the kind of device.
SNIPPETS: Final = {
    "cpu": Snippet(("import torch",), ('module = torch.export.load("FILE").module()',), TORCH_INFER),
    "cuda": Snippet(("import torch.export.passes",), (NO_TF32, *_LOAD), TORCH_INFER_THERE),
    "mps": Snippet(("import torch.export.passes",), _LOAD, TORCH_INFER_THERE),
}
