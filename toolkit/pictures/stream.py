"""Predict pictures one after another, however many: a few batches are in memory, never all of them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import PictureError, UsageError
from toolkit.pictures.picture import Invert, check_invert, of_table, read_picture
from toolkit.pictures.sources import Found, Source
from toolkit.records import PredictionRecord, UnreadableRecord
from toolkit.system.environment import usable_cpus
from toolkit.workload.scores import best_scores

#: Takes pixels ``(N, 28, 28)`` uint8, gives probabilities ``(N, 10)`` float64.
Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float64]]

# Pictures that a thread decodes at a time.
_HANDFUL = 4
# On two cores, PNGs of 28 × 28 (500 bytes) go twice as fast without threads, JPEGs of 600 × 600 (20 kB) slower.
_LARGE_BYTES = 8_192


@dataclass(frozen=True)
class _Decoded:
    source: Source
    pixels: NDArray[np.uint8]
    inverted: bool | None
    remark: str = ""


def predict_each(
    probabilities: Probabilities,
    sources: Iterable[Found],
    *,
    invert: Invert = "auto",
    batch_size: int = 64,
    workers: int | None = None,
) -> Generator[PredictionRecord | UnreadableRecord, None, None]:
    """Yield what a model says of each picture, in the order of the sources.

    Pictures are decoded by threads, which are a batch ahead of the model and no more.

    Args:
        probabilities: The model, such as `Predictor.probabilities`.
        sources: Taken one by one, when there is room for more.
        invert: As in `read_picture`; pixels are taken as they are.
        batch_size: Pictures per call of the model.
        workers: Threads that decode; None for as many as there are CPUs.

    Raises:
        UsageError: At once, if ``invert``, ``batch_size`` or ``workers`` makes no sense.
        CorruptArtifactError: If the model gives up.
    """
    check_invert(invert)
    check_count("batch_size", batch_size)
    if workers is not None:
        check_count("workers", workers)
    return _predict_each(probabilities, sources, invert, batch_size, workers or usable_cpus())


def check_count(name: str, value: int) -> None:
    """Refuse a number of things that is none.

    Raises:
        UsageError: Naming it.
    """
    if value < 1:
        raise UsageError(f"{name}={value}:", "pass 1 or more")


def _predict_each(
    probabilities: Probabilities, sources: Iterable[Found], invert: Invert, batch_size: int, workers: int
) -> Generator[PredictionRecord | UnreadableRecord, None, None]:
    waiting: list[_Decoded | UnreadableRecord] = []
    for each in _decode_all(sources, invert, workers, ahead=batch_size):
        waiting.append(each)
        if len(waiting) == batch_size:
            yield from _predict(probabilities, waiting)
            waiting = []
    yield from _predict(probabilities, waiting)


def _decode_all(
    sources: Iterable[Found], invert: Invert, workers: int, *, ahead: int
) -> Iterator[_Decoded | UnreadableRecord]:
    """Decode in order: small files here, others in threads.

    Threads wait for one another's turn in Python, which a small file takes most of its time; of a photo, the decoder
    does the work, and does it beside the others.
    """
    rest = iter(sources)
    pending: deque[Callable[[], list[_Decoded | UnreadableRecord]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        while True:
            while len(pending) < workers + -(-ahead // _HANDFUL) and (handful := list(islice(rest, _HANDFUL))):
                if any(map(_is_large, handful)):
                    pending.append(pool.submit(_decode_some, handful, invert).result)
                else:
                    pending.append(partial(_decode_some, handful, invert))
            if not pending:
                return
            yield from pending.popleft()()
    finally:
        pool.shutdown(cancel_futures=True)


def _is_large(source: Found) -> bool:
    if isinstance(source, UnreadableRecord) or not isinstance(source.content, Path):
        return False
    try:
        return source.content.stat().st_size >= _LARGE_BYTES
    except OSError:  # decoding says why
        return False


def _decode_some(sources: list[Found], invert: Invert) -> list[_Decoded | UnreadableRecord]:
    return [each if isinstance(each, UnreadableRecord) else _decode(each, invert) for each in sources]


def _decode(source: Source, invert: Invert) -> _Decoded | UnreadableRecord:
    if isinstance(source.content, np.ndarray):
        return _Decoded(source, source.content, None)
    try:
        how = of_table(invert) if source.of_table else invert
        picture = read_picture(source.content, name=source.name, invert=how)
    except PictureError as error:
        return UnreadableRecord(source=source.name, reason=error.reason, remedy=error.remedy)
    return _Decoded(source, picture.pixels, picture.inverted, picture.remark)


def _predict(
    probabilities: Probabilities, items: list[_Decoded | UnreadableRecord]
) -> Iterator[PredictionRecord | UnreadableRecord]:
    pixels = [each.pixels for each in items if isinstance(each, _Decoded)]
    rows = iter(probabilities(np.stack(pixels)) if pixels else ())
    for each in items:
        yield _record(each, next(rows)) if isinstance(each, _Decoded) else each


def _record(decoded: _Decoded, row: NDArray[np.float64]) -> PredictionRecord:
    return PredictionRecord(
        source=decoded.source.name,
        inverted=decoded.inverted,
        remark=decoded.remark or None,
        scores=best_scores(row),
        actual=decoded.source.actual,
    )
