"""Grid search: the whole product, in an order that covers the space evenly from the start."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lstune.errors import SpaceError, explain
from lstune.search.params import Choice, Fixed, Float, Int, Parameter
from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.samplers._sobol import sobol_engine
from lstune.search.space import Space, canonical_key, setting_at, setting_from_unit

__all__ = ["GridSampler", "check_grid", "grid_size", "grid_space"]


def grid_space(space: Space, points: int = 5) -> Space:
    """The countable space that grid search goes through.

    Stepped parameters and choices keep all their values. Int and Float without a step of their own and with
    more than `points` values are cut to `points` values, evenly placed from end to end on their scale.
    """
    return Space({name: _cut(space[name], points) for name in space}, strict=False)


def grid_size(space: Space, points: int = 5) -> int:
    """How many settings grid search will try."""
    size = grid_space(space, points).size
    assert size is not None  # every parameter was made countable
    return size


def _cut(param: Parameter, points: int) -> Parameter:
    if isinstance(param, (Choice, Fixed)):
        return param
    if param.size is not None and (param.size <= points or (param.step or 1) != 1):
        return param
    if isinstance(param, Float) and param.step is not None:
        return param
    ends = [param.low, param.high]
    values: list[Any] = []
    for k in range(points):
        value = param.from_unit(k / (points - 1)) if points > 1 else param.middle()
        if k in (0, points - 1) and points > 1:
            value = param.snap(ends[k > 0])
        if isinstance(value, float):
            value = param.snap(
                float(f"{value:.4g}")
            )  # people read these: 0.003162, not 0.0031622776601683794
        if value not in values:
            values.append(value)
    if isinstance(param, Int):
        values = sorted(set(values))
    return Choice(tuple(values), when=param.when)


class GridSampler(Sampler):
    """Every setting of the product once (raises SpaceError above `limit` settings; None lifts the limit).

    The order is that in which a scrambled Sobol sequence first falls into the settings' cells, so that the
    first n settings cover every parameter's values evenly. What the sequence has not met after many points
    follows in an order that strides through the product by the golden section.
    """

    def __init__(self, points: int = 5, limit: int | None = 10_000) -> None:
        self.points = points
        self.limit = limit
        self._cells: Iterator[tuple[str, dict[str, Any]]] | None = None
        self._next: tuple[str, dict[str, Any]] | None = None

    def suggest(self, context: Context) -> Suggestion | None:
        """The first setting in the grid's order that has not been taken; None after the last."""
        if self._cells is None:  # the order depends on seed and space, which a study never changes
            grid = grid_space(context.space, self.points)
            check_grid(grid.size, self.limit)
            self._cells = _cells(grid, context.seed)
            self._next = next(self._cells, None)
        while self._next is not None and self._next[0] in context.taken:
            self._next = next(self._cells, None)
        return None if self._next is None else Suggestion(dict(self._next[1]))


def check_grid(size: int | None, limit: int | None) -> None:
    """Raise SpaceError if a grid of `size` settings is above `limit`."""
    if limit is not None and (size is None or size > limit):
        raise SpaceError(
            explain(
                f"A grid may have at most {limit:,} settings unless confirmed",
                "an uncountable space" if size is None else f"{size:,} settings",
                "Fix parameters, give larger steps, or confirm the full grid (--yes, large_grid=True)",
            )
        )


def _cells(grid: Space, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    size = grid.size or 0
    seen: set[str] = set()
    if grid.searched:
        engine = sobol_engine(len(grid.searched), (seed, 0x67726964))
        for block in range(4, 4 + max(3, size.bit_length())):
            for point in engine.random(2**block):
                setting = setting_from_unit(grid, dict(zip(grid.searched, point, strict=True)))
                key = canonical_key(setting)
                if key not in seen:
                    seen.add(key)
                    yield key, setting
            if len(seen) == size:
                return
    stride = max(1, round(size * (math.sqrt(5) - 1) / 2))
    while math.gcd(stride, size) != 1:
        stride += 1
    for k in range(size):
        setting = setting_at(grid, k * stride % size)
        key = canonical_key(setting)
        if key not in seen:
            yield key, setting
