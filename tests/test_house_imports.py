"""The front door is light, and what it names exists."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

import lstune

HEAVY = (
    "numpy",
    "numba",
    "optuna",
    "pandas",
    "scipy",
    "smac",
    "plotly",
    "keras",
    "jax",
    "torch",
    "tensorflow",
    "typer",
    "rich",
)
PACKAGES = ("lstune", "lstune.errors", "lstune.series", "lstune.search", "lstune.evaluation", "lstune.engine",
            "lstune.datasets")  # fmt: skip


def fresh(code: str) -> str:
    """What `code` prints in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_importing_lstune_loads_nothing_heavy():
    code = f"import lstune, sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    assert json.loads(fresh(code)) == []


def test_importing_lstune_is_quick():
    """Within 0.2 s, the interpreter's own start taken off; the best of three, for the machine may be busy."""

    def seconds(code: str) -> float:
        taken = []
        for _ in range(3):
            begin = time.perf_counter()
            fresh(code)
            taken.append(time.perf_counter() - begin)
        return min(taken)

    assert seconds("import lstune") - seconds("pass") < 0.2


def test_the_version_is_told_without_loading_the_library():
    code = (
        "import sys, json; sys.argv = ['lstune', '--version']\n"
        "from lstune.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    first, loaded = fresh(code).splitlines()
    assert first == f"lstune {lstune.__version__}"
    assert json.loads(loaded) == []


@pytest.fixture(scope="module")
def exports():
    """Of every package: names in __all__ that are missing, their count, how many differ, and unseen ones."""
    code = (
        "import json, importlib\n"
        f"for package in {PACKAGES!r}:\n"
        "    m = importlib.import_module(package)\n"
        "    missing = [n for n in m.__all__ if not hasattr(m, n)]\n"
        "    unseen = sorted(set(m.__all__) - set(dir(m)))\n"
        "    print(json.dumps([package, [missing, len(m.__all__), len(set(m.__all__)), unseen]]))"
    )
    return dict(json.loads(line) for line in fresh(code).splitlines())


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_what_is_exported(exports, package):
    missing, count, different, undirected = exports[package]
    assert missing == []
    assert undirected == []
    assert count == different


def test_a_name_that_does_not_exist_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'tunes'"):
        _ = lstune.tunes
