"""Shrinking as a pure function; then broken artifacts, whose scripts must fail elsewhere and pass on a right file."""

import ast
import json
import runpy
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper, numpy_helper

from support import save_small
from toolkit.errors import OutputError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.fashion.model import Mlp
from toolkit.formats import FORMATS, FormatInfo, import_format
from toolkit.formats.snippet import find_snippet
from toolkit.formats.target import Target
from toolkit.parity.explain.faults import FAULTS
from toolkit.parity.explain.place import folder_name
from toolkit.parity.explain.reproduce import Reproduction, _script, write_reproduction
from toolkit.parity.explain.shrink import shrink
from toolkit.records import ArtifactMetadata, CheckRecord
from toolkit.records.parity import CheckName
from toolkit.system.files import sha256_of

LIMIT = 1e-4
IMAGES = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)

batches = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(1), st.just(28), st.just(28)), fill=st.just(0.0),
    elements=st.floats(-4, 4, width=32))  # fmt: skip


def pixel(number: int) -> Callable[[np.ndarray], bool]:
    return lambda batch: bool((batch.reshape(len(batch), -1)[:, number] > 0.5).any())


@given(batches, st.integers(0, 783))
def test_one_pixel_is_left_when_one_is_needed(batch: np.ndarray, number: int) -> None:
    batch[-1].reshape(-1)[number] = 2
    small = shrink(batch, pixel(number))
    assert small.shape == (1, 1, 28, 28)
    assert np.flatnonzero(small).tolist() == [number]
    assert small.max() == 1 or np.abs(batch).sum(axis=(1, 2, 3)).max() < 1


@given(batches, st.floats(0.1, 30), st.integers(1, 700))
def test_what_is_left_fails_and_is_no_larger(batch: np.ndarray, threshold: float, budget: int) -> None:
    calls = []

    def fails(each: np.ndarray) -> bool:
        calls.append(len(each))
        verdict = bool(np.abs(each).sum() > threshold)
        each[:] = np.nan  # a predicate may run what overwrites its input
        return verdict

    before = batch.copy()
    if np.abs(batch).sum() <= threshold:
        with pytest.raises(ValueError, match="nothing to shrink"):
            shrink(batch, fails, budget)
        return
    small = shrink(batch, fails, budget)
    assert len(calls) <= budget
    assert fails(small.copy())
    assert (np.count_nonzero(small), len(small)) <= (np.count_nonzero(batch), len(batch))
    assert np.array_equal(batch, before)
    assert np.array_equal(small, shrink(batch, fails, budget))


@pytest.mark.parametrize(("count", "needed"), [(1000, 17), (40, 2), (33, 33), (18, 17)])
def test_a_fault_of_large_batches_keeps_as_many_images_as_it_needs(count: int, needed: int) -> None:
    small = shrink(np.ones((count, 1, 28, 28), np.float32), lambda batch: len(batch) >= needed)
    assert (len(small), np.count_nonzero(small)) == (needed, 0)


def test_the_image_given_first_is_preferred() -> None:
    batch, marks = IMAGES.copy(), np.arange(40) + 2
    batch[:, 0, 5, 5] = marks
    small = shrink(batch, lambda each: bool(np.isin(each[:, 0, 5, 5], marks).any()))
    assert small[small != 0].tolist() == [marks[0]]


def test_thirty_scattered_pixels_are_found_within_the_budget() -> None:
    needed = np.random.default_rng(1).choice(784, 30, replace=False)
    small = shrink(IMAGES + 0.5, lambda batch: bool((batch.reshape(len(batch), -1)[:, needed] > 0).all(axis=1).any()))
    assert sorted(np.flatnonzero(small)) == sorted(needed)
    assert set(np.unique(small)) == {0, 1}


def test_an_image_of_nan_beside_others_is_reduced_to_one_nan() -> None:
    batch = IMAGES[:8].copy()
    batch[3] = np.nan
    small = shrink(batch, lambda each: len(each) > 1 and bool(np.isnan(each).any()))
    assert (len(small), np.count_nonzero(small)) == (2, 1)


def test_values_of_one_are_not_taken_where_they_make_images_larger() -> None:
    faint = np.full((1, 1, 28, 28), 1e-3, np.float32)
    small = shrink(faint, lambda batch: np.count_nonzero(batch) > 9)
    assert np.count_nonzero(small) == 10
    assert small.sum() <= faint.sum()


