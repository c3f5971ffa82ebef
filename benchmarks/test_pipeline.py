"""What export and parity cost per format, once the runtimes are imported."""

from pathlib import Path

import pytest

from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.fashion.data import load_test_set
from toolkit.formats import FORMATS, import_format
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.target import Target
from toolkit.parity import Reference, check_artifact, check_parity, make_plan
from toolkit.records import ArtifactMetadata
from toolkit.system.environment import versions
from toolkit.verbs.export import export_formats


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    assert export_formats(load_checkpoint(), folder).passed
    return folder


@pytest.mark.benchmark(group="export one format")
@pytest.mark.parametrize("name", FORMATS)
def test_export(name: str, benchmark, tmp_path: Path) -> None:
    checkpoint, info = load_checkpoint(), FORMATS[name]
    metadata = ArtifactMetadata(
        format=name,
        config=checkpoint.record.config,
        weights_sha256=checkpoint.record.weights_sha256,
        versions=versions(),
    )
    path = tmp_path / info.file_name
    benchmark.pedantic(import_format(info).export, (checkpoint.model(), path, metadata), rounds=5, warmup_rounds=1)
    assert path.stat().st_size > 2_600_000


@pytest.mark.benchmark(group="parity of one artifact")
@pytest.mark.parametrize("name", FORMATS)
def test_parity(name: str, benchmark, folder: Path) -> None:
    target, plan = Target(FORMATS[name], folder / FORMATS[name].file_name), make_plan(Reference(load_checkpoint()))
    record = benchmark.pedantic(check_artifact, (target, plan), rounds=5, warmup_rounds=1)
    assert record.passed


@pytest.mark.benchmark(group="parity of all formats, reference and probes included")
@pytest.mark.parametrize(
    "images", ["sample", pytest.param("sample and all 10,000 test images", marks=pytest.mark.data)]
)
def test_parity_of_all_formats(images: str, benchmark, folder: Path) -> None:
    targets, _ = resolve_targets([], folder, "cpu")
    full = None if images == "sample" else load_test_set()
    checkpoint = load_checkpoint()
    report = benchmark.pedantic(check_parity, (targets, checkpoint), {"full": full}, rounds=5, warmup_rounds=1)
    assert report.passed
    assert len(report.parity) == len(FORMATS)
