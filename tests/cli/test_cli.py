"""The command line as people and CI jobs use it: manners, and every kind of bad input in one line."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import toolkit
from support import Cli, NeuralNetwork, Outcome
from toolkit.cli import app
from toolkit.cli.console import finish
from toolkit.errors import OutputError, UnsupportedDeviceError
from toolkit.records import ModelConfig
from toolkit.system.environment import new_report
from toolkit.system.files import folder_lock

PROGRESS = re.compile(r"(export|parity|bench|run|train)(, second)? \d+/\d+")
COMMANDS = [command.callback.__name__ for command in app.registered_commands if command.callback]


def assert_one_line(outcome: Outcome, *names: object) -> None:
    """Exit code 2, nothing on stdout, one line on stderr, in it what it is about: a file, an option, a command."""
    progress = re.compile(r"(export|parity|bench|run|train)(, second)? \d+/\d+")
    lines = [line for line in outcome.err.splitlines() if not progress.match(line)]
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    for name in names:
        assert str(name) in lines[0], (name, lines[0])


class TestManners:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_takes_the_common_options(self, command: str, cli: Cli) -> None:
        text = cli(command, "--help").out
        for option in ("--json", "--quiet", "--debug", "--output"):
            assert option in text

    def test_the_version_is_the_packages(self, cli: Cli) -> None:
        assert cli("--version").out == f"fmnist-tk {toolkit.__version__}\n"

    def test_without_a_command_it_shows_the_help(self, cli: Cli) -> None:
        assert cli() == cli("--help")
        assert cli().code == 0

    def test_python_m_toolkit_is_the_same(self) -> None:
        result = subprocess.run(
            [sys.executable, "-m", "toolkit", "--version"], capture_output=True, text=True, check=True
        )
        assert result.stdout == f"fmnist-tk {toolkit.__version__}\n"

    def test_json_is_all_of_stdout_and_output_the_same(self, cli: Cli, in_empty_folder: Path) -> None:
        outcome = cli("doctor", "--json", "-o", "doctor.json")
        assert outcome.report.doctor is not None
        assert json.loads((in_empty_folder / "doctor.json").read_text()) == json.loads(outcome.out)

    def test_quiet_prints_nothing(self, exported: Path, cli: Cli) -> None:
        assert cli("parity", "onnx", "--folder", exported, "--quiet") == Outcome(0, "", "")

    def test_progress_goes_to_stderr_as_lines(self, exported: Path, cli: Cli) -> None:
        outcome = cli("parity", "onnx", "--folder", exported)
        assert outcome.err.splitlines() == ["parity 0/1 model.onnx", "parity 1/1"]
        assert "\x1b" not in outcome.out + outcome.err

    def test_debug_shows_the_traceback(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "toolkit", "parity", "--debug", "--folder", str(tmp_path)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert "Traceback" in result.stderr
        assert "ArtifactNotFoundError" in result.stderr

    def test_a_pipe_that_closes_early_is_no_traceback(self) -> None:
        result = subprocess.run(
            f"{sys.executable} -m toolkit report --schema | head -1",
            shell=True,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stdout == "{\n"
        assert result.stderr == ""

    @pytest.mark.parametrize("as_json", ["", "--json"])
    @pytest.mark.parametrize(
        ("to", "code", "lines"),
        [("| true", 1, 0), ("> /dev/full", 2, 1), (">&-", 0, 0)],
    )
    def test_whatever_becomes_of_stdout_the_file_is_written(
        self, to: str, code: int, lines: int, as_json: str, tmp_path: Path
    ) -> None:
        command = f"{sys.executable} -m toolkit doctor {as_json} -o {tmp_path / 'doctor.json'} {to}"
        result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
        assert (result.returncode, len(result.stderr.splitlines())) == (code, lines), result.stderr
        assert json.loads((tmp_path / "doctor.json").read_text())["doctor"]

    def test_a_result_that_cannot_be_written_is_at_least_shown(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(OutputError) as caught:
            finish(new_report("doctor"), as_json=True, output=tmp_path, quiet=False)
        assert caught.value.path == tmp_path
        assert json.loads(capsys.readouterr().out)["command"] == "doctor"

    @pytest.mark.parametrize(
        ("typed", "values"),
        [
            ("export to", ["torch-export", "torchscript"]),
            ("parity --device c", ["cpu", "cuda"]),
            ("data show --class s", ["sandal", "shirt", "sneaker"]),
        ],
    )
    def test_shell_completion_knows_values(self, typed: str, values: list[str]) -> None:
        environment = {
            **os.environ,
            "_FMNIST_TK_COMPLETE": "complete_bash",
            "COMP_WORDS": f"fmnist-tk {typed}",
            "COMP_CWORD": str(len(typed.split())),
        }
        script = shutil.which("fmnist-tk", path=str(Path(sys.executable).parent))
        assert script is not None
        result = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
        assert result.stdout.split() == values

    def test_what_people_type_is_understood(self, cli: Cli) -> None:
        assert cli("-V").out == cli("--version").out
        assert cli("help").out == cli("--help").out
        assert cli("help", "data", "show").out == cli("data", "show", "--help").out
        for command in ("run", "bench", "predict"):
            assert "--batch" in cli(command, "-b", "x").err

    def test_ctrl_c_is_130_and_one_line(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "toolkit", "bench", "--folder", str(tmp_path), "--unverified"]
        (tmp_path / "model.onnx").write_bytes(b"whatever")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert re.fullmatch(r"bench, second 0/\d+ about \d+ s in all\n", process.stderr.readline())
        assert "opening 0/9 eager" in process.stderr.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, "", "error: Interrupted\n")


class TestBudget:
    @pytest.mark.parametrize("command", ["bench", "run"])
    @pytest.mark.parametrize("budget", ["inf", "1e308", "86401", "nan", "0", "-1"])
    def test_what_no_one_can_wait_for_is_refused_at_once(self, command: str, budget: str, cli: Cli) -> None:
        assert_one_line(cli(command, "--budget", budget), "--budget")


class TestResults:
    def test_a_mismatch_is_exit_1_and_named(self, exported: Path, tmp_path: Path, cli: Cli) -> None:
        torch.save(NeuralNetwork().state_dict(), tmp_path / "model.pth")
        options = ("--folder", exported, "--checkpoint", tmp_path / "model.pth")
        outcome = cli("parity", "onnx", *options, "--json")
        assert outcome.code == 1
        assert [record.cause for record in outcome.report.parity] == ["integrity"]

    def test_a_wrong_artifact_next_to_right_ones_is_exit_1(self, exported: Path, tmp_path: Path, cli: Cli) -> None:
        folder = shutil.copytree(exported, tmp_path / "copy")
        shutil.copy(folder / "model.ts.pt", folder / "model.pt2")
        report = cli("parity", "--folder", folder, "--json").report
        passed = {Path(record.target).name: record.passed for record in report.parity}
        assert passed == {"model.onnx": True, "model.pt2": False, "model.ts.pt": True}
        assert not report.passed

    def test_names_that_look_like_markup_are_shown_as_they_are(self, in_empty_folder: Path, cli: Cli) -> None:
        outcome = cli("export", "torchscript", "--folder", "run[a]/x[/b]")
        assert outcome.code == 0
        assert outcome.code == cli("parity", "run[a]/x[/b]/model.ts.pt").code == 0
        assert "model.ts.pt" in outcome.out

    def test_the_schema_can_be_written_to_a_file(self, in_empty_folder: Path, cli: Cli) -> None:
        outcome = cli("report", "--schema", "-o", "schema.json")
        assert (in_empty_folder / "schema.json").read_text() == outcome.out

    def test_what_a_runtime_cannot_do_here_is_a_skip_by_default_and_an_error_by_name(
        self, exported: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A machine with CUDA and an ONNX Runtime without: the CPU stands for CUDA in libtorch."""
        from toolkit.formats.resolve import resolve_targets
        from toolkit.formats.target import Target

        real = Target.session

        def on_cuda(target: Target, device: str, threads: int | None = None) -> object:
            if target.format.name == "onnx":
                raise UnsupportedDeviceError("onnx", device, "no CUDA provider", "install onnxruntime-gpu")
            return real(target, "cpu", threads)

        monkeypatch.setattr(Target, "session", on_cuda)
        found, skips = resolve_targets([], exported, "cuda")
        assert [target.format.name for target in found] == ["torch-export", "torchscript"]
        assert [(skip.what, skip.remedy) for skip in skips] == [("onnx", "install onnxruntime-gpu")]
        with pytest.raises(UnsupportedDeviceError):
            resolve_targets(["onnx"], exported, "cuda")

    def test_a_saved_report_is_shown_again_with_its_exit_code(self, exported: Path, tmp_path: Path, cli: Cli) -> None:
        saved = tmp_path / "report.json"
        first = cli("parity", "onnx", "--folder", exported, "-o", saved)
        assert cli("report", saved).out == first.out
        broken = json.loads(saved.read_text())
        broken["parity"][0]["checks"][0]["measured"] = 1.0
        saved.write_text(json.dumps(broken))
        assert cli("report", saved).code == 1

    @pytest.mark.parametrize("name", ["model.ts.pt", "model.onnx", "model.pt2"])
    def test_inspect_reads_artifacts_back(self, name: str, exported: Path, cli: Cli) -> None:
        outcome = cli("inspect", exported / name, "--json")
        assert outcome.code == 0, outcome.err
        (record,) = outcome.report.inspected
        assert record.metadata
        assert record.metadata.labels[9] == "Ankle boot"
        assert record.config == ModelConfig()


