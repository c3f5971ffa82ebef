"""How a checkpoint was trained, and how it classifies each class."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from toolkit.records import LABELS, TrainRecord
from toolkit.records.units import seconds
from toolkit.render.words.tables import make_table


def training_tables(record: TrainRecord) -> Iterator[RenderableType]:
    """Yield how a checkpoint was trained, and how it classifies each class."""
    last = record.epochs[-1]
    own = f" on {record.test_set}" if record.dataset is not None else ""
    yield Text(
        f"Trained {record.recipe['name']} for {len(record.epochs)} epochs on {record.train_images:,} images in "
        f"{seconds(record.duration_s)} ({record.device}, {record.threads} threads, seed {record.seed}): "
        f"training loss {last.loss:.4f}, test loss {record.test_loss:.4f}, "
        f"test accuracy {record.test_accuracy:.2%}{own}; wrote {record.output}"
    )
    table = make_table("Test accuracy by class", "class", "accuracy", "most often taken for", right=("accuracy",))
    for number, (label, accuracy) in enumerate(zip(LABELS, record.class_accuracy, strict=True)):
        if not any(record.confusion[number]):
            table.add_row(label, "—", "no test images")
            continue
        row = [count if i != number else 0 for i, count in enumerate(record.confusion[number])]
        confused = max(range(len(row)), key=row.__getitem__)
        table.add_row(
            label,
            f"{accuracy:.1%}",
            f"{LABELS[confused]} ({row[confused]} of {sum(record.confusion[number])})" if row[confused] else "—",
        )
    yield table