@dataclass(frozen=True)
class Case:
    """A right model, and how to write it or a broken one as an artifact."""

    info: FormatInfo
    right: Path
    broken: Path
    expected_of: Callable[[np.ndarray], np.ndarray]

    def write(self, folder: Path, cause: str, batch: np.ndarray | None = IMAGES, **more: Any) -> Reproduction:
        check = CheckRecord(name=cause, measured=None, limit=0.0, unit="problems", detail="as the test says")
        target = Target(self.info, self.broken)
        session = None if batch is None else target.open("cpu", 1)
        arguments: dict[str, Any] = {
            "cause": check,
            "expected_of": self.expected_of,
            "run": session and (lambda images: session.to_host(session.run(session.to_device(images)))),
            "limit": LIMIT,
            "sha256": sha256_of(self.broken),
        }
        return write_reproduction(folder, target, batch, **(arguments | more))


class Wrapper(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model


class LargeBatches(Wrapper):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.model(images)
        return logits + 1.0 if images.size(0) > 16 else logits


class Overwrites(Wrapper):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.model(images)
        images.mul_(2.0)
        return logits


class Centred(Wrapper):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.model(images)
        return logits - logits.mean(0)


class Drifts(Wrapper):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__(model)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1.0
        return self.model(images) + 0.01 * self.calls


class Squeezed(Wrapper):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).squeeze(0)


class Raises(Wrapper):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.size(0) % 2 == 0:
            raise RuntimeError("an even batch")
        return self.model(images)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(save_small(tmp_path_factory.mktemp("small") / "small.safetensors"))


