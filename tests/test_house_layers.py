"""Who may import whom, and which package is imported where: read from the syntax trees, so nothing is run."""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "lstune"
FILES = sorted(path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py"))
TREES = {name: ast.parse((SRC / name).read_text(), name) for name in FILES}

# A room imports from itself, from rooms of a lower number, and from those named in the second table.
LEVEL = {
    "errors": 0, "files": 0, "_version": 0,
    "engine": 1, "search": 1, "series": 1, "evaluation": 1,
    "datasets": 2,
    "tuning": 3, "report": 3, "forecaster": 3,
    "cli": 4, "kt": 4,
    "__main__": 5,
}  # fmt: skip
BESIDE = {
    "tuning": {"report", "forecaster"},
    "forecaster": set(),
    "report": set(),
}

# package: the files that may import it.  A package that is not listed may be imported anywhere.
OWNERS = {
    "optuna": ("search/*",),
    "optuna_dashboard": ("search/*",),
    "sqlalchemy": ("search/*",),
    "cmaes": ("search/*",),
    "smac": ("search/samplers/smac*",),
    "ConfigSpace": ("search/samplers/smac*",),
    "keras": ("kt/*", "engine/keras_format.py"),
    "keras_tuner": (),
    "tensorflow": (),
    "torch": (),
    "jax": (),
    "ray": ("tuning/executors/ray*",),
    "dask": ("tuning/executors/dask*",),
    "plotly": ("report/*",),
    "statsforecast": ("evaluation/*",),
    "pyarrow": ("series/read.py",),
    "numba": ("engine/*",),
    "llvmlite": ("engine/*",),
    "typer": ("cli/*",),
    "rich": ("cli/*", "report/*"),
}
# Packages that come with an extra, or take long to load: only inside the function that needs them.
LAZY = (
    "keras",
    "smac",
    "ConfigSpace",
    "plotly",
    "ray",
    "dask",
    "statsforecast",
    "optuna_dashboard",
    "pyarrow",
    "jax",
    "torch",
    "tensorflow",
)


def room(name: str) -> str:
    """The room of a file: its first folder, or its own name at the top."""
    return name.split("/")[0].removesuffix(".py")


def imports(tree: ast.AST, *, outer_only: bool = False, file: str = "") -> set[str]:
    """Full names of the modules that a tree imports; with outer_only, those imported as it is itself."""
    found: set[str] = set()
    for node in top_level(tree) if outer_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = ["lstune", *file.split("/")[: -node.level]]
                base = ".".join([*parts, base]).rstrip(".")
            found.add(base)
            if base == "lstune":
                found |= {f"lstune.{alias.name}" for alias in node.names}
    return found


def top_level(tree: ast.AST):
    """Statements that run when the module is imported: not those in functions, nor under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from top_level(node)


# What each file imports: all of it, and what comes with importing the file.
IMPORTS = {name: imports(tree, file=name) for name, tree in TREES.items()}
EARLY = {name: imports(tree, outer_only=True, file=name) for name, tree in TREES.items()}


def test_every_file_lies_in_a_known_room():
    assert FILES
    unknown = {room(name) for name in FILES} - set(LEVEL) - {"__init__"}
    assert not unknown, f"give the rooms {sorted(unknown)} a level in this test, and in the design"


@pytest.mark.parametrize("name", [name for name in FILES if name != "__init__.py"])
def test_arrows_point_one_way(name):
    here = room(name)
    for module in IMPORTS[name]:
        if not module.startswith("lstune.") or module == "lstune.__version__":
            continue
        there = module.split(".")[1]
        allowed = there == here or LEVEL[there] < LEVEL[here] or there in BESIDE.get(here, ())
        assert allowed, f"{name} imports {module}: {here} may not import {there}"


def test_only_the_front_door_is_imported_by_its_bare_name():
    """`import lstune` inside the package would make every room depend on all others."""
    for name in FILES:
        for node in ast.walk(TREES[name]):
            assert not (isinstance(node, ast.Import) and node.names[0].name == "lstune"), name


@pytest.mark.parametrize("package", OWNERS)
def test_packages_are_imported_only_by_their_owners(package):
    for name in FILES:
        for module in IMPORTS[name]:
            if module.split(".")[0] == package:
                owned = any(fnmatch(name, pattern) for pattern in OWNERS[package])
                assert owned, f"{name} imports {module}, which belongs to {OWNERS[package] or 'nobody'}"


@pytest.mark.parametrize("package", LAZY)
def test_optional_and_slow_packages_are_imported_late(package):
    for name in FILES:
        for module in EARLY[name]:
            assert module.split(".")[0] != package, (
                f"{name} imports {module} as soon as it is imported itself"
            )


@pytest.mark.parametrize("name", [name for name in FILES if name != "engine/_jit.py"])
def test_kernels_are_compiled_by_the_one_decorator(name):
    """A kernel with fast-math flags of its own could lose the test for a diverged loss."""
    bare = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil"}
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {node.attr} if node.value.id in ("numba", "nb") else set()
        else:
            continue
        assert not names & bare, f"{name}:{node.lineno} uses {names & bare}: take engine/_jit.py's"


@pytest.mark.parametrize("name", FILES)
def test_no_error_without_a_kind_and_no_file_without_an_end(name):
    for node in ast.walk(TREES[name]):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and isinstance(node.exc.func, ast.Name)
        ):
            assert node.exc.func.id not in ("Exception", "BaseException"), f"{name}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name}:{node.lineno} catches everything, Ctrl-C included"
    assert len((SRC / name).read_text().splitlines()) <= 500, (
        f"{name} is longer than 500 lines: which idea is missing?"
    )


def test_the_rules_catch_what_they_forbid():
    """The helpers see nested, relative and late imports; a check that sees nothing would always pass."""
    tree = ast.parse(
        "from typing import TYPE_CHECKING\nimport optuna.samplers\nfrom ..search import space\n"
        "if TYPE_CHECKING:\n    import plotly\ndef f():\n    from keras import ops\nif 1:\n    import smac\n"
    )
    assert imports(tree, file="engine/deep.py") >= {"optuna.samplers", "keras", "plotly", "smac"}
    assert "lstune.search" in imports(ast.parse("from ..search import space"), file="engine/deep.py")
    assert "lstune.search" in imports(ast.parse("from lstune import search"), file="engine/deep.py")
    assert imports(tree, outer_only=True) >= {"optuna.samplers", "smac"}
    assert not {"keras", "plotly"} & imports(tree, outer_only=True)
