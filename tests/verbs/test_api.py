"""``import toolkit``: what a person who writes Python is promised, in docstrings and in docs/api.md."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from support import ROOT, load_script
from toolkit.errors import (
    ArtifactNotFoundError,
    CheckpointError,
    DeviceUnavailableError,
    UnknownFormatError,
    UnverifiedArtifactError,
    UsageError,
)
from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.records import FailureRecord, ModelConfig
from toolkit.system.environment import new_report

update_api = load_script(ROOT / ".ci" / "update_api.py")
DOCS = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NAMES = [name for name in toolkit.__all__ if name != "__version__"]
FUNCTIONS = update_api.functions()


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``model.pth``, a state dict of the tutorial's class made small, and its artifact in ``out``."""
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    torch.save(Mlp(ModelConfig(layer_sizes=(784, 16, 10))).state_dict(), folder / "model.pth")
    assert toolkit.export_formats(folder / "model.pth", folder / "out", ["torchscript"]).passed
    return folder


@pytest.fixture
def workplace(exported: Path, small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a user has it after a while: ``model.pth``, its ``out``, and ``exported`` of the bundled checkpoint.

    The examples train on the bundled images: on all of Fashion-MNIST one epoch takes as long as all tests here.
    """
    folder = tmp_path / "work"
    shutil.copytree(small_folder, folder)
    shutil.copytree(exported, folder / "exported")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("toolkit.fashion.training.load_data", lambda *_, **__: (load_sample(), load_sample()))
    return folder


class TestNames:
    def test_none_is_a_module_of_the_package(self) -> None:
        """An import of ``toolkit.NAME`` would put the module in the function's place."""
        assert not set(NAMES) & {module.name for module in pkgutil.iter_modules(toolkit.__path__)}

    def test_each_is_what_it_says_and_is_listed(self) -> None:
        for name in NAMES:
            assert getattr(toolkit, name).__name__ == name
        assert set(toolkit.__all__) <= set(dir(toolkit))
        assert toolkit.__all__ == sorted(toolkit.__all__)

    def test_another_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'predictt'"):
            _ = toolkit.predictt

    def test_a_type_checker_sees_the_same(self) -> None:
        source = inspect.getsource(toolkit)
        block = source[source.index("if TYPE_CHECKING:") : source.index("__all__")]
        assert sorted(re.findall(r"\b(\w+)(?=,|$)", re.sub(r".*import ", "", block), re.MULTILINE)) == sorted(NAMES)


class TestDocs:
    def test_every_name_has_one_heading_and_nothing_else_has(self) -> None:
        assert sorted(re.findall(r"^## `(\w+)`$", DOCS, re.MULTILINE)) == sorted(NAMES)

    def test_the_signatures_and_examples_are_those_of_the_functions(self) -> None:
        """If not: ``python .ci/update_api.py``."""
        assert update_api.updated(DOCS) == DOCS

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_every_function_has_the_parts_of_a_docstring(self, name: str) -> None:
        function = getattr(toolkit, name)
        text = inspect.getdoc(function) or ""
        parameters = list(inspect.signature(function).parameters)
        for part in (*(("Args:", "Raises:") if parameters else ()), "Returns:", "Example:"):
            assert re.search(rf"^{part}$", text, re.MULTILINE), part
        described = re.search(r"^Args:\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
        assert re.findall(r"^    (\w+): ", described[1] if described else "", re.MULTILINE) == parameters
        assert ">>> " in text

    def test_every_error_that_is_promised_exists(self) -> None:
        errors = importlib.import_module("toolkit.errors")
        for name in FUNCTIONS:
            raised = re.search(r"^Raises:\n(.*?)\n\n", f"{inspect.getdoc(getattr(toolkit, name))}\n\n", re.S | re.M)
            for each in re.findall(r"\b\w+Error\b", raised[1] if raised else ""):
                assert issubclass(getattr(errors, each), toolkit.ToolkitError)


def section(name: str) -> str:
    """Return what docs/api.md says of a name."""
    return re.split(r"^## ", DOCS[DOCS.index(f"## `{name}`") + 3 :], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "run_benchmark"])
def test_the_example_is_true(name: str) -> None:
    """Those of functions stand in their docstrings, too. Each is run with nothing but what it imports itself."""
    text = update_api.example(getattr(toolkit, name)) if name in FUNCTIONS else section(name).replace("```", "")
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert len(test.examples) >= 2
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_the_example_of_run_benchmark_is_true_in_a_notebook_and_a_script_needs_no_main_guard(workplace: Path) -> None:
    """Cells are code without a file; the script that runs them has no ``if __name__ == "__main__"``."""
    cells = doctest.DocTestParser().get_examples(update_api.example(toolkit.run_benchmark))
    script = workplace / "script.py"
    sources = [each.source for each in cells]
    script.write_text(f"for cell in {sources!r}:\n    exec(compile(cell, '<cell>', 'single'))\n")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.stdout == "".join(each.want for each in cells)
    assert result.stdout.count("\n") == 2


class TestArguments:
    @pytest.mark.usefixtures("workplace")
    @pytest.mark.parametrize(
        ("artifacts", "formats"),
        [
            ("onnx", ["onnx"]),
            (Path("exported/model.onnx"), ["onnx"]),
            (["onnx", "exported/model.ts.pt"], ["onnx", "torchscript"]),
            ("exported", ["onnx", "torch-export", "torchscript"]),
            (None, ["onnx", "torch-export", "torchscript"]),
        ],
    )
    def test_artifacts_are_files_names_folders_or_all(
        self, artifacts: Any, formats: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        def spy(targets: Any, *_: Any, **__: Any) -> None:
            seen.extend(target.format.name for target in targets)

        monkeypatch.setattr("toolkit.parity.check_parity", spy)
        toolkit.check_parity(artifacts)
        assert seen == formats

    @pytest.mark.usefixtures("workplace")
    def test_a_mismatch_is_a_result(self) -> None:
        torch.save(Mlp(ModelConfig(layer_sizes=(784, 16, 10))).state_dict(), "other.pth")
        report = toolkit.check_parity("out", "other.pth")
        assert not report.passed
        assert report.checkpoint is not None
        assert report.checkpoint.path == "other.pth"

    @pytest.mark.usefixtures("workplace")
    def test_the_file_of_an_artifact_is_a_reference_and_the_callers_torch_is_left_as_it_was(self) -> None:
        torch.set_num_threads(1)
        report = toolkit.check_parity(["torchscript"], "out/model.ts.pt", folder="out", threads=2)
        assert report.passed
        assert report.checkpoint is None
        assert report.parity[0].against == "out/model.ts.pt"
        assert torch.get_num_threads() == 1

    @pytest.mark.usefixtures("workplace")
    def test_what_parity_has_not_passed_is_not_timed(self) -> None:
        with pytest.raises(UnverifiedArtifactError) as caught:
            toolkit.run_benchmark(["onnx"], "model.pth")
        assert caught.value.path == Path("exported/model.onnx")

    @pytest.mark.usefixtures("workplace")
    @pytest.mark.parametrize(
        ("call", "error", "named"),
        [
            (lambda: toolkit.load_checkpoint("none.pth"), CheckpointError, "none.pth"),
            (lambda: toolkit.check_parity("none.onnx"), ArtifactNotFoundError, "none.onnx"),
            (lambda: toolkit.check_parity(folder="none"), ArtifactNotFoundError, "fmnist-tk export --folder none"),
            (lambda: toolkit.check_parity("onxx"), UnknownFormatError, "'onxx'"),
            (lambda: toolkit.check_parity([]), UsageError, "No artifacts are named"),
            (lambda: toolkit.check_parity(precision="int4"), UsageError, "int4"),  # type: ignore[arg-type]
            (lambda: toolkit.check_parity(threads=0), UsageError, "--threads 0"),
            (lambda: toolkit.export_formats(threads=-1), UsageError, "--threads -1"),
            (lambda: toolkit.export_formats(formats=["onx"]), UnknownFormatError, "'onx'"),
            (lambda: toolkit.export_formats("none.pth"), CheckpointError, "none.pth"),
            (lambda: toolkit.open_session("onnx", device="gpu"), UsageError, "'gpu'"),
            (lambda: toolkit.open_session("onnx", device="cuda:99"), DeviceUnavailableError, "cuda:99"),
            (lambda: toolkit.open_session("exported"), ArtifactNotFoundError, "exported"),
            (lambda: toolkit.run_benchmark(batch_sizes=[0]), UsageError, "--batch 0"),
            (lambda: toolkit.run_benchmark(batch_sizes=[]), UsageError, "batch_sizes is empty"),
            (lambda: toolkit.run_benchmark(threads=[1, 0]), UsageError, "--threads 0"),
            (lambda: toolkit.run_benchmark(budget_s=float("nan")), UsageError, "--budget nan"),
            (lambda: toolkit.run_benchmark(restarts=-1), UsageError, "--restarts -1"),
            (lambda: toolkit.run_benchmark(max_slowdown=0.1), UsageError, "--max-slowdown"),
            (lambda: toolkit.run_benchmark(scenario="fast"), UsageError, "--scenario fast"),
            (lambda: toolkit.train("m.pth"), UsageError, "m.pth"),
            (lambda: toolkit.train("m.safetensors", recipe="best"), UsageError, "'best'"),
            (lambda: toolkit.train("m.safetensors", lr=-1), UsageError, "--lr -1"),
            (lambda: toolkit.train("m.safetensors", hidden=[0]), UsageError, "--hidden 0"),
            (lambda: toolkit.train("m.safetensors", seed=-1), UsageError, "--seed -1"),
            (lambda: toolkit.train("m.safetensors", holdout=-1), UsageError, "--holdout -1"),
            (lambda: toolkit.train("m.safetensors", workers=0), UsageError, "--workers 0"),
        ],
    )
    def test_bad_input_is_a_typed_error_of_one_line(
        self, call: Callable[[], object], error: type[toolkit.ToolkitError], named: str
    ) -> None:
        with pytest.raises(error) as caught:
            call()
        assert named in caught.value.statement + caught.value.remedy
        assert "\n" not in str(caught.value)


ODD = [
    3,
    -1,
    float("nan"),
    "odd",
    "a\0b",
    b"odd",
    torch.nn.Linear(1, 1),
    torch.zeros(2, 2),
    np.zeros((2, 2)),
    Image.new("L", (28, 28)),
    [],
    [["odd"], None],
    {"odd": 1},
    object(),
    int,
]


def refused(call: Callable[[], object]) -> toolkit.ToolkitError | None:
    """Return the error that a call ends in, or None; any other than ours is a failure."""
    try:
        call()
    except toolkit.ToolkitError as error:
        return error
    return None


class TestOddValues:
    @pytest.fixture(autouse=True)
    def nothing_is_done(self, monkeypatch: pytest.MonkeyPatch, in_empty_folder: Path) -> None:
        """What passes as an argument is accepted; the work would take its time."""
        for name in ("export._make", "train.training.train"):
            monkeypatch.setattr(f"toolkit.verbs.{name}", self.accepted)
        monkeypatch.setattr("toolkit.verbs.bench.prepare_apart", self.accepted)
        monkeypatch.setattr("toolkit.verbs.predict.open_predictor", self.accepted)
        monkeypatch.setattr("toolkit.verbs.bench.bench.self_check", self.accepted)
        monkeypatch.setattr("toolkit.verbs.data.places.fetch_data", self.accepted)

    @staticmethod
    def accepted(*_: object, **__: object) -> None:
        raise UsageError("accepted", "go on")

    @pytest.mark.parametrize(
        ("function", "name"),
        [(name, each) for name in FUNCTIONS for each in inspect.signature(getattr(toolkit, name)).parameters],
    )
    def test_each_is_accepted_or_an_error_of_one_line(
        self, function: str, name: str, bundled: toolkit.Checkpoint
    ) -> None:
        needed: dict[str, dict[str, Any]] = {
            "train": {"output": "m.safetensors"},
            "open_session": {"artifact": "none.onnx"},
            "predict": {"pictures": []},
            "compare_reports": {"base": "none.json", "head": "none.json"},
            "inspect_files": {"file": "none.onnx"},
            "read_reports": {"reports": "none.json"},
            "rejudge_parity": {"report": "none.json"},
            "compute_logits": {"session": bundled, "images": np.zeros((1, 28, 28), np.uint8)},
        }
        for value in ODD:
            error = refused(lambda value=value: getattr(toolkit, function)(**needed.get(function, {}) | {name: value}))
            assert error is None or (error.remedy and "\n" not in str(error))

    def test_a_module_is_to_be_saved_and_a_wrong_type_names_the_right_ones(self) -> None:
        with pytest.raises(UsageError, match=re.escape('torch.save(model.state_dict(), "model.pth")')):
            toolkit.export_formats(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"batch_sizes: 'odd' is of type str; pass int \| Sequence\[int\]"):
            toolkit.run_benchmark(batch_sizes="odd")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="threads: True is of type bool"):
            toolkit.export_formats(threads=True)

    def test_a_number_stands_for_a_list_of_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Any] = []
        monkeypatch.setattr("toolkit.verbs.bench.prepare_apart", lambda _: SimpleNamespace(entries=()))
        monkeypatch.setattr("toolkit.bench.run_bench", lambda _, settings, *__, **___: seen.append(settings))
        monkeypatch.setattr("toolkit.verbs.bench.keep_result", lambda *_: None)
        toolkit.run_benchmark(batch_sizes=1, threads=2)
        assert (seen[0].batch_sizes, seen[0].threads) == ((1,), (2,))

    @pytest.mark.parametrize(
        ("files", "kept"),
        [(["a/m.onnx", "a/n.onnx"], "a"), (["a/m.onnx", "b/m.onnx"], None), ([None], None)],
    )
    def test_a_bench_is_kept_beside_what_it_timed(
        self, files: list[str | None], kept: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [SimpleNamespace(path=each and str(tmp_path / each), role="row") for each in files]
        base = SimpleNamespace(path=str(tmp_path / "c/m.onnx"), role="base")
        seen: list[Path] = []
        monkeypatch.setattr("toolkit.verbs.bench.prepare_apart", lambda _: SimpleNamespace(entries=(*rows, base)))
        monkeypatch.setattr("toolkit.bench.count_rows", lambda *_: 1)
        monkeypatch.setattr("toolkit.bench.run_bench", lambda *_, **__: None)
        monkeypatch.setattr("toolkit.verbs.bench.keep_result", lambda _, folder: seen.append(folder))
        toolkit.run_benchmark(["m.onnx"])
        assert seen == ([tmp_path / kept] if kept else [])


class TestShown:
    def test_a_report_is_one_screen_and_a_page_in_a_notebook(self) -> None:
        saved = toolkit.records.read_record(
            ROOT / "benchmarks" / "results" / "amd-epyc-2-cores-run.json", toolkit.Report
        )
        lines = repr(saved).splitlines()
        assert len(lines) <= 25
        assert max(map(len, lines)) <= 80
        assert str(saved) == repr(saved)
        assert lines[-1] == "<Report of run, passed=True>"
        page = saved._repr_html_()
        assert page is not None
        assert "<pre" in page
        assert "torch-export" in page

    def test_a_short_report_is_shown_whole_with_what_failed(self) -> None:
        failure = FailureRecord(target="<b>", format="onnx", device="cpu", reason="gone")
        report = new_report("bench").changed(failures=(failure,))
        assert "more line" not in repr(report)
        assert repr(report).endswith("<Report of bench, passed=False, 1 in .failures>")
        assert "&lt;b&gt;: gone" in (report._repr_html_() or "")

    def test_looking_costs_what_is_looked_at(self) -> None:
        code = "import sys, toolkit; toolkit.Report; print([name for name in ('rich', 'torch') if name in sys.modules])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class TestLogits:
    @pytest.mark.usefixtures("workplace")
    def test_every_way_to_pass_images_gives_the_same(self, bundled: toolkit.Checkpoint) -> None:
        sample = load_sample()
        session = toolkit.open_session("onnx", threads=1)
        logits = toolkit.compute_logits(session, sample.images)
        assert logits.dtype == np.float32
        assert logits.shape == (1000, 10)
        for images in (
            sample.images[:, np.newaxis],
            sample.inputs(),
            sample.images / 255,
            np.asfortranarray(sample.images),
        ):
            np.testing.assert_allclose(toolkit.compute_logits(session, images), logits, atol=2e-5)
        np.testing.assert_allclose(toolkit.compute_logits(session, sample.images[7]), logits[7:8], atol=2e-5)
        assert (logits.argmax(1) == sample.labels).mean() > 0.85
        eager = toolkit.open_session(bundled, threads=1)
        np.testing.assert_allclose(toolkit.compute_logits(eager, sample.images), logits, atol=1e-4)
        assert toolkit.compute_logits(session, sample.images[:0]).shape == (0, 10)

    @pytest.mark.parametrize(
        ("images", "words"),
        [
            (np.zeros((2, 27, 28), np.uint8), "shape (2, 27, 28)"),
            (np.zeros((2, 3, 28, 28), np.uint8), "shape (2, 3, 28, 28)"),
            (np.zeros((1, 1, 1, 28, 28), np.uint8), "shape (1, 1, 1, 28, 28)"),
            (np.zeros((2, 784), np.uint8), "shape (2, 784)"),
            (np.zeros(3), "shape (3,)"),
            (np.zeros((2, 28, 28), np.int64), "of int64"),
            (np.full((2, 28, 28), 255.0), "from 255 to 255"),
            (np.full((2, 28, 28), -0.5), "from -0.5"),
            (np.full((2, 28, 28), np.nan), "from nan"),
        ],
    )
    def test_what_would_be_misread_is_refused(self, images: Any, words: str, bundled: toolkit.Checkpoint) -> None:
        with pytest.raises(UsageError, match=re.escape(words)):
            toolkit.compute_logits(toolkit.open_session(bundled), images)
