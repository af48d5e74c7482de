"""Engine models as Keras models and back."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lstune.engine import (
    LSTM,
    Dense,
    Dropout,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    Windows,
    from_keras,
    initial_weights,
    predict,
    to_keras,
)
from lstune.engine.config import OPTIMIZERS
from lstune.engine.keras_format import (
    from_keras_model,
    keras_loss,
    keras_optimizer,
    layer_from_keras,
    to_keras_model,
)
from lstune.engine.reference import loss_value
from lstune.errors import ConfigError, MissingExtraError

keras = pytest.importorskip("keras")

# Keras' own variables, not yet made for NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

MODEL = ModelConfig(
    2,
    (
        Dense(3, "elu"),
        Dropout(0.2),
        LSTM(5, activation="softsign", dropout=0.1, recurrent_dropout=0.2, return_sequences=True),
        LSTM(4, "relu", "hard_sigmoid", use_bias=False, return_sequences=True),
        Dense(2),
    ),
)


def test_round_trip_through_a_keras_model(rng):
    weights = initial_weights(MODEL, rng)
    model, read = from_keras_model(to_keras_model(MODEL, weights))
    assert model == MODEL
    np.testing.assert_array_equal(read, weights)


def test_flat_and_keras_arrays_are_inverse(rng):
    weights = initial_weights(MODEL, rng)
    arrays = to_keras(MODEL, weights)
    assert [[a.shape for a in layer] for layer in arrays] == [
        [(2, 3), (3,)],
        [],
        [(3, 20), (5, 20), (20,)],
        [(5, 16), (4, 16)],
        [(4, 2), (2,)],
    ]
    np.testing.assert_array_equal(from_keras(MODEL, arrays), weights)
    with pytest.raises(ConfigError, match="Layer 0"):
        from_keras(MODEL, [arrays[2], *arrays[1:]])
    with pytest.raises(ConfigError, match="5 layers"):
        from_keras(MODEL, arrays[1:])


@pytest.mark.parametrize("last_step", [False, True])
def test_saved_keras_model_predicts_what_the_engine_predicts(last_step, rng, tmp_path):
    weights = initial_weights(MODEL, rng)
    x = rng.normal(size=(7, 6, 2)).astype(np.float32)
    config = TrainConfig(loss="pinball", quantile=0.9, optimizer=OptimizerConfig("nadam", 0.003))
    path = tmp_path / "model.keras"
    to_keras_model(MODEL, weights, config=config, lookback=6, last_step=last_step).save(path)
    loaded = keras.saving.load_model(path)
    expected = predict(MODEL, weights, Windows.from_arrays(x))
    outputs = loaded.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, expected[:, -1] if last_step else expected, rtol=0, atol=2e-6)
    assert loaded.loss.quantile == 0.9
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.003)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_cosh", "pinball"])
def test_compiled_loss_is_the_engines(loss, rng):
    config = TrainConfig(loss=loss, delta=0.7, quantile=0.8)
    model = ModelConfig(1, (Dense(2, use_bias=False),))
    y = rng.normal(0, 2, size=(6, 2)).astype(np.float32)
    expected = loss_value(model, config, np.zeros(2), np.zeros((6, 1, 1)), y)
    assert float(keras_loss(config)(y, np.zeros((6, 2), np.float32))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_settings_arrive(name):
    ours = OptimizerConfig(
        name, 0.02, 0.3, rho=0.8, beta_1=0.7, beta_2=0.9, epsilon=1e-3, weight_decay=0.1, clipvalue=0.5
    )
    built = keras_optimizer(ours)
    theirs = built.get_config()
    assert type(built).__name__.lower() == name
    for setting in (
        "learning_rate",
        "momentum",
        "rho",
        "beta_1",
        "beta_2",
        "epsilon",
        "weight_decay",
        "clipvalue",
    ):
        if setting in theirs:
            assert theirs[setting] == pytest.approx(getattr(ours, setting)), setting


def test_adamw_without_decay_is_adamw():
    assert keras_optimizer(OptimizerConfig("adamw", weight_decay=0.0)).weight_decay == 0.0


REFUSED = {
    "swish": lambda layers: layers.LSTM(3, activation="swish"),
    "own function of a known name": lambda layers: layers.Dense(3, activation=tanh),
    "regularizer": lambda layers: layers.LSTM(3, kernel_regularizer="l2"),
    "constraint": lambda layers: layers.Dense(3, kernel_constraint="non_neg"),
    "stateful": lambda layers: layers.LSTM(3, stateful=True),
    "go_backwards": lambda layers: layers.LSTM(3, go_backwards=True),
    "noise_shape": lambda layers: layers.Dropout(0.3, noise_shape=(None, 1, 3)),
    "float16": lambda layers: layers.Dense(3, dtype="float16"),
    "trainable": lambda layers: layers.Dense(3, trainable=False),
    "a frozen cell": lambda layers: frozen_cell(layers),
    "GRU": lambda layers: layers.GRU(3),
    "penalty on a direction": lambda layers: layers.Bidirectional(
        layers.LSTM(3, activity_regularizer="l2", name="penalised"), name="forward_penalised"
    ),
    "half a direction": lambda layers: layers.Bidirectional(
        layers.LSTM(3, dtype="mixed_float16", name="half"), name="forward_half"
    ),
    "two directions turned round": lambda layers: layers.Bidirectional(
        layers.LSTM(3, go_backwards=True, name="turned"), backward_layer=layers.LSTM(3), name="forward_turned"
    ),
}


def frozen_cell(layers):
    layer = layers.LSTM(3)
    layer.cell.trainable = False
    return layer


def tanh(x):
    return x


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_the_engine_would_do_differently_is_refused_by_name(make):
    layer = make(keras.layers)
    with pytest.raises(ConfigError, match=rf"The engine .*'{layer.name}'"):
        layer_from_keras(layer)


def test_only_built_sequential_models_of_sequences_are_read():
    with pytest.raises(ConfigError, match="Sequential"):
        from_keras_model(keras.layers.Dense(1))
    with pytest.raises(ConfigError, match="built"):
        from_keras_model(keras.Sequential([keras.layers.LSTM(2)]))
    with pytest.raises(ConfigError, match="sequences"):
        from_keras_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


def test_without_keras_the_extra_is_named(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lstune\[keras\]'"):
        to_keras_model(MODEL, initial_weights(MODEL, rng))
