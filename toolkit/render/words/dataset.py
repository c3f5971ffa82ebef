"""What is said of datasets: where they are, how many pictures of each class, whose bytes; and how they came there."""

from collections.abc import Iterator
from pathlib import PurePath

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from toolkit.records import LABELS, DatasetRecord, FetchRecord, Report
from toolkit.render.words.tables import make_table, mark


def dataset_tables(report: Report) -> Iterator[RenderableType]:
    """Yield what a report says of datasets: nothing where it is about something else."""
    if report.fetched:
        yield _fetched(report.fetched)
    if report.places:
        table = make_table("Fashion-MNIST", "looked in", "", "found")
        for place in report.places:
            table.add_row(place.place, mark(place.complete), place.detail)
        yield table
    if report.datasets and not report.gallery:  # a gallery names its own source
        if not report.fetched:
            yield _counts(report.datasets)
        if any(each.files for each in report.datasets):
            yield _files(report.datasets)


def _fetched(record: FetchRecord) -> Text:
    how = {
        "already there": "was already there, nothing was changed",
        "copied": f"copied from {record.source}",
        "downloaded": "downloaded",
    }[record.how]
    return Text(f"Fashion-MNIST in {record.place}: {how}")


def _counts(datasets: tuple[DatasetRecord, ...]) -> Table:
    """Return a table with a row per class and a column per dataset, the common begin of their names in its title."""
    begin = "Fashion-MNIST, "
    names = [each.name.removeprefix(begin) for each in datasets]
    table = make_table("Pictures of each class", "", "class", *names, right=("", *names))
    for number, label in enumerate(LABELS):
        table.add_row(str(number), label, *(f"{each.class_counts[number]:,}" for each in datasets))
    table.add_section()
    table.add_row("", "all", *(f"{each.images:,}" for each in datasets))
    return table


def _files(datasets: tuple[DatasetRecord, ...]) -> Table:
    """Return a table of the files; a folder that is the same for all stands in its title."""
    files = [each for dataset in datasets for each in dataset.files]
    folders = {str(PurePath(each.path).parent) for each in files}
    where = f"Files in {folders.pop()}" if len(folders) == 1 else "Files"
    table = make_table(where, "file", "published", "SHA-256 of the unpacked bytes")
    for each in files:
        path = PurePath(each.path)
        published = Text("—") if each.as_published is None else mark(each.as_published)
        table.add_row(path.name if where != "Files" else str(path), published, each.sha256)
    return table
