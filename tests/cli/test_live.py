"""What is shown while a bench runs: one display at a time, nothing drawn unasked, a few lines without a terminal."""

import io
import re
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from made_up import rounds, row
from made_up_records import round_of
from toolkit.cli import console as edge
from toolkit.cli.console import showing_progress, showing_rounds
from toolkit.cli.console.screen import drawing_bar, drawing_rounds
from toolkit.records import LatencyRecord
from toolkit.render.terminal.live import live_table
from toolkit.system.progress import in_seconds

ROWS = (row(2e-5, batch_size=64, rounds=rounds(2e-5, count=3, spread=0)), row(1e-5, format="eager", role="control"))


def screen_of(written: str) -> list[str]:
    """What a terminal shows in the end: lines, the cursor going up, lines erased."""
    lines, at = [""], 0
    for part in re.findall(r"\x1b\[\??(?:[\d;]*)[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            at = max(at - int(part[2:-1] or 1), 0)
        elif part == "\x1b[2K":
            lines[at] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[at] += part
    return [line.rstrip() for line in lines if line.strip()]


class TestTable:
    def text(self, *rows: LatencyRecord) -> list[str]:
        console = Console(file=io.StringIO(), width=100)
        console.print(live_table(rows, 3, 12))
        assert isinstance(console.file, io.StringIO)
        return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]

    def test_a_line_per_row_with_its_rounds_and_the_median_so_far(self) -> None:
        lines = self.text(*ROWS)
        assert lines[0] == "Round 3 of 12"
        assert lines[1] == "batch format device rounds p50 so far"
        assert lines[3:] == ["1 eager (control) cpu 12 10.0 µs", "64 onnx cpu 3 20.0 µs"]

    def test_threads_have_a_column_where_they_differ(self) -> None:
        lines = self.text(row(threads=1), row(threads=2))
        assert lines[1] == "batch format device threads rounds p50 so far"
        assert lines[3].startswith("1 onnx cpu 1 12 ")

    def test_more_rounds_than_planned_are_no_surprise(self) -> None:
        assert live_table((), 16, 12).title == "Round 16 of 16"

    def test_before_the_first_round_there_are_no_rows(self) -> None:
        assert self.text()[0] == "Round 3 of 12"

    def test_long_rounds_and_histograms_have_the_same_median(self) -> None:
        times = [1e-6 * (each % 100 + 1) for each in range(100_000)]
        counted = round_of([1], times_ns=(), histogram_ns=tuple((1000 * each, 1000) for each in range(1, 101)))
        (line,) = self.text(row(rounds=(round_of(times), counted)))[3:]
        median_us = float(line.split()[-2])
        assert median_us == pytest.approx(50.5, abs=1)

    def test_no_round_is_looked_at_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: object) -> None:
            raise AssertionError("this sorts every call")

        monkeypatch.setattr(LatencyRecord, "times_s", property(refused))
        assert self.text(*ROWS)


class TestOnATerminal:
    def drawn(self, use: "Callable[[Console], None]") -> tuple[str, list[str]]:
        console = Console(file=io.StringIO(), width=80, height=50, force_terminal=True)
        console.print("before")
        use(console)
        console.print("after")
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue(), screen_of(console.file.getvalue())

    def test_bar_and_table_are_drawn_together_and_leave_nothing_behind(self) -> None:
        def use(console: Console) -> None:
            with drawing_bar(console) as progress, drawing_rounds(console) as show:
                progress("opening", 0, 2, "model.onnx")
                progress("opening", 2, 2)
                console.print("a warning")
                show((), 0, 2)
                show(ROWS, 1, 2)
                progress("limits", 0, 1)
                show(ROWS, 2, 2)
                together.extend(screen_of(console.file.getvalue()))  # type: ignore[attr-defined]  # StringIO

        together = list[str]()
        written, left = self.drawn(use)
        assert [any(line.startswith(word) for line in together) for word in ("limits", "Round 2 of 2")] == [True, True]
        assert left == ["before", "a warning", "after"]
        for word in ("opening", "model.onnx", "Round 0 of 2", "Round 1 of 2", "limits", "Round 2 of 2"):
            assert word in written

    def test_the_bar_stands_still_while_a_round_is_measured(self) -> None:
        others = set(threading.enumerate())

        def use(console: Console) -> None:
            with drawing_bar(console) as progress, drawing_rounds(console) as show:
                progress("opening", 0, 2)
                assert set(threading.enumerate()) <= others
                show((), 0, 2)
                assert set(threading.enumerate()) <= others

        self.drawn(use)

    def test_an_error_ends_the_display(self) -> None:
        def use(console: Console) -> None:
            with drawing_bar(console), drawing_rounds(console) as show:
                show(ROWS, 1, 2)
                raise KeyboardInterrupt

        def used(console: Console) -> None:
            with pytest.raises(KeyboardInterrupt):
                use(console)

        written, left = self.drawn(used)
        assert left == ["before", "after"]
        assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1  # the cursor is there again

    def test_a_bar_shows_one_task_at_a_time(self) -> None:
        def use(console: Console) -> None:
            with drawing_bar(console) as progress:
                progress("opening", 1, 1)
                progress("warming", 0, 3)
                assert "opening" not in screen_of(console.file.getvalue())[-1]  # type: ignore[attr-defined]  # StringIO

        self.drawn(use)

    def test_the_edge_asks_stderr(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        monkeypatch.setattr(
            edge, "_console", lambda *_, **__: Console(stderr=True, width=80, height=50, force_terminal=True)
        )
        with showing_progress(quiet=False) as progress, showing_rounds(quiet=False) as show:
            progress("opening", 0, 1)
            show(ROWS, 1, 1)
        captured = capsys.readouterr()
        assert "Round 1 of 1" in captured.err
        assert captured.out == ""


class TestElsewhere:
    def test_rounds_are_told_by_the_lines_of_progress_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        with showing_progress(quiet=False) as progress, showing_rounds(quiet=False) as show:
            progress("bench, second", 0, 40, "about 40 s in all")
            show(ROWS, 1, 2)
        assert capsys.readouterr() == ("", "bench, second 0/40 about 40 s in all\n")

    def test_quiet_is_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        with showing_rounds(quiet=True) as show:
            show(ROWS, 1, 2)
        assert capsys.readouterr() == ("", "")


class TestSeconds:
    """Several tasks are told as one, whose total is known before it begins."""

    def told(self, *calls: tuple[float, str, int, int], expected_s: float = 40) -> list[tuple[str, int, int, str]]:
        now, found = [0.0], list[tuple[str, int, int, str]]()
        tell = in_seconds(lambda *told: found.append(told), "run", expected_s, clock=lambda: now[0])  # type: ignore[arg-type, misc]  # detail is always given
        for at, task, done, total in calls:
            now[0] = at
            tell(task, done, total)
        return found

    def test_the_total_is_told_first(self) -> None:
        assert self.told() == [("run, second", 0, 40, "about 40 s in all")]

    def test_a_step_is_told_when_a_task_begins_and_each_twentieth(self) -> None:
        found = self.told((0.1, "export", 0, 3), (0.2, "export", 1, 3), (2.0, "export", 2, 3), (2.1, "opening", 0, 9))
        assert [(each[1], each[3]) for each in found[1:]] == [(0, "export 0/3"), (2, "export 2/3"), (2, "opening 0/9")]

    def test_what_takes_longer_is_never_said_to_be_done(self) -> None:
        assert self.told((55.0, "limits", 0, 1))[-1] == ("run, second", 55, 56, "limits 0/1")
