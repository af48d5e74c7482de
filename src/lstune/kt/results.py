"""What a `run_trial` or `fit` may return, made into metrics: a number, a dictionary, a History, or a list."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from lstune.errors import explain
from lstune.kt.errors import FatalTypeError, FatalValueError
from lstune.kt.objective import DefaultObjective, Objective

__all__ = ["best_step", "metrics_of", "validate_results"]


def _is_history(results: Any) -> bool:
    return isinstance(getattr(results, "history", None), dict)


def _epochs(results: Any) -> list[dict[str, float]]:
    """A History's metrics by epoch."""
    columns = results.history
    count = max((len(values) for values in columns.values()), default=0)
    return [{name: values[n] for name, values in columns.items() if n < len(values)} for n in range(count)]


def _best(results: Any, objective: Objective) -> tuple[dict[str, float], int]:
    """The epoch of the best finite objective, or the first epoch if there is none."""
    epochs = _epochs(results)
    missing = [epoch for epoch in epochs if not objective.has_value(epoch)]
    if not epochs:
        rule = "A trial must train for one epoch at least"
        fix = "fit does nothing where initial_epoch is not below epochs"
        raise FatalValueError(explain(rule, "a history without any epoch", fix))
    if missing:
        rule = f"The history must hold the objective {objective.name}"
        raise FatalValueError(explain(rule, list(epochs[0])))
    best = 0
    for place, epoch in enumerate(epochs):
        value, before = objective.get_value(epoch), objective.get_value(epochs[best])
        if math.isfinite(value) and (not math.isfinite(before) or objective.better_than(value, before)):
            best = place
    return {**epochs[best], objective.name: objective.get_value(epochs[best])}, best


def metrics_of(results: Any, objective: Objective) -> dict[str, float]:
    """The metrics of a trial: of a History those of its best epoch, of a list the means."""
    if isinstance(results, list):
        each = [metrics_of(result, objective) for result in results]
        return {name: sum(metrics[name] for metrics in each) / len(each) for name in each[0]}
    if isinstance(results, Real):
        return {objective.name: float(results)}
    if isinstance(results, dict):
        return results
    return _best(results, objective)[0]


def best_step(results: Any, objective: Objective) -> int:
    """The best epoch, from 0; of a list the mean; 0 where there are no epochs."""
    if isinstance(results, list):
        return int(sum(best_step(result, objective) for result in results) / len(results))
    return _best(results, objective)[1] if _is_history(results) else 0


def validate_results(results: Any, objective: Objective, source: str) -> None:
    """Raises FatalTypeError or FatalValueError for what cannot be made into metrics."""
    if isinstance(results, list) and results:
        for result in results:
            validate_results(result, objective, source)
        return
    if isinstance(results, Real):
        return
    if isinstance(results, dict):
        if objective.name not in results:
            rule = f"The dictionary that {source} returns must hold the objective {objective.name}"
            raise FatalValueError(explain(rule, list(results)))
        return
    if _is_history(results) and not isinstance(objective, DefaultObjective):
        return
    rule = f"{source} returns a number, a dictionary of metrics, a Keras History, or a list of these"
    fix = "Give the tuner an objective" if _is_history(results) else "Return the metrics"
    raise FatalTypeError(explain(rule, repr(results), fix))
