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
from toolkit.fashion.model import Mlp
from toolkit.records import ModelConfig
from toolkit.system.environment import new_report
from toolkit.system.files import folder_lock

COMMANDS = [command.callback.__name__ for command in app.registered_commands if command.callback]


def assert_one_line(outcome: Outcome, *words: str, code: int = 2) -> None:
    """One line on stderr, nothing on stdout, what is wrong and what to do in it."""
    lines = [line for line in outcome.err.splitlines() if not re.match(r"(export|parity|bench|train) \d+/\d+", line)]
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], (word, lines[0])


class TestManners:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_takes_the_common_options(self, command: str, cli: Cli) -> None:
        text = cli(command, "--help").out
        for option in ("--json", "--quiet", "--debug", "--output"):
            assert option in text

    def test_the_version_is_the_packages(self, cli: Cli) -> None:
        assert cli("--version").out == f"fmnist-tk {toolkit.__version__}\n"

    def test_without_a_command_it_shows_the_help(self, cli: Cli) -> None:
        outcome = cli()
        assert outcome.code == 0
        assert "fmnist-tk run" in outcome.out

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
        ("to", "code", "error"),
        [
            ("| true", 1, ""),
            (
                "> /dev/full",
                2,
                "error: Cannot write /dev/stdout: No space left on device; choose another place or make room there\n",
            ),
            (">&-", 0, ""),
        ],
    )
    def test_whatever_becomes_of_stdout_the_file_is_written(
        self, to: str, code: int, error: str, as_json: str, tmp_path: Path
    ) -> None:
        command = f"{sys.executable} -m toolkit doctor {as_json} -o {tmp_path / 'doctor.json'} {to}"
        result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (code, error)
        assert json.loads((tmp_path / "doctor.json").read_text())["doctor"]

    def test_a_result_that_cannot_be_written_is_at_least_shown(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(OutputError, match="a folder, not a file"):
            finish(new_report("doctor"), as_json=True, output=tmp_path, quiet=False)
        assert json.loads(capsys.readouterr().out)["command"] == "doctor"

    def test_shell_completion_knows_the_formats(self) -> None:
        environment = {
            **os.environ,
            "_FMNIST_TK_COMPLETE": "complete_bash",
            "COMP_WORDS": "fmnist-tk export to",
            "COMP_CWORD": "2",
        }
        script = shutil.which("fmnist-tk", path=str(Path(sys.executable).parent))
        assert script is not None
        result = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
        assert result.stdout.split() == ["torch-export", "torchscript"]

    def test_ctrl_c_is_130_and_one_line(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "toolkit", "bench", "--folder", str(tmp_path), "--unverified"]
        (tmp_path / "model.onnx").write_bytes(b"whatever")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert process.stderr.readline() == "opening 0/9 eager\n"
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
        outcome = cli("parity", "onnx", "--folder", exported, "--checkpoint", tmp_path / "model.pth")
        assert outcome.code == 1
        assert "model.onnx: integrity: stale" in outcome.out

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
        from toolkit.formats import target as sessions

        real = sessions.Target.load

        def on_cuda(target: sessions.Target, device: str, threads: int | None = None) -> object:
            if target.format.name == "onnx":
                raise UnsupportedDeviceError("onnx", device, "no CUDA provider", "install onnxruntime-gpu")
            return real(target, "cpu", threads)

        monkeypatch.setattr(sessions.Target, "load", on_cuda)
        found, skips = sessions.resolve_targets([], exported, "cuda")
        assert [target.format.name for target in found] == ["torch-export", "torchscript"]
        assert [(skip.what, skip.remedy) for skip in skips] == [("onnx", "install onnxruntime-gpu")]
        with pytest.raises(UnsupportedDeviceError):
            sessions.resolve_targets(["onnx"], exported, "cuda")

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
        outcome = cli("inspect", exported / name)
        assert outcome.code == 0, outcome.err
        for word in ("Ankle boot", "divided by 255", "784-512-512-10", "weights SHA-256", "torch 2."):
            assert word in outcome.out

    def test_inspect_reads_a_checkpoint(self, tmp_path: Path, cli: Cli) -> None:
        torch.save(Mlp(ModelConfig(layer_sizes=(784, 7, 10))).state_dict(), tmp_path / "m.pth")
        assert "784-7-10" in cli("inspect", tmp_path / "m.pth").out


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
        assert_one_line(outcome, "none.pth", "No such file", "--checkpoint")

    def test_a_folder_where_a_file_is_wanted(self) -> None:
        assert_one_line(self.cli("export", "--checkpoint", self.here), "is a folder, not a file")
        assert_one_line(self.cli("parity", self.here), "is a folder", f"--folder {self.here}")
        assert_one_line(self.cli("doctor", "-o", self.here), "it is a folder, not a file")

    def test_an_empty_a_truncated_and_a_flipped_checkpoint(self) -> None:
        torch.save(NeuralNetwork().state_dict(), self.here / "good.pth")
        data = (self.here / "good.pth").read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 4
        for content, words in (
            (b"", ["is empty"]),
            (data[: len(data) // 2], ["truncated or damaged"]),
            (bytes(flipped), ["is damaged"]),
        ):
            outcome = self.cli("export", "--checkpoint", self.write("bad.pth", content))
            assert_one_line(outcome, "bad.pth", *words)
        assert not (self.here / "exported").exists()

    def test_a_text_file_named_pth(self) -> None:
        outcome = self.cli("run", "--checkpoint", self.write("model.pth", b"epoch 1: loss 2.3\n"))
        assert_one_line(outcome, "neither a torch.save file nor safetensors", "epoch 1")

    def test_a_hostile_pickle(self) -> None:
        class Hostile:
            def __reduce__(self) -> tuple[object, ...]:
                return os.system, (f"touch {trace}",)

        trace = self.here / "trace"
        for name, save in (("a.pth", torch.save), ("b.pth", lambda value, path: path.write_bytes(pickle.dumps(value)))):
            save({"linear_relu_stack.0.weight": Hostile()}, self.here / name)
            outcome = self.cli("export", "--checkpoint", self.here / name)
            assert_one_line(outcome, "refused, nothing of it was run", "system", "state_dict()")
        assert not trace.exists()

    def test_wrong_layer_sizes(self) -> None:
        torch.save(
            {"linear_relu_stack.0.weight": torch.zeros(10, 3072), "linear_relu_stack.0.bias": torch.zeros(10)}, "c.pth"
        )
        assert_one_line(self.cli("export", "--checkpoint", "c.pth"), "from 3072 to 10", "needs 784 to 10")

    @pytest.mark.parametrize("command", ["export", "parity", "bench", "run"])
    def test_an_unknown_format_with_a_near_name(self, command: str) -> None:
        assert_one_line(self.cli(command, "onxx"), "'onxx'", "did you mean 'onnx'?")

    def test_no_such_artifact(self) -> None:
        assert_one_line(self.cli("parity", "none.onnx"), "No artifact at none.onnx")
        assert_one_line(self.cli("parity", "onnx"), "exported/model.onnx", "fmnist-tk export onnx")
        assert_one_line(self.cli("bench"), "No artifact", "fmnist-tk export --folder exported")
        assert_one_line(self.cli("inspect", "none.onnx"), "No artifact at none.onnx")
        self.write("model.tflite", b"x")
        assert_one_line(self.cli("parity", "model.tflite"), "does not end in one of .onnx, .pt2, .ts.pt")

    def test_an_output_folder_that_is_a_file(self) -> None:
        self.write("exported", b"mine")
        assert_one_line(self.cli("export", "onnx"), "exported", "not a folder")
        assert (self.here / "exported").read_bytes() == b"mine"

    def test_an_output_folder_that_cannot_be_written(self) -> None:
        assert_one_line(self.cli("export", "onnx", "--folder", "/proc/nowhere"), "/proc/nowhere", "choose another")
        assert_one_line(self.cli("doctor", "-o", "/proc/nowhere/x.json"), "Cannot write")

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
        assert_one_line(outcome, "Cannot write exported/model.onnx", "File too large", "make room")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_a_read_only_folder(self, read_only: Path) -> None:
        assert_one_line(self.cli("export", "onnx", "--folder", read_only), "Permission denied")
        assert_one_line(self.cli("train", "-o", read_only / "m.safetensors"), "Permission denied")

    @pytest.mark.parametrize("value", ["0", "x", "1,,2", "-1", "1,0", "1.5", ""])
    @pytest.mark.parametrize("command", ["bench", "run"])
    def test_a_batch_that_is_no_number(self, command: str, value: str) -> None:
        assert_one_line(self.cli(command, "--batch", value), f"--batch {value}", "whole number from 1")

    @pytest.mark.parametrize("value", ["0", "-2", "two"])
    def test_threads_that_are_no_number(self, value: str) -> None:
        for command in ("run", "parity", "train"):
            assert_one_line(self.cli(command, "--threads", value), "--threads", f"fmnist-tk {command} --help")
        assert_one_line(self.cli("bench", "--threads", value), f"--threads {value}", "whole number from 1 to 1,024")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    @pytest.mark.parametrize("command", ["bench", "run", "parity", "train"])
    def test_cuda_without_cuda(self, command: str) -> None:
        assert_one_line(self.cli(command, "--device", "cuda"), "'cuda' is not available", "torch 2", "--device cpu")

    def test_a_device_that_is_none(self) -> None:
        assert_one_line(self.cli("run", "--device", "gpu"), "Unknown device 'gpu'", "cuda:N")

    def test_corrupt_data_files(self) -> None:
        assert_one_line(self.cli("train", "--data", "none"), "no such folder")
        folder = self.here / "data"
        folder.mkdir()
        assert_one_line(self.cli("train", "--data", folder), "dataset-fashion-mnist", "--data", "https://")
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (folder / f"{name}-ubyte.gz").write_bytes(b"not gzip")
        assert_one_line(self.cli("train", "--data", folder), "-ubyte.gz", "truncated or damaged", "replace it")
        assert not (self.here / "model.safetensors").exists()

    def test_two_exports_into_one_folder(self) -> None:
        with folder_lock(self.here / "exported"):
            assert_one_line(self.cli("export", "onnx"), "Another fmnist-tk is writing to exported")

    def test_unverified_artifacts_are_not_timed(self, exported: Path) -> None:
        shutil.copy(exported / "model.onnx", "model.onnx")
        assert_one_line(
            self.cli("bench", "model.onnx"), "is not verified", "fmnist-tk parity model.onnx", "--unverified"
        )

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nosuch"], ["No such command 'nosuch'", "fmnist-tk --help"]),
            (["export", "--formt", "onnx"], ["No such option: --formt", "fmnist-tk export --help"]),
            (["report"], ["report needs a FILE"]),
            (["report", "none.json"], ["none.json", "No such file"]),
            (["run", "--train", "--checkpoint", "x"], ["exclude each other"]),
            (["run", "--data", "x"], ["--data is for --train"]),
            (["train", "--recipe", "best"], ["'best'", "quickstart, strong"]),
            (["train", "--lr", "-1"], ["--lr -1", "greater than 0"]),
            (["train", "--optimizer", "lion"], ["--optimizer lion", "'sgd', 'adam' or 'adamw'"]),
            (["train", "--hidden", "0"], ["--hidden 0", "widths from 1"]),
            (["train", "--epochs", "0"], ["--epochs", "1; see fmnist-tk train --help"]),
            (["train", "--resume", "none.pt"], ["none.pt", "no such file", "partial.pt"]),
            (["train", "--resume", "x.pt", "--lr", "1", "--seed", "2"], ["leave out", "--seed", "--lr"]),
        ],
    )
    def test_options_that_make_no_sense(self, arguments: list[str], words: list[str]) -> None:
        assert_one_line(self.cli(*arguments), *words)

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
        assert_one_line(outcome, "it is a folder")
        assert "parity 0/" not in outcome.err

    def test_an_artifact_that_has_gone_is_not_silently_left_out(self, exported: Path) -> None:
        folder = shutil.copytree(exported, self.here / "exported")
        (folder / "model.onnx").unlink()
        for command in ("parity", "bench"):
            assert_one_line(self.cli(command), "exported/model.onnx", "manifest.json lists it", "fmnist-tk export onnx")

    def test_a_manifest_that_is_broken_says_how_to_go_on(self) -> None:
        (self.here / "exported").mkdir()
        self.write("exported/manifest.json", b"{")
        assert_one_line(self.cli("export", "onnx"), "manifest.json", "delete it and export again")

    def test_nothing_was_written_by_any_of_this(self) -> None:
        self.cli("export", "onxx")
        self.cli("bench", "--batch", "0")
        assert list(self.here.iterdir()) == []
