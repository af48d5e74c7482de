"""Settings as rows of numbers, for samplers that compute with many of them at once.

One column for each searched parameter, in the order of `space.searched`. A numeric parameter (and an
ordered choice) is its place in [0, 1], the middle of its bin if it is discrete; an unordered choice is the
number of its option. An inactive parameter is 0.5, or one more than the last option: two settings that both
lack a parameter do not differ in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstune.search.params import Choice, Float, Int, Parameter
from lstune.search.space import Space, setting_from_unit

__all__ = ["Encoding"]


class Encoding:
    """The columns of a space; `categories[d]` counts an unordered choice's options, 0: a numeric column."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = space.searched
        self.column = {name: d for d, name in enumerate(self.names)}
        self.categories = np.array([_categories(space[name]) for name in self.names], dtype=np.int64)
        self.continuous = np.array([space[name].size is None for name in self.names], dtype=bool)

    def encode(self, setting: Mapping[str, Any]) -> np.ndarray:
        """One row, (D,)."""
        row = np.empty(len(self.names))
        for d, name in enumerate(self.names):
            param = self.space[name]
            k = self.categories[d]
            if name not in setting:
                row[d] = k if k else 0.5
            elif k:
                assert isinstance(param, Choice)
                row[d] = param.index(setting[name])
            else:
                row[d] = param.to_unit(setting[name])
        return row

    def snap(self, points: np.ndarray) -> np.ndarray:
        """Rows of the settings at `points` (M, D) of the unit cube; the same as encoding each setting."""
        rows = np.empty_like(points)
        for d, name in enumerate(self.names):
            rows[:, d] = _snap_column(self.space[name], int(self.categories[d]), points[:, d])
        active: dict[str, np.ndarray | bool] = {}
        for name in self.space.order:
            active[name] = True
            for parent, allowed in (self.space[name].when or {}).items():
                active[name] = active[name] & active[parent] & self._holds(parent, allowed, rows)
        for d, name in enumerate(self.names):
            if active[name] is not True:
                k = self.categories[d]
                rows[:, d] = np.where(active[name], rows[:, d], k if k else 0.5)
        return rows

    def decode(self, row: np.ndarray) -> dict[str, Any]:
        """The setting of a row (of `encode` or `snap`)."""
        point = {}
        for d, name in enumerate(self.names):
            k = self.categories[d]
            point[name] = (row[d] + 0.5) / k if k else row[d]
        return setting_from_unit(
            self.space, {name: min(1.0, max(0.0, float(u))) for name, u in point.items()}
        )

    def to_points(self, rows: np.ndarray) -> np.ndarray:
        """Places in the unit cube from which `snap` makes `rows` again."""
        points = rows.copy()
        for d in np.flatnonzero(self.categories):
            points[:, d] = np.minimum((rows[:, d] + 0.5) / self.categories[d], 1.0)
        return points

    def _holds(self, parent: str, allowed: tuple[Any, ...], rows: np.ndarray) -> np.ndarray | bool:
        param = self.space[parent]
        if parent not in self.column:
            return any(param.contains(value) for value in allowed)
        d = self.column[parent]
        if self.categories[d]:
            assert isinstance(param, Choice)
            codes: list[float] = [param.index(value) for value in allowed if param.contains(value)]
        else:
            codes = [param.to_unit(value) for value in allowed if param.contains(value)]
        return np.any([np.abs(rows[:, d] - code) < 1e-9 for code in codes], axis=0) if codes else False


def _categories(param: Parameter) -> int:
    return param.size if isinstance(param, Choice) and not param.ordered else 0


def _snap_column(param: Parameter, categories: int, u: np.ndarray) -> np.ndarray:
    size = param.size
    if size is None:
        return u
    if categories:
        return np.minimum(np.floor(u * categories), categories - 1)
    if isinstance(param, Int) and param.log:
        lo, hi = np.log(param.low - 0.5), np.log(param.high + 0.5)
        value = np.clip(np.round(np.exp(lo + u * (hi - lo))), param.low, param.high)
        return (np.log(value) - lo) / (hi - lo)
    assert isinstance(param, (Int, Float, Choice))
    return (np.minimum(np.floor(u * size), size - 1) + 0.5) / size
