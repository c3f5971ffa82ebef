"""Write the signatures and the examples of docs/api.md anew from the functions themselves; the words are left alone.

Usage: python .ci/update_api.py
"""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import toolkit

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
# Longer ones get a line for each argument.
_LINE = 90


def functions() -> list[str]:
    """Return the names of all public functions."""
    return [name for name in toolkit.__all__ if inspect.isfunction(getattr(toolkit, name))]


def signature(function: Any) -> str:
    """Return a function's signature: types as its source has them, defaults as they are."""
    (node,) = ast.parse(inspect.getsource(function)).body
    assert isinstance(node, ast.FunctionDef)
    assert node.returns is not None
    arguments = (*node.args.args, *node.args.kwonlyargs)
    types = {each.arg: ast.unparse(each.annotation) for each in arguments if each.annotation}
    parts: list[str] = []
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = getattr(each.default, "__name__", repr(each.default))
        parts.append(f"{each.name}: {types[each.name]}" + ("" if each.default is each.empty else f" = {default}"))
    line = f"def {node.name}({', '.join(parts)}) -> {ast.unparse(node.returns)}"
    if len(line) <= _LINE:
        return line
    return f"def {node.name}(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {ast.unparse(node.returns)}"


def example(function: Any) -> str:
    """Return the example of a docstring, from its first ``>>>``."""
    return inspect.cleandoc((inspect.getdoc(function) or "").partition("Example:\n")[2])


def updated(page: str) -> str:
    """Return the page with the two blocks of code of each function as they should be."""
    for name in functions():
        function = getattr(toolkit, name)
        blocks = f"```python\n{signature(function)}\n```\n\n```python\n{example(function)}\n```\n"
        section = re.compile(rf"(^## `{name}`\n.*?)^```python\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
        page, found = section.subn(lambda match, blocks=blocks: f"{match[1]}{blocks}\n", page)
        if found != 1:
            raise SystemExit(f"{PAGE} has no section ## `{name}` with two blocks of code; write one")
    return page.rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
