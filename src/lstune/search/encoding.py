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

from lstune.search.params import Choice, Int, Parameter
from lstune.search.space import Space, setting_from_unit

__all__ = ["Encoding"]


class Encoding:
    """The columns of a space; `categories[d]` counts an unordered choice's options, 0: a numeric column."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = space.searched
        self.column = {name: d for d, name in enumerate(self.names)}
        self.categories = np.array([_categories(space[name]) for name in self.names], dtype=np.int64)
        sizes = [space[name].size for name in self.names]
        self.continuous = np.array([size is None for size in sizes], dtype=bool)
        self.sizes = np.array([size or 0 for size in sizes], dtype=np.int64)  # 0: not countable
        logs = [isinstance(p, Int) and p.log for p in map(space.__getitem__, self.names)]
        self._logs = np.flatnonzero(logs)
        self._choices = np.flatnonzero(self.categories)
        binned = (self.sizes > 0) & (self.categories == 0)
        binned[self._logs] = False
        self._binned = np.flatnonzero(binned)
        self._inactive = np.where(self.categories > 0, self.categories, 0.5)
        self._conditional = any(param.when for param in space.values())

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
        rows = points.copy()
        if len(self._choices):
            sizes = self.categories[self._choices]
            rows[:, self._choices] = np.minimum(np.floor(rows[:, self._choices] * sizes), sizes - 1)
        if len(self._binned):
            sizes = self.sizes[self._binned]
            places = np.minimum(np.floor(rows[:, self._binned] * sizes), sizes - 1)
            rows[:, self._binned] = (places + 0.5) / sizes
        for d in self._logs:
            rows[:, d] = _snap_log(self.space[self.names[d]], rows[:, d])
        if self._conditional:
            active = self._active(rows)
            rows = np.where(active, rows, self._inactive)
        return rows

    def active(self, rows: np.ndarray) -> np.ndarray:
        """Which parameters the settings of `rows` (M, D) have, (M, D)."""
        return self._active(rows) if self._conditional else np.ones(rows.shape, dtype=bool)

    def _active(self, rows: np.ndarray) -> np.ndarray:
        active: dict[str, np.ndarray | bool] = {}
        for name in self.space.order:
            active[name] = True
            for parent, allowed in (self.space[name].when or {}).items():
                active[name] = active[name] & active[parent] & self._holds(parent, allowed, rows)
        out = np.empty(rows.shape, dtype=bool)
        for d, name in enumerate(self.names):
            out[:, d] = active[name]
        return out

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
        sizes = self.categories[self._choices]
        points[:, self._choices] = np.minimum((rows[:, self._choices] + 0.5) / sizes, 1.0)
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


def _snap_log(param: Parameter, u: np.ndarray) -> np.ndarray:
    assert isinstance(param, Int)
    lo, hi = np.log(param.low - 0.5), np.log(param.high + 0.5)
    value = np.clip(np.round(np.exp(lo + u * (hi - lo))), param.low, param.high)
    return (np.log(value) - lo) / (hi - lo)
