"""What a CI job gets: Markdown, annotations, files that are whole or absent, and an action without injection."""

import os
import re
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
from lxml import etree
from markdown_it import MarkdownIt
from test_junit import FAILURE, FULL, SHORT, SKIP, report_of

from made_up import bench, clock, compared, comparison, control, cpu_bench, eager, fitness, ratio, row
from made_up_parity import WHERE, bad, counted, good, record, unopened
from support import ROOT, Cli, save_small
from toolkit.cli import console, options
from toolkit.errors import OutputError
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.formats.manifest import read_manifest
from toolkit.plain import plain
from toolkit.records import CheckpointRecord, ModelConfig, Report, read_record
from toolkit.render.files.github import annotations
from toolkit.render.files.junit import junit_xml
from toolkit.render.files.markdown import report_markdown
from toolkit.render.words.bench import (
    control_remarks,
    fitness_remarks,
    gap_remarks,
    method_remarks,
    row_warnings,
    slowdown_in_words,
)
from toolkit.render.words.parity import explain, repeat_command
from toolkit.render.words.sheet import Remark

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "parity" / "action.yml"
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
            return report_markdown(report).splitlines()[0]

        assert heading(report_of(good(), good("b.onnx"))) == "## ✅ Parity: all 2 artifacts passed"
        assert heading(report_of(good())) == "## ✅ Parity: the artifact passed"
        assert heading(FULL) == "## ❌ Parity: 2 of 4 artifacts failed"
        assert heading(report_of(bad())) == "## ❌ Parity: 1 of 1 artifact failed"
        assert heading(report_of(good(), failures=(FAILURE,))) == "## ❌ Parity passed, but 1 row could not be measured"
        assert heading(report_of()) == "## Parity: nothing was checked"

    def test_the_table_is_the_matrix(self) -> None:
        lines = report_markdown(FULL).splitlines()
        assert "| check | model.ts.pt | **✗ model.onnx** | **✗ model.pt2** | limit |" in lines
        assert "| :-- | --: | --: | --: | --: |" in lines
        assert "| values | 1.17 × | **✗ 39.1 ×** | — | ≤ 8 × |" in lines
        assert "| opens | ✓ | ✓ | **✗** |  |" in lines
        assert "| accuracy of the reference | 91.20% |" in lines

    def test_a_failure_has_cause_place_reproduction_and_the_command_that_repeats_it(self) -> None:
        report = report_of(bad(), checkpoint=CHECKPOINT, skips=(SKIP,))
        text = report_markdown(report)
        (why,) = explain(report.parity)
        for label, fact in (("model.onnx", why.cause), *why.lines(), ("repeat with", repeat_command(report, bad()))):
            assert f"{label}: {fact}" in shown(text)
        assert "`repro/model-onnx`" in text
        assert f"{SKIP.what}: {SKIP.reason}; {SKIP.remedy}" in shown(text)

    def test_nothing_failed_nothing_listed(self) -> None:
        assert "###" not in report_markdown(report_of(good()))

    @pytest.mark.parametrize(
        "text", ["a | b", "`rm`", "``x` `", "<b>&lt;", "a\nb", "\\|", "*x* _y_ ~~z~~ [a](b) #1 $x$"]
    )
    def test_details_show_as_they_are(self, text: str) -> None:
        report = report_of(record(f"{text}.onnx", counted("opens", 1, text)))
        texts = shown(report_markdown(report))
        line = " ".join(text.split())
        assert f"{line}.onnx: opens: {line}" in texts
        assert f"✗ {line}.onnx" in texts
        assert any(each.startswith("repeat with: fmnist-tk parity ") and line in each for each in texts)

    @given(st.text(st.characters(codec="ascii", categories=["P", "S", "L", "N", "Z"]), min_size=1))
    def test_any_detail_keeps_the_table_and_the_list_in_shape(self, text: str) -> None:
        report = report_of(record("m.onnx", counted("opens", 1, text, probe=text)))
        tokens = [token.type for token in GITHUB.parse(report_markdown(report))]
        assert tokens.count("th_open") == 2
        assert tokens.count("td_open") == 2
        assert tokens.count("list_item_open") == 2
        (cause,) = [each for each in shown(report_markdown(report)) if each.startswith("m.onnx: ")]
        assert cause == " ".join(f"m.onnx: opens on {text}: {text}".split())


