"""Docstrings: every public thing has one, and none repeats a default, which the signature alone may tell."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "lstune"
FILES = sorted(path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py"))
# "defaults to 5", "(default: None)", "default is 0.15", "by default 3": a copy that will one day be wrong.
REPEATED = re.compile(
    r"\bdefaults? (to|is|value is)\b|\(defaults?[ :=]|\bby default,? [-\d.\"']", re.IGNORECASE
)


def documented(tree: ast.Module):
    """(name, node, public) of the module, its classes and functions, methods included."""
    yield "the module", tree, True
    stack = [(tree, "", True)]
    while stack:
        parent, prefix, public = stack.pop()
        for node in parent.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                visible = public and not node.name.startswith(("_", "test_"))
                yield prefix + node.name, node, visible
                if isinstance(node, ast.ClassDef):
                    stack.append((node, f"{prefix}{node.name}.", visible))


@pytest.mark.parametrize("name", FILES)
def test_public_things_are_described_and_defaults_are_not_copied(name):
    for thing, node, public in documented(ast.parse((SRC / name).read_text())):
        text = ast.get_docstring(node) or ""
        overload = any("overload" in ast.unparse(mark) for mark in getattr(node, "decorator_list", ()))
        assert text or not public or overload, f"{name}: {thing} has no docstring"
        assert not REPEATED.search(text), f"{name}: {thing} repeats a default: {REPEATED.search(text)[0]!r}"


def test_the_rule_sees_what_it_forbids():
    for text in ("rows, defaults to 5", "x (default: 3)", "The default is 0.15.", "by default 3 rows"):
        assert REPEATED.search(text)
    for text in (
        "by default the method's",
        "None takes the default space",
        "the default learning rate of Keras",
    ):
        assert not REPEATED.search(text)