@pytest.fixture(scope="module")
def written(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the model or a changed one in a format, each once: that takes longer than most of these tests."""
    metadata = ArtifactMetadata(
        format="test", config=checkpoint.record.config, weights_sha256=checkpoint.record.weights_sha256, versions={}
    )

    @cache
    def write(name: str, weights: Callable[[Mlp], None] | None, wrap: type[Wrapper] | None) -> Path:
        path, model = tmp_path_factory.mktemp("written") / "artifact", checkpoint.model()
        if weights:
            with torch.no_grad():
                weights(model)
        import_format(FORMATS[name]).export(wrap(model) if wrap else model, path, metadata)
        return path

    return write


@pytest.fixture
def case(checkpoint: Checkpoint, written: Callable[..., Path], tmp_path: Path) -> Callable[..., Case]:
    """Make a case: a format, a change of the weights, a wrapper that breaks the behaviour, or one of the graph."""
    exact = checkpoint.model().double()

    def expected_of(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return exact(torch.from_numpy(images).double()).numpy()

    def make(
        name: str,
        weights: Callable[[Mlp], None] | None = None,
        wrap: type[Wrapper] | None = None,
        graph: Callable[[onnx.ModelProto], None] | None = None,
    ) -> Case:
        info = FORMATS[name]
        found = Case(info, tmp_path / f"right{info.suffixes[0]}", tmp_path / f"net{info.suffixes[0]}", expected_of)
        shutil.copyfile(written(name, None, None), found.right)
        shutil.copyfile(written(name, weights, wrap), found.broken)
        if graph:
            proto = onnx.load(found.broken)
            graph(proto)
            onnx.save(proto, found.broken)
        return found

    return make


def run_elsewhere(folder: Path, place: Path, artifact: Path | None = None, name: str = "") -> tuple[int, str]:
    """Copy a reproduction to another place and run it there; return the exit code and the last line of stderr."""
    moved = shutil.copytree(folder, place)
    if artifact:
        shutil.copyfile(artifact, moved / name)
    ended = subprocess.run([sys.executable, "repro.py"], cwd=moved, capture_output=True, text=True, check=False)
    return ended.returncode, (ended.stderr.strip().splitlines() or [""])[-1]


def run_cured(folder: Path, place: Path, artifact: Path, name: str) -> None:
    """Run a reproduction with a right file in this process, which has its runtime loaded; an error is the script's."""
    moved = shutil.copytree(folder, place)
    shutil.copyfile(artifact, moved / name)
    with chdir(moved), warnings.catch_warnings(action="ignore"):
        runpy.run_path("repro.py", run_name="__main__")


def check_whole(found: Case, made: Reproduction, place: Path, message: str) -> np.ndarray:
    """Check what holds for every reproduction, and return its input."""
    assert made.shown, made.note
    assert made.folder is not None
    name = found.info.file_name
    assert message in made.note
    run_cured(made.folder, place / "cured", found.right, name)
    facts = json.loads((made.folder / "versions.json").read_text(encoding="utf-8"))
    assert facts["artifact"]["sha256"] == sha256_of(made.folder / name) == sha256_of(found.broken)
    assert [each.name for each in made.folder.parent.iterdir()] == [made.folder.name]  # nothing temporary is left
    given = np.load(made.folder / "input.npy")
    expected = np.load(made.folder / "expected.npy")
    assert (given.dtype, expected.dtype, expected.shape) == (np.float32, np.float64, (len(given), 10))
    assert facts["images"] == len(given)
    assert facts["non_zero_pixels"] == np.count_nonzero(given)
    return given


def first_weight(model: Mlp) -> None:
    model.linear_relu_stack[0].weight[:, 300] += 0.5


def nan_bias(model: Mlp) -> None:
    model.linear_relu_stack[-1].bias[3] = torch.nan


@pytest.mark.parametrize("name", FORMATS)
def test_a_wrong_weight_is_shown_by_the_one_pixel_that_meets_it(
    name: str, case: Callable[..., Case], tmp_path: Path
) -> None:
    found = case(name, first_weight)
    made = found.write(tmp_path / "out", "values")
    given = check_whole(found, made, tmp_path, "image 0, logit ")
    assert made.folder is not None
    assert run_elsewhere(made.folder, tmp_path / "moved") == (1, f"AssertionError: {made.note}")
    assert made.folder == tmp_path / "out" / f"net-{name}-{sha256_of(found.broken)[:8]}"
    assert given.shape == (1, 1, 28, 28)
    assert np.flatnonzero(given).tolist() == [300]
    assert given.max() == 1
    actual, expected = np.load(made.folder / "actual.npy"), np.load(made.folder / "expected.npy")
    assert (np.abs(actual - expected).max(), actual.dtype) > (2 * LIMIT, np.float32)


def test_nan_for_one_class_is_shown_on_a_black_image(case: Callable[..., Case], tmp_path: Path) -> None:
    found = case("onnx", nan_bias)
    given = check_whole(found, found.write(tmp_path / "out", "finite"), tmp_path, "image 0, logit 3 is nan, not ")
    assert (len(given), np.count_nonzero(given)) == (1, 0)


def double_output(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].output[0] = "before"
    proto.graph.node.append(helper.make_node("Cast", ["before"], ["logits"], to=onnx.TensorProto.DOUBLE))
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def fixed_batch(proto: onnx.ModelProto) -> None:
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 64


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    ("name", "change", "cause", "message", "images"),
    [
        ("torchscript", {"wrap": LargeBatches}, "values", "off by 1", 17),
        ("torchscript", {"wrap": Overwrites}, "input kept", "1 values of the input are others after the call", 1),
        ("torch-export", {"wrap": Overwrites}, "input kept", "1 values of the input are others after the call", 1),
        ("onnx", {"wrap": Centred}, "row independence", "other logits alone than among 2: they differ by", 2),
        ("torchscript", {"wrap": Drifts}, "determinism", "call 2 differs from call 1 by 0.0", 1),
        ("torchscript", {"wrap": Raises}, "batch sizes", "a batch of 2 raises: ", 2),
        ("onnx", {"graph": fixed_batch}, "batch sizes", "a batch of 1 raises: ", 1),
        ("torchscript", {"wrap": Squeezed}, "shape", "1 image(s) give (10,), not (1, 10)", 1),
        ("onnx", {"graph": double_output}, "dtype", "the logits are float64, not float32", 1),
    ],
)
def test_broken_behaviour_is_shown_by_as_few_images_as_it_needs(
    name: str,
    change: dict[str, Any],
    cause: str,
    message: str,
    images: int,
    case: Callable[..., Case],
    tmp_path: Path,
) -> None:
    found = case(name, **change)
    batch = IMAGES[:1] if cause == "shape" else IMAGES  # one image alone shows it
    given = check_whole(found, found.write(tmp_path / "out", cause, batch), tmp_path, message)
    assert len(given) == images
    assert np.count_nonzero(given) <= 1


def test_a_neighbour_of_nan_is_shown_to_spoil_another_row(case: Callable[..., Case], tmp_path: Path) -> None:
    found = case("onnx", wrap=Centred)
    batch = IMAGES[:8].copy()
    batch[3] = np.nan
    check_whole(found, found.write(tmp_path / "out", "row independence", batch), tmp_path, "differ by ")


