"""Saves a training as it goes, so that a killed process or a full disk costs seconds of it and never all."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from toolkit.errors import OutputError
from toolkit.fashion.training.state import Snapshot, TrainingRun, save_snapshot
from toolkit.records import EpochRecord
from toolkit.records.units import size

#: Seconds between two saves.
SAVE_EVERY_S: Final = 5.0
# A save that takes long, of a large model or to a slow disk, comes less often: training has the other 19 parts.
_PARTS: Final = 20
_BYTES_OF_A_FLOAT: Final = 4


def partial_path(output: Path) -> Path:
    """Return where a training that has not ended is saved."""
    return output.with_suffix(".partial.pt")


def best_path(output: Path) -> Path:
    """Return where the epoch is saved that did best on the images held out."""
    return output.with_suffix(".best.pt")


class Saving:
    """What of a training is on disk while it goes on.

    Attributes:
        best: The epoch in `best_path`, the best so far on the images held out, where there are any.
    """

    def __init__(
        self,
        run: TrainingRun,
        output: Path,
        resumed: Path | None = None,
        every_s: float = SAVE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to wait for the first save.

        Args:
            run: What was done before.
            output: The checkpoint that is written at the end; the saves lie beside it.
            resumed: The save that the training goes on from.
            every_s: Seconds from one save to the next.
            clock: Tells seconds.
        """
        self._output, self._every_s, self._clock = output, every_s, clock
        self._due = clock() + every_s
        self._partial = partial_path(output)
        self._is_mine = resumed == self._partial
        self._trouble = ""
        self.best = max(run.epochs, key=_held_accuracy, default=None)

    def after_epoch(self, snapshot: Snapshot) -> str:
        """Save an epoch when it is time, and apart from that each that is the best so far on the images held out.

        Returns:
            Why the last save failed, which must not end the training; else nothing.
        """
        try:
            last = snapshot.run.epochs[-1]
            if _held_accuracy(last) > _held_accuracy(self.best):
                save_snapshot(snapshot, best_path(self._output))
                self.best = last
            now = self._clock()
            if now >= self._due:
                self._due = now + self._every_s  # also when it fails: a full disk is not tried after each epoch
                save_snapshot(snapshot, self._partial)
                self._is_mine, self._trouble = True, ""
                ended = self._clock()
                self._due = ended + max(self._every_s, (_PARTS - 1) * (ended - now))
        except OutputError as error:
            self._trouble = error.reason
        return self._trouble

    def end(self) -> None:
        """Remove the save of a training whose checkpoint is written."""
        if self._is_mine:  # and not of another training that was to write the same checkpoint
            self._partial.unlink(missing_ok=True)


def _held_accuracy(epoch: EpochRecord | None) -> float:
    """Return the accuracy by which the best epoch is found, -1 of one that was not judged."""
    return -1.0 if epoch is None or epoch.holdout_accuracy is None else epoch.holdout_accuracy


def check_room(run: TrainingRun, output: Path) -> None:
    """Find out before long work whether what a training writes fits on the disk.

    Raises:
        OutputError: If it does not.
    """
    moments = {"sgd": 1 if run.recipe.momentum else 0}.get(run.recipe.optimizer, 2)
    weights = _BYTES_OF_A_FLOAT * run.config.parameters
    saves = 2 + bool(run.holdout)  # a save is there until the next is complete
    needed, free = weights + saves * (1 + moments) * weights, shutil.disk_usage(output.parent).free
    if free < needed:
        raise OutputError(output, f"training writes up to {size(needed)} there, and {size(free)} are free")


def write_somewhere(write: Callable[[Path], object], path: Path) -> tuple[Path, str]:
    """Write what must not be lost to ``path``, or where that cannot be, into the folder for temporary files.

    Returns:
        Where it is; and why that is not ``path``, empty where it is.

    Raises:
        OutputError: If it can be written to neither.
    """
    try:
        write(path)
    except OutputError as error:
        try:
            elsewhere = Path(tempfile.mkdtemp(prefix="fmnist-tk-saved-")) / path.name
            write(elsewhere)
        except (OSError, OutputError):
            raise error from None  # the place that was asked for is the one to make room in
        return elsewhere, error.reason
    return path, ""
