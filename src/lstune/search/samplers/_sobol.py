"""Scrambled Sobol sequences from SciPy, whichever way its version wants the generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstune.search.samplers._base import Context
from lstune.search.space import sample_setting, setting_from_unit

__all__ = ["SobolDesign", "sobol_engine"]

# Points are made so many at a time; a Sobol sequence is balanced after each power of two.
_BLOCK = 1024


def sobol_engine(dims: int, entropy: Sequence[int]) -> Any:
    """A scrambled `scipy.stats.qmc.Sobol` over `dims` dimensions, the same for the same entropy."""
    from scipy.stats import qmc

    rng = np.random.default_rng(np.random.SeedSequence(list(entropy)))
    try:
        return qmc.Sobol(dims, scramble=True, rng=rng)
    except TypeError:  # SciPy before 1.15
        return qmc.Sobol(dims, scramble=True, seed=rng)


class SobolDesign:
    """Settings along a scrambled Sobol sequence, trial n taking the n-th point.

    `salt` keeps samplers' sequences apart.
    """

    def __init__(self, salt: int) -> None:
        self._salt = salt
        self._engine: Any = None
        self._points = np.empty((0, 0))  # (n, D) in [0, 1)

    def setting(self, context: Context) -> dict[str, Any]:
        """The setting for `context.number`; a random one if that was tried before."""
        names = context.space.searched
        if not names:
            return setting_from_unit(context.space, {})
        if context.attempt:
            return sample_setting(context.space, context.rng())
        if self._engine is None:
            self._engine = sobol_engine(len(names), (context.seed, self._salt))
            self._points = self._engine.random(_BLOCK)
        while context.number >= len(self._points):
            self._points = np.vstack([self._points, self._engine.random(_BLOCK)])
        return setting_from_unit(context.space, dict(zip(names, self._points[context.number], strict=True)))
