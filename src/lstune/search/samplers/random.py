"""Random search."""

from __future__ import annotations

from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.space import sample_setting

__all__ = ["RandomSampler"]


class RandomSampler(Sampler):
    """Every parameter independently uniform on its scale (Bergstra & Bengio 2012, JMLR 13)."""

    def suggest(self, context: Context) -> Suggestion:
        """A random setting."""
        return Suggestion(sample_setting(context.space, context.rng()))
