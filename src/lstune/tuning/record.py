"""What a run keeps for those who read it later: forecasts, versions, and how it was asked for."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from lstune._version import __version__
from lstune.files import replacing
from lstune.search import Space
from lstune.series import Series, Split, scored_origins

__all__ = ["changed_names", "package_versions", "write_predictions"]

_PACKAGES = ("numpy", "numba", "pandas", "scipy", "optuna")


def write_predictions(
    path: Path,
    series: Series,
    split: Split,
    validation: Any,
    origins: Any,
    test: Any,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    statistical: Mapping[str, Any] | None = None,
) -> None:
    """Write predictions.npz: origins (N,) and forecasts (N, H) in original units of both parts.

    `validation` (V, H) are the forecasts of the last fold's validation rows; `origins` (N,) and `test` (N, H)
    those of the test tail, `bands` the bounds (N, H) of its intervals by level ("80"), `statistical` the
    forecasts (N, H) of fitted baselines by name. Truth and simple baselines follow from series.npz.
    """
    known = scored_origins(series, split.folds[-1].validation, test.shape[1])
    arrays = {"test_origins": origins, "test_forecasts": test}
    if len(known) == len(validation):
        arrays.update(validation_origins=known, validation_forecasts=validation)
    for level, (low, high) in (bands or {}).items():
        arrays.update({f"test_lower_{level}": low, f"test_upper_{level}": high})
    arrays.update({f"test_baseline_{name}": forecasts for name, forecasts in (statistical or {}).items()})
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


def package_versions() -> dict[str, str]:
    """Versions of Python, lstune and what its numbers depend on."""
    found = {"python": platform.python_version(), "lstune": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "platform": platform.platform(terse=True)}


def changed_names(changes: Space | Mapping[str, Any] | str | Path | None) -> list[str] | None:
    """The parameters that differ from the default space; None where another space was given whole."""
    if isinstance(changes, Space):
        return None
    if isinstance(changes, (str, Path)):
        from lstune.search.space import load_tables

        changes = load_tables(changes)
    return list(changes or {})