class TestMarkdownOfBench:
    SLOW = comparison(allowed_slowdown=0.05, too_slow=True)

    @staticmethod
    def headings(report: Report) -> list[str]:
        return [line for line in report_markdown(report).splitlines() if line.startswith("## ")]

    def test_the_heading_gives_the_verdict(self) -> None:
        rows = (eager(), row(2e-5, ratio(2.5)))
        assert self.headings(bench(*rows)) == ["## ✅ Bench: 2 rows, the machine was fit (VALID)"]
        assert self.headings(bench(rows[0], fitness=None)) == ["## ✅ Bench: 1 row"]
        assert self.headings(bench(*rows, fitness=fitness(noisy=True))) == [
            "## ⚠️ Bench: 2 rows, but the machine was NOISY"
        ]
        assert self.headings(bench(*rows, failures=(FAILURE,))) == ["## ❌ Bench: 1 of 3 rows could not be measured"]
        assert self.headings(bench(*rows, comparisons=(self.SLOW,))) == ["## ❌ Bench: 1 of 1 rows is too slow"]
        assert self.headings(bench(bench=None)) == ["## ✅ Bench: the clock is honest"]
        assert "| ✓ overhead |" in report_markdown(bench(bench=None))
        assert self.headings(bench(interrupted=True)) == ["## Bench: no row was measured, interrupted"]
        assert self.headings(bench(row(), interrupted=True))[0].endswith("(VALID), interrupted")
        wrong = (clock(measured=1.0), clock("mps", 1.0))
        assert self.headings(bench(self_checks=wrong)) == ["## ❌ Bench: the clock is wrong on cpu and mps"]

    def test_a_run_has_a_heading_for_parity_and_one_for_bench(self) -> None:
        run = bench(eager(), parity=(good(),), failures=(FAILURE,))
        assert self.headings(run) == [
            "## ✅ Parity: the artifact passed",
            "## ❌ Bench: 1 of 2 rows could not be measured",
        ]
        assert report_markdown(run).count("- `model.onnx`: out of memory") == 1

    def test_rows_fastest_comparisons_and_conditions_are_there(self) -> None:
        controls = [control(verdict="CANNOT TELL")]
        report = cpu_bench(fitness=fitness(noisy=True, controls=controls), comparisons=(self.SLOW,))
        lines = report_markdown(report).splitlines()
        head = "| batch | format | p50 ± | p99 | images/s | × eager | % of limit | load | memory | verdict |"
        assert head in lines
        assert "| --: | :-- | --: | --: | --: | --: | --: | --: | --: | :-- |" in lines
        assert sum(line.startswith(("| 1 | onnx |", "| 64 | onnx |", "| 1,024 | onnx |")) for line in lines) == 7
        assert "| 1 | onnx | 18.4 µs | 20.0 µs | 0.920 (0.911 to 0.929) | **✗ SLOWER** | 5.0 % slower |" in lines
        remarks = [Remark(slowdown_in_words(self.SLOW), "bad"), *control_remarks(report), *gap_remarks(report)]
        remarks += [*fitness_remarks(report.fitness), *row_warnings(report), *method_remarks(report)]
        signs = {"bad": "❌ ", "warning": "⚠️ ", "note": ""}
        for each in remarks:
            assert f"{signs[each.tone]}{each.text}" in shown("\n".join(lines))

    def test_unverified_rows_stand_out(self) -> None:
        assert "| **✗ unverified** |" in report_markdown(bench(row(verified=False)))

    def test_the_heading_of_a_comparison(self) -> None:
        same = comparison(1.0, "SAME")
        assert self.headings(compared(same, comparison())) == ["## Compare: 1 SLOWER, 1 SAME"]
        assert self.headings(compared(self.SLOW, self.SLOW, same)) == ["## ❌ Compare: 2 of 3 rows are too slow"]
        asked = comparison(1.1, "FASTER", allowed_slowdown=0.05)
        assert self.headings(compared(asked)) == ["## ✅ Compare: no row is surely more than 5.0 % slower (1 FASTER)"]

    def test_notes_and_skips_of_a_comparison_are_listed(self) -> None:
        text = report_markdown(compared(comparison(), notes=("a*b",), skips=(SKIP,)))
        assert "### Notes\n\n- a\\*b\n" in text
        assert "### Skipped" in text
        assert "- Interrupted: only what" in report_markdown(bench(row(), interrupted=True))

    @given(st.text(st.characters(codec="ascii", categories=["P", "S", "L", "N", "Z"]), min_size=1))
    def test_any_name_keeps_the_tables_in_shape(self, name: str) -> None:
        rows = [row(2e-5, ratio(2), format=name, batch_size=size, rounds=SHORT) for size in (1, 64)]
        tokens = [token.type for token in GITHUB.parse(report_markdown(bench(*rows)))]
        assert tokens.count("table_open") == 2
        assert tokens.count("tr_open") == 6


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

    def test_what_is_wrong_with_a_bench_is_an_error_and_noise_a_warning(self) -> None:
        slow = comparison(too_slow=True, allowed_slowdown=0.05)
        report = bench(row(), comparisons=(slow,), fitness=fitness(noisy=True), self_checks=(clock(measured=1.0),))
        lines = annotations(report)
        assert [line.split("::")[1] for line in lines] == [
            "error title=The clock is wrong",
            "error title=model.onnx is too slow",
            "warning title=NOISY machine",
        ]
        assert lines[1].endswith(f"::{slowdown_in_words(slow).replace('%', '%25')}")
        assert annotations(bench(row())) == []

    def test_nothing_failed_nothing_said(self) -> None:
        assert annotations(report_of(good())) == []

    def test_what_means_something_to_the_runner_is_escaped(self) -> None:
        (line,) = annotations(report_of(record("a,b:c%.onnx", counted("opens", 1, "100 %: a,b\r\n::error::x"))))
        assert line == (
            "::error title=Parity of a%2Cb%3Ac%25.onnx,file=a%2Cb%3Ac%25.onnx::opens: 100 %25: a,b�%0A�:error::x"
        )

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_a_runner_reads_back_what_was_meant(self, text: str) -> None:
        (line,) = annotations(report_of(record("m.onnx", counted("opens", 1, text))))
        assert "\n" not in line
        assert "\r" not in line
        message = line.removeprefix("::").split("::", 1)[1]
        assert message.replace("%0A", "\n").replace("%25", "%") == plain(f"opens: {text}")


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
        assert md.read_text(encoding="utf-8") == report_markdown(FULL)
        assert sorted(each.name for each in (tmp_path / "new").iterdir()) == ["j.xml", "m.md", "r.json"]

    def test_one_that_cannot_be_written_keeps_none_of_the_others_from_it(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError) as caught:
            console.finish(
                report_of(good()), as_json=False, output=tmp_path, quiet=True, junit=tmp_path / "j.xml", markdown=None
            )
        assert caught.value.path == tmp_path
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
        assert text == f"# before ×\n{report_markdown(FULL)}\n{report_markdown(report_of(good()))}\n"

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

    @pytest.mark.parametrize("report", [bench(row()), compared(comparison())], ids=["bench", "compare"])
    def test_bench_and_compare_add_to_the_summary(self, report: Report, github: Path) -> None:
        ended(report)
        assert github.read_text(encoding="utf-8") == f"# before ×\n{report_markdown(report)}\n"

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


