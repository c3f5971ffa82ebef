"""How an ONNX model is run without this toolkit."""

from typing import Final

from toolkit.formats.snippet import Snippet

_INFER: Final = ("return session.run(None, {session.get_inputs()[0].name: x})[0]",)
#: By the kind of device. ONNX Runtime uses TF32 unless told otherwise.
SNIPPETS: Final = {
    "cpu": Snippet(
        imports=("import onnxruntime",),
        load=('session = onnxruntime.InferenceSession("FILE", providers=["CPUExecutionProvider"])',),
        infer=_INFER,
        archive=False,
    ),
    "cuda": Snippet(
        imports=("import onnxruntime",),
        load=(
            'providers = [("CUDAExecutionProvider", {"device_id": "INDEX", "use_tf32": "0"})]',
            'session = onnxruntime.InferenceSession("FILE", providers=providers)',
            'if session.get_providers()[0] != "CUDAExecutionProvider":',
            '    raise SystemExit("ONNX Runtime fell back to the CPU: this says nothing about CUDA")',
        ),
        infer=_INFER,
        archive=False,
    ),
}
