"""What to train and how: plain frozen data, checked at construction.

Axis letters as everywhere in lstune: N windows, B batch, L lookback, C input channels,
H outputs (horizon), U units, G = 4U gates.

Names, meanings and default values are Keras 3's, so that a Keras model's settings can be carried over
one to one; where lstune adds a setting (`supervision`, `burn_in`) its docstring says so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Union

from lstune.errors import ConfigError, explain

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "LSTM",
    "OPTIMIZERS",
    "RECURRENT_ACTIVATIONS",
    "Dense",
    "Dropout",
    "LayerConfig",
    "ModelConfig",
    "OptimizerConfig",
    "TrainConfig",
    "lstm_model",
]

# The order is the code by which kernels know an activation: append, never reorder.
ACTIVATIONS = ("linear", "tanh", "sigmoid", "relu", "elu", "softsign", "hard_sigmoid")
RECURRENT_ACTIVATIONS = ("sigmoid", "hard_sigmoid")
LOSSES = ("mse", "mae", "huber", "log_cosh", "pinball")
OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw", "nadam")


def _require(ok: bool, rule: str, received: Any, fix: str | None = None) -> None:
    if not ok:
        raise ConfigError(explain(rule, received, fix))


def _is_int(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_rate(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0.0 <= value < 1.0


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    _require(value in known, f"{name} must be one of {', '.join(known)}", value)


@dataclass(frozen=True)
class LSTM:
    """A long short-term memory layer (Hochreiter & Schmidhuber 1997), gate order i, f, c, o as in Keras.

    `dropout` masks the inputs and `recurrent_dropout` the previous hidden state; each mask is drawn once for
    a batch and used at every step. As in Keras 3, all gates share the inputs' mask while `recurrent_dropout`
    is 0 (Gal & Ghahramani 2016, tied weights); above, each gate has its own, of the inputs too (untied).
    With `bidirectional` a second LSTM of the same settings reads the window from its end, and the two outputs
    are concatenated, 2U wide (Schuster & Paliwal 1997; Keras' Bidirectional with merge_mode="concat").
    """

    units: int
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    use_bias: bool = True
    unit_forget_bias: bool = True
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    return_sequences: bool = False
    bidirectional: bool = False

    def __post_init__(self) -> None:
        _require(_is_int(self.units, 1), "LSTM units must be a whole number of 1 or more", self.units)
        _one_of("LSTM activation", self.activation, ACTIVATIONS)
        _one_of("LSTM recurrent_activation", self.recurrent_activation, RECURRENT_ACTIVATIONS)
        for name in ("dropout", "recurrent_dropout"):
            _require(_is_rate(getattr(self, name)), f"LSTM {name} must be in [0, 1)", getattr(self, name))

    @property
    def width(self) -> int:
        """The width of an output row: U, or 2U if bidirectional."""
        return 2 * self.units if self.bidirectional else self.units


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout of single values (not of whole steps) at `rate`, in training only."""

    rate: float

    def __post_init__(self) -> None:
        _require(_is_rate(self.rate), "Dropout rate must be in [0, 1)", self.rate)


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; on a sequence it is applied to each step."""

    units: int
    activation: str = "linear"
    use_bias: bool = True

    def __post_init__(self) -> None:
        _require(_is_int(self.units, 1), "Dense units must be a whole number of 1 or more", self.units)
        _one_of("Dense activation", self.activation, ACTIVATIONS)


LayerConfig = Union[LSTM, Dropout, Dense]
_LAYER_KINDS: dict[str, type] = {"LSTM": LSTM, "Dropout": Dropout, "Dense": Dense}


@dataclass(frozen=True)
class ModelConfig:
    """A chain of layers on inputs of shape (L, C).

    An LSTM can only stand where its input is still a sequence: every LSTM but the last needs
    `return_sequences=True`. The model's output has shape (H,), or (L, H) if it is a sequence.
    """

    input_size: int
    layers: tuple[LayerConfig, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        _require(
            _is_int(self.input_size, 1), "input_size must be a whole number of 1 or more", self.input_size
        )
        _require(len(self.layers) > 0, "A model needs at least one layer", self.layers)
        sequence = True
        for index, layer in enumerate(self.layers):
            _require(
                isinstance(layer, (LSTM, Dropout, Dense)),
                "Layers must be LSTM, Dropout or Dense",
                layer,
            )
            if isinstance(layer, LSTM):
                _require(
                    sequence,
                    f"Layer {index} is an LSTM whose input is no longer a sequence",
                    layer,
                    "Set return_sequences=True on the LSTM below it",
                )
                sequence = layer.return_sequences
        _require(
            any(not isinstance(layer, Dropout) for layer in self.layers),
            "A model needs at least one layer with weights",
            self.layers,
        )

    @property
    def returns_sequence(self) -> bool:
        """Whether the output has one row for each step."""
        for layer in reversed(self.layers):
            if isinstance(layer, LSTM):
                return layer.return_sequences
        return True

    @property
    def output_size(self) -> int:
        """H, the width of the output."""
        for layer in reversed(self.layers):
            if isinstance(layer, LSTM):
                return layer.width
            if isinstance(layer, Dense):
                return layer.units
        return self.input_size

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "input_size": self.input_size,
            "layers": [{"kind": type(layer).__name__, **asdict(layer)} for layer in self.layers],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`."""
        layers = []
        for entry in data["layers"]:
            settings = dict(entry)
            layers.append(_LAYER_KINDS[settings.pop("kind")](**settings))
        return cls(data["input_size"], tuple(layers))


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer with Keras 3's formulae, defaults and epsilons.

    Settings that an optimizer does not know are ignored by it: `momentum` (sgd, rmsprop), `nesterov` (sgd),
    `rho`, `centered` (rmsprop), `beta_1`, `beta_2` (adam, adamw, nadam), `weight_decay` (all; decoupled, as
    in Loshchilov & Hutter 2019; None is Keras' default, which is 0.004 for adamw and none for the others).
    At most one of the three clips may be set: `clipnorm` (each weight array), `clipvalue`, `global_clipnorm`.
    """

    name: str = "adam"
    learning_rate: float = 0.001
    momentum: float = 0.0
    nesterov: bool = False
    rho: float = 0.9
    centered: bool = False
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None

    def __post_init__(self) -> None:
        _one_of("optimizer", self.name, OPTIMIZERS)
        rate = self.learning_rate
        _require(
            isinstance(rate, (int, float)) and math.isfinite(rate) and rate >= 0,
            "learning_rate must be a finite number of 0 or more",
            rate,
        )
        for name in ("momentum", "rho", "beta_1", "beta_2"):
            value = getattr(self, name)
            _require(0.0 <= value <= 1.0, f"{name} must be in [0, 1]", value)
        for name, value in (("epsilon", self.epsilon), ("weight_decay", self.decay)):
            _require(0.0 <= value < math.inf, f"{name} must be a finite number of 0 or more", value)
        clips = [n for n in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, n) is not None]
        _require(len(clips) <= 1, "At most one of clipnorm, clipvalue, global_clipnorm may be set", clips)
        for name in clips:
            _require(getattr(self, name) > 0, f"{name} must be above 0", getattr(self, name))

    @property
    def decay(self) -> float:
        """The weight decay in force."""
        if self.weight_decay is None:
            return 0.004 if self.name == "adamw" else 0.0
        return float(self.weight_decay)


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    `loss`: "huber" uses `delta`; "pinball" uses `quantile` (Koenker & Bassett 1978).
    `supervision` (lstune's own): "last" scores the window's final step, "every" scores each step from
    `burn_in` on; "every" needs a model that returns a sequence and targets for each step.
    `patience` epochs without an improvement of more than `min_delta` in the validation loss (training
    loss without validation data) end the training; None never does. With `restore_best_weights` the
    weights of the best epoch are the result, whether or not training ended early.
    """

    epochs: int = 10
    batch_size: int = 32
    loss: str = "mse"
    delta: float = 1.0
    quantile: float = 0.5
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    shuffle: bool = True
    supervision: Literal["last", "every"] = "last"
    burn_in: int = 0
    patience: int | None = None
    min_delta: float = 0.0
    restore_best_weights: bool = True

    def __post_init__(self) -> None:
        _require(_is_int(self.epochs, 1), "epochs must be a whole number of 1 or more", self.epochs)
        _require(
            _is_int(self.batch_size, 1), "batch_size must be a whole number of 1 or more", self.batch_size
        )
        _one_of("loss", self.loss, LOSSES)
        _require(self.delta > 0, "delta must be above 0", self.delta)
        _require(0.0 < self.quantile < 1.0, "quantile must be in (0, 1)", self.quantile)
        _one_of("supervision", self.supervision, ("last", "every"))
        _require(_is_int(self.burn_in, 0), "burn_in must be a whole number of 0 or more", self.burn_in)
        _require(
            self.patience is None or _is_int(self.patience, 1),
            "patience must be None or a whole number of 1 or more",
            self.patience,
        )
        _require(self.min_delta >= 0, "min_delta must be 0 or more", self.min_delta)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainConfig:
        """The inverse of `to_dict`."""
        settings = dict(data)
        settings["optimizer"] = OptimizerConfig(**settings["optimizer"])
        return cls(**settings)


def lstm_model(
    input_size: int,
    outputs: int = 1,
    *,
    units: int = 64,
    layers: int = 1,
    activation: str = "tanh",
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    sequence: bool = False,
) -> ModelConfig:
    """The usual forecaster: `layers` LSTMs of `units` each, Dropout after each one, and a Dense output.

    With `sequence` the last LSTM returns every step too, as `supervision="every"` needs.
    """
    stack: list[LayerConfig] = []
    for index in range(layers):
        keep_steps = sequence or index < layers - 1
        stack.append(
            LSTM(
                units, activation=activation, recurrent_dropout=recurrent_dropout, return_sequences=keep_steps
            )
        )
        if dropout > 0:
            stack.append(Dropout(dropout))
    stack.append(Dense(outputs))
    return ModelConfig(input_size, tuple(stack))
