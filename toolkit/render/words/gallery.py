"""Words for chosen pictures: a heading, titles, a table, a text for those who cannot see them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from toolkit.records import GalleryRecord, Report
from toolkit.records.units import percent
from toolkit.render.words.sheet import Content, Remark, Sheet, column


@dataclass(frozen=True)
class Tile:
    """A picture with its title.

    Attributes:
        lines: The title, one line or two.
        pixels: 784 bytes, 28 rows of 28 grey values, 255 white.
    """

    lines: tuple[str, ...]
    pixels: bytes


def make_tiles(report: Report, pictures: Iterable[bytes]) -> tuple[Tile, ...]:
    """Return the pictures of a report's gallery, 784 bytes each, in its order, with their titles."""
    return tuple(Tile(lines, pixels) for lines, pixels in zip(_titles(report), pictures, strict=True))


def _titles(report: Report) -> Iterator[tuple[str, ...]]:
    if report.predictions:
        for each in report.predictions:
            yield f"{each.actual} →", f"{each.label} {percent(each.probability)}"
    elif report.gallery:
        for shown in report.gallery.shown:
            yield (shown.label,)


def gallery_heading(report: Report, gallery: GalleryRecord) -> str:
    """Return in one sentence what is shown and what it was chosen from."""
    source = ", ".join(each.name for each in report.datasets)
    kind = f" of class {gallery.label}" if gallery.label else ""
    count, candidates = len(gallery.shown), gallery.candidates
    if gallery.examined is None:
        return f"{source}: {count:,} of {candidates:,} pictures{kind}, drawn with seed {gallery.seed}"
    who = f"{report.predictor.target} ({report.predictor.format})" if report.predictor else "the model"
    judged = f"{who} gets {candidates:,} of {gallery.examined:,} pictures{kind} wrong"
    shown = "" if not count else f"; the {count:,} of which it is most certain:" if count > 1 else ":"
    return f"{source}: {judged}, accuracy {1 if gallery.accuracy is None else gallery.accuracy:.2%}{shown}"


def gallery_description(report: Report, gallery: GalleryRecord) -> str:
    """Return what the picture shows, for those who cannot see it."""
    rows = (" ".join(lines) for lines in _titles(report))
    return f"{gallery_heading(report, gallery).rstrip(':')}. In rows, from the top left: {', '.join(rows)}."


def gallery_parts(report: Report) -> Iterator[Content]:
    """Yield a gallery as a table, where pictures cannot be shown; nothing if the report has none."""
    if report.gallery is None:
        return
    yield Remark(gallery_heading(report, report.gallery))
    shown = report.gallery.shown
    if shown:
        columns = [
            column(shown, "index", lambda each: str(each.index)),
            column(shown, "label", lambda each: each.label, right=False),
        ]
        if report.predictions:
            columns += [
                column(report.predictions, "taken for", lambda each: each.label, right=False),
                column(report.predictions, "probability", lambda each: percent(each.probability)),
            ]
        yield Sheet("Chosen pictures", tuple(columns))
    yield from written(report.gallery)


def written(gallery: GalleryRecord) -> Iterator[Remark]:
    """Yield where the PNG is, if there is one."""
    if gallery.picture:
        yield Remark(f"Wrote {gallery.picture}")
