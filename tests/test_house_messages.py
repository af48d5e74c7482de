"""Messages begin alike: with a capital, or with the name of what was given wrongly."""

from __future__ import annotations

import ast
import re
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src" / "lstune"
TREES = {path.relative_to(SRC).as_posix(): ast.parse(path.read_text("utf-8")) for path in SRC.rglob("*.py")}


def literal(node):
    """The text that a string begins with; "" for anything else."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_every_message_begins_with_a_capital_or_with_a_name():
    names, begins = set(), []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                place = {"explain": 0, "_require": 1}.get(node.func.id)
                if place is not None and place < len(node.args):
                    begins.append((f"{file}:{node.lineno}", literal(node.args[place])))
    names.discard("a")  # an argument somewhere, and an article in a message
    assert len(begins) > 200
    for where, text in begins:
        word = re.match(r"[a-z]\w*(?!\S)", text)
        assert word is None or word[0] in names, f"{where}: {text!r} begins in lower case"
