"""Draw the rooms of toolkit/ and their imports, as they are, into docs/images/rooms.svg.

python .ci/draw_rooms.py            writes the picture
python .ci/draw_rooms.py --check    exits 1 when the picture there is not the one of today's imports
"""

import sys
import tomllib
from collections import Counter
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
WIDTH, BOX, HEIGHT, GAP = 900, 150, 46, 40
STYLE = """
.room{fill:#f4f6f8;stroke:#57606a}.name{font:600 15px sans-serif;fill:#1f2328}
.down{stroke:#8c959f;fill:none;opacity:.55}.up{stroke:#cf222e;fill:none;stroke-dasharray:5 3}
.note{font:12px sans-serif;fill:#57606a}
@media (prefers-color-scheme:dark){.room{fill:#21262d;stroke:#8b949e}.name{fill:#e6edf3}.note{fill:#8b949e}}
"""
NOTE = "Thicker for more imports; dashed and red: the exceptions. All rooms use system, records and errors: not drawn."
EVERYWHERE = {"system", "records", "errors"}


def layers() -> list[list[str]]:
    """Return the rooms from top to bottom, as the contract of pyproject.toml has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    lines = next(each["layers"] for each in contracts if each["type"] == "layers")
    rows = [[name.strip() for name in line.split("|")] for line in lines]
    return [[name for name in row if not name.startswith("_")] for row in rows]


def arrows() -> Counter[tuple[str, str]]:
    """Return how many imports lead from one room to another."""
    graph = grimp.build_graph("toolkit", cache_dir=None)
    found: Counter[tuple[str, str]] = Counter()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = [name.split(".")[1] for name in (importer, imported) if "." in name]
            if len(ends) == 2 and ends[0] != ends[1] and ends[1] not in EVERYWHERE and "_" not in "".join(ends):
                found[ends[0], ends[1]] += 1
    return found


def draw() -> str:
    """Return the picture as SVG."""
    rows, places = layers(), {}
    for line, row in enumerate(rows):
        left = (WIDTH - len(row) * BOX - (len(row) - 1) * GAP) / 2
        for number, room in enumerate(row):
            places[room] = (left + number * (BOX + GAP), 10 + line * (HEIGHT + GAP))
    parts = []
    for (a, b), count in sorted(arrows().items()):
        (x, y), (u, v) = places[a], places[b]
        down = v > y
        start, end = (x + BOX / 2, y + HEIGHT * down), (u + BOX / 2, v + HEIGHT * (not down))
        # Arrows over several rows pass beside the boxes between them.
        bend = 0 if abs(v - y) <= HEIGHT + GAP else (sorted(places).index(b) % 5 - 2) * 90
        middle = (start[1] + end[1]) / 2
        curve = f"{start[0] + bend:g} {middle:g} {end[0] + bend:g} {middle:g}"
        path = f"M{start[0]:g} {start[1]:g}C{curve} {end[0]:g} {end[1]:g}"
        kind = "down" if down else "up"
        parts.append(
            f'<path class="{kind}" d="{path}" stroke-width="{1 if count < 3 else 2 if count < 10 else 4}">'
            f"<title>{a} imports {b}</title></path>"
        )
    for room, (x, y) in places.items():
        parts.append(f'<rect class="room" x="{x:g}" y="{y:g}" width="{BOX}" height="{HEIGHT}" rx="6"/>')
        parts.append(
            f'<text class="name" x="{x + BOX / 2:g}" y="{y + 28:g}" text-anchor="middle">{escape(room)}</text>'
        )
    height = 10 + len(rows) * (HEIGHT + GAP) + 10
    parts.append(f'<text class="note" x="{WIDTH / 2:g}" y="{height - 10}" text-anchor="middle">{NOTE}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    title = "<title>The rooms of toolkit/ from top to bottom, and their imports</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def main() -> None:
    picture = draw()
    if "--check" not in sys.argv:
        PICTURE.write_text(picture, encoding="utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != picture:
        sys.exit(f"{PICTURE.relative_to(ROOT)} is not of today's imports; run: python .ci/draw_rooms.py")


if __name__ == "__main__":
    main()
