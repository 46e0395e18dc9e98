"""Files of the package are short, and its functions change no process globals."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINES = 400
FILES = sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob("tap_zoho_bulk/**/*.py"))
MUTATORS = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem"),
    *("popleft", "put", "put_nowait", "remove", "reverse", "set", "setdefault", "sort", "update"),
    *("difference_update", "intersection_update", "symmetric_difference_update"),
}
# Logging is configured for a process; the live view restores this when it ends.
RESTORED = {"tap_zoho_bulk/reporting/live_view.py": {"steps.propagate"}}

Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@pytest.mark.parametrize("file", FILES)
def test_a_long_file_gives_its_reason(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    reason = re.search(rf"{MAX_LINES} lines.*because", ast.get_docstring(ast.parse(text)) or "")

    assert reason or len(text.splitlines()) <= MAX_LINES


def test_each_folder_has_a_folder_of_tests() -> None:
    folders = {file.split("/")[1] for file in FILES if file.count("/") > 1}

    assert folders <= {file.parent.name for file in ROOT.glob("tests/*/test_*.py")}


@pytest.mark.parametrize("file", FILES)
def test_no_function_changes_a_process_global(file: str) -> None:
    changed = set(changed_globals((ROOT / file).read_text(encoding="utf-8")))

    assert changed == RESTORED.get(file, set())


@pytest.mark.parametrize(
    "statement",
    [
        "global names",
        "names['a'] = 1",
        "names['a']['b'] += 1",
        "names[:] = [1]",
        "del names['a']",
        "names.update(a=1)",
        "names['a'].append(1)",
        "found = [names.add(each) for each in 'ab']",
        "return lambda: names.clear()",
        "for names['a'] in 'ab': pass",
        "Thing.total = 1",
        "cls.total = 1",
        "json.encoder.FLOAT_REPR = str",
    ],
)
def test_a_change_of_a_global_is_found(statement: str) -> None:
    assert list(changed_globals(f"class Thing:\n    def change(cls):\n        {statement}"))


@pytest.mark.parametrize(
    "statements",
    [
        "names = {}; names['a'] = 1",
        "names = []; return lambda: names.append(1)",
        "return lambda names: names.clear()",
        "return {**names, 'a': names.get('a')}",
        "self.names['a'] = 1",
        "try: pass\n    except OSError as error: error.filename = 'a'",
        "Thing().total = 1",
    ],
)
def test_a_change_of_what_a_function_owns_is_not(statements: str) -> None:
    assert not list(changed_globals(f"def change(self):\n    {statements}"))


def changed_globals(code: str) -> Iterator[str]:
    """Yield what functions change of a module's variables, classes and imports.

    A change is a `global` statement, an assignment to an item or attribute, or a call of a method
    such as `update`. Caches by `functools` do not count: they never change a result.
    """
    for function in _functions(ast.parse(code)):
        own = set(_bound(function)) - {"cls"}
        for node in ast.walk(function):
            if isinstance(node, ast.Global) or _changed(node) not in {None, *own}:
                yield ast.unparse(node)


def _functions(node: ast.AST) -> Iterator[ast.AST]:
    """Yield each function that is not inside another."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child
        else:
            yield from _functions(child)


def _bound(function: ast.AST) -> Iterator[str]:
    """Yield the names of a function's parameters and variables; imports are not its own."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _changed(node: ast.AST) -> str | None:
    """Return the name of the variable in which a node changes something, if it does."""
    target: ast.AST
    if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
        target = node
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) in MUTATORS:
        target = node.func
    else:
        return None
    while isinstance(target, (ast.Attribute, ast.Subscript)):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None
