"""What an archive of TorchScript would do beside computing: told from its code before anything of it is compiled.

The code that torch writes is a small part of Python's grammar: assignments, calls of operators by their full names,
calls of the archive's own methods. Whatever is not of that part is refused as well.
"""

import ast
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from toolkit.formats.archives import ZIP_ERRORS, refuse_bomb
from toolkit.formats.libtorch_operators import is_allowed, is_refused_as_method, names

_STATEMENTS: Final = (
    *(ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AnnAssign),
    *(ast.Expr, ast.If, ast.For, ast.While, ast.Pass, ast.Assert),
)
_EXPRESSIONS: Final = (
    *(ast.Name, ast.Attribute, ast.Call, ast.keyword, ast.Subscript, ast.Constant, ast.Tuple, ast.List, ast.Dict),
    *(ast.UnaryOp, ast.USub, ast.Load, ast.Store),
)
# What code names without defining it: roots, functions of the language, types.
_KNOWN: Final = names(
    """
    torch ops __torch__ CONSTANTS annotate getattr isinstance len range unchecked_cast uninitialized Any Device
    Dict Enum Final Generator List Module ModuleInterface NamedTuple NoneType Optional Storage Tensor Tuple
    Union __annotations__ __buffers__ __parameters__ bool complex dict float inf int list nan number str tuple
    """
)
# Functions of the language that do more than compute. No variable may have such a name, or one could hide the call.
_REFUSED: Final = frozenset({"awaitable", "fork", "print", "rpc_async", "rpc_remote", "rpc_sync"})
_OWN_CLASS: Final = "__torch__"
_CUSTOM_CLASSES: Final = "__torch__.torch.classes."
_KNOWN_CLASSES: Final = ("__torch__.torch.classes.quantized.", "__torch__.torch.classes.rnn.")
_PICKLE_GLOBALS: Final = ("torch", "collections", "builtins")


def scan(path: Path) -> list[str]:
    """Name what an archive asks for that no computation needs; empty if there is nothing.

    Args:
        path: Of the archive. It is read; nothing of it runs.
    """
    asked: dict[str, None] = {}
    with suppress(*ZIP_ERRORS), zipfile.ZipFile(path) as archive:  # what is damaged, whoever opens it says
        refuse_bomb(archive)
        for member in archive.infolist():
            name = member.filename.lower()
            if name.endswith(".py"):
                asked |= dict.fromkeys(_of_code(archive.read(member)))
            elif name.endswith(".pkl"):
                asked |= dict.fromkeys(_of_pickle(archive.read(member)))
    return list(asked)


def _of_code(source: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield "code that is not TorchScript's"
        return
    nodes = list(ast.walk(tree))
    known = _KNOWN | {name for node in nodes for name in _defined(node)}
    chained: set[ast.AST] = set()  # parts of a longer name, which is asked as a whole
    for node in nodes:
        if not isinstance(node, _STATEMENTS + _EXPRESSIONS):
            yield f"code that is not TorchScript's ({type(node).__name__})"
        elif isinstance(node, ast.Attribute) and node not in chained:
            chained |= {each for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            yield from _of_name(_parts(node))
        elif isinstance(node, ast.Name) and (node.id in _REFUSED or node.id not in known):
            yield node.id


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg


def _parts(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name; of ``(expression).name`` an empty one first."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return parts[::-1]


def _of_name(parts: list[str]) -> Iterator[str]:
    root, *rest = parts
    name = ".".join(parts)
    if root == "torch":
        if not (len(rest) == 1 and is_allowed(f"aten::{rest[0]}")):
            yield name
    elif root == "ops":
        if not (len(rest) == 2 and is_allowed("::".join(rest))):
            yield name
    elif root == _OWN_CLASS:
        if f"{name}.".startswith(_CUSTOM_CLASSES) and not name.startswith(_KNOWN_CLASSES):
            yield name
    else:
        yield from (each for each in rest if is_refused_as_method(each))


def _of_pickle(data: bytes) -> Iterator[str]:
    """Name the globals of a pickle that TorchScript's own reader, which runs no Python, may not be asked for."""
    try:
        for opcode, argument, _ in pickletools.genops(data):
            name = str(argument).replace(" ", ".")
            if opcode.name == "GLOBAL" and not name.startswith(_KNOWN_CLASSES):
                root = name.partition(".")[0]
                if name.startswith(_CUSTOM_CLASSES) or root not in {_OWN_CLASS, *_PICKLE_GLOBALS}:
                    yield name
    except (ValueError, IndexError):
        yield "something that is no pickle"
