"""A compiled Keras model and the arguments of its `fit`, as what the engine trains; or the reason why not.

Nothing may be silently different: whatever the engine would do otherwise than Keras raises `Untranslatable`
with a reason that is shown to the user, and Keras itself trains the model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import LSTM, LayerConfig, ModelConfig, TrainConfig
from lstune.engine.data import BATCH_TARGETS, Windows
from lstune.engine.keras_format import check_common, layer_from_keras
from lstune.engine.state import TrainState
from lstune.engine.weights import from_keras
from lstune.errors import ConfigError
from lstune.kt.compiled import Untranslatable, loss_of, metrics_of, optimizer_of
from lstune.kt.optimizer_state import read_optimizer

__all__ = ["Chain", "Fit", "Untranslatable", "translate_fit", "translate_layers", "write_weights"]

F32 = npt.NDArray[np.float32]

# fit's arguments that the engine knows; any other that is not at its default goes to Keras.
_KNOWN_ARGUMENTS = frozenset(
    {
        "x", "y", "batch_size", "epochs", "initial_epoch", "verbose", "callbacks", "validation_split",
        "validation_data", "shuffle", "validation_batch_size",
    }
)  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "class_weight": None,
    "sample_weight": None,
    "steps_per_epoch": None,
    "validation_steps": None,
    "validation_freq": 1,
}
_POSITIONAL = (
    "x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data",
)  # fmt: skip

_CALLBACKS = ("EarlyStopping", "TerminateOnNaN", "ReduceLROnPlateau", "LearningRateScheduler")


@dataclass(frozen=True)
class Chain:
    """The engine's model, and the Keras layer behind each of its layers."""

    model: ModelConfig
    keras_layers: tuple[Any, ...]


@dataclass(frozen=True)
class Fit:
    """One call of `fit` in the engine's terms.

    weights: (P,) float32, the Keras model's own; None if it has none yet and its initialisers are Keras'
    defaults, which the engine draws itself.  step, slots: what the Keras optimizer remembers of a training
    before this one: the batches it has seen, and (S, P) float32 or None.
    metrics: name in the history -> "mse", "mae", "mape" or "rmse".
    broadcast: whether one target a window is scored against every step of a sequence, as Keras broadcasts it.
    flat: whether that target came as y of shape (N,), of which Keras compares each one with every output of
    its batch.
    """

    chain: Chain
    config: TrainConfig
    train: Windows
    validation: Windows | None
    weights: F32 | None
    step: int
    slots: F32 | None
    metrics: dict[str, str]
    callbacks: tuple[Any, ...]
    initial_epoch: int
    broadcast: bool
    flat: bool

    @property
    def acting(self) -> list[Any]:
        """The callbacks that do something of their own; the engine does what the tuner's own do."""
        return [callback for callback in self.callbacks if not getattr(callback, "lstune_follows", False)]

    def logs_of(self, state: TrainState, epoch: int) -> dict[str, float]:
        """Keras' logs of the entry at place `epoch` in a state's history."""
        names = {"loss": "loss", **self.metrics}
        prefixes = ("", "val_") if self.validation is not None else ("",)
        return {p + name: state.history[p + kind][epoch] for p in prefixes for name, kind in names.items()}


# --- Layers ---------------------------------------------------------------------------------------


def translate_layers(keras_model: Any, input_width: int) -> Chain:
    """The engine's model for a Sequential or a functional chain that reads rows of `input_width` columns."""
    import keras

    layers: list[LayerConfig] = []
    kept: list[Any] = []
    for layer in _chain(keras, keras_model):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        sequence = _is_sequence(layers)
        if _takes_last_step(layer):
            layers = _end_sequence(layers, layer)
        elif not isinstance(layer, keras.layers.Layer):
            # Arithmetic on tensors, other slices, keras.ops.
            raise Untranslatable(f"the operation {type(layer).__name__} ('{layer.name}')")
        elif isinstance(layer, keras.layers.Flatten):
            with _refusals():
                check_common(layer)
            if sequence:
                raise Untranslatable(f"Flatten of a whole sequence (layer '{layer.name}')")
        else:
            if isinstance(layer, keras.layers.TimeDistributed):
                if not sequence or type(layer.layer) is not keras.layers.Dense:
                    raise Untranslatable(f"TimeDistributed of anything but Dense (layer '{layer.name}')")
                with _refusals():
                    check_common(layer)
                layer = layer.layer
            with _refusals():
                layers.append(layer_from_keras(layer))
            kept.append(layer)
    with _refusals():
        return Chain(ModelConfig(input_width, tuple(layers)), tuple(kept))


