"""What an exported program would do beside computing: told from its JSON before torch reads it.

torch evaluates the symbolic sizes of a program as Python and runs its guards, imports what a structure of outputs
names, calls whatever function of torch a node has as its target, and unpickles what says that it is pickled. So each of
these must be of a small grammar, or of a table.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from toolkit.formats.archives import ZIP_ERRORS, foreign_pickles, refuse_bomb
from toolkit.formats.libtorch_operators import is_allowed, names

_OPERATOR: Final = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.\w+")
_CONTROL_FLOW: Final = names(
    "associative_scan cond map_impl scan while_loop wrap_with_autocast wrap_with_set_grad_enabled"
)
# Functions of sizes, by their module: Python's own, and torch's.
_SIZES: Final = {
    "_operator": names(
        "add and_ eq floordiv ge getitem gt le lshift lt mod mul ne neg not_ or_ pos pow rshift sub truediv xor"
    ),
    "math": names("ceil floor sqrt trunc"),
    "torch": names("_sym_sqrt sym_float sym_int sym_ite sym_max sym_min sym_not sym_sum"),
    "torch.ops.higher_order": _CONTROL_FLOW,
}
_STRUCTURES: Final = frozenset({None, "builtins.dict", "builtins.list", "builtins.tuple", "collections.OrderedDict"})
_FUNCTIONS: Final = names(
    """
    Abs Add And CeilToInt Ceiling CleanDiv Eq Equality Float FloatPow FloatTrueDiv FloorDiv FloorToInt
    GreaterThan Integer IntTrueDiv IsNonOverlappingAndDenseIndicator LessThan Max Min Mod ModularIndexing Mul Ne
    Not Or PowByNatural Pow PythonMod Rational RoundDecimal RoundToInt StrictGreaterThan StrictLessThan Symbol
    ToFloat TruncToFloat TruncToInt Unequality Where
    """
)
_SYMBOL: Final = re.compile(r"[a-z]{1,4}\d{1,9}")
_NUMBER: Final = re.compile(r"[-+.\de]{1,40}")
_ARITHMETIC: Final = (
    *(ast.Expression, ast.Constant, ast.Load, ast.UnaryOp, ast.USub, ast.Not, ast.BinOp, ast.Add, ast.Sub, ast.Mult),
    *(ast.FloorDiv, ast.Div, ast.Mod, ast.Pow, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Eq, ast.NotEq, ast.Lt),
    *(ast.LtE, ast.Gt, ast.GtE),
)
# What a guard asks of an input: ``L['images'].size()[0]``.
_OF_INPUTS: Final = frozenset({"size", "stride", "storage_offset", "dim", "ndim", "shape"})


def scan(path: Path) -> list[str]:
    """Name what an archive asks for that no computation needs; empty if there is nothing.

    Args:
        path: Of the archive. It is read; nothing of it runs.
    """
    asked: dict[str, None] = {}
    with suppress(*ZIP_ERRORS), zipfile.ZipFile(path) as archive:  # what is damaged, whoever opens it says
        refuse_bomb(archive)
        names = archive.namelist()
        if not any(name.endswith("/archive_format") for name in names):
            asked["an older form of torch.export, which is pickled"] = None
        for name in names:
            lower = name.lower()
            if "aotinductor" in lower or "custom_obj" in lower:
                asked[name] = None
            elif lower.endswith("_config.json"):
                asked |= dict.fromkeys([f"{name} to be unpickled"] if _is_pickled(archive.read(name)) else [])
            elif lower.endswith(".pt"):
                asked |= dict.fromkeys(foreign_pickles(archive.read(name)))
            elif lower.endswith(".json") and "/models/" in lower:
                asked |= dict.fromkeys(_of_program(archive.read(name)))
    return list(asked)


def _is_pickled(config: bytes) -> bool:
    """Say whether a list of weights has one that is pickled; a list that cannot be read has."""
    try:
        weights = json.loads(config)["config"].values()
        return any(weight["use_pickle"] is not False for weight in weights)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True


def _of_program(content: bytes) -> Iterator[str]:
    try:
        program = json.loads(content)
    except (ValueError, RecursionError):
        yield "a program that is no JSON"
        return
    waiting: list[tuple[str, Any]] = [("", program)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += ((key, each) for each in value)
        elif isinstance(value, str) and key in _ASKED:
            yield from _ASKED[key](value)


def _of_target(target: str) -> Iterator[str]:
    found = _OPERATOR.fullmatch(target)
    module, _, name = target.rpartition(".")
    if not (is_allowed(f"{found[1]}::{found[2]}") if found else name in _SIZES.get(module, ())):
        yield target


def _of_expression(text: str) -> Iterator[str]:
    """Refuse a symbolic size that is more than arithmetic, such as ``Mul(Integer(2), Symbol('s0', integer=True))``."""
    for node in _nodes(text):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
                pass
            case ast.Name(id=name) if name in _FUNCTIONS or _SYMBOL.fullmatch(name):
                pass
            case ast.Constant(value=str(name)) if not (_SYMBOL.fullmatch(name) or _NUMBER.fullmatch(name)):
                yield f"the size {text!r}"
            case ast.keyword(arg=str()) | ast.Constant():
                pass
            case _ if not isinstance(node, _ARITHMETIC):
                yield f"the size {text!r}"


def _of_guard(text: str) -> Iterator[str]:
    """Refuse a guard that is more than a comparison of the sizes of inputs."""
    for node in _nodes(text):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=[], keywords=[]) if name in _OF_INPUTS:
                pass
            case ast.Attribute(attr=name) if name in _OF_INPUTS:
                pass
            case ast.Subscript(slice=ast.Constant()) | ast.Name(id="L"):
                pass
            case _ if not isinstance(node, _ARITHMETIC):
                yield f"the guard {text!r}"


def _of_structure(text: str) -> Iterator[str]:
    """Refuse a structure of outputs of other types than Python's containers: torch imports what it names."""
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        waiting = [{"type": text, "context": None}]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.get("children_spec") or ()
            kind, context = value.get("type"), value.get("context")
            if kind not in _STRUCTURES or "__enum__" in str(context):
                yield f"outputs in a {kind}"


def _nodes(text: str) -> list[ast.AST]:
    """Return the parts of an expression of Python; of a text that is none, something that is never allowed."""
    try:
        return list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [ast.Yield()]


_ASKED: Final = {
    "target": _of_target,
    "as_operator": _of_target,
    "expr_str": _of_expression,
    "guards_code": _of_guard,
    "in_spec": _of_structure,
    "out_spec": _of_structure,
}
