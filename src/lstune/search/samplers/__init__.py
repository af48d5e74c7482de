"""Samplers by name: which setting to try next.

To add one: a file in this folder, a line in `SAMPLERS`, and a factory in the contract tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lstune.errors import ConfigError, explain, nearest
from lstune.search.samplers._base import Context, Sampler, Suggestion

__all__ = ["METHODS", "SAMPLERS", "Context", "Sampler", "Suggestion", "make_sampler", "method_parts"]


def _manual(**options: Any) -> Sampler:
    from lstune.search.samplers.manual import ManualSampler

    return ManualSampler(**options)


def _grid(**options: Any) -> Sampler:
    from lstune.search.samplers.grid import GridSampler

    return GridSampler(**options)


def _random(**options: Any) -> Sampler:
    from lstune.search.samplers.random import RandomSampler

    return RandomSampler(**options)


def _qmc(**options: Any) -> Sampler:
    from lstune.search.samplers.qmc import QmcSampler

    return QmcSampler(**options)


def _gp(**options: Any) -> Sampler:
    from lstune.search.samplers.gp.sampler import GpSampler

    return GpSampler(**options)


def _tpe(**options: Any) -> Sampler:
    from lstune.search.samplers.tpe import make_tpe

    return make_tpe(**options)


def _smac(**options: Any) -> Sampler:
    from lstune.search.samplers.smac import SmacSampler

    return SmacSampler(**options)


def _cmaes(**options: Any) -> Sampler:
    from lstune.search.samplers.cmaes import CmaesSampler

    return CmaesSampler(**options)


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "manual": _manual,
    "grid": _grid,
    "random": _random,
    "qmc": _qmc,
    "gp": _gp,
    "tpe": _tpe,
    "smac": _smac,
    "cmaes": _cmaes,
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
