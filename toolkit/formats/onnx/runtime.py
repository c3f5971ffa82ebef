"""Writes ONNX, and opens it in ONNX Runtime."""

import io
import re
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from toolkit.errors import CorruptArtifactError, PrecisionError, UnsupportedDeviceError, first_line
from toolkit.formats import Session
from toolkit.records import ArtifactMetadata, Precision, Signature, TensorSpec
from toolkit.system.devices import device_index, device_type
from toolkit.system.nvml import process_memory_bytes

onnxruntime.disable_telemetry_events()  # also where somebody imported it before this package

if TYPE_CHECKING:
    from toolkit.fashion.model import Mlp

_NAME = "onnx"
#: The property of a model that holds our own description.
METADATA_KEY = "fmnist_tk"
# Opset 18 is what torch's exporter writes without converting, and every runtime since 2023 reads it. IR
# version 8 is the one that came with it: later ones only add what this graph does not use.
_OPSET, _IR_VERSION = 18, 8
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# ONNX Runtime's element types in NumPy's words.
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
_TYPE = onnx.TensorProto
_LOWER: tuple[tuple[Precision, set[int]], ...] = (
    ("int8", {_TYPE.INT8, _TYPE.UINT8}),
    ("bfloat16", {_TYPE.BFLOAT16}),
    ("float16", {_TYPE.FLOAT16}),
)
# Before the sentence that tells what is wrong, ONNX Runtime puts a code, a path, its own source file, a C++ function.
_BEFORE_REASON = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .* failed:)?(/\S+:\d+ .*?\) (?=[A-Z]))?"
)
_OPSET_TOO_NEW = re.compile(r"Opset (\d+) is under development.* is till opset (\d+)", re.DOTALL)
_TOO_NEW = "run: pip install --upgrade onnxruntime, or export the model with an older opset and IR version"
_LOAD_ERRORS_ONLY = 3  # ONNX Runtime's severity for errors; its warnings are told through the provider check


def export(model: "Mlp", path: Path, metadata: ArtifactMetadata) -> None:
    """Write ``model`` as one ONNX file: input ``input``, output ``logits``, a free batch dimension."""
    import torch  # for export alone: a process that only runs ONNX never loads libtorch

    from toolkit.formats.torch_export.runtime import export_program

    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # the exporter talks to stdout
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of onnxscript's own making
        warnings.filterwarnings("ignore", category=FutureWarning)
        program = torch.onnx.export(
            export_program(model),
            (torch.zeros(2, 1, 28, 28),),
            input_names=["input"],
            output_names=["logits"],
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # dynamo=True always returns one
    proto = program.model_proto
    _tidy(proto)
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, metadata.model_dump_json()
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def load(path: Path, device: str, threads: int | None = None) -> Session:
    """Open the graph with exactly one execution provider.

    ONNX Runtime falls back to the CPU when a provider cannot start; a session labelled ``cuda`` must
    not, so the provider in use is read back. Its CUDA provider computes in TF32 unless told otherwise.

    Raises:
        CorruptArtifactError: If the file does not open.
        UnsupportedDeviceError: If this build of ONNX Runtime has no provider for the device.
        PrecisionError: If the provider would use TF32.
    """
    return open_session(path, path, device, threads, weights_precision(read_proto(path)))


def open_session(
    source: Path | bytes, path: Path, device: str, threads: int | None, precision: Precision
) -> "OnnxRuntimeSession":
    """Open a graph, as `load` does, that is a file or the bytes of one; errors name ``path``."""
    provider, options = _provider(device)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _LOAD_ERRORS_ONLY
    if threads is not None:
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(source, settings, providers=[(provider, options)])
    except Exception as error:
        raise _refused(path, str(error)) from error
    used = session.get_providers()[0]
    if used != provider:
        raise UnsupportedDeviceError(
            _NAME,
            device,
            f"ONNX Runtime fell back to {used}",
            "check that its CUDA and cuDNN libraries are installed",
        )
    return OnnxRuntimeSession(session, device, precision)


def read_metadata(path: Path) -> str | None:
    """Return the JSON among the model's properties that `export` wrote, or None."""
    proto = read_proto(path)
    return next((entry.value for entry in proto.metadata_props if entry.key == METADATA_KEY), None)


def remedy_for(kind: str) -> str | None:
    """Return what to run so that ONNX Runtime has a kind of device, or None where it has."""
    if kind != "cuda" or _CUDA in onnxruntime.get_available_providers():
        return None
    return "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"


def device_memory_bytes(device: str) -> int | None:
    """Return what NVML says that this process holds on CUDA at the end, in bytes: its arena gives nothing back.

    The context is in it, so it cannot be compared with what libtorch says. None on the CPU, and where NVML does not
    tell, as in most containers.
    """
    return process_memory_bytes() if device_type(device) == "cuda" else None


class OnnxRuntimeSession:
    """A graph in ONNX Runtime; on CUDA its batches and logits stay on the device."""

    def __init__(self, session: Any, device: str, precision: Precision) -> None:
        self._session = session
        self._kind, self._index = device_type(device), device_index(device)
        self._input = next((each.name for each in session.get_inputs()), "")
        self._output = next((each.name for each in session.get_outputs()), "")
        self.signature = Signature(
            inputs=tuple(_spec(each) for each in session.get_inputs()),
            outputs=tuple(_spec(each) for each in session.get_outputs()),
        )
        declared = next((each.dtype for each in self.signature.inputs), None)
        self._dtype = declared if declared in {"float16", "float64"} else "float32"
        self.precision = precision
        self._refuse_tf32()

    def to_device(self, images: NDArray[np.float32]) -> Any:
        """Copy ``(N, 1, 28, 28)`` float32 to the device as the dtype that the graph declares.

        On the CPU and in float32 the array itself is the batch.
        """
        images = images.astype(self._dtype, copy=False)
        if self._kind == "cpu":
            return images
        return onnxruntime.OrtValue.ortvalue_from_numpy(images, self._kind, self._index)

    def run(self, batch: Any) -> Any:
        """Return the logits: an array on the CPU, a value on the device elsewhere."""
        if self._kind == "cpu":
            return self._session.run([self._output], {self._input: batch})[0]
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, batch)
        binding.bind_output(self._output, self._kind, self._index)
        self._session.run_with_iobinding(binding)
        return binding.get_outputs()[0]

    def synchronize(self) -> None:
        """Do nothing: ONNX Runtime waits for its device at the end of each run unless told not to."""

    def to_host(self, logits: Any) -> NDArray[np.float32]:
        """Return the logits as an array of the host, in the dtype they have."""
        host: NDArray[np.float32] = logits if self._kind == "cpu" else logits.numpy()
        return host

    def _refuse_tf32(self) -> None:
        if self._kind == "cuda":
            options = self._session.get_provider_options().get(_CUDA, {})
            if options.get("use_tf32") != "0":
                raise PrecisionError("float32", "tf32", "use an ONNX Runtime whose CUDA provider knows use_tf32 (1.18)")


