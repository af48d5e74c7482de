"""Changes to the search space as they are given on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstune.search.space import load_tables
from lstune.tuning.defaults import parse_override

__all__ = ["changed_space"]


def changed_space(file: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The file's tables with the overrides over them, for `tune(space=...)`. Raises SpaceError."""
    tables = load_tables(file) if file is not None else {}
    return {**tables, **dict(map(parse_override, overrides))}
