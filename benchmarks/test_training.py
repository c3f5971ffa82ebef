"""The quickstart recipe beside the tutorial's own loop: a step, an epoch, and the whole of each in a process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from toolkit.fashion.data import SHA256, find_files, load_data, load_sample, read_verified
from toolkit.fashion.model import Mlp
from toolkit.fashion.training import TrainingRun, find_recipe
from toolkit.fashion.training.batches import Batches
from toolkit.fashion.training.loop import _one_epoch, _start, training_epochs
from toolkit.records import ModelConfig
from toolkit.system.environment import default_threads
from toolkit.workload.images import ImageSet


@pytest.fixture(scope="module")
def torchvision_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fashion-MNIST unpacked as torchvision wants it."""
    paths = find_files(None)
    if paths is None:
        pytest.skip("no Fashion-MNIST here")
    raw = tmp_path_factory.mktemp("data") / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in SHA256:
        (raw / name).write_bytes(read_verified(paths[name], name))
    return raw.parent.parent


@pytest.mark.benchmark(group="quickstart, one step of 64 images in memory")
def test_literal_step(benchmark) -> None:
    torch.set_num_threads(default_threads())
    sample = load_sample()
    images, labels = torch.from_numpy(sample.inputs()[:64]), torch.from_numpy(sample.labels[:64])
    torch.manual_seed(0)
    model = Mlp()
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> float:
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    assert benchmark(step) < 2.5


@pytest.mark.benchmark(group="quickstart, one step of 64 images in memory")
def test_recipe_step(benchmark) -> None:
    """An epoch of one batch: loss and accuracy of the epoch are in it."""
    torch.set_num_threads(default_threads())
    sample = load_sample()
    recipe = find_recipe("quickstart")
    run = TrainingRun(recipe=recipe, config=ModelConfig(), seed=0, holdout=0, device="cpu", threads=default_threads())
    batches = Batches(ImageSet(sample.images[:64], sample.labels[:64]), recipe, "cpu", torch.float32)
    model, optimizer, generator = _start(run, None)
    loss, _ = benchmark(_one_epoch, model, optimizer, batches, generator, recipe, epoch=1, reduced=False)
    assert loss < 2.5


@pytest.mark.benchmark(group="quickstart, one epoch of 60,000 images")
def test_literal_loop(benchmark, torchvision_root: Path) -> None:
    torch.set_num_threads(default_threads())
    loader = DataLoader(FashionMNIST(torchvision_root, train=True, transform=ToTensor()), batch_size=64)
    torch.manual_seed(0)
    model = Mlp()
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-3)

    def epoch() -> float:
        model.train()
        loss = torch.zeros(())
        for images, labels in loader:
            loss = loss_fn(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    assert benchmark.pedantic(epoch, rounds=3, warmup_rounds=1) < 2.31


@pytest.mark.benchmark(group="quickstart, the whole script")
@pytest.mark.parametrize("program", ["literal script", "recipe"])
def test_whole(program: str, benchmark, torchvision_root: Path, tmp_path: Path) -> None:
    literal = [sys.executable, str(Path(__file__).with_name("literal_quickstart.py")), str(torchvision_root)]
    recipe = [sys.executable, "-m", "toolkit", "train", "--recipe", "quickstart"]
    command = literal if program == "literal script" else recipe
    result = benchmark.pedantic(
        subprocess.run, (command,), {"cwd": tmp_path, "capture_output": True, "check": True}, rounds=2
    )
    assert b"64." in result.stdout or b"65." in result.stdout  # both land at the tutorial's accuracy


@pytest.mark.benchmark(group="quickstart, one epoch of 60,000 images")
def test_recipe(benchmark) -> None:
    training, _ = load_data(download=False)
    recipe = find_recipe("quickstart").changed(epochs=5)
    run = TrainingRun(recipe=recipe, config=ModelConfig(), seed=0, holdout=0, device="cpu", threads=default_threads())
    epochs = training_epochs(run, training, None, None)
    snapshot = benchmark.pedantic(lambda: next(epochs), rounds=3, warmup_rounds=1)
    assert snapshot.run.epochs[-1].loss < 2.31