@contextmanager
def _refusals() -> Iterator[None]:
    """What the engine refuses is for Keras to train."""
    try:
        yield
    except ConfigError as error:
        raise Untranslatable(str(error)) from None


def _chain(keras: Any, keras_model: Any) -> Sequence[Any]:
    """The layers in the order in which they act."""
    kind = type(keras_model)
    if kind is keras.Sequential:
        return list(keras_model.layers)
    if kind is not keras.Model and kind.__name__ != "Functional":
        raise Untranslatable(f"a model class of its own ({kind.__name__})")
    if len(keras_model.inputs) != 1 or len(keras_model.outputs) != 1:
        raise Untranslatable("several inputs or outputs")
    operations, wanted = [], keras_model.outputs[0]
    while True:
        operation, node_index, _ = wanted._keras_history
        if len(operation._inbound_nodes) != 1:
            raise Untranslatable(f"layer '{operation.name}' is used more than once")
        operations.append(operation)
        sources = operation._inbound_nodes[node_index].input_tensors
        if not sources:
            break
        if len(sources) != 1:
            raise Untranslatable(f"layer '{operation.name}' joins several inputs")
        wanted = sources[0]
    operations.reverse()
    if len(operations) != len(keras_model.operations):
        raise Untranslatable("branches")
    return operations


def _is_sequence(layers: Sequence[LayerConfig]) -> bool:
    lstms = [layer for layer in layers if isinstance(layer, LSTM)]
    return not lstms or lstms[-1].return_sequences


def _takes_last_step(operation: Any) -> bool:
    """Whether this is `x[:, -1]` or `x[:, -1, :]` on a functional model's tensor."""
    if type(operation).__name__ != "GetItem":
        return False
    key = operation._inbound_nodes[0].arguments.args[1]
    everything = slice(None, None, None)
    return key in ((everything, -1), (everything, -1, everything))


def _end_sequence(layers: list[LayerConfig], operation: Any) -> list[LayerConfig]:
    """The same layers, the last LSTM giving its last step alone: all above it works on single steps."""
    lstms = [index for index, layer in enumerate(layers) if isinstance(layer, LSTM)]
    if not lstms or not _is_sequence(layers):
        raise Untranslatable(f"a slice of something that is no LSTM's sequence ('{operation.name}')")
    last = layers[lstms[-1]]
    assert isinstance(last, LSTM)
    if last.bidirectional:
        # The backward direction's output at the last step has seen one row; return_sequences=False gives all.
        raise Untranslatable(f"the last step of a bidirectional sequence ('{operation.name}')")
    return [*layers[: lstms[-1]], replace(last, return_sequences=False), *layers[lstms[-1] + 1 :]]


def _weights(chain: Chain, keras_model: Any, input_shape: tuple[int, ...]) -> F32 | None:
    """The Keras model's weights; None where the engine may draw them as Keras would.

    Raises Untranslatable where Keras would not train exactly these.
    """
    if not keras_model.trainable:
        raise Untranslatable("a model that is not trainable")
    if not all(layer.built for layer in chain.keras_layers):
        if all(_default_initialisers(layer) for layer in chain.keras_layers):
            return None
        keras_model.build((None, *input_shape[1:]))
    trained = {id(variable) for variable in keras_model.trainable_variables}
    if trained != {id(variable) for layer in chain.keras_layers for variable in layer.trainable_variables}:
        raise Untranslatable("trainable weights other than those of its layers")
    with _refusals():
        return from_keras(chain.model, [_arrays(layer) for layer in chain.keras_layers])


def _arrays(layer: Any) -> list[Any]:
    import keras

    return [keras.ops.convert_to_numpy(variable.value) for variable in layer.trainable_variables]


