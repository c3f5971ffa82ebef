"""Charts as inline SVG: lines over an axis, and rows of marks beside their names.

Everything that comes from a report goes through `element`, which escapes it. Colours, dashes and fonts are those of the
page: ``style.css`` gives each class its own. What a mark stands for is shown over it while a pointer is there;
no script is needed for that, and the same values are in a table beside each chart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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

    style: Style
    points: Sequence[Point]


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


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an element of SVG; texts are escaped, numbers have one decimal.

    Args:
        name: Of the element.
        children: Markup, or text.
        attributes: Values by name; ``class_`` is ``class``, and ``text_anchor`` is ``text-anchor``.
    """
    words = Markup("")
    for key, value in attributes.items():
        word = f"{value:.1f}" if isinstance(value, float) else value
        words += Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), word)
    return Markup("<{0}{1}>{2}</{0}>").format(name, words, Markup("").join(children))


def plot(title: str, series: Sequence[Series], x: Axis, y: Axis) -> Markup:
    """Return points over an axis, with intervals along y and lines between those of a series."""
    across, down = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    parts, hints = [_across(x, _HEIGHT), _up(y)], list[Markup]()
    for number, each in enumerate(series):
        # Marks of different series at the same x would hide one another's intervals.
        aside = (number - (len(series) - 1) / 2) * _ASIDE
        places = [
            (_LEFT + across * x.place(point.x) + aside, _TOP + down * (1 - y.place(point.y))) for point in each.points
        ]
        if len(places) > 1:
            parts.append(element("polyline", class_=f"line {each.style.name}", points=_path(places)))
        for point, (left, top) in zip(each.points, places, strict=True):
            if point.low is not None and point.high is not None:
                low, high = (_TOP + down * (1 - y.place(end)) for end in (point.low, point.high))
                path = f"M{left:.1f} {low:.1f}V{high:.1f}M{left - 4:.1f} {low:.1f}H{left + 4:.1f}"
                path += f"M{left - 4:.1f} {high:.1f}H{left + 4:.1f}"
                parts.append(element("path", class_=f"whisker {each.style.name}", d=path))
            parts.append(marker(left, top, each.style))
            hints.append(_hint(Hint(left, top, point.hint), _HEIGHT))
    return _svg(title, _HEIGHT, [*parts, *hints])


def rows(title: str, lines: Sequence[Line], axis: Axis, *, height: int = ROW) -> Markup:
    """Return lines one below the other, each with its name above its marks, over a common axis."""
    total = _TOP + len(lines) * height + _BOTTOM
    parts, hints = [_across(axis, total, left=_RIGHT)], list[Markup]()
    for number, each in enumerate(lines):
        top = _TOP + number * height
        parts.append(element("g", each.marks, transform=f"translate(0 {top})"))
        parts.append(element("text", each.name, class_="name", x=_RIGHT, y=top + 11))
        hints += [_hint(replace(one, top=top + one.top), total) for one in each.hints]
    return _svg(title, total, [*parts, *hints])


def row_place(axis: Axis, value: float) -> float:
    """Return where a value is in `rows`, from the left."""
    return _RIGHT + (WIDTH - 2 * _RIGHT) * axis.place(value)


def marker(left: float, top: float, style: Style, size: float = _SIZE) -> Markup:
    """Return a mark whose shape, too, tells the series."""
    x, y, a, b, c, d = (f"{each:.1f}" for each in (left, top, left - size, left + size, top - size, top + size))
    paths = (
        f"M{a} {y}A{size} {size} 0 1 0 {b} {y}A{size} {size} 0 1 0 {a} {y}Z",
        f"M{a} {c}H{b}V{d}H{a}Z",
        f"M{x} {c}L{b} {d}L{a} {d}Z",
        f"M{x} {c}L{b} {y}L{x} {d}L{a} {y}Z",
        f"M{x} {d}L{b} {c}L{a} {c}Z",
        f"M{a} {c}L{b} {d}M{a} {d}L{b} {c}",
    )
    return element("path", class_=f"mark {style.name}", d=paths[style.number % len(paths)])


def box(kind: str, style: Style, across: tuple[float, float], down: tuple[float, float]) -> Markup:
    """Return a bar of a class of its own: from its left to its right end, from its top so far down."""
    left, right = across
    width = max(right - left, 1.0)
    return element("rect", class_=f"{kind} {style.name}", x=left, y=float(down[0]), width=width, height=float(down[1]))


def area(points: Sequence[tuple[float, float]], style: Style) -> Markup:
    """Return a filled outline."""
    return element("polygon", class_=f"area {style.name}", points=_path(points))


def words(left: float, top: float, text: str) -> Markup:
    """Return a text that begins at a place."""
    return element("text", text, class_="value", x=left, y=float(top))


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{left:.1f},{top:.1f}" for left, top in points)


def _hint(hint: Hint, height: float) -> Markup:
    """Return an invisible place that shows a text while a pointer is over it; the text stays in the chart."""
    lines, (half, up) = hint.text.split("\n"), hint.reach
    wide, tall = max(map(len, lines)) * _CHARACTER + 16, len(lines) * _LINE + 10
    x = min(max(hint.left - wide / 2, 2.0), WIDTH - wide - 2)
    y = float(hint.top - up - tall - 2)
    if y < 2 and hint.top + up + 2 + tall <= height:
        y = float(hint.top + up + 2)
    spans = (element("tspan", line, x=x + 8, y=y + 17 + number * _LINE) for number, line in enumerate(lines))
    back = element("rect", x=x, y=y, width=wide, height=tall, rx=4)
    reach = element("rect", class_="reach", x=hint.left - half, y=hint.top - up, width=2 * half, height=2 * up)
    return element("g", reach, element("g", back, element("text", *spans), class_="tip"), class_="hint")


def _svg(title: str, height: float, parts: Iterable[Markup]) -> Markup:
    ratio = "xMidYMid meet"
    return element(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=title, preserveAspectRatio=ratio
    )


def _across(axis: Axis, height: float, left: float = _LEFT) -> Markup:
    """Return the horizontal axis with its grid."""
    width, base = WIDTH - left - _RIGHT, height - _BOTTOM
    parts = []
    for value, text in axis.ticks:
        x = left + width * axis.place(value)
        parts.append(element("path", class_="grid", d=f"M{x:.1f} {_TOP}V{base}"))
        parts.append(element("text", text, class_="tick", x=x, y=base + 18, text_anchor="middle"))
    parts.append(element("text", axis.label, class_="axis", x=left + width / 2, y=height - 8, text_anchor="middle"))
    parts.append(element("path", class_="frame", d=f"M{left} {base}H{WIDTH - _RIGHT}"))
    return Markup("").join(parts)


def _up(axis: Axis) -> Markup:
    """Return the vertical axis with its grid; its label stands in the title of the chart."""
    parts = []
    for value, text in axis.ticks:
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - axis.place(value))
        parts.append(element("path", class_="grid", d=f"M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"))
        parts.append(element("text", text, class_="tick", x=_LEFT - 8, y=y + 4, text_anchor="end"))
    return Markup("").join(parts)
