"""Charts as inline SVG: lines over an axis, and rows of marks beside their names.

Everything that comes from a report goes through `Markup.format`, which escapes it. Colours, dashes and fonts are those
of the page: ``style.css`` gives each class its own. What a mark stands for is shown over it while a pointer is there;
no script is needed for that, and the same values are in a table beside each chart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from toolkit.render.page.scales import Axis

WIDTH: Final = 480
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 14, 48
#: Height of a row of marks.
ROW: Final = 26
TALL_ROW: Final = 54
_SIZE: Final = 4.5
# Colours for what is not the baseline, and dashes and markers, as ``style.css`` and `marker` have them. Five and six
# have no common factor, so the first thirty series differ in one of the two.
_COLOURS, _DASHES = 5, 6
# Between the marks of two series at the same place.
_ASIDE: Final = 3
# Width of a character of the page's font at the size of a hint, 12 units; a guess that is rather too wide.
_CHARACTER, _LINE = 6.7, 16


@dataclass(frozen=True)
class Style:
    """How a series looks: its number chooses colour, dash and marker together, so that none of them tells alone."""

    number: int

    @property
    def name(self) -> str:
        """The classes of the page's style: a colour, of which the baseline's is its alone, and a dash."""
        colour = (self.number - 1) % _COLOURS + 1 if self.number else 0
        return f"s{colour} d{self.number % _DASHES}"


@dataclass(frozen=True)
class Point:
    """A mark at a place, with the interval of one of its values."""

    x: float
    y: float
    hint: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind."""

    name: str
    style: Style
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Hint:
    """What is told while a pointer is over a place of a row: its middle, its reach to either side, the text."""

    left: float
    top: float
    text: str
    reach: tuple[float, float] = (7, 7)


@dataclass(frozen=True)
class Line:
    """A row of a chart: its name, and what is drawn in it, from the top of the row."""

    name: str
    marks: Markup
    hints: tuple[Hint, ...] = ()


def plot(title: str, series: Sequence[Series], x: Axis, y: Axis, *, joined: bool = True) -> Markup:
    """Return points, with intervals along y, over an axis; ``joined`` draws lines between those of a series."""
    across, down = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(point_x: float, point_y: float) -> tuple[float, float]:
        return _LEFT + across * x.place(point_x), _TOP + down * (1 - y.place(point_y))

    parts = [_across(x, _HEIGHT, _BOTTOM), _up(y)]
    hints: list[Markup] = []
    for number, each in enumerate(series):
        # Marks of different series at the same x would hide one another's intervals.
        aside = (number - (len(series) - 1) / 2) * _ASIDE if joined else 0.0
        places = [(left + aside, top) for left, top in (at(point.x, point.y) for point in each.points)]
        if joined and len(places) > 1:
            path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
            parts.append(Markup('<polyline class="line {}" points="{}"/>').format(each.style.name, path))
        for point, (left, top) in zip(each.points, places, strict=True):
            if point.low is not None and point.high is not None:
                parts.append(_whisker(left, at(point.x, point.low)[1], at(point.x, point.high)[1], each.style))
            parts.append(marker(left, top, each.style))
            hints.append(_hint(left, top, point.hint, _HEIGHT))
    return _svg(title, _HEIGHT, [*parts, *hints])


def rows(title: str, lines: Sequence[Line], axis: Axis, *, height: int = ROW) -> Markup:
    """Return lines one below the other, each with its name above its marks, over a common axis."""
    total = _TOP + len(lines) * height + _BOTTOM
    parts = [_across(axis, total, _BOTTOM, left=_RIGHT)]
    hints = []
    for number, each in enumerate(lines):
        top = _TOP + number * height
        parts.append(Markup('<g transform="translate(0 {})">{}</g>').format(top, each.marks))
        parts.append(Markup('<text class="name" x="{}" y="{}">{}</text>').format(_RIGHT, top + 11, each.name))
        hints += [_hint(one.left, top + one.top, one.text, total, one.reach) for one in each.hints]
    return _svg(title, total, [*parts, *hints])


def row_place(axis: Axis, value: float) -> float:
    """Return where a value is in `rows`, from the left."""
    return _RIGHT + (WIDTH - 2 * _RIGHT) * axis.place(value)


