"""Arguments of functions that people call from Python: of another type is an error of ours, not a bare TypeError."""

import inspect
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, get_type_hints

from toolkit.errors import UsageError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MOST_LETTERS = 60


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function refuse arguments that are not of the types that its signature names.

    Nothing is converted: ``"3"`` is no number and ``True`` is none, and what is accepted is passed on as it is.

    Raises:
        UsageError: Naming the argument and the types, when the function is called.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if not _fits(value, function, name):
                raise _refusal(name, value, inspect.formatannotation(signature.parameters[name].annotation))
            if isinstance(value, str) and "\0" in value:  # the system would take it for the end of a path
                raise UsageError(f"{name}: {_short(value)} has a NUL in it", "leave it out")
        return function(*args, **kwargs)

    return call


def _fits(value: object, function: Callable[..., Any], name: str) -> bool:
    from pydantic import ValidationError

    try:
        _validator(function, name).validate_python(value)
    except ValidationError:
        return False
    return True


@cache
def _validator(function: Callable[..., Any], name: str) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    hint = get_type_hints(function, include_extras=True)[name]
    return TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))


def _refusal(name: str, value: object, types: str) -> UsageError:
    words = re.findall(r"'([^']*)'", types)
    if words:  # of a Literal
        return UsageError(f"{name}={_short(value)}:", f"choose one of {', '.join(words)}")
    remedy = "pass " + re.sub(r"\b(?:\w+\.)+", "", types)
    if any(each.__qualname__ == "Module" and each.__module__.startswith("torch.nn") for each in type(value).__mro__):
        remedy = 'save it with torch.save(model.state_dict(), "model.pth") and pass that file'
    return UsageError(f"{name}: {_short(value)} is of type {type(value).__name__}", remedy)


def _short(value: object) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  a foreign object may be unable to say what it is
        text = "it"
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
