"""Samplers by name: which setting to try next.

To add one: a file in this folder, a line in `SAMPLERS`, and a factory in the contract tests.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from lstune.errors import ConfigError, explain, nearest
from lstune.search.samplers._base import Context, Sampler, Suggestion

__all__ = ["METHODS", "SAMPLERS", "Context", "Sampler", "Suggestion", "make_sampler", "method_parts"]


def _late(module: str, name: str) -> Callable[..., Sampler]:
    """What makes the sampler `name` of a module here; imported only then, for some load slow packages."""

    def make(**options: Any) -> Sampler:
        return getattr(import_module(f"{__name__}.{module}"), name)(**options)

    return make


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "manual": _late("manual", "ManualSampler"),
    "grid": _late("grid", "GridSampler"),
    "random": _late("random", "RandomSampler"),
    "qmc": _late("qmc", "QmcSampler"),
    "gp": _late("gp.sampler", "GpSampler"),
    "tpe": _late("tpe", "make_tpe"),
    "smac": _late("smac", "SmacSampler"),
    "cmaes": _late("cmaes", "CmaesSampler"),
}

# A method is a sampler with a scheduler. What was chosen by hand is trained to the end, all else goes with
# ASHA.
METHODS: dict[str, tuple[str, str]] = {
    **{name: (name, "asha") for name in SAMPLERS},
    "manual": ("manual", "none"),
    "auto": ("gp", "asha"),
    "hyperband": ("random", "hyperband"),
    "bohb": ("tpe", "hyperband"),
}


def make_sampler(name: str, **options: Any) -> Sampler:
    """The sampler called `name`. Raises ConfigError for an unknown name."""
    if not isinstance(name, str) or name not in SAMPLERS:
        raise ConfigError(explain(f"The sampler must be one of {', '.join(SAMPLERS)}", name))
    return SAMPLERS[name](**options)


def method_parts(method: str) -> tuple[str, str]:
    """The sampler and the scheduler that a method stands for. Raises ConfigError for an unknown one."""
    if not isinstance(method, str) or method not in METHODS:
        raise ConfigError(
            explain(f"The method must be one of {', '.join(METHODS)}", method, nearest(method, METHODS))
        )
    return METHODS[method]