def marker(left: float, top: float, style: Style, size: float = _SIZE) -> Markup:
    """Return a mark whose shape, too, tells the series."""
    shapes = (
        Markup('<circle class="mark {s}" cx="{x}" cy="{y}" r="{r}"/>'),
        Markup('<rect class="mark {s}" x="{a}" y="{c}" width="{w}" height="{w}"/>'),
        Markup('<path class="mark {s}" d="M{x} {c}L{b} {d}L{a} {d}Z"/>'),
        Markup('<path class="mark {s}" d="M{x} {c}L{b} {y}L{x} {d}L{a} {y}Z"/>'),
        Markup('<path class="mark {s}" d="M{x} {d}L{b} {c}L{a} {c}Z"/>'),
        Markup('<path class="mark {s}" d="M{a} {c}L{b} {d}M{a} {d}L{b} {c}"/>'),
    )
    at = {"x": left, "y": top, "a": left - size, "b": left + size, "c": top - size, "d": top + size}
    numbers = {key: f"{value:.1f}" for key, value in {**at, "r": size, "w": 2 * size}.items()}
    return shapes[style.number % len(shapes)].format(s=style.name, **numbers)


def box(kind: str, style: Style, across: tuple[float, float], down: tuple[float, float]) -> Markup:
    """Return a bar of a class of its own: from its left to its right end, from its top so far down."""
    left, right = across
    return Markup('<rect class="{} {}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, style.name, f"{left:.1f}", f"{down[0]:.1f}", f"{max(right - left, 1):.1f}", f"{down[1]:.1f}"
    )


def area(points: Sequence[tuple[float, float]], style: Style) -> Markup:
    """Return a filled outline."""
    path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
    return Markup('<polygon class="area {}" points="{}"/>').format(style.name, path)


def words(left: float, top: float, text: str) -> Markup:
    """Return a text that begins at a place."""
    return Markup('<text class="value" x="{}" y="{}">{}</text>').format(f"{left:.1f}", f"{top:.1f}", text)


def _hint(left: float, top: float, text: str, height: float, reach: tuple[float, float] = (7, 7)) -> Markup:
    """Return an invisible place that shows a text while a pointer is over it.

    Args:
        left: Its middle.
        top: Its middle.
        text: In lines.
        height: Of the chart, which the text does not leave.
        reach: Half of its width and of its height.
    """
    lines = text.split("\n")
    wide, tall = max(map(len, lines)) * _CHARACTER + 16, len(lines) * _LINE + 10
    x = min(max(left - wide / 2, 2), WIDTH - wide - 2)
    y = top - reach[1] - tall - 2
    if y < 2 and top + reach[1] + 2 + tall <= height:
        y = top + reach[1] + 2
    spans = Markup("").join(
        Markup('<tspan x="{}" y="{}">{}</tspan>').format(f"{x + 8:.1f}", f"{y + 17 + number * _LINE:.1f}", line)
        for number, line in enumerate(lines)
    )
    return Markup(
        '<g class="hint"><rect class="reach" x="{}" y="{}" width="{}" height="{}"/>'
        '<g class="tip"><rect x="{}" y="{}" width="{}" height="{}" rx="4"/><text>{}</text></g></g>'
    ).format(
        f"{left - reach[0]:.1f}",
        f"{top - reach[1]:.1f}",
        f"{2 * reach[0]:.1f}",
        f"{2 * reach[1]:.1f}",
        f"{x:.1f}",
        f"{y:.1f}",
        f"{wide:.0f}",
        tall,
        spans,
    )


def _svg(title: str, height: float, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="xMidYMid meet">{}</svg>'
    ).format(WIDTH, height, title, Markup("").join(parts))


def _whisker(left: float, low: float, high: float, style: Style) -> Markup:
    return Markup('<path class="whisker {}" d="M{x} {low}V{high}M{a} {low}H{b}M{a} {high}H{b}"/>').format(
        style.name, x=f"{left:.1f}", a=f"{left - 4:.1f}", b=f"{left + 4:.1f}", low=f"{low:.1f}", high=f"{high:.1f}"
    )


def _across(axis: Axis, height: float, bottom: float, left: float = _LEFT) -> Markup:
    """Return the horizontal axis with its grid."""
    width, base = WIDTH - left - _RIGHT, height - bottom
    parts = []
    for value, text in axis.ticks:
        x = f"{left + width * axis.place(value):.1f}"
        parts.append(Markup('<path class="grid" d="M{} {}V{}"/>').format(x, _TOP, base))
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(x, base + 18, text)
        )
    label = Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>')
    parts.append(label.format(left + width / 2, height - 8, axis.label))
    parts.append(Markup('<path class="frame" d="M{} {}H{}"/>').format(left, base, WIDTH - _RIGHT))
    return Markup("").join(parts)


def _up(axis: Axis) -> Markup:
    """Return the vertical axis with its grid; its label stands in the title of the chart."""
    down, parts = _HEIGHT - _TOP - _BOTTOM, []
    for value, text in axis.ticks:
        y = _TOP + down * (1 - axis.place(value))
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, f"{y:.1f}", WIDTH - _RIGHT))
        tick = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>')
        parts.append(tick.format(_LEFT - 8, f"{y + 4:.1f}", text))
    return Markup("").join(parts)
