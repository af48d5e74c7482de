"""The weights that Keras' own training leaves in a trial's folder, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lstune.kt.trial import load_json, save_json

__all__ = ["WEIGHTS_FILE", "build_optimizer", "has_checkpoint", "load_checkpoint", "save_checkpoint"]

WEIGHTS_FILE = "checkpoint.weights.h5"
# The shape of the inputs, for a model without an Input layer.
_BUILD_FILE = "build_config.json"


def build_optimizer(model: Any) -> None:
    """Give the optimizer its variables; nothing for a model that HyperModel.fit compiles or trains itself."""
    if (optimizer := getattr(model, "optimizer", None)) is not None:
        optimizer.build(model.trainable_variables)


def has_checkpoint(folder: Path) -> bool:
    """Whether Keras' training, or a `run_trial` of the user's own, left weights there."""
    return (folder / WEIGHTS_FILE).exists()


def save_checkpoint(folder: Path, model: Any) -> None:
    """Write the weights, and what a model that is not built needs to read them."""
    model.save_weights(folder / WEIGHTS_FILE)
    save_json(folder / _BUILD_FILE, model.get_build_config())


def load_checkpoint(folder: Path, model: Any) -> None:
    """Build the model if it is not, and read the weights, with the optimizer's state where it fits."""
    if not model.built and (folder / _BUILD_FILE).exists():
        model.build_from_config(load_json(folder / _BUILD_FILE))
    # Built first, or its state in the checkpoint would find no place.
    build_optimizer(model)
    try:
        model.load_weights(folder / WEIGHTS_FILE)
    except ValueError:
        if getattr(model, "optimizer", None) is None:
            raise
        import keras

        # Trained by another optimizer than the model's own: it is to be as new.
        model.optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(model.optimizer))
        model.load_weights(folder / WEIGHTS_FILE)
