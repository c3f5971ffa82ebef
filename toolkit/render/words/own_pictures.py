"""Own pictures in words: what terminal and Markdown say alike."""

from collections.abc import Iterator

from toolkit.records import LABELS, Report


def own_pictures_lines(report: Report) -> Iterator[str]:
    """Yield a sentence for each set of own pictures that a report is about."""
    for dataset in report.datasets:
        if dataset.sha256 is not None:
            counts = zip(dataset.class_counts, LABELS, strict=True)
            classes = ", ".join(f"{count:,} {label}" for count, label in counts if count)
            yield f"Own pictures of {dataset.name}: {dataset.images:,} ({classes})"
