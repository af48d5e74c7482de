"""Scrambled Sobol sequences from SciPy, whichever way its version wants the generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["sobol_engine"]


def sobol_engine(dims: int, entropy: Sequence[int]) -> Any:
    """A scrambled `scipy.stats.qmc.Sobol` over `dims` dimensions, the same for the same entropy."""
    from scipy.stats import qmc

    rng = np.random.default_rng(np.random.SeedSequence(list(entropy)))
    try:
        return qmc.Sobol(dims, scramble=True, rng=rng)
    except TypeError:  # SciPy before 1.15
        return qmc.Sobol(dims, scramble=True, seed=rng)
