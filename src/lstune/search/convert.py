"""Spaces in the words of Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lstune.search.params import Fixed, Float, Int, Parameter

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from lstune.search.space import Space

__all__ = ["to_distribution", "to_distributions"]


def to_distribution(param: Parameter) -> BaseDistribution:
    """The Optuna distribution of a parameter; a Fixed one is a choice of one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(param, Int):
        top = param.low + (param.size - 1) * param.step  # Optuna warns about a high that no step reaches
        return IntDistribution(param.low, top, log=param.log, step=param.step)
    if isinstance(param, Float):
        top_value = param.high if param.step is None else param.snap(param.high)
        return FloatDistribution(param.low, top_value, log=param.log, step=param.step)
    options: tuple[Any, ...] = (param.value,) if isinstance(param, Fixed) else tuple(param.options)
    return CategoricalDistribution(options)


def to_distributions(space: Space) -> dict[str, BaseDistribution]:
    """The distributions of all parameters, in the space's order."""
    return {name: to_distribution(space[name]) for name in space.order}
