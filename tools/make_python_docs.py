"""Write docs/python.md from the public names, their signatures and docstrings.

python tools/make_python_docs.py            # write
python tools/make_python_docs.py --check    # fail if the page is not current
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from _pages import write_or_check

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"
HEAD = """# Python

What `import lstune` offers. Nothing heavy is loaded until it is used.
"""
ORDER = (
    "tune",
    "load",
    "resume",
    "Run",
    "Forecaster",
    "read_series",
    "Series",
    "Space",
    "Int",
    "Float",
    "Choice",
    "Fixed",
)


def make() -> str:
    """The page."""
    import lstune

    names = [name for name in ORDER if name in lstune.__all__]
    names += [name for name in lstune.__all__ if name not in names and not name.startswith("_")]
    return "\n".join([HEAD, *(_entry(name, getattr(lstune, name)) for name in names)])


def _entry(name: str, thing: Any) -> str:
    parts = [f"## lstune.{name}\n"]
    # The message of an exception says all; its constructor is Python's.
    if not (inspect.isclass(thing) and issubclass(thing, Exception)):
        parts.append(f"```python\n{_signature(thing, name)}\n```\n")
    parts.append(_prose(inspect.getdoc(thing) or "") + "\n")
    if inspect.isclass(thing):
        for member, value in _members(thing):
            target = (
                getattr(value, "fget", None)
                or getattr(value, "func", None)
                or getattr(value, "__func__", value)
            )
            shown = (
                member
                if target is not value and not isinstance(value, classmethod)
                else _call(target, member)
            )
            parts.append(
                f"### {name}.{member}\n\n```python\n{shown}\n```\n\n{_prose(inspect.getdoc(target) or '')}\n"
            )
    return "\n".join(parts)


def _members(cls: type) -> list[tuple[str, Any]]:
    return [
        (name, value)
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (
            inspect.isfunction(value)
            or isinstance(value, (property, classmethod, staticmethod))
            or hasattr(value, "func")
        )
    ]


def _signature(thing: Any, name: str) -> str:
    return _call(thing.__init__ if inspect.isclass(thing) else thing, name)


def _call(function: Any, name: str) -> str:
    """The signature as it is written in the source: the same on every version of Python."""
    if "__dataclass_params__" in vars(getattr(sys.modules.get(function.__module__), name, object)):
        return _fields(getattr(sys.modules[function.__module__], name))
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return f"{name}(...)"
    found = next(item for item in ast.walk(node) if isinstance(item, ast.FunctionDef))
    positional = [*found.args.posonlyargs, *found.args.args]
    gaps = [None] * (len(positional) - len(found.args.defaults))
    parts = [
        _one(arg, default) for arg, default in zip(positional, [*gaps, *found.args.defaults], strict=True)
    ]
    if positional and positional[0].arg in ("self", "cls"):
        parts = parts[1:]
    if found.args.vararg:
        parts.append(f"*{found.args.vararg.arg}")
    elif found.args.kwonlyargs:
        parts.append("*")
    parts += [
        _one(arg, default) for arg, default in zip(found.args.kwonlyargs, found.args.kw_defaults, strict=True)
    ]
    if found.args.kwarg:
        parts.append(f"**{found.args.kwarg.arg}")
    return _wrap(name, parts)


def _fields(cls: Any) -> str:
    import dataclasses

    return _wrap(cls.__name__, [field.name for field in dataclasses.fields(cls) if field.init])


def _one(arg: ast.arg, default: ast.expr | None) -> str:
    return arg.arg if default is None else f"{arg.arg}={ast.unparse(default)}"


def _wrap(name: str, parts: list[str]) -> str:
    line = f"{name}({', '.join(parts)})"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _prose(text: str) -> str:
    """Paragraphs; the lines of an "Arguments:" block become a list."""
    out = []
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].strip() == "Arguments:":
            out.append("Arguments:\n\n" + _arguments(lines[1:]))
        elif lines and lines[0].rstrip().endswith("::"):
            out.append(block)
        elif lines and all(line.startswith("    ") for line in lines):
            out.append("```\n" + inspect.cleandoc(block) + "\n```")
        else:
            out.append(" ".join(line.strip() for line in lines))
    return "\n\n".join(part for part in out if part)


def _arguments(lines: list[str]) -> str:
    items: list[str] = []
    for line in lines:
        if line.startswith("    ") and not line.startswith("        "):
            items.append(line.strip())
        elif items:
            items[-1] += " " + line.strip()
    return "\n".join(f"- {item}" for item in items)


if __name__ == "__main__":
    write_or_check(PAGE, make())
