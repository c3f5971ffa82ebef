"""Make the bundled sample anew from the full Fashion-MNIST: 100 test images of each class, drawn with seed 0."""

import sys
from pathlib import Path

import numpy as np

from toolkit.data import load_data
from toolkit.files import replacing


def main(folder: Path) -> None:
    _, test = load_data(download=False)
    random = np.random.default_rng(0)
    chosen = np.sort(
        np.concatenate([random.choice(np.flatnonzero(test.labels == c), 100, replace=False) for c in range(10)])
    )
    with replacing(folder / "sample.npz") as path, path.open("wb") as file:
        np.savez_compressed(
            file,
            images=test.images[chosen],
            labels=test.labels[chosen].astype(np.uint8),
            indices=chosen.astype(np.uint16),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
