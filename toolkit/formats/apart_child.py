"""The process apart: it confines itself, opens one artifact, and answers what `toolkit.formats.apart` asks."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from toolkit.system.confine import confine
from toolkit.system.processes import die_with_parent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolkit.formats.apart import Answer, Question
    from toolkit.formats.graph import StoredTensor
    from toolkit.formats.prefix import Prefix
    from toolkit.formats.session import Session
    from toolkit.formats.target import Target


class _Artifact:
    """One artifact, and what has been opened of it."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._tensors: tuple[StoredTensor, ...] = ()
        self._cuts: Iterator[Prefix] | None = None
        self._prefixes: list[Session] = []

    def answer(self, question: "Question", given: bytearray) -> "tuple[Answer, list[NDArray[Any]]]":
        """Carry out what is asked; return the answer and its arrays.

        Raises:
            Exception: Whatever a runtime raises.
        """
        from toolkit.formats import FORMATS
        from toolkit.formats.target import Target

        target = Target(FORMATS[question.format], Path(question.path), trusted=question.trusted)
        match question.do:
            case "load":
                self._session = target.load_here(question.device, question.threads)
                return _described(self._session), []
            case "describe":
                return self._describe(target), []
            case "read":
                return _with_values(self._tensors[question.number].read())
            case "cut":
                return self._cut(target, question), []
            case "run":
                assert self._session is not None  # who runs has loaded
                return _run(self._session, question, given)
            case "run prefix":
                return _run(self._prefixes[question.number], question, given)

    def _describe(self, target: "Target") -> "Answer":
        from toolkit.formats.apart import Answer, Tensor
        from toolkit.formats.graph import describe_artifact

        target.check_safe()
        contents = describe_artifact(target.format, target.path)
        if contents is None:
            return Answer()
        self._tensors = contents.tensors
        names = Tensor.model_fields
        tensors = tuple(Tensor(**{name: getattr(each, name) for name in names}) for each in contents.tensors)
        return Answer(graph=contents.graph, signature=contents.signature, tensors=tensors)

    def _cut(self, target: "Target", question: "Question") -> "Answer":
        from toolkit.formats.apart import Answer
        from toolkit.formats.prefix import open_prefixes

        if question.number == 0:
            target.check_safe()
            self._prefixes = []
            self._cuts = open_prefixes(target.format, target.path, question.device, question.threads)
        assert self._cuts is not None  # the first is asked for first
        found = next(self._cuts, None)
        if found is None:
            return Answer()
        self._prefixes.append(found.session)
        return _described(found.session).changed(prefix=(found.name, found.operator))


def _described(session: "Session") -> "Answer":
    from toolkit.formats.apart import Answer

    return Answer(precision=session.precision, signature=session.signature)


def _run(session: "Session", question: "Question", given: bytearray) -> "tuple[Answer, list[NDArray[Any]]]":
    import numpy as np

    from toolkit.formats.apart import Answer, Values
    from toolkit.formats.session import call_session

    assert question.given is not None  # who asks to run gives images
    images = np.frombuffer(given, question.given.dtype).reshape(question.given.shape)
    before = images.copy()
    answer, arrays = _with_values(call_session(session, images))
    if np.array_equal(before.view(np.int32), images.view(np.int32)):
        return answer, arrays
    overwritten = Values(dtype=str(images.dtype), shape=images.shape)
    return Answer(values=answer.values, overwritten=overwritten), [*arrays, images]


def _with_values(array: "NDArray[Any]") -> "tuple[Answer, list[NDArray[Any]]]":
    import numpy as np

    from toolkit.formats.apart import Answer, Values

    array = np.ascontiguousarray(array).reshape(np.shape(array))  # a number stays one
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the artifact gives {array.dtype}, no numbers")
    return Answer(values=Values(dtype=str(array.dtype), shape=array.shape)), [array]


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    from toolkit.errors import ToolkitError, first_line, to_fields
    from toolkit.formats.apart import Answer, Question

    artifact = _Artifact()
    for line in questions:
        question = Question.model_validate_json(line)
        arrays: list[NDArray[Any]] = []
        try:
            answer, arrays = artifact.answer(question, _given(question, questions))
        except ToolkitError as error:
            answer = Answer(error=to_fields(error))
        except Exception as error:  # noqa: BLE001  whatever a runtime raises is the answer
            answer = Answer(fault=first_line(error))
        answers.write(answer.model_dump_json(exclude_defaults=True).encode() + b"\n")
        for each in arrays:
            answers.write(each.tobytes())
        answers.flush()


def _given(question: "Question", questions: BinaryIO) -> bytearray:
    """Read the array that follows a question; it may be written to."""
    if question.given is None:
        return bytearray()
    return bytearray(questions.read(question.given.size_bytes()))


def main() -> None:
    """Answer on what was stdout, so that whatever a library prints goes to stderr."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tempfile.tempdir = sys.argv[1]  # torch makes a folder there when it is imported
    confine(Path(sys.argv[1]))  # first: threads of a runtime that is imported before would stay free
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
    os._exit(0)  # a runtime has nothing to tidy