def _default_initialisers(layer: Any) -> bool:
    directions = [
        getattr(layer, f"{way}_layer") for way in ("forward", "backward") if hasattr(layer, f"{way}_layer")
    ]
    if directions:
        return all(_default_initialisers(direction) for direction in directions)
    plain = {"kernel": "GlorotUniform", "recurrent": "Orthogonal", "bias": "Zeros"}
    for part, name in plain.items():
        initializer = getattr(layer, f"{part}_initializer", None)
        if initializer is None:
            continue
        settings = initializer.get_config()
        # An initialiser with a seed of its own gives weights that the engine would not draw.
        if (
            type(initializer).__name__ != name
            or settings.get("seed") is not None
            or settings.get("gain", 1) != 1
        ):
            return False
    return True


def write_weights(chain: Chain, keras_model: Any, weights: Any, input_shape: tuple[int, ...]) -> None:
    """Put the engine's weights (P,) into the Keras model, which is built if need be."""
    from lstune.engine.weights import to_keras

    if not all(layer.built for layer in chain.keras_layers):
        keras_model.build((None, *input_shape[1:]))
    for layer, arrays in zip(chain.keras_layers, to_keras(chain.model, weights), strict=True):
        for variable, array in zip(layer.trainable_variables, arrays, strict=True):
            variable.assign(array)


# --- The call of fit ------------------------------------------------------------------------------