@pytest.mark.slow
def test_the_recipe_for_speed_compares_two_revisions(tmp_path: Path) -> None:
    """The model of the second commit is far larger, so the job must be red; of one revision it would be green."""
    recipe = re.search(r"```yaml\n(  speed:.*?)```", (ROOT / "docs" / "ci.md").read_text(encoding="utf-8"), re.DOTALL)
    assert recipe
    (step,) = [step for step in yaml.safe_load(recipe[1])["speed"]["steps"] if "fmnist-tk bench" in step.get("run", "")]
    assert step["env"] == {"BASE": "${{ github.event.pull_request.base.sha }}"}
    repository, programs = tmp_path / "repository", tmp_path / "bin"
    programs.mkdir()
    command = programs / "fmnist-tk"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m toolkit "$@"\n')
    command.chmod(0o755)
    repository.mkdir()

    def shell(line: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            **more,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line]
        return subprocess.run(words, cwd=repository, env=environment, capture_output=True, text=True, check=False)

    def commit(hidden: int) -> str:
        save_small(repository / "model.safetensors", config=ModelConfig(layer_sizes=(784, hidden, hidden, 10)))
        made = shell(
            "git add model.safetensors; git -c user.name=a -c user.email=a@b.c commit -qm model; git rev-parse HEAD"
        )
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    assert shell("git init -q").returncode == 0
    base = commit(16)
    commit(1024)
    ran = shell(step["run"], BASE=base)
    assert ran.returncode == 1, ran.stderr
    for place, hidden in (("base", 16), ("", 1024)):
        weights = load_checkpoint(repository / place / "model.safetensors").record
        assert weights.config.layer_sizes[1] == hidden
        manifest = read_manifest(repository / place / "exported")
        assert manifest is not None
        assert {each.weights_sha256 for each in manifest.artifacts} == {weights.weights_sha256}
    (failure,) = etree.parse(repository / "bench.xml").iter("failure")
    assert failure.get("type") == "slowdown"


def test_actions_of_others_are_named_by_hash() -> None:
    if not ACTION.is_file():
        pytest.skip("the source archive has no .github")
    files = [ACTION, *(ROOT / ".github" / "workflows").iterdir(), ROOT / "docs" / "ci.md"]
    used = [line for file in files for line in re.findall(r"uses: (.*)", file.read_text(encoding="utf-8"))]
    assert len(used) > len(files)
    for each in used:
        assert re.fullmatch(r"[\w./-]+@([0-9a-f]{40} # v\d+\.\d+\.\d+|COMMIT)", each), each


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


def test_a_self_check_is_written_as_junit_and_markdown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.bench.self_check", lambda _: bench(bench=None))
    files = tmp_path / "c.xml", tmp_path / "c.md"
    assert cli("bench", "--selfcheck", "-q", "--junit", files[0], "--markdown", files[1]).code == 0
    assert "fmnist-tk.bench.clock.cpu" in files[0].read_text()
    assert "| ✓ overhead |" in files[1].read_text()
