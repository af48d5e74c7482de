"""Quasi-random search."""

from __future__ import annotations

from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.samplers._sobol import SobolDesign

__all__ = ["QmcSampler"]


class QmcSampler(Sampler):
    """A scrambled Sobol sequence (Owen 1998) over all parameters, trial number n taking its n-th point.

    Not Optuna's sampler: that one draws categories, and everything conditional, independently at random.
    """

    def __init__(self) -> None:
        self._design = SobolDesign(0x716D63)

    def suggest(self, context: Context) -> Suggestion:
        """The setting at the trial's point; at a random one if that has been tried."""
        return Suggestion(self._design.setting(context))
