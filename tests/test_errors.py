"""Every error that this package can raise says what to do, in one line. A new one is tested as it is written."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ROOT
from toolkit import errors
from toolkit.errors import (
    CheckpointError,
    OutputError,
    ToolkitError,
    UnknownFormatError,
    UsageError,
    from_fields,
    to_fields,
)

#: How what is to be done begins.
VERBS = (
    "bench|call|check|choose|compare|copy|correct|declare|delete|end|export|go|install|leave|move|pass|pipe|put|rename|"
    "replace|run|save|see|set|start|train|try|unset|upgrade|use|wait|write"
)
#: An error that ends in another one's words, or in a remedy that was chosen before, is as good as those.
HANDED_ON = re.compile(r"\{[^{}]*(remedy|error)\}$")
ADVICE = re.compile(rf"(?:^|[:?,] )(?:{VERBS})\b", re.IGNORECASE)
CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, ToolkitError)]


def advises(remedy: str) -> bool:
    """Say whether a remedy tells what to do."""
    return bool(ADVICE.search(remedy) or HANDED_ON.search(remedy))


def template(node: ast.expr, module: Any) -> Iterator[str]:
    """Give the texts that an expression can be: constants of the module filled in, other gaps as ``{source}``."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.Name) and isinstance(getattr(module, node.id, None), str):
        yield getattr(module, node.id)
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from template(each, module)
    elif isinstance(node, ast.IfExp):
        yield from template(node.body, module)
        yield from template(node.orelse, module)
    elif isinstance(node, ast.JoinedStr):
        parts = [each.value if isinstance(each, ast.FormattedValue) else each for each in node.values]
        yield "".join(next(template(each, module)) for each in parts)
    else:
        yield "{" + ast.unparse(node) + "}"


def raised() -> Iterator[Any]:
    """Give each place where an error is made: its class, what is to be checked of it, and where it is."""
    names = {each.__name__: each for each in CLASSES}
    for path in sorted((ROOT / "toolkit").rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if dotted in {"toolkit.errors", "toolkit.__main__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                where = f"{path.relative_to(ROOT)}:{node.func.id}"
                yield pytest.param(dotted, names[node.func.id], node, id=where)


@pytest.mark.parametrize(("dotted", "kind", "node"), list(raised()))
def test_every_raise_says_what_to_do(dotted: str, kind: type[ToolkitError], node: ast.Call) -> None:
    if any(isinstance(each, ast.Starred) for each in node.args):
        pytest.skip("its words come from a function of their own, see test_devices.py")
    module = importlib.import_module(dotted)
    given = inspect.signature(kind).bind(*node.args, **{str(each.arg): each.value for each in node.keywords})
    words = given.arguments.get("remedy", given.arguments.get("check"))
    if words is None:
        return  # the class has the words, and a test of its own below
    for text in template(words, module):
        assert advises(text), f"{text!r} does not say what to do"
        assert "\n" not in text


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_its_reason_and_its_remedy_as_fields_and_one_line_of_both(kind: type[ToolkitError]) -> None:
    values: dict[str, Any] = {
        "path": Path("here"),
        "place": Path("here"),
        "folder": Path("here"),
        "requested": ["os.system"],
        "problems": ["line 1: no such file"],
        "known": ["onnx", "torchscript"],
        "remedy": "check the path",
        "check": "run: fmnist-tk parity here",
    }
    needed = {
        name: values.get(name, "something")
        for name, each in inspect.signature(kind).parameters.items()
        if each.default is each.empty
    }
    error = kind(**needed)
    assert error.reason
    assert advises(error.remedy), error.remedy
    assert str(error) == f"{error.statement}; {error.remedy}"
    assert "\n" not in str(error)
    again = from_fields(to_fields(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert all(getattr(again, name) == value for name, value in vars(error).items() if isinstance(value, str | Path))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("--seed -1 is no seed", "--seed -1 is no seed; pass --seed 1"),
        ("--seed -1:", "--seed -1: pass --seed 1"),
        ("a seed, or an option?", "a seed, or an option? pass --seed 1"),
    ],
)
def test_a_message_is_made_of_its_reason_and_its_remedy(reason: str, message: str) -> None:
    error = UsageError(reason, "pass --seed 1")
    assert str(error) == message
    assert error.reason == error.statement == reason.rstrip(":")
    assert error.remedy == "pass --seed 1"


@pytest.mark.parametrize(
    ("remedy", "good"),
    [
        ("pass a number from 0", True),
        ("Write 5%", True),
        ("{error.remedy}", True),
        ("is empty", False),
        ("known are cpu and cuda", False),
        ("nothing was saved", False),
        ("it was passed", False),
    ],
)
def test_what_counts_as_advice(remedy: str, good: bool) -> None:
    assert advises(remedy) is good


def test_a_name_that_is_nothing_is_told_the_nearest_and_all() -> None:
    message = str(UnknownFormatError("onxx", ["onnx", "torchscript"]))
    assert (
        message
        == "'onxx' is neither a format nor a file; did you mean 'onnx'? Pass a file, or one of onnx, torchscript"
    )


def test_another_remedy_takes_the_place_of_the_usual_one() -> None:
    assert (
        str(OutputError(Path("x"), "it is not ours", "move it away")) == "Cannot write x: it is not ours; move it away"
    )


def test_a_config_that_does_not_fit_is_named_once(tmp_path: Path) -> None:
    from support import save_small
    from toolkit.fashion.checkpoint import load_checkpoint

    (tmp_path / "model.config.json").write_text("{")
    import torch

    torch.save({}, tmp_path / "model.pth")
    save_small(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "model.pth")
    assert str(caught.value).count("model.config.json") == 1
