"""A Keras optimizer's state as the engine's slots and step, and back: trainings follow one on another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import ModelConfig, OptimizerConfig
from lstune.engine.optimizers import slot_count
from lstune.engine.weights import from_keras, parameter_count, to_keras
from lstune.errors import ConfigError
from lstune.kt.compiled import Untranslatable

__all__ = ["read_optimizer", "write_optimizer"]

F32 = npt.NDArray[np.float32]

# Keras' names of what stands in each slot, in the slots' order.
_SLOTS = {
    "sgd": ("momentums",),
    "rmsprop": ("_velocities", "_average_gradients", "_momentums"),
    "adam": ("_momentums", "_velocities"),
    "adamw": ("_momentums", "_velocities"),
    "nadam": ("_momentums", "_velocities"),
}


def _variables(optimizer: Any, name: str, layers: Any) -> list[list[Any]] | None:
    """The optimizer's variables of one kind by layers; None if its settings do without them."""
    kept = getattr(optimizer, name)
    if not kept:
        return None
    return [[kept[optimizer._get_variable_index(v)] for v in layer.trainable_variables] for layer in layers]


def read_optimizer(
    model: ModelConfig, config: OptimizerConfig, keras_layers: Any, optimizer: Any
) -> tuple[int, F32 | None]:
    """How many batches the optimizer has seen, and its slots (S, P); None if it has none yet.

    Raises Untranslatable where it was built for other weights than those of `keras_layers`.
    """
    import keras

    step = int(keras.ops.convert_to_numpy(optimizer.iterations))
    if not optimizer.built:
        return step, None
    slots = np.zeros((slot_count(config), parameter_count(model)), np.float32)
    try:
        for slot, name in zip(slots, _SLOTS[config.name], strict=False):
            variables = _variables(optimizer, name, keras_layers)
            if variables is not None:
                arrays = [[keras.ops.convert_to_numpy(v.value) for v in layer] for layer in variables]
                slot[...] = from_keras(model, arrays)
    except (AttributeError, KeyError, IndexError, ConfigError):
        raise Untranslatable("an optimizer that was built for other weights") from None
    return step, slots


def write_optimizer(
    model: ModelConfig, config: OptimizerConfig, keras_model: Any, keras_layers: Any, slots: F32, step: int
) -> None:
    """Leave the Keras model's optimizer as a training of its own would have."""
    optimizer = keras_model.optimizer
    optimizer.build(keras_model.trainable_variables)
    for slot, name in zip(slots, _SLOTS[config.name], strict=False):
        variables = _variables(optimizer, name, keras_layers)
        if variables is not None:
            for layer, arrays in zip(variables, to_keras(model, slot), strict=True):
                for variable, array in zip(layer, arrays, strict=True):
                    variable.assign(array)
    optimizer.iterations.assign(step)
    if config.name == "nadam":
        # The product of its momentum schedule, which the engine computes from the step.
        schedule = config.beta_1 * (1.0 - 0.5 * 0.96 ** np.arange(1, step + 1))
        optimizer._u_product.assign(np.float32(np.prod(schedule)))
