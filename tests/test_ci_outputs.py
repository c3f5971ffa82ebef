"""What a CI job gets: Markdown, annotations, files that are whole or absent, and an action without injection."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_junit import FAILURE, FULL, SKIP, report_of
from test_render_parity import WHERE, bad, counted, good, record, unopened

from toolkit.cli import console, options
from toolkit.errors import OutputError
from toolkit.records import CheckpointRecord, ModelConfig, Report, read_record
from toolkit.render.explanation import repeat_command
from toolkit.render.github import annotations
from toolkit.render.junit import junit_xml
from toolkit.render.markdown import parity_markdown

ACTION = Path(__file__).parent.parent / ".github" / "actions" / "parity" / "action.yml"
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
CHECKPOINT = CheckpointRecord(
    path="my model.pth",
    form="state-dict",
    config=ModelConfig(layer_sizes=(784, 16, 10)),
    weights_sha256="b" * 64,
)


def shown(markdown: str) -> list[str]:
    """The texts that a reader of the Markdown sees: of each paragraph, cell, heading and list item."""
    return [
        "".join(child.content if child.type != "softbreak" else "\n" for child in token.children or [])
        for token in GITHUB.parse(markdown)
        if token.type == "inline"
    ]


class TestMarkdown:
    def test_the_heading_gives_the_verdict(self) -> None:
        def heading(report: Report) -> str:
            return parity_markdown(report).splitlines()[0]

        assert heading(report_of(good(), good("b.onnx"))) == "## ✅ Parity: all 2 artifacts passed"
        assert heading(report_of(good())) == "## ✅ Parity: the artifact passed"
        assert heading(FULL) == "## ❌ Parity: 2 of 4 artifacts failed"
        assert heading(report_of(bad())) == "## ❌ Parity: 1 of 1 artifact failed"
        assert heading(report_of(good(), failures=(FAILURE,))) == "## ❌ Parity passed, but 1 row could not be measured"
        assert heading(report_of()) == "## Parity: nothing was checked"

    def test_the_table_is_the_matrix(self) -> None:
        lines = parity_markdown(FULL).splitlines()
        assert "| check | model.ts.pt | **✗ model.onnx** | **✗ model.pt2** | limit |" in lines
        assert "| :-- | --: | --: | --: | --: |" in lines
        assert "| values | 1.17 × | **✗ 39.1 ×** | — | ≤ 8 × |" in lines
        assert "| opens | ✓ | ✓ | **✗** |  |" in lines
        assert "| accuracy of the reference | 91.20% |" in lines

    def test_a_failure_has_cause_place_reproduction_and_the_command_that_repeats_it(self) -> None:
        text = parity_markdown(report_of(bad(), checkpoint=CHECKPOINT, skips=(SKIP,)))
        assert "**model.onnx**: row independence on sample images: a row and the same row alone" in text
        assert WHERE in "\n".join(shown(text))
        assert "  - reproduction: `repro/model-onnx`" in text
        assert "  - also failed: values, labels" in text
        command = "fmnist-tk parity exported/model.onnx --device cpu --threads 2 --checkpoint 'my model.pth'"
        assert f"  - repeat with: `{command}`" in text
        assert "- torch-export: not in exported; export it" in text

    def test_nothing_failed_nothing_listed(self) -> None:
        assert "###" not in parity_markdown(report_of(good()))

    @pytest.mark.parametrize(
        "text", ["a | b", "`rm`", "``x` `", "<b>&lt;", "a\nb", "\\|", "*x* _y_ ~~z~~ [a](b) #1 $x$"]
    )
    def test_details_show_as_they_are(self, text: str) -> None:
        report = report_of(record(f"{text}.onnx", counted("opens", 1, text)))
        texts = shown(parity_markdown(report))
        line = " ".join(text.split())
        assert f"{line}.onnx: opens: {line}" in texts
        assert f"✗ {line}.onnx" in texts
        assert any(each.startswith("repeat with: fmnist-tk parity ") and line in each for each in texts)

    @given(st.text(st.characters(codec="ascii", categories=["P", "S", "L", "N", "Z"]), min_size=1))
    def test_any_detail_keeps_the_table_and_the_list_in_shape(self, text: str) -> None:
        report = report_of(record("m.onnx", counted("opens", 1, text, probe=text)))
        tokens = [token.type for token in GITHUB.parse(parity_markdown(report))]
        assert tokens.count("th_open") == 2
        assert tokens.count("td_open") == 2
        assert tokens.count("list_item_open") == 2
        (cause,) = [each for each in shown(parity_markdown(report)) if each.startswith("m.onnx: ")]
        assert cause == " ".join(f"m.onnx: opens on {text}: {text}".split())


class TestRepeatCommand:
    def test_the_bundled_checkpoint_needs_no_option(self) -> None:
        bundled = CHECKPOINT.model_copy(update={"path": "bundled", "form": "bundled"})
        command = repeat_command(report_of(checkpoint=bundled), bad(threads=None))
        assert command == "fmnist-tk parity exported/model.onnx --device cpu"

    def test_another_artifact_as_reference_is_named(self) -> None:
        command = repeat_command(report_of(checkpoint=CHECKPOINT), bad(against="old.onnx", device="cuda:1"))
        assert command == "fmnist-tk parity exported/model.onnx --device cuda:1 --threads 2 --against old.onnx"


class TestAnnotations:
    def test_an_error_per_failed_target_and_a_warning_per_skip(self) -> None:
        lines = annotations(FULL)
        assert [line.split(" ", 1)[0] for line in lines] == ["::error", "::error", "::error", "::warning"]
        assert lines[0].startswith("::error title=Parity of model.onnx,file=exported/model.onnx::row independence on")
        assert f"%0Awhere: {WHERE}%0A" in lines[0]
        assert lines[2] == "::error title=model.onnx failed::out of memory"
        assert lines[3] == "::warning title=Skipped torch-export::not in exported; export it"

    def test_nothing_failed_nothing_said(self) -> None:
        assert annotations(report_of(good())) == []

    def test_what_means_something_to_the_runner_is_escaped(self) -> None:
        (line,) = annotations(report_of(record("a,b:c%.onnx", counted("opens", 1, "100 %: a,b\r\n::error::x"))))
        assert line == (
            "::error title=Parity of a%2Cb%3Ac%25.onnx,file=a%2Cb%3Ac%25.onnx::opens: 100 %25: a,b%0D%0A::error::x"
        )

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_a_runner_reads_back_what_was_meant(self, text: str) -> None:
        (line,) = annotations(report_of(record("m.onnx", counted("opens", 1, text))))
        assert "\n" not in line
        assert "\r" not in line
        message = line.removeprefix("::").split("::", 1)[1]
        assert message.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") == f"opens: {text}"


@pytest.fixture
def no_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests themselves may run in a job of GitHub Actions."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A job of GitHub Actions; the file of its summary, in which another step has written."""
    summary = tmp_path / "summary"
    summary.write_text("# before ×\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    return summary


def ended(report: Report, **changes: Any) -> int:
    with pytest.raises(typer.Exit) as error:
        console.finish(report, **{"as_json": False, "output": None, "quiet": False, **changes})
    return error.value.exit_code


@pytest.mark.usefixtures("no_github")
class TestFinish:
    def test_files_are_written_and_the_exit_code_is_the_reports(self, tmp_path: Path) -> None:
        json, xml, md = (tmp_path / "new" / name for name in ("r.json", "j.xml", "m.md"))
        assert ended(FULL, output=json, junit=xml, markdown=md) == 1
        assert read_record(json, Report) == FULL
        assert xml.read_text(encoding="utf-8") == junit_xml(FULL)
        assert md.read_text(encoding="utf-8") == parity_markdown(FULL)
        assert sorted(each.name for each in (tmp_path / "new").iterdir()) == ["j.xml", "m.md", "r.json"]

    def test_one_that_cannot_be_written_keeps_none_of_the_others_from_it(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="a folder, not a file"):
            console.finish(
                report_of(good()), as_json=False, output=tmp_path, quiet=True, junit=tmp_path / "j.xml", markdown=None
            )
        assert (tmp_path / "j.xml").is_file()

    def test_outside_github_nothing_is_annotated(self, capsys: pytest.CaptureFixture[str]) -> None:
        ended(FULL)
        assert capsys.readouterr().err == ""

    def test_options_refuse_a_path_that_cannot_be_written(self, tmp_path: Path) -> None:
        app = typer.Typer()

        @app.command()
        def command(junit: options.JunitOption = None, markdown: options.MarkdownOption = None) -> None:
            typer.echo(f"{junit} {markdown}")

        for option in ("--junit", "--markdown"):
            with pytest.raises(OutputError):
                app([option, str(tmp_path)], standalone_mode=False)


class TestGithub:
    def test_annotations_go_to_stderr_and_stdout_stays_json(
        self, github: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert ended(FULL, as_json=True) == 1
        captured = capsys.readouterr()
        assert Report.model_validate_json(captured.out) == FULL
        assert captured.err.splitlines() == annotations(FULL)

    def test_the_summary_is_appended_to(self, github: Path) -> None:
        ended(FULL)
        ended(report_of(good()))
        text = github.read_text(encoding="utf-8")
        assert text == f"# before ×\n{parity_markdown(FULL)}\n{parity_markdown(report_of(good()))}\n"

    def test_quiet_prints_nothing_but_writes_the_summary(
        self, github: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ended(FULL, quiet=True)
        assert capsys.readouterr() == ("", "")
        assert "Parity: 2 of 4" in github.read_text(encoding="utf-8")

    def test_a_report_without_parity_changes_nothing(self, github: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ended(report_of(skips=(SKIP,)))
        assert capsys.readouterr().err == ""
        assert github.read_text(encoding="utf-8") == "# before ×\n"

    def test_a_summary_that_cannot_be_written_is_a_line_and_no_failure(
        self, github: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
        assert ended(report_of(good())) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"warning: no summary of the job: {tmp_path}: ")

    def test_without_a_summary_there_are_still_annotations(
        self, github: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("GITHUB_STEP_SUMMARY")
        ended(report_of(unopened()))
        assert capsys.readouterr().err.startswith("::error title=Parity of model.pt2,")

    @pytest.mark.parametrize("value", ["", "false", "1"])
    def test_only_the_value_true_means_github(
        self, value: str, github: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("GITHUB_ACTIONS", value)
        ended(FULL)
        assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    if not ACTION.is_file():
        pytest.skip("the source archive has no .github")
    loaded: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return loaded


class TestAction:
    INPUTS = ("targets", "folder", "checkpoint", "device", "version", "python-version", "arguments")

    def test_every_input_and_output_is_described_and_used(self, action: dict[str, Any]) -> None:
        assert tuple(action["inputs"]) == self.INPUTS
        assert {"report", "junit"} <= set(action["outputs"])
        text = ACTION.read_text(encoding="utf-8")
        for name, entry in action["inputs"].items():
            assert entry["description"]
            assert isinstance(entry["default"], str)
            assert f"${{{{ inputs.{name} }}}}" in text
        for name, entry in action["outputs"].items():
            assert entry["description"]
            assert entry["value"] == f"${{{{ steps.parity.outputs.{name} }}}}"

    def test_every_script_has_a_shell_and_no_expression(self, action: dict[str, Any]) -> None:
        assert action["runs"]["using"] == "composite"
        scripts = [step for step in action["runs"]["steps"] if "run" in step]
        assert len(scripts) == 2
        for step in scripts:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"]
            assert step["run"].startswith("set -euo pipefail")

    def test_the_default_version_is_the_repository_of_the_action(self, action: dict[str, Any], tmp_path: Path) -> None:
        (step,) = [step for step in action["runs"]["steps"] if step.get("name") == "Install fmnist-tk"]
        assert (ACTION.parent / "../../..").resolve() == ACTION.parents[3]
        seen = script(step, tmp_path, program="python", VERSION="", HERE="/a b").arguments
        assert seen == ["-m", "pip", "install", "/a b/../../.."]
        seen = script(step, tmp_path, program="python", VERSION="1; touch x", HERE="/a").arguments
        assert seen == ["-m", "pip", "install", "fmnist-tk==1; touch x"]

    @pytest.mark.parametrize("code", [0, 1, 2])
    def test_inputs_arrive_as_they_are(self, code: int, action: dict[str, Any], tmp_path: Path) -> None:
        odd = [
            "a b.onnx",
            "x; touch owned",
            "$(touch owned)",
            "`touch owned`",
            "--help",
            "*",
            "'\"\\",
            "${{ secrets.x }}",
        ]
        ran = script(
            main_step(action),
            tmp_path,
            code=code,
            TARGETS="\n".join(odd) + "\n\n",
            FOLDER="my $(touch owned) folder",
            CHECKPOINT="; touch owned",
            DEVICE="--cpu",
            ARGUMENTS="--threads\r\n2\n--against\nold model.onnx",
        )
        results = Path(ran.outputs["report"]).parent
        assert results.parent == tmp_path
        assert ran.arguments == [
            "parity",
            "--folder=my $(touch owned) folder",
            "--device=--cpu",
            "--checkpoint=; touch owned",
            *("--threads", "2", "--against", "old model.onnx"),
            *("--output", f"{results}/report.json"),
            *("--junit", f"{results}/junit.xml"),
            *("--markdown", f"{results}/summary.md"),
            "--",
            *odd,
        ]
        assert ran.code == code
        assert not list(tmp_path.rglob("owned"))
        assert set(ran.outputs) == set(action["outputs"])

    def test_empty_inputs_are_left_out(self, action: dict[str, Any], tmp_path: Path) -> None:
        defaults = {name.upper(): entry["default"] for name, entry in action["inputs"].items()}
        ran = script(main_step(action), tmp_path, **{name: defaults[name] for name in main_step(action)["env"]})
        assert ran.arguments[:3] == ["parity", "--folder=exported", "--device=cpu"]
        assert ran.arguments[3] == "--output"
        assert ran.arguments[-1] == "--"


def main_step(action: dict[str, Any]) -> dict[str, Any]:
    (step,) = [step for step in action["runs"]["steps"] if step.get("id") == "parity"]
    return dict(step)


class Ran:
    """How a script ended, what its program was called with, and the step's outputs."""

    def __init__(self, code: int, arguments: list[str], outputs: dict[str, str]) -> None:
        self.code, self.arguments, self.outputs = code, arguments, outputs


def script(step: dict[str, Any], folder: Path, program: str = "fmnist-tk", code: int = 0, **inputs: str) -> Ran:
    """Run the script of a step with a fake program that notes its arguments."""
    assert set(inputs) == set(step["env"])
    bin_folder, seen, outputs = folder / "bin", folder / "seen", folder / "outputs"
    bin_folder.mkdir(exist_ok=True)
    fake = bin_folder / program
    noting = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('\\0'.join(sys.argv[2:]))"
    fake.write_text(f'#!/bin/sh\n"{sys.executable}" -c "{noting}" "{seen}" "$@"\nexit {code}\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    environment = {
        **os.environ,
        **inputs,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(outputs),
        "RUNNER_TEMP": str(folder),
    }
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.is_file(), ended.stderr
    lines = outputs.read_text().splitlines() if outputs.is_file() else []
    return Ran(ended.returncode, seen.read_text().split("\0"), dict(line.split("=", 1) for line in lines))
