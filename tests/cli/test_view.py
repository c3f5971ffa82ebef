"""Pictures in a terminal: which way is chosen, what is drawn, and that every escape sequence can be read back."""

import re
import sys
from base64 import b64decode
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from support import Cli, Outcome
from toolkit.cli.console.view import View, choose_view
from toolkit.errors import UsageError
from toolkit.render.terminal.blocks import RAMP, Blocks, fit
from toolkit.render.terminal.inline import Inline, iterm2, kitty, sixel
from toolkit.render.words.gallery import Tile


def chosen(wanted: str = "auto", *, terminal: bool = True, encoding: str | None = "utf-8", **environment: str) -> View:
    return choose_view(wanted, environment=environment, is_terminal=terminal, shades=True, encoding=encoding)


class TestChoice:
    @pytest.mark.parametrize(
        ("environment", "view"),
        [
            ({"TERM": "xterm-256color"}, "blocks"),
            ({"TERM": "xterm-kitty"}, "kitty"),
            ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
            ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
            ({"TERM": "xterm-256color", "KONSOLE_VERSION": "220401"}, "kitty"),
            ({"TERM": "xterm-256color", "KONSOLE_VERSION": "210800"}, "blocks"),
            ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
            ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
            ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),  # as over ssh
            ({"TERM": "foot"}, "sixel"),
            # A terminal that was started from kitty, and multiplexers inside of terminals that could.
            ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"}, "blocks"),
            ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, "blocks"),
            ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "blocks"),
            ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, "blocks"),
            ({"TERM": "screen.xterm-256color", "LC_TERMINAL": "iTerm2"}, "blocks"),
            ({"TERM": "xterm-kitty", "STY": "1.pts"}, "blocks"),
            ({}, "blocks"),
        ],
    )
    def test_the_terminal_is_known_by_its_own_variables(self, environment: dict[str, str], view: str) -> None:
        assert chosen(**environment) == view
        assert chosen(**environment, terminal=False) == "table"  # type: ignore[arg-type]  # a flag, not a variable

    def test_without_shades_or_letters_for_them_it_is_ascii(self) -> None:
        assert chosen(encoding="ascii") == chosen(encoding=None) == chosen(encoding="no-such") == "ascii"
        assert choose_view("auto", environment={}, is_terminal=True, shades=False, encoding="utf-8") == "ascii"

    def test_what_is_asked_for_is_had_or_refused(self) -> None:
        for view in ("kitty", "iterm2", "sixel", "blocks", "ascii", "table"):
            assert chosen(view, TERM="tmux") == view
        for view in ("kitty", "iterm2", "sixel"):
            with pytest.raises(UsageError, match="no terminal"):
                chosen(view, terminal=False, TERM="xterm-kitty")
        assert chosen("ascii", terminal=False) == "ascii"
        with pytest.raises(UsageError, match="--view ascii"):
            chosen("blocks", encoding="ascii")


class TestLayout:
    @given(
        count=st.integers(1, 400),
        width=st.integers(2, 300),
        height=st.integers(2, 100),
        title=st.tuples(st.integers(0, 20), st.integers(0, 2)),
        columns=st.none() | st.integers(1, 50),
    )
    def test_it_keeps_the_width_whatever_is_asked(
        self, count: int, width: int, height: int, title: tuple[int, int], columns: int | None
    ) -> None:
        layout = fit(count, width, height, title=title, columns=columns)
        assert layout.width <= width
        assert 1 <= layout.across <= min(columns or count, count)
        assert layout.side % 2 == 0
        assert 2 <= layout.side <= 28
        assert layout.side <= layout.cell

    @pytest.mark.parametrize(
        ("count", "width", "height", "columns", "across", "side"),
        [
            (9, 80, 24, None, 5, 14),  # all nine on an old screen
            (9, 200, 50, None, 5, 28),  # two even rows, though seven would fit
            (9, 80, 60, None, 3, 24),
            (9, 80, 24, 3, 3, 24),  # three were asked for: as large as they can be
            (9, 40, 24, 9, 2, 14),  # nine do not fit
            (1, 80, 24, None, 1, 28),
            (100, 80, 24, None, 5, 14),  # the screen scrolls
            (3, 10, 24, None, 1, 10),
        ],
    )
    def test_the_pictures_are_as_large_as_the_screen_allows(
        self, count: int, width: int, height: int, columns: int | None, across: int, side: int
    ) -> None:
        layout = fit(count, width, height, columns=columns)
        assert (layout.across, layout.side) == (across, side)


