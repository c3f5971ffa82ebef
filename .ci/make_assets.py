r"""Make the bundled sample and the model card anew.

fmnist-tk train --threads 2 -o toolkit/fashion/assets/fashion-mlp.safetensors --json \
    > benchmarks/results/strong-seed-0.json
python .ci/make_assets.py toolkit/fashion/assets benchmarks/results/strong-seed-{0,1,2}.json
"""

import sys
from pathlib import Path

import numpy as np

from toolkit.fashion.data import load_data
from toolkit.records import LABELS, Report, TrainRecord, read_record
from toolkit.system.files import replacing, write_bytes

CARD = """# Model card: the bundled Fashion-MNIST classifier

`fashion-mlp.safetensors` is the MLP of the PyTorch quickstart (784-512-512-10 with ReLU, 669,706 parameters),
trained by `fmnist-tk train` on all 60,000 training images of Fashion-MNIST. It exists so that `fmnist-tk run` works
offline; it is an example to export and to measure, not a product.

## Training

{recipe}

Trained on {device} with {threads} threads, in bfloat16 autocast, in {duration:.0f} s; {cpu}, {versions}.
The number of epochs, weight decay, learning rate, label smoothing, dropout, averaging of weights, erasing of patches
and mixing of images were compared on 5,000 images held out of the training set; the test set chose nothing. The final
fit uses all training images. `fmnist-tk train --threads {threads} --seed {seed}` gives the same bytes again with these
versions on such a processor.

## Results on the 10,000 test images

Accuracy {accuracy:.2%}, cross-entropy {loss:.4f} nats (trained with label smoothing, so not calibrated for loss).
Over the seeds {seeds}: {per_seed}; mean {mean:.2%}.

| class | accuracy |
|:--|--:|
{classes}

The pairs most often confused:

| true | predicted | images of 1,000 |
|:--|:--|--:|
{pairs}

## Limits

Pictures must be 28 × 28, grey, the garment bright on black, in [0, 1]. Photos from elsewhere are outside of what it
was trained on. Shirts are often taken for T-shirts, pullovers and coats: see the table.

## Data

Fashion-MNIST, Zalando SE, MIT licence: see `LICENSE-fashion-mnist.txt`. `sample.npz` holds 1,000 of its test images,
100 of each class, drawn with seed 0, with their labels and their indices in the test set.
"""


def write_sample(path: Path) -> None:
    _, test = load_data(download=False)
    random = np.random.default_rng(0)
    drawn = [random.choice(np.flatnonzero(test.labels == label), 100, replace=False) for label in range(len(LABELS))]
    chosen = np.sort(np.concatenate(drawn))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            images=test.images[chosen],
            labels=test.labels[chosen].astype(np.uint8),
            indices=chosen.astype(np.uint16),
        )


def model_card(reports: list[Report]) -> str:
    """Return the card of the first report's model; the others are the same recipe with other seeds."""
    trained = [report.training for report in reports if report.training]
    record, machine = trained[0], reports[0].machine
    classes = zip(LABELS, record.class_accuracy, strict=True)
    return CARD.format(
        recipe="\n".join(f"* {name.replace('_', ' ')}: {value}" for name, value in record.recipe.items()),
        device=record.device,
        threads=record.threads,
        duration=record.duration_s,
        cpu=machine.cpu,
        versions=", ".join(f"{name} {machine.versions[name]}" for name in ("torch", "numpy")),
        seed=record.seed,
        accuracy=record.test_accuracy,
        loss=record.test_loss,
        seeds=", ".join(str(each.seed) for each in trained),
        per_seed=", ".join(f"{each.test_accuracy:.2%}" for each in trained),
        mean=sum(each.test_accuracy for each in trained) / len(trained),
        classes="\n".join(f"| {label} | {accuracy:.1%} |" for label, accuracy in classes),
        pairs="\n".join(_pairs(record)),
    )


def _pairs(record: TrainRecord, most: int = 6) -> list[str]:
    counts = [
        (count, LABELS[true], LABELS[predicted])
        for true, row in enumerate(record.confusion)
        for predicted, count in enumerate(row)
        if true != predicted
    ]
    return [f"| {true} | {predicted} | {count} |" for count, true, predicted in sorted(counts, reverse=True)[:most]]


def main(folder: Path, results: list[Path]) -> None:
    write_sample(folder / "sample.npz")
    card = model_card([read_record(path, Report) for path in results])
    write_bytes(folder / "model-card.md", card.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
