"""The sections of a report that tell how right: parity, the confusion matrix, the images that are taken for others."""

import base64
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from toolkit.records import LABELS, EvaluationRecord, Report, WrongImageRecord
from toolkit.records.units import fraction
from toolkit.render.page.blocks import Block, Failure, Heat, Missing, Picture, Pictures, Section, section
from toolkit.render.words.parity import check_sheets, explain, repeat_command, target_names
from toolkit.render.words.sheet import NONE, Column, Sheet, sheet_of

_PARITY: Final = "fmnist-tk parity -o parity.json"
_SIDE: Final = 28
_HOTTEST: Final = 9


def judging_sections(report: Report) -> Iterator[Section]:
    """Yield what was found out about right and wrong."""
    yield section("parity", "Parity", _parity(report))
    yield section("confusion", "Confusion matrix", _confusion(report))
    yield section("wrong", "Wrong images", _wrong(report))


def _parity(report: Report) -> Iterator[Block]:
    if not report.parity:
        yield Missing("This report has checked no artifact. This checks what was exported:", _PARITY)
        return
    failures = tuple(
        Failure(each.target, each.cause, tuple(each.lines()), repeat_command(report, each.record))
        for each in explain(report.parity)
    )
    if failures:
        yield failures
    yield from check_sheets(report.parity)


def _evaluations(report: Report) -> list[tuple[str, EvaluationRecord]]:
    """Return the reference and the artifacts by name, as far as they were evaluated."""
    reference = [("the reference", report.evaluation)] if report.evaluation else []
    named = zip(target_names(report.parity), report.parity, strict=True)
    return reference + [(name, record.evaluation) for name, record in named if record.evaluation]


def _confusion(report: Report) -> Iterator[Block]:
    found = _evaluations(report)
    if not found:
        yield Missing("Nothing was evaluated on labelled images. This does, on the bundled 1,000:", _PARITY)
        return
    same = len({(each.source, each.images) for _, each in found}) == 1
    yield sheet_of(
        f"Accuracy on {found[0][1].images_in_words if same else 'labelled images'}",
        found,
        {
            "model": lambda each: each[0],
            "accuracy": lambda each: fraction(each[1].accuracy),
            "right": lambda each: f"{each[1].right:,}",
            "images": lambda each: f"{each[1].images:,}",
        },
        right=("accuracy", "right", "images"),
    )
    alike: dict[tuple[tuple[int, ...], ...], list[tuple[str, EvaluationRecord]]] = {}
    for name, each in found:
        alike.setdefault(each.confusion, []).append((name, each))
    for group in alike.values():
        yield confusion_table(group[0][1], ", ".join(name for name, _ in group))


def confusion_table(evaluation: EvaluationRecord, names: str) -> Heat:
    """Return a confusion matrix whose cells are shaded by their share of the row."""
    confusion = evaluation.confusion
    totals = [sum(counts) for counts in confusion]
    recalls = (fraction(confusion[row][row] / total, 1) if total else NONE for row, total in enumerate(totals))
    predicted = (
        Column(label, tuple(f"{counts[place]:,}" if counts[place] else "·" for counts in confusion), right=True)
        for place, label in enumerate(LABELS)
    )
    return Heat(
        Sheet(
            f"Images by actual class (row) and predicted class (column): {names}",
            (Column("actual", LABELS), *predicted, Column("right", tuple(recalls), right=True)),
        ),
        tuple(
            (None, *(heat(count, total) for count in counts), None)
            for counts, total in zip(confusion, totals, strict=True)
        ),
    )


def heat(count: int, total: int) -> int:
    """Return how dark a cell is, from 0 to 9: by the square root of its share, so that few errors are seen, too."""
    return 0 if not count else max(1, round(_HOTTEST * (count / total) ** 0.5))


def _wrong(report: Report) -> Iterator[Block]:
    found = _evaluations(report)
    if not found:
        yield Missing("No image was evaluated. This keeps the most confident errors:", _PARITY)
        return
    for name, evaluation in found:
        of_artifact = evaluation is not report.evaluation
        if evaluation.wrong:
            images = "those that the reference has right, " if of_artifact and report.evaluation else ""
            yield Pictures(
                f"{name}: {evaluation.images - evaluation.right:,} of {evaluation.images:,} are wrong; {images}"
                "the most confident first: what each was taken for, how surely, and what it is",
                tuple(map(picture, evaluation.wrong)),
            )
        elif not of_artifact:
            yield f"{name} has all {evaluation.images:,} images right."
    same = [name for name, each in found if each is not report.evaluation and not each.wrong]
    if same and report.evaluation:
        verb = "has" if len(same) == 1 else "have"
        yield f"{', '.join(same)} {verb} no image wrong that the reference has right."


def picture(wrong: WrongImageRecord) -> Picture:
    """Return a wrong image as PNG, with its words."""
    from PIL import Image

    buffer = BytesIO()
    Image.frombytes("L", (_SIDE, _SIDE), base64.b64decode(wrong.pixels)).save(buffer, "PNG")
    return Picture(
        f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        f"image {wrong.index}",
        LABELS[wrong.predicted],
        fraction(wrong.probability, 1),
        LABELS[wrong.actual],
    )