def drawn(
    tiles: list[Tile], *, shades: bool, colours: str | None = "truecolor", width: int = 80, height: int = 60
) -> str:
    console = Console(
        file=StringIO(),
        force_terminal=True,
        color_system=colours,  # type: ignore[arg-type]  # one of rich's names
        width=width,
        height=height,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as capture:
        console.print(Blocks(tiles, shades=shades))
    return capture.get()


def gradient() -> bytes:
    return np.tile(np.arange(28, dtype=np.uint8) * 9, (28, 1)).T.tobytes()  # each row of one grey, brighter downwards


class TestBlocks:
    def test_a_half_block_holds_two_pixels_in_their_own_greys(self) -> None:
        lines = drawn([Tile(("Coat",), gradient())], shades=True).splitlines()
        assert lines[0].strip() == "Coat"
        assert len(lines) == 1 + 14 + 1
        for number, line in enumerate(lines[1:15]):
            upper, lower = 18 * number, 18 * number + 9
            assert line == f"\x1b[38;2;{upper};{upper};{upper};48;2;{lower};{lower};{lower}m{'▀' * 28}\x1b[0m"

    def test_256_colours_are_enough(self) -> None:
        # Other greys than above: rich remembers how a style was written for the last terminal.
        other = bytes(value + 1 for value in gradient())
        text = drawn([Tile(("Coat",), other)], shades=True, colours="256")
        assert re.search(r"\x1b\[38;5;\d+;48;5;\d+m▀{28}\x1b\[0m", text)
        assert "38;2" not in text

    def test_letters_stand_for_shades_without_colour(self) -> None:
        lines = drawn([Tile(("Coat",), gradient())], shades=False, colours=None).splitlines()
        assert all(set(line) <= {*RAMP, " "} for line in lines[1:])
        ranks = [RAMP.index(line[0]) if line else 0 for line in lines[1:15]]
        assert ranks == sorted(ranks)
        assert (ranks[0], ranks[-1]) == (0, len(RAMP) - 1)

    def test_titles_stand_above_their_pictures(self) -> None:
        white = bytes([255] * 784)
        tiles = [Tile(("Shirt →", f"Coat {number} %"), white) for number in range(10, 13)]
        lines = drawn(tiles, shades=False, width=80, height=20).splitlines()
        pictures = [match.span() for match in re.finditer("@+", lines[2])]
        assert [end - begin for begin, end in pictures] == [24] * 3
        for pattern, line in (("Shirt →", lines[0]), (r"Coat \d+ %", lines[1])):
            titles = [match.span() for match in re.finditer(pattern, line)]
            assert len(titles) == 3
            for title, picture in zip(titles, pictures, strict=True):
                assert abs(sum(title) - sum(picture)) <= 1  # one in the middle of the other

    def test_a_title_that_is_too_long_is_cut_and_says_so(self) -> None:
        lines = drawn([Tile(("Ankle boot",), bytes(784))], shades=False, width=8).splitlines()
        assert lines[0] == "Ankle b…"
        assert max(map(len, lines)) <= 8

    def test_where_there_is_only_ascii_it_is_kept(self) -> None:
        written = BytesIO()
        file = TextIOWrapper(written, encoding="ascii")
        console = Console(file=file, force_terminal=True, width=12, legacy_windows=False, _environ={})
        console.print(Blocks([Tile(("Shirt →", "Ankle boot 99 %"), gradient())], shades=False))
        file.flush()
        assert written.getvalue().decode("ascii").splitlines()[:2] == ["  Shirt ->", "Ankle boot ."]


def pixels_of(sequence: str) -> NDArray[np.int64]:
    """Decode sixels: the shades of grey, in per cent, of each pixel; -1 where nothing was drawn."""
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', sequence, re.DOTALL)
    assert found
    width, height, body = int(found[1]), int(found[2]), found[3]
    grid = np.full((-(-height // 6) * 6, width), -1, np.int64)
    palette: dict[int, int] = {}
    x = top = level = 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([$-])|([?-~])", body):
        if token[1]:
            level = int(token[1])
            if token[2]:
                assert token[2] == token[3] == token[4]
                palette[level] = int(token[2])
        elif token[7]:
            x, top = 0, top + (6 if token[7] == "-" else 0)
        else:
            count, letter = (int(token[5]), token[6]) if token[5] else (1, token[8])
            for bit in range(6):
                if (ord(letter) - 63) >> bit & 1:
                    grid[top + bit, x : x + count] = palette[level]
            x += count
    return grid[:height]


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class TestSequences:
    def test_kitty_gets_the_whole_png_in_chunks_and_is_told_not_to_answer(self) -> None:
        png = bytes(range(256)) * 40
        sequence = kitty(png, 60)
        chunks = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", sequence)
        assert "".join(f"\x1b_G{facts};{data}\x1b\\" for facts, data in chunks) == sequence
        assert b64decode("".join(data for _, data in chunks)) == png
        assert all(len(data) == 4096 for _, data in chunks[:-1])
        assert chunks[0][0] == "a=T,f=100,q=2,c=60,m=1"
        assert [facts for facts, _ in chunks[1:]] == ["m=1"] * (len(chunks) - 2) + ["m=0"]

    def test_iterm2_gets_the_whole_png(self) -> None:
        png = bytes(range(256)) * 40
        found = re.fullmatch(
            r"\x1b\]1337;File=inline=1;size=(\d+);width=60;preserveAspectRatio=1:([^\x07]*)\x07", iterm2(png, 60)
        )
        assert found
        assert int(found[1]) == len(png)
        assert b64decode(found[2]) == png

    @settings(max_examples=50)
    @given(data=st.data(), width=st.integers(1, 30), height=st.integers(1, 20))
    def test_sixels_hold_every_pixel_in_its_shade(self, data: st.DataObject, width: int, height: int) -> None:
        size = width * height
        pixels = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(height, width)
        decoded = pixels_of(sixel(png_of(pixels), 30))
        assert decoded.shape == (height, width)
        assert np.abs(decoded - pixels / 2.55).max() <= 100 / 31

    def test_sixels_are_made_to_fit(self) -> None:
        assert pixels_of(sixel(png_of(np.zeros((50, 100), np.uint8)), 40)).shape == (20, 40)

    def test_a_sequence_is_neither_cut_nor_counted(self) -> None:
        console = Console(file=StringIO(), force_terminal=True, width=20, legacy_windows=False, _environ={})
        with console.capture() as capture:
            console.print(Inline(kitty(bytes(9000), 20)))
        assert capture.get() == kitty(bytes(9000), 20) + "\n"


class TestTerminal:
    @pytest.fixture(autouse=True)
    def somewhere(self, in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
        for name in ("TERM_PROGRAM", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "LC_TERMINAL", "TMUX", "STY", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"COLUMNS": "80", "LINES": "40", "COLORTERM": "truecolor", "TERM": "xterm"}.items():
            monkeypatch.setenv(name, value)
        self.cli, self.monkeypatch, self.environ = cli, monkeypatch, monkeypatch.setenv

    def show(self, *arguments: object) -> Outcome:
        """Call the command with what pytest has in place of stdout as a terminal."""
        self.monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return self.cli("data", "show", *arguments)

    def test_blocks_and_no_table(self) -> None:
        out = self.show("--seed", "1").out
        assert "▀" in out
        assert "index" not in out
        assert Path("fashion-mnist.png").is_file()

    def test_no_color_means_letters(self) -> None:
        self.environ("NO_COLOR", "1")
        out = self.show("--seed", "1", "--no-png").out
        assert "▀" not in out
        assert "\x1b[3" not in out
        assert "@" in out

    @pytest.mark.parametrize(
        ("term", "begin", "end"), [("xterm-kitty", "\x1b_Ga=T", "\x1b\\"), ("foot", "\x1bP0;1q", "\x1b\\")]
    )
    def test_a_terminal_that_can_gets_the_picture(self, term: str, begin: str, end: str) -> None:
        self.environ("TERM", term)
        lines = self.show("--count", "2", "--no-png").out.split("\n", 2)
        assert lines[0].startswith("Fashion-MNIST")
        assert lines[2].startswith(begin)
        assert lines[2].endswith(f"{end}\n")

    def test_kitty_gets_the_same_figure_as_the_file(self) -> None:
        self.environ("TERM", "xterm-kitty")
        out = self.show("--count", "4", "--columns", "2").out
        data = "".join(re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b", out))
        assert b64decode(data) == Path("fashion-mnist.png").read_bytes()

    def test_json_and_table_stay_what_they_are(self) -> None:
        self.environ("TERM", "xterm-kitty")
        assert self.show("--json", "--no-png").report.gallery is not None
        out = self.show("--view", "table", "--no-png").out
        assert "index" in out
        assert "\x1b_G" not in out