def fit_arguments(args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """fit's arguments by name. Raises Untranslatable for those that the engine does not know."""
    named = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
    if len(args) > len(_POSITIONAL):
        raise Untranslatable("more positional arguments to fit than the engine knows")
    for name in list(named):
        if name in _DEFAULTS:
            if named.pop(name) is not _DEFAULTS[name]:
                raise Untranslatable(f"fit with {name}")
        elif name not in _KNOWN_ARGUMENTS:
            raise Untranslatable(f"fit with {name}")
    return named


def _array(value: Any, what: str) -> F32:
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if (
        isinstance(value, (list, tuple, dict))
        or not hasattr(value, "__array__")
        or not hasattr(value, "shape")
    ):
        raise Untranslatable(f"{what} that is no array ({type(value).__name__})")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        # Such as a tensor in the memory of a GPU.
        raise Untranslatable(f"{what} that NumPy cannot read ({error})") from None
    if array.dtype.kind not in "fiub":
        raise Untranslatable(f"{what} of type {array.dtype}")
    array = np.asarray(array, np.float32)
    pandas = sys.modules.get("pandas")
    # Keras makes a column of it.
    return array[:, None] if pandas is not None and isinstance(value, pandas.Series) else array


def _targets(y: F32, model: ModelConfig, steps: int) -> tuple[F32, bool]:
    """Targets (N, H) or (N, L, H) as Keras lines them up with the outputs; whether it broadcasts them."""
    outputs = model.output_size
    if y.ndim == 1:
        # (N,) against a sequence is compared all with all, see BATCH_TARGETS; _windows sees to it.
        y = y[:, None]
    if not model.returns_sequence:
        if y.ndim == 3 and y.shape[-1] == 1 and y.shape[1] == outputs:
            y = y[..., 0]
        if y.shape[1:] == (outputs,):
            return y, False
    elif y.ndim == 3 and y.shape[1:] == (steps, outputs):
        return y, False
    elif outputs == 1 and y.ndim == 2 and y.shape[1] == 1:
        return y, steps > 1
    elif outputs == 1 and y.ndim == 2 and y.shape[1] == steps:
        return y[..., None], False
    shape = (steps, outputs) if model.returns_sequence else (outputs,)
    raise Untranslatable(f"targets of shape {y.shape[1:]} against outputs of shape {shape}")


def _windows(x: F32, y: F32, model: ModelConfig) -> tuple[Windows, bool]:
    if x.ndim != 3 or x.shape[2] != model.input_size:
        raise Untranslatable(f"inputs of shape {x.shape[1:]}, not (steps, {model.input_size})")
    targets, broadcast = _targets(y, model, x.shape[1])
    with _refusals():
        windows = Windows.from_arrays(x, targets)
    if y.ndim == 1 and model.returns_sequence:
        return replace(windows, target_step=BATCH_TARGETS), True
    return windows, broadcast


def _split(x: F32, y: F32, share: float) -> tuple[F32, F32, tuple[F32, F32]]:
    """Keras' validation_split: the last rows."""
    at = int(np.floor(len(x) * (1.0 - share)))
    if at in (0, len(x)):
        raise Untranslatable(f"a validation_split of {share} that leaves one part empty")
    return x[:at], y[:at], (x[at:], y[at:])


def translate_fit(keras_model: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Fit:
    """What `keras_model.fit(*args, **kwargs)` would do, in the engine's terms. Raises Untranslatable."""
    named = fit_arguments(args, kwargs)
    if not getattr(keras_model, "compiled", False):
        raise Untranslatable("a model that is not compiled")
    callbacks = _known_callbacks(named.get("callbacks") or ())
    x, y = _array(named.get("x"), "x"), _array(named.get("y"), "y")
    if x.ndim != 3 or len(x) != len(y) or len(x) == 0:
        raise Untranslatable(f"x of shape {x.shape} and y of shape {y.shape}")
    shape = x.shape
    _check_input(keras_model, shape)
    given = named.get("validation_data")
    if given is None and named.get("validation_split"):
        x, y, given = _split(x, y, named["validation_split"])
    chain = translate_layers(keras_model, shape[2])
    train, broadcast = _windows(x, y, chain.model)
    validation = None
    if given is not None:
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise Untranslatable("validation data that are no pair of arrays")
        validation, _ = _windows(
            _array(given[0], "validation x"), _array(given[1], "validation y"), chain.model
        )
    sets = [windows for windows in (train, validation) if windows is not None]
    if any(windows.target_step == BATCH_TARGETS for windows in sets) and named.get("validation_batch_size"):
        raise Untranslatable(
            "validation_batch_size where y has the shape (N,) and the model gives a sequence"
        )
    shuffle = named.get("shuffle", True)
    if not isinstance(shuffle, bool):
        raise Untranslatable(f"shuffle={shuffle!r}")
    with _refusals():
        config = TrainConfig(
            epochs=int(named.get("epochs", 1)),
            batch_size=32 if named.get("batch_size") is None else int(named["batch_size"]),
            optimizer=optimizer_of(keras_model),
            shuffle=shuffle,
            supervision="every" if chain.model.returns_sequence else "last",
            restore_best_weights=False,
            **loss_of(keras_model),
        )
    weights = _weights(chain, keras_model, shape)
    step, slots = read_optimizer(chain.model, config.optimizer, chain.keras_layers, keras_model.optimizer)
    return Fit(
        chain=chain,
        config=config,
        train=train,
        validation=validation,
        weights=weights,
        step=step,
        slots=slots,
        metrics=metrics_of(keras_model),
        callbacks=callbacks,
        initial_epoch=int(named.get("initial_epoch", 0)),
        broadcast=broadcast,
        flat=train.target_step == BATCH_TARGETS,
    )


def _check_input(keras_model: Any, shape: tuple[int, ...]) -> None:
    """A functional model takes what its Input says, and Keras says so; a Sequential is built anew."""
    keras = sys.modules["keras"]
    if type(keras_model) is keras.Sequential:
        return
    for wanted in getattr(keras_model, "inputs", None) or ():
        wrong = [
            size
            for size, known in zip(shape[1:], wanted.shape[1:], strict=False)
            if known not in (None, size)
        ]
        if wrong:
            raise Untranslatable(f"inputs of shape {shape[1:]} for an Input of shape {wanted.shape[1:]}")


def _known_callbacks(callbacks: Any) -> tuple[Any, ...]:
    keras = sys.modules["keras"]
    given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in given:
        kind = type(callback)
        if getattr(callback, "lstune_follows", False):
            continue
        if kind.__name__ not in _CALLBACKS or kind is not getattr(keras.callbacks, kind.__name__):
            raise Untranslatable(f"the callback {kind.__name__}")
    return tuple(given)