def flat_input(proto: onnx.ModelProto) -> None:
    shape = proto.graph.input[0].type.tensor_type.shape
    del shape.dim[1:]
    shape.dim.add().dim_value = 784
    bias = next(each for each in proto.graph.initializer if each.name.endswith("2.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(1), bias.name))


def test_the_input_has_the_shape_that_the_artifact_wants(case: Callable[..., Case], tmp_path: Path) -> None:
    found = case("onnx", graph=flat_input)
    session = Target(found.info, found.broken).open("cpu")
    made = found.write(
        tmp_path / "out", "values", run=lambda images: session.run(images.reshape(-1, 784)), input_shape=(784,)
    )
    assert made.shown, made.note
    assert made.folder is not None
    assert np.load(made.folder / "input.npy").shape == (1, 784)


def test_external_data_goes_with_the_artifact(case: Callable[..., Case], tmp_path: Path) -> None:
    found = case("onnx", first_weight)
    onnx.save(
        onnx.load(found.broken), found.broken, save_as_external_data=True, location="weights.bin", size_threshold=1024
    )
    made = found.write(tmp_path / "out", "values", companions=[tmp_path / "weights.bin"], sha256="0" * 64)
    assert made.shown, made.note
    assert made.folder is not None
    assert (made.folder / "weights.bin").is_file()
    again = found.write(tmp_path / "out", "values", companions=[tmp_path / "weights.bin"], sha256="0" * 64)
    assert again.folder == made.folder


def test_a_file_that_is_no_graph_is_only_loaded(case: Callable[..., Case], tmp_path: Path) -> None:
    found = case("onnx")
    found.broken.write_bytes(found.right.read_bytes()[:200])
    made = found.write(tmp_path / "out", "opens", None)
    assert made.shown, made.note
    assert made.folder is not None
    assert made.note.startswith("model.onnx does not open: ")
    assert {each.name for each in made.folder.iterdir()} == {"repro.py", "model.onnx", "versions.json"}
    assert run_elsewhere(made.folder, tmp_path / "cured", found.right, "model.onnx") == (0, "")


@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_what_the_toolkit_does_not_give_to_a_runtime_is_not_run_here_either(
    name: str, case: Callable[..., Case], tmp_path: Path
) -> None:
    found = case(name)
    found.broken.write_bytes(found.right.read_bytes()[:2000])
    made = found.write(tmp_path / "out", "opens", None)
    assert (made.folder, made.shown) == (None, False)
    assert "it is not given to its runtime: " in made.note
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("cause", "more", "reason"),
    [
        ("integrity", {}, "'integrity' is not shown by running the artifact: as the test says"),
        ("signature", {}, "'signature' is not shown by running"),
        ("contract", {}, "'contract' is not shown by running"),
        ("accuracy", {}, "'accuracy' is not shown by running"),
        ("values", {"limit": float("inf")}, "the limit is not finite"),
        ("values", {"run": None}, "there is no input"),
        ("values", {"device": "mps"}, "no plain script is known for onnx on mps"),
        ("values", {"sha256": "0" * 64}, "has changed since it was checked"),
        ("opens", {}, "it opens here now"),
    ],
)
def test_what_cannot_be_shown_says_why(
    cause: str, more: dict[str, Any], reason: str, case: Callable[..., Case], tmp_path: Path
) -> None:
    made = case("onnx", first_weight).write(tmp_path / "out", cause, **more)
    assert (made.folder, made.shown) == (None, False)
    assert reason in made.note
    assert not list(tmp_path.glob("out/*"))


def test_a_script_that_does_not_fail_is_not_called_a_reproduction(case: Callable[..., Case], tmp_path: Path) -> None:
    made = case("onnx").write(tmp_path / "out", "values", IMAGES[:2])
    assert not made.shown
    assert made.note == "repro.py shows nothing here: it ended with exit code 0"
    assert made.folder is not None
    assert np.array_equal(np.load(made.folder / "input.npy"), IMAGES[:2])


def test_an_earlier_reproduction_is_replaced_and_nothing_else(case: Callable[..., Case], tmp_path: Path) -> None:
    found, out = case("onnx", first_weight), tmp_path / "out"
    place = out / f"net-onnx-{sha256_of(found.broken)[:8]}"
    place.mkdir(parents=True)  # an empty folder may go
    assert found.write(out, "values").folder == place
    assert set(json.loads((place / "versions.json").read_text())["files"]) == {each.name for each in place.iterdir()}
    (place / "repro.py").write_text("old")
    made = found.write(out, "values")
    assert (made.folder, made.shown) == (place, True)
    assert (place / "repro.py").read_text() != "old"


def own_file(place: Path) -> None:
    (place / "notes.txt").write_text("mine")


def own_folder(place: Path) -> None:
    (place / "logs").mkdir()


def own_link(place: Path) -> None:
    (place / "link").symlink_to("repro.py")


def no_list(place: Path) -> None:
    (place / "versions.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "named"), [(own_file, "notes.txt"), (own_folder, "logs"), (own_link, "link"), (no_list, "actual.npy")]
)
def test_a_folder_with_anything_else_in_it_is_not_replaced(
    change: Callable[[Path], None], named: str, case: Callable[..., Case], tmp_path: Path
) -> None:
    found, out = case("onnx", first_weight), tmp_path / "out"
    place = found.write(out, "values").folder
    assert place
    change(place)
    before = {each: each.is_file() and each.read_bytes() for each in place.iterdir()}
    with pytest.raises(OutputError, match=f"{named} in it was not written with the reproduction and would be lost"):
        found.write(out, "values")
    assert {each: each.is_file() and each.read_bytes() for each in place.iterdir()} == before


def test_a_file_or_a_link_in_the_place_of_the_folder_stays(case: Callable[..., Case], tmp_path: Path) -> None:
    found, out = case("onnx", first_weight), tmp_path / "out"
    out.mkdir()
    place = out / f"net-onnx-{sha256_of(found.broken)[:8]}"
    place.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="no reproduction"):
        found.write(out, "values")
    assert place.is_symlink()


