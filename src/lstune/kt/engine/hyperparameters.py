"""As in Keras Tuner."""

from typing import Any

from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.parameters import Boolean, Choice, Fixed, Float, HyperParameter, Int
from lstune.kt.parameters import from_entry as deserialize

__all__ = [
    "Boolean",
    "Choice",
    "Fixed",
    "Float",
    "HyperParameter",
    "HyperParameters",
    "Int",
    "deserialize",
    "serialize",
]


def serialize(hyperparameter: HyperParameter) -> dict[str, Any]:
    """Plain data that `deserialize` reads."""
    return {"class_name": type(hyperparameter).__name__, "config": hyperparameter.get_config()}