class TestBadInput:
    @pytest.fixture(autouse=True)
    def somewhere(self, in_empty_folder: Path, cli: Cli) -> None:
        self.here, self.cli = in_empty_folder, cli

    def write(self, name: str, content: bytes) -> Path:
        (self.here / name).write_bytes(content)
        return self.here / name

    @pytest.mark.parametrize("command", ["export", "run", "parity", "bench"])
    def test_no_such_checkpoint(self, command: str, exported: Path) -> None:
        arguments = ["--folder", exported] if command in {"parity", "bench"} else []
        outcome = self.cli(command, "--checkpoint", "none.pth", *arguments)
        assert_one_line(outcome, "none.pth", "--checkpoint")

    def test_a_folder_where_a_file_is_wanted(self) -> None:
        assert_one_line(self.cli("export", "--checkpoint", self.here), self.here)
        assert_one_line(self.cli("parity", self.here), f"--folder {self.here}")
        assert_one_line(self.cli("doctor", "-o", self.here), self.here)

    def test_an_empty_a_truncated_and_a_flipped_checkpoint(self) -> None:
        torch.save(NeuralNetwork().state_dict(), self.here / "good.pth")
        data = (self.here / "good.pth").read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 4
        for content in (b"", data[: len(data) // 2], bytes(flipped)):
            assert_one_line(self.cli("export", "--checkpoint", self.write("bad.pth", content)), "bad.pth")
        assert not (self.here / "exported").exists()

    def test_a_text_file_named_pth(self) -> None:
        outcome = self.cli("run", "--checkpoint", self.write("model.pth", b"epoch 1: loss 2.3\n"))
        assert_one_line(outcome, "model.pth", "epoch 1")

    def test_a_hostile_pickle(self) -> None:
        class Hostile:
            def __reduce__(self) -> tuple[object, ...]:
                return os.system, (f"touch {trace}",)

        trace = self.here / "trace"
        for name, save in (("a.pth", torch.save), ("b.pth", lambda value, path: path.write_bytes(pickle.dumps(value)))):
            save({"linear_relu_stack.0.weight": Hostile()}, self.here / name)
            outcome = self.cli("export", "--checkpoint", self.here / name)
            assert_one_line(outcome, name, "system")
        assert not trace.exists()

    def test_wrong_layer_sizes(self) -> None:
        torch.save(
            {"linear_relu_stack.0.weight": torch.zeros(10, 3072), "linear_relu_stack.0.bias": torch.zeros(10)}, "c.pth"
        )
        assert_one_line(self.cli("export", "--checkpoint", "c.pth"), "c.pth", "3072", "784")

    @pytest.mark.parametrize("command", ["export", "parity", "bench", "run"])
    def test_an_unknown_format_with_a_near_name(self, command: str) -> None:
        assert_one_line(self.cli(command, "onxx"), "'onxx'", "'onnx'")

    def test_no_such_artifact(self) -> None:
        assert_one_line(self.cli("parity", "none.onnx"), "none.onnx")
        assert_one_line(self.cli("parity", "onnx"), "exported/model.onnx", "fmnist-tk export onnx")
        assert_one_line(self.cli("bench"), "fmnist-tk export --folder exported")
        assert_one_line(self.cli("inspect", "none.onnx"), "none.onnx")
        self.write("model.tflite", b"x")
        assert_one_line(self.cli("parity", "model.tflite"), "model.tflite", ".onnx, .pt2, .ts.pt")

    def test_an_output_folder_that_is_a_file(self) -> None:
        self.write("exported", b"mine")
        assert_one_line(self.cli("export", "onnx"), "exported")
        assert (self.here / "exported").read_bytes() == b"mine"

    def test_an_output_folder_that_cannot_be_written(self) -> None:
        assert_one_line(self.cli("export", "onnx", "--folder", "/proc/nowhere"), "/proc/nowhere")
        assert_one_line(self.cli("doctor", "-o", "/proc/nowhere/x.json"), "/proc/nowhere")

    @pytest.mark.parametrize("command", [["export"], ["run", "--batch", "1"]])
    def test_a_folder_that_is_full(self, command: list[str], exported: Path) -> None:
        """A limit of the file size stands for the full disk: writing fails half way through an artifact."""
        import resource

        folder = shutil.copytree(exported, self.here / "exported")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        result = subprocess.run(
            [sys.executable, "-m", "toolkit", *command],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
            capture_output=True,
            text=True,
            check=False,
        )
        outcome = Outcome(result.returncode, result.stdout, result.stderr)
        assert_one_line(outcome, "exported/model.onnx")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_a_read_only_folder(self, read_only: Path) -> None:
        assert_one_line(self.cli("export", "onnx", "--folder", read_only), read_only)
        assert_one_line(self.cli("train", "-o", read_only / "m.safetensors"), read_only)

    @pytest.mark.parametrize("value", ["0", "x", "1,,2", "-1", "1,0", "1.5", ""])
    @pytest.mark.parametrize("command", ["bench", "run"])
    def test_a_batch_that_is_no_number(self, command: str, value: str) -> None:
        assert_one_line(self.cli(command, "--batch", value), f"--batch {value}")

    @pytest.mark.parametrize("value", ["0", "-2", "two"])
    def test_threads_that_are_no_number(self, value: str) -> None:
        for command in ("run", "parity", "train"):
            assert_one_line(self.cli(command, "--threads", value), "--threads", f"fmnist-tk {command} --help")
        assert_one_line(self.cli("bench", "--threads", value), f"--threads {value}", "whole number from 1 to 1,024")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    @pytest.mark.parametrize("command", ["bench", "run", "parity", "train"])
    def test_cuda_without_cuda(self, command: str) -> None:
        assert_one_line(self.cli(command, "--device", "cuda"), "'cuda'", "--device cpu")

    def test_a_device_that_is_none(self) -> None:
        assert_one_line(self.cli("run", "--device", "gpu"), "'gpu'")

    def test_corrupt_data_files(self) -> None:
        assert_one_line(self.cli("train", "--data", "none"), "--data none")
        folder = self.here / "data"
        folder.mkdir()
        assert_one_line(self.cli("train", "--data", folder), "--data DIR")
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (folder / f"{name}-ubyte.gz").write_bytes(b"not gzip")
        assert_one_line(self.cli("train", "--data", folder), "-ubyte.gz")
        assert not (self.here / "model.safetensors").exists()

    def test_two_exports_into_one_folder(self) -> None:
        with folder_lock(self.here / "exported"):
            assert_one_line(self.cli("export", "onnx"), "exported")

    def test_unverified_artifacts_are_not_timed(self, exported: Path) -> None:
        shutil.copy(exported / "model.onnx", "model.onnx")
        assert_one_line(self.cli("bench", "model.onnx"), "fmnist-tk parity model.onnx", "--unverified")

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            (["nosuch"], ["'nosuch'", "fmnist-tk --help"]),
            (["export", "--formt", "onnx"], ["--formt", "fmnist-tk export --help"]),
            (["export", "../a/model.pth"], ["--checkpoint ../a/model.pth"]),
            (["run", "model.safetensors"], ["--checkpoint model.safetensors"]),
            (["export", "--format", "onnx"], ["positional: fmnist-tk export onnx"]),
            (["bench", "--format=onnx"], ["positional: fmnist-tk bench onnx"]),
            (["train", "--format=onnx"], ["fmnist-tk train --help"]),
            (["export", "openvino"], ["docs/formats.md", "onnx, torch-export, torchscript"]),
            (["report"], ["FILE"]),
            (["report", "none.json"], ["none.json"]),
            (["run", "--train", "--checkpoint", "x"], ["--train and --checkpoint exclude each other"]),
            (["run", "--data", "x"], ["--data is for --train"]),
            (["train", "--recipe", "best"], ["'best'", "quickstart, strong"]),
            (["train", "--lr", "-1"], ["--lr -1"]),
            (["train", "--optimizer", "lion"], ["--optimizer lion", "'sgd', 'adam' or 'adamw'"]),
            (["train", "--hidden", "0"], ["--hidden 0: write widths from 1"]),
            (["train", "--epochs", "0"], ["--epochs", "fmnist-tk train --help"]),
            (["train", "--resume", "none.pt"], ["none.pt", ".partial.pt"]),
            (["train", "--resume", "x.pt", "--lr", "1", "--seed", "2"], ["--resume", "--seed", "--lr"]),
        ],
    )
    def test_options_that_make_no_sense(self, arguments: list[str], names: list[str]) -> None:
        assert_one_line(self.cli(*arguments), *names)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["parity", "x" * 300 + ".onnx"],
            ["inspect", "x" * 300],
            ["export", "--checkpoint", "x" * 300],
            ["bench", "--batch", "9" * 4500],
            ["parity", "--threads", "99999999999"],
            ["train", "--seed", "18446744073709551616"],
            ["train", "--hidden", "1000000000"],
            ["train", "-o", "model.pth"],
        ],
    )
    def test_absurd_values(self, arguments: list[str]) -> None:
        assert_one_line(self.cli(*arguments))

    def test_a_fault_of_ours_is_not_exit_code_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("toolkit.verbs.doctor.check_machine", lambda: {}["nothing"])
        assert_one_line(self.cli("doctor"), "KeyError: 'nothing'", "--debug")

    def test_a_report_that_cannot_be_written_is_refused_before_the_work(self, exported: Path) -> None:
        (self.here / "taken").mkdir()
        outcome = self.cli("parity", "--folder", exported, "-o", "taken")
        assert_one_line(outcome, "taken")
        assert "parity 0/" not in outcome.err

    def test_an_artifact_that_has_gone_is_not_silently_left_out(self, exported: Path) -> None:
        folder = shutil.copytree(exported, self.here / "exported")
        (folder / "model.onnx").unlink()
        for command in ("parity", "bench"):
            assert_one_line(self.cli(command), "exported/model.onnx", "fmnist-tk export onnx")

    def test_a_manifest_that_is_broken_says_how_to_go_on(self) -> None:
        (self.here / "exported").mkdir()
        self.write("exported/manifest.json", b"{")
        assert_one_line(self.cli("export", "onnx"), "manifest.json")

    def test_nothing_was_written_by_any_of_this(self) -> None:
        self.cli("export", "onxx")
        self.cli("bench", "--batch", "0")
        assert list(self.here.iterdir()) == []
