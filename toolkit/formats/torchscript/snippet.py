"""How an archive of TorchScript is run without this toolkit."""

from typing import Final

from toolkit.formats.snippet import NO_TF32, TORCH_INFER, TORCH_INFER_THERE, Snippet

_LOAD: Final = 'module = torch.jit.load("FILE", map_location="DEVICE")'
#: By the kind of device.
SNIPPETS: Final = {
    "cpu": Snippet(("import torch",), (_LOAD,), TORCH_INFER),
    "cuda": Snippet(("import torch",), (NO_TF32, _LOAD), TORCH_INFER_THERE),
    "mps": Snippet(("import torch",), (_LOAD,), TORCH_INFER_THERE),
}
