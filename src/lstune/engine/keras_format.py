"""The engine's models as real Keras models, and back: layers, weights, optimizer, loss.

The one place in the engine that imports Keras, and only when called (extra `keras`). Any backend does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import (
    ACTIVATIONS,
    LSTM,
    RECURRENT_ACTIVATIONS,
    Dense,
    Dropout,
    LayerConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from lstune.engine.weights import from_keras, to_keras
from lstune.errors import ConfigError, explain, missing_extra

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "check_common",
    "from_keras_model",
    "keras_loss",
    "keras_optimizer",
    "layer_from_keras",
    "to_keras_model",
]

F32 = npt.NDArray[np.float32]


def _keras() -> ModuleType:
    try:
        import keras
    except ImportError as error:
        raise missing_extra("keras", "keras", "Converting to or from a Keras model") from error
    return keras


def _layer_to_keras(keras: ModuleType, layer: LayerConfig, name: str, return_sequences: bool) -> Any:
    if isinstance(layer, LSTM) and layer.bidirectional:
        one_way = _layer_to_keras(
            keras, replace(layer, bidirectional=False), f"{name}_forward", return_sequences
        )
        return keras.layers.Bidirectional(one_way, merge_mode="concat", name=name)
    if isinstance(layer, LSTM):
        return keras.layers.LSTM(
            layer.units,
            activation=layer.activation,
            recurrent_activation=layer.recurrent_activation,
            use_bias=layer.use_bias,
            unit_forget_bias=layer.unit_forget_bias,
            dropout=layer.dropout,
            recurrent_dropout=layer.recurrent_dropout,
            return_sequences=return_sequences,
            name=name,
        )
    if isinstance(layer, Dense):
        return keras.layers.Dense(
            layer.units, activation=layer.activation, use_bias=layer.use_bias, name=name
        )
    return keras.layers.Dropout(layer.rate, name=name)


def to_keras_model(
    model: ModelConfig,
    weights: Any,
    *,
    config: TrainConfig | None = None,
    lookback: int | None = None,
    last_step: bool = False,
) -> Any:
    """A built and compiled `keras.Sequential` that predicts what the engine predicts, to float32 accuracy.

    weights: (P,), the engine's.  config: gives the optimizer and the loss; Keras has no burn-in, so the loss
    counts every step.  lookback: the input's number of steps; any number if left out.  last_step: give the
    last step (N, H) of a model that returns a sequence, which is what it forecasts.
    Raises `MissingExtraError` without Keras.
    """
    keras = _keras()
    arrays = to_keras(model, weights)
    config = config or TrainConfig()
    lstms = [index for index, layer in enumerate(model.layers) if isinstance(layer, LSTM)]
    layers = [keras.Input((lookback, model.input_size))]
    for index, layer in enumerate(model.layers):
        sequences = isinstance(layer, LSTM) and layer.return_sequences
        # Everything above the last LSTM works on single steps, so the others need not be computed.
        if last_step and lstms and index == lstms[-1]:
            if sequences and isinstance(layer, LSTM) and layer.bidirectional:
                # The second direction ends at the window's first step: its last step is not its outcome.
                raise ConfigError(explain("last_step needs a last LSTM of one direction", layer))
            sequences = False
        layers.append(_layer_to_keras(keras, layer, f"{type(layer).__name__.lower()}_{index}", sequences))
    built = keras.Sequential(layers)
    for target, values in zip(built.layers, arrays, strict=True):
        if values:
            target.set_weights(values)
    built.compile(optimizer=keras_optimizer(config.optimizer), loss=keras_loss(config))
    # Keras warns when it loads a model whose optimizer was never built.
    built.optimizer.build(built.trainable_variables)
    return built


def keras_optimizer(optimizer: OptimizerConfig) -> Any:
    """The Keras optimizer with these settings."""
    keras = _keras()
    settings: dict[str, Any] = {
        name: getattr(optimizer, name)
        for name in ("learning_rate", "clipnorm", "clipvalue", "global_clipnorm")
    }
    settings["weight_decay"] = optimizer.decay if optimizer.name == "adamw" else optimizer.decay or None
    if optimizer.name == "sgd":
        settings.update(momentum=float(optimizer.momentum), nesterov=optimizer.nesterov)
        return keras.optimizers.SGD(**settings)
    settings["epsilon"] = optimizer.epsilon
    if optimizer.name == "rmsprop":
        settings.update(rho=optimizer.rho, momentum=optimizer.momentum, centered=optimizer.centered)
        return keras.optimizers.RMSprop(**settings)
    settings.update(beta_1=optimizer.beta_1, beta_2=optimizer.beta_2)
    kinds = {"adam": "Adam", "adamw": "AdamW", "nadam": "Nadam"}
    return getattr(keras.optimizers, kinds[optimizer.name])(**settings)


def keras_loss(config: TrainConfig) -> Any:
    """The Keras loss of this configuration; the pinball loss, unknown to Keras, as a serialisable class."""
    keras = _keras()
    if config.loss == "huber":
        return keras.losses.Huber(delta=config.delta)
    if config.loss == "pinball":
        return _pinball_class(keras)(config.quantile)
    kinds = {"mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "log_cosh": "LogCosh"}
    return getattr(keras.losses, kinds[config.loss])()


def _pinball_class(keras: ModuleType) -> Any:
    known = keras.saving.get_registered_object("lstune>PinballLoss")
    if known is not None:
        return known

    @keras.saving.register_keras_serializable(package="lstune")
    class PinballLoss(keras.losses.Loss):  # type: ignore[name-defined]
        """The quantile loss (Koenker & Bassett 1978): mean of max(q e, (q - 1) e), e = target - output."""

        def __init__(
            self,
            quantile: float,
            reduction: str = "sum_over_batch_size",
            name: str = "pinball",
            **kwargs: Any,
        ) -> None:
            super().__init__(reduction=reduction, name=name, **kwargs)
            self.quantile = quantile

        def call(self, y_true: Any, y_pred: Any) -> Any:
            error = y_true - y_pred
            return keras.ops.mean(
                keras.ops.maximum(self.quantile * error, (self.quantile - 1.0) * error), axis=-1
            )

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "quantile": self.quantile}

    return PinballLoss


def _layer_arrays(keras: ModuleType, layer: Any) -> list[npt.NDArray[Any]]:
    """A layer's trainable arrays; `get_weights` would add Dropout's random state."""
    return [keras.ops.convert_to_numpy(variable.value) for variable in layer.trainable_variables]


def _refuse(rule: str, layer: Any, received: Any) -> ConfigError:
    return ConfigError(explain(f"{rule} (layer '{layer.name}')", received))


def _activation_name(layer: Any, function: Any, known: tuple[str, ...], what: str) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    module = getattr(function, "__module__", "") or ""
    # A user's own function may bear a known name; only Keras' counts.
    if name not in known or not module.startswith("keras"):
        raise _refuse(f"The engine knows the {what}s {', '.join(known)}", layer, name)
    return name


def _check_plain(layer: Any, arguments: tuple[tuple[str, Any], ...]) -> None:
    for name, plain in arguments:
        value = getattr(layer, name, plain)
        if value is not plain and value != plain:
            raise _refuse(f"The engine does not know {name} on {type(layer).__name__}", layer, str(value))


_NO_PENALTIES = tuple(
    (f"{part}_{kind}", None)
    for part in ("kernel", "recurrent", "bias")
    for kind in ("regularizer", "constraint")
)


def _one_direction(layer: Any) -> LSTM:
    if type(layer) is not _keras().layers.LSTM:
        raise _refuse("The engine knows LSTM alone in a Bidirectional", layer, type(layer).__name__)
    _check_plain(layer, _NO_PENALTIES)
    _check_plain(layer, (("stateful", False), ("return_state", False)))
    if not layer.cell.trainable:
        raise _refuse("The engine trains whole layers", layer, "cell.trainable=False")
    if layer.cell.implementation == 1 and layer.dropout and not layer.recurrent_dropout:
        # Keras draws four masks and then takes them for one; what it makes of that is its own.
        raise _refuse("The engine does not know implementation=1 with dropout", layer, layer.dropout)
    return LSTM(
        units=layer.units,
        activation=_activation_name(layer, layer.activation, ACTIVATIONS, "activation"),
        recurrent_activation=_activation_name(
            layer, layer.recurrent_activation, RECURRENT_ACTIVATIONS, "recurrent_activation"
        ),
        use_bias=layer.use_bias,
        unit_forget_bias=layer.unit_forget_bias,
        dropout=float(layer.dropout),
        recurrent_dropout=float(layer.recurrent_dropout),
        return_sequences=layer.return_sequences,
    )


def _check_float32(layer: Any) -> None:
    if layer.dtype_policy.name != "float32":
        raise _refuse("The engine computes in float32", layer, layer.dtype_policy.name)


def check_common(layer: Any) -> None:
    """Raise ConfigError for what no layer may have, wrappers and those without weights included."""
    _check_plain(layer, (("activity_regularizer", None), ("trainable", True)))
    _check_float32(layer)


def layer_from_keras(layer: Any) -> LayerConfig:
    """The engine's layer for a Keras LSTM, Bidirectional LSTM, Dense or Dropout.

    Raises `ConfigError`, with the layer's name and the reason, for whatever the engine would do differently.
    """
    keras = _keras()
    kind = type(layer)
    check_common(layer)
    if kind is keras.layers.LSTM:
        _check_plain(layer, (("go_backwards", False),))
        return _one_direction(layer)
    if kind is keras.layers.Bidirectional:
        _check_plain(layer, (("merge_mode", "concat"),))
        for half, backwards in ((layer.forward_layer, False), (layer.backward_layer, True)):
            check_common(half)
            _check_plain(half, (("go_backwards", backwards),))
        forward, backward = (_one_direction(half) for half in (layer.forward_layer, layer.backward_layer))
        if forward != backward:
            raise _refuse("The engine knows two directions of the same settings", layer, backward)
        return replace(forward, bidirectional=True)
    if kind is keras.layers.Dense:
        _check_plain(layer, _NO_PENALTIES)
        if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
            raise _refuse("The engine does not know LoRA or quantised layers", layer, layer.name)
        activation = _activation_name(layer, layer.activation, ACTIVATIONS, "activation")
        return Dense(units=layer.units, activation=activation, use_bias=layer.use_bias)
    if kind is keras.layers.Dropout:
        if layer.noise_shape is not None:
            raise _refuse("The engine does not know Dropout with a noise_shape", layer, layer.noise_shape)
        return Dropout(float(layer.rate))
    raise _refuse("The engine knows LSTM, Bidirectional LSTM, Dense and Dropout layers", layer, kind.__name__)


def from_keras_model(keras_model: Any) -> tuple[ModelConfig, F32]:
    """The engine's model and weights (P,) of a built `keras.Sequential` of LSTM, Dense and Dropout layers.

    Raises `ConfigError` with the reason where the engine cannot compute what the model computes.
    """
    keras = _keras()
    if not isinstance(keras_model, keras.Sequential):
        received = type(keras_model).__name__
        raise ConfigError(explain("Only a keras.Sequential can be read as a chain of layers", received))
    if not keras_model.built:
        fix = "Start it with keras.Input((steps, channels)) or call build"
        raise ConfigError(explain("Only a built model has weights to read", keras_model.name, fix))
    shape = keras_model.input_shape
    if len(shape) != 3 or shape[-1] is None:
        raise ConfigError(explain("The model must read sequences (steps, channels)", shape))
    model = ModelConfig(int(shape[-1]), tuple(layer_from_keras(layer) for layer in keras_model.layers))
    return model, from_keras(model, [_layer_arrays(keras, layer) for layer in keras_model.layers])