def test_artifacts_of_one_name_have_a_folder_each(case: Callable[..., Case], tmp_path: Path) -> None:
    first, out = case("onnx", first_weight), tmp_path / "out"
    one = first.write(out, "values").folder
    two = case("onnx", nan_bias).write(out, "finite").folder
    assert one
    assert two
    assert one != two
    assert one.is_dir()


def test_another_device_has_another_folder() -> None:
    target = Target(FORMATS["torchscript"], Path("a.b.ts.pt"))
    names = [folder_name(target, "0123456789", device) for device in ("cpu", "cuda", "cuda:1")]
    start = "a.b-torchscript-01234567"
    assert names == [start, f"{start}-cuda", f"{start}-cuda-1"]


def test_a_folder_that_cannot_be_written_is_told_before_the_work(case: Callable[..., Case], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def never(images: np.ndarray) -> np.ndarray:
        raise AssertionError("no work before")

    with pytest.raises(OutputError) as caught:
        case("onnx").write(tmp_path / "file", "values", run=never, expected_of=never)
    assert caught.value.path == tmp_path / "file"


def test_when_writing_fails_the_earlier_reproduction_stays(case: Callable[..., Case], tmp_path: Path) -> None:
    found, out = case("onnx", first_weight), tmp_path / "out"
    place = found.write(out, "values").folder
    assert place

    def full(images: np.ndarray) -> np.ndarray:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError) as caught:
        found.write(out, "values", expected_of=full)
    assert caught.value.path == place
    assert list(out.iterdir()) == [place]
    assert (place / "repro.py").is_file()


def scripts() -> list[tuple[str, str, str]]:
    return [
        (info.name, device, cause)
        for info in FORMATS.values()
        for device in info.devices
        for cause in ("opens", *FAULTS)
    ]


@pytest.mark.parametrize(("name", "device", "cause"), scripts())
def test_scripts_are_short_and_need_numpy_and_the_runtime_alone(
    name: str, device: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = FORMATS[name]
    snippet = find_snippet(info, device, info.file_name)
    assert snippet is not None
    lines = _script(Target(info, Path("x")), device, snippet, FAULTS.get(cause), 1.2345678901234567e-05)
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith(f"# {info.file_name} in {info.runtime} on {device}: ")
    tree = ast.parse("\n".join(lines))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported - {"numpy"} == {"onnxruntime" if name == "onnx" else "torch"}
    assert "FILE" not in "".join(lines)
    assert "DEVICE" not in "".join(lines)


def test_every_fault_is_a_check() -> None:
    assert set(FAULTS) < set(get_args(CheckName))


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_a_wrong_weight_is_shown_on_cuda(name: str, case: Callable[..., Case], tmp_path: Path) -> None:
    found = case(name, first_weight)
    session = Target(found.info, found.broken).open("cuda")
    made = found.write(
        tmp_path / "out",
        "values",
        run=lambda images: session.to_host(session.run(session.to_device(images))),
        device="cuda",
    )
    check_whole(found, made, tmp_path, "image 0, logit ")
