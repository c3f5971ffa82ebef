"""Our measuring loop around OpenVINO, for `agreement.py`; prints JSON.

    python openvino_session.py MODEL GOLDEN THREADS BATCH SECONDS

It calls OpenVINO through its C interface. The Python class takes 3 to 6 µs around each call, which benchmark_app, whose
clock is inside of it, does not count: at batch 1 that is 12 to 22 %. This way both clocks stand around the same call.
"""

import ctypes
import json
import sys
from ctypes import POINTER, byref, c_float, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from toolkit.bench.engine.measure import closed_loop
from toolkit.bench.engine.outputs import wrong_outputs
from toolkit.formats.golden import read_golden
from toolkit.records import quantile

_WARM_S = 0.3


class _Dimension(ctypes.Structure):
    _fields_ = (("min", c_int64), ("max", c_int64))


class _PartialShape(ctypes.Structure):
    _fields_ = (("rank", _Dimension), ("dims", POINTER(_Dimension)))


class OpenVinoSession:
    """`toolkit.formats.Session` of a model compiled for one batch size on the CPU, in float32."""

    precision, signature = "float32", None

    def __init__(self, model: str, batch: int, threads: int) -> None:
        self._c = ctypes.CDLL(str(next((Path(openvino.__file__).parent / "libs").glob("libopenvino_c.*"))))
        core, graph, compiled, self._request = (c_void_p() for _ in range(4))
        sizes = [_Dimension(size, size) for size in (batch, 1, 28, 28)]
        shape = _PartialShape(_Dimension(4, 4), (_Dimension * 4)(*sizes))
        settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
        words = [word.encode() for pair in settings.items() for word in pair]
        self._call("core_create", byref(core))
        self._call("core_read_model", core, model.encode(), None, byref(graph))
        self._call("model_reshape_single_input", graph, shape)
        self._call("core_compile_model", core, graph, b"CPU", c_size_t(len(words)), byref(compiled), *words)
        self._call("compiled_model_create_infer_request", compiled, byref(self._request))
        self._input, self._output = self._array("input", (batch, 1, 28, 28)), self._array("output", (batch, 10))
        self._infer = self._c.ov_infer_request_infer

    def to_device(self, images: NDArray[np.float32]) -> None:
        np.copyto(self._input, images)

    def run(self, _: None) -> None:
        self._infer(self._request)

    def synchronize(self) -> None:
        pass

    def to_host(self, _: None) -> NDArray[np.float32]:
        return self._output.copy()

    def _array(self, which: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the request's own tensor as an array that shares its memory."""
        tensor, data = c_void_p(), c_void_p()
        self._call(f"infer_request_get_{which}_tensor", self._request, byref(tensor))
        self._call("tensor_data", tensor, byref(data))
        return np.ctypeslib.as_array(ctypes.cast(data, POINTER(c_float)), shape)

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._c, f"ov_{name}")(*arguments)
        if status:
            raise RuntimeError(f"ov_{name} returned {status}")


def main(model: str, golden_path: str, threads: str, batch: str, seconds: str) -> None:
    golden = read_golden(Path(golden_path))
    images = np.ascontiguousarray(np.resize(golden.inputs, (int(batch), *golden.inputs.shape[1:])))
    session = OpenVinoSession(model, len(images), int(threads))
    wrong = wrong_outputs(session, golden, images)
    if wrong:
        sys.exit(wrong)
    closed_loop(session, images, seconds=_WARM_S, min_calls=5, max_calls=1_000_000)
    calls = closed_loop(session, images, seconds=float(seconds), min_calls=5, max_calls=1_000_000)
    print(json.dumps({"median_s": quantile(calls.compute_ns, 0.5) / 1e9, "calls": len(calls.compute_ns)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
