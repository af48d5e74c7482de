"""Changes to the search space as they are given on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstune.search.space import load_tables
from lstune.tuning.defaults import parse_override

__all__ = ["changed_space"]

# Parameters whose ranges are read on a log scale when an override gives a range only.
_LOG = ("units", "learning_rate", "lookback")


class _Hint:
    """Stands for the default parameter, of which only the scale is asked."""

    def __init__(self, name: str) -> None:
        self.log = name in _LOG


def changed_space(file: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The file's tables with the overrides over them, for `tune(space=...)`. Raises SpaceError."""
    changes = load_tables(file) if file is not None else {}
    for text in overrides:
        name = text.partition("=")[0].strip()
        key, value = parse_override(text, {name: _Hint(name)})
        changes[key] = value
    return changes