def weights_precision(proto: onnx.ModelProto) -> Precision:
    """Return the lowest precision in which a graph stores its matrices or to which it casts."""
    graph = proto.graph
    used = {name for node in graph.node for name in node.input}
    types = {each.data_type for each in graph.initializer if len(each.dims) > 1 and each.name in used}
    types |= {each.i for node in graph.node if node.op_type == "Cast" for each in node.attribute if each.name == "to"}
    return next((name for name, members in _LOWER if types & members), "float32")


def read_proto(path: Path) -> onnx.ModelProto:
    """Return the model in a file, without the weights that it keeps beside it.

    Raises:
        CorruptArtifactError: If the file is no ONNX graph.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:
        raise CorruptArtifactError(path, _NAME, first_line(error)) from error


def _refused(path: Path, said: str) -> CorruptArtifactError:
    """Return what ONNX Runtime says of a model that it does not open, and what helps."""
    if opsets := _OPSET_TOO_NEW.search(said):
        reason = f"it needs opset {opsets[1]}, this ONNX Runtime supports models till opset {opsets[2]}"
        return CorruptArtifactError(path, _NAME, reason, _TOO_NEW)
    reason = first_line(ValueError(_BEFORE_REASON.sub("", said)))
    if "max supported IR version" in said:
        return CorruptArtifactError(path, _NAME, reason, _TOO_NEW)
    return CorruptArtifactError(path, _NAME, reason)


def _provider(device: str) -> tuple[str, dict[str, str]]:
    if device_type(device) == "cpu":
        return _CPU, {}
    remedy = remedy_for(device_type(device))
    if remedy:
        reason = f"this build of ONNX Runtime {onnxruntime.__version__} has no CUDA provider"
        raise UnsupportedDeviceError(_NAME, device, reason, f"install it with: {remedy}")
    return _CUDA, {"device_id": str(device_index(device)), "use_tf32": "0"}


def _tidy(proto: onnx.ModelProto) -> None:
    """Remove what only the exporter needs: source paths, and shapes that trip other tools."""
    proto.ir_version = _IR_VERSION
    graph = proto.graph
    del graph.value_info[:]  # with it, onnxruntime.quantization fails in shape inference
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, proto):
        item.ClearField("metadata_props")
        item.doc_string = ""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # torch numbers its symbols


def _spec(argument: Any) -> TensorSpec:
    """Describe an input or output; ONNX Runtime gives an empty shape for one that the file does not declare."""
    shape = tuple(size if isinstance(size, int | str) else None for size in argument.shape) or None
    return TensorSpec(name=argument.name, dtype=_DTYPES.get(argument.type, argument.type), shape=shape)
