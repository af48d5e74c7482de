"""Quasi-random search."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.samplers._sobol import sobol_engine
from lstune.search.space import setting_from_unit

__all__ = ["QmcSampler"]

_BLOCK = 1024


class QmcSampler(Sampler):
    """A scrambled Sobol sequence (Owen 1998) over all parameters, trial number n taking its n-th point.

    Not Optuna's sampler: that one draws categories, and everything conditional, independently at random.
    """

    def __init__(self) -> None:
        self._points: np.ndarray | None = None  # (n, D) in [0, 1)
        self._engine: Any = None

    def suggest(self, context: Context) -> Suggestion:
        """The setting at the trial's point; at a random one if that has been tried."""
        names = context.space.searched
        if not names:
            return Suggestion(setting_from_unit(context.space, {}))
        if context.attempt:
            point = context.rng().random(len(names))
        else:
            if self._points is None:
                self._engine = sobol_engine(len(names), (context.seed, 0x716D63))
                self._points = self._engine.random(_BLOCK)
            while context.number >= len(self._points):
                self._points = np.vstack([self._points, self._engine.random(_BLOCK)])
            point = self._points[context.number]
        return Suggestion(setting_from_unit(context.space, dict(zip(names, point, strict=True))))
