"""What a folder of pictures costs, decoded and predicted: small ones, and photos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.pictures.sources import walk
from toolkit.pictures.stream import predict_each
from toolkit.records import PredictionRecord
from toolkit.verbs.export import export_formats
from toolkit.verbs.predictor import open_predictor


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    assert export_formats(load_checkpoint(), folder, ["onnx"]).passed
    return folder


def save_pictures(folder: Path, kind: str) -> int:
    """Write 2,000 PNGs of 28 × 28, or 16 JPEGs of 1,200 × 1,600 with the noise of a camera."""
    images, random = load_sample().images, np.random.default_rng(0)
    if kind == "small":
        for number in range(2_000):
            Image.fromarray(images[number % len(images)]).save(folder / f"{number:04}.png")
        return 2_000
    for number in range(16):
        large = Image.fromarray(255 - images[number]).resize((1200, 1600), Image.Resampling.BICUBIC).convert("RGB")
        noisy = np.asarray(large, np.float32) + random.normal(0, 3, (1600, 1200, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04}.jpg")
    return 16


@pytest.mark.benchmark(group="predict a folder")
@pytest.mark.parametrize("kind", ["small", "photos"])
def test_folder(kind: str, benchmark, artifacts: Path, tmp_path: Path) -> None:
    count, model = save_pictures(tmp_path, kind), open_predictor("onnx", artifacts)

    def predict_all() -> int:
        found = predict_each(model.probabilities, walk([tmp_path]))
        return sum(isinstance(each, PredictionRecord) for each in found)

    assert benchmark.pedantic(predict_all, rounds=5, warmup_rounds=1) == count
    benchmark.extra_info["images_per_s"] = round(count / benchmark.stats.stats.median)
