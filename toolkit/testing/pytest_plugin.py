"""pytest plugin: ``pytest --parity exported/`` collects one test per artifact.

It is loaded in every pytest of the environment, so it imports nothing but pytest before it is asked for.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from toolkit.parity import Plan

_PLANS = pytest.StashKey[dict[str, "Plan"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plugin."""
    group = parser.getgroup("fmnist-tk", "parity of exported models")
    group.addoption("--parity", action="store_true", help="collect exported artifacts and check that each is right")
    group.addoption("--parity-checkpoint", metavar="FILE", help="what they must compute (default: the bundled weights)")
    group.addoption("--parity-device", metavar="DEVICE", default="cpu", help="cpu, cuda, cuda:N or mps (default: cpu)")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the reference, which all artifacts of a run share."""
    config.stash[_PLANS] = {}


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file as an artifact when its suffix is that of a format."""
    if not parent.config.getoption("--parity"):
        return None
    from toolkit.formats import format_of

    return ArtifactFile.from_parent(parent, path=file_path) if format_of(file_path) else None


class ArtifactFile(pytest.File):
    """An exported artifact."""

    def collect(self) -> Iterable["ArtifactItem"]:
        """Return its one test."""
        yield ArtifactItem.from_parent(self, name="parity")


class ArtifactFailedError(Exception):
    """The artifact is wrong; the message says why."""


class ArtifactItem(pytest.Item):
    """The test that an artifact is right."""

    def runtest(self) -> None:
        """Put all checks to the artifact.

        Raises:
            ArtifactFailedError: If one fails.
            ToolkitError: If it cannot be tried at all.
        """
        from toolkit.formats import format_of
        from toolkit.formats.target import Target
        from toolkit.parity import check_artifact
        from toolkit.system.devices import leaving_torch_as_it_is, resolve_device
        from toolkit.testing import failure_message

        info = format_of(self.path)
        assert info is not None  # or it would not have been collected
        device = resolve_device(self.config.getoption("--parity-device"))
        with leaving_torch_as_it_is():
            record = check_artifact(Target(info, self.path), self._plan(), device=device)
        if not record.passed:
            raise ArtifactFailedError(failure_message(record))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a finding as its sentences, without a traceback into this tool."""
        from toolkit.errors import ToolkitError

        if isinstance(excinfo.value, ArtifactFailedError | ToolkitError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where the test is, for pytest's headings."""
        return self.path, None, f"parity of {self.path.name}"

    def _plan(self) -> "Plan":
        """Return the plan of this run; the reference is computed once."""
        from toolkit.fashion.checkpoint import load_checkpoint
        from toolkit.parity import Reference, make_plan

        name = self.config.getoption("--parity-checkpoint")
        plans = self.config.stash[_PLANS]
        if (name or "") not in plans:
            plans[name or ""] = make_plan(Reference(load_checkpoint(Path(name) if name else None)))
        return plans[name or ""]
