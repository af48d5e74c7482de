"""What a search makes small or large: a metric's name with a direction."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from lstune.errors import explain

__all__ = ["DefaultObjective", "MultiObjective", "Objective", "create_objective", "infer_direction"]

# Keras' metrics of which more is better, as history names and as class names.
_MAXIMISED = frozenset(
    {
        "acc", "accuracy", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
        "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy", "auc", "precision", "recall",
        "true_positives", "true_negatives", "sensitivity_at_specificity", "specificity_at_sensitivity",
        "r2_score", "f1_score", "fbeta_score", "mean_iou", "binary_io_u", "one_hot_io_u", "cosine_similarity",
    }
)  # fmt: skip
_MINIMISED = frozenset(
    {
        "loss", "ce", "crossentropy", "mse", "mae", "mape", "msle", "rmse", "mean_squared_error",
        "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
        "root_mean_squared_error", "huber", "huber_loss", "log_cosh", "logcosh", "log_cosh_error",
        "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "kl_divergence",
        "kld", "poisson", "hinge", "squared_hinge", "categorical_hinge", "false_positives", "false_negatives",
    }
)  # fmt: skip


def _snake(name: str) -> str:
    """MeanSquaredError -> mean_squared_error; a name that is all capitals is lowered whole."""
    if name.isupper() or name.islower():
        return name.lower()
    out = [
        f"_{c.lower()}" if c.isupper() and place and not name[place - 1].isupper() else c.lower()
        for place, c in enumerate(name)
    ]
    return "".join(out)


def infer_direction(metric: Any) -> str | None:
    """ "min" or "max" for a metric's name, or for a Keras metric or loss; None if it cannot be told."""
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)
    for prefix in ("val_", "weighted_"):
        name = name.removeprefix(prefix)
    known = _snake(name)
    if known in _MAXIMISED:
        return "max"
    if known in _MINIMISED:
        return "min"
    keras = sys.modules.get("keras")
    if keras is not None and any(hasattr(getattr(keras, kind, None), name) for kind in ("metrics", "losses")):
        return "min"
    return None


class Objective:
    """A metric's name as it stands in Keras' history ("val_loss") and the direction "min" or "max"."""

    def __init__(self, name: str, direction: str) -> None:
        if direction not in ("min", "max"):
            raise ValueError(explain('An objective\'s direction must be "min" or "max"', direction))
        self.name = name
        self.direction = direction

    def has_value(self, logs: Mapping[str, float]) -> bool:
        """Whether the value can be told from an epoch's logs."""
        return self.name in logs

    def get_value(self, logs: Mapping[str, float]) -> float:
        """The value in an epoch's logs."""
        return logs[self.name]

    def better_than(self, a: float, b: float) -> bool:
        """Whether value `a` is better than value `b`."""
        return a > b if self.direction == "max" else a < b

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objective) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return f'Objective(name="{self.name}", direction="{self.direction}")'


class DefaultObjective(Objective):
    """The single number that a `run_trial` or `fit` of the user's own returns, to be made small."""

    def __init__(self) -> None:
        super().__init__("default_objective", "min")


class MultiObjective(Objective):
    """The sum of what is to be small less the sum of what is to be large."""

    def __init__(self, objectives: list[Objective]) -> None:
        super().__init__("multi_objective", "min")
        self.objectives = objectives
        self.name_to_direction = {objective.name: objective.direction for objective in objectives}

    def has_value(self, logs: Mapping[str, float]) -> bool:
        """Whether all of them are in the logs."""
        return all(name in logs for name in self.name_to_direction)

    def get_value(self, logs: Mapping[str, float]) -> float:
        """The signed sum."""
        return sum(logs[n] if d == "min" else -logs[n] for n, d in self.name_to_direction.items())

    def __str__(self) -> str:
        inner = ", ".join(sorted(str(objective) for objective in self.objectives))
        return f"Multi{super().__str__()}: [{inner}]"


def create_objective(objective: Any) -> Objective:
    """The Objective for a name, an Objective, a list of them, or None.

    Raises ValueError for a name whose direction cannot be told, TypeError for anything else.
    """
    if objective is None:
        return DefaultObjective()
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, (list, tuple)):
        return MultiObjective([create_objective(each) for each in objective])
    if not isinstance(objective, str):
        raise TypeError(explain("An objective is a name or a kt.Objective", objective))
    direction = infer_direction(objective)
    if direction is None:
        fix = f'Write kt.Objective("{objective}", direction="min") or "max"'
        raise ValueError(explain("The objective's direction cannot be told from its name", objective, fix))
    return Objective(objective, direction)
