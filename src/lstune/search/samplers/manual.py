"""No search: the settings given by hand."""

from __future__ import annotations

from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.space import default_setting

__all__ = ["ManualSampler"]


class ManualSampler(Sampler):
    """Nothing beyond the given settings; the space's defaults once if none is given."""

    def suggest(self, context: Context) -> Suggestion | None:
        """The default setting for the first trial, then nothing."""
        return Suggestion(default_setting(context.space)) if context.number == 0 else None
