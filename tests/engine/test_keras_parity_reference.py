"""The NumPy twin against Keras itself (JAX backend): same weights, same batch order, no dropout, five epochs.

Both compute in float64, save that Keras rounds a few intermediate values to float32 (about 6e-8 relative, a
handful of roundings an epoch; 4e-8 is what is seen in most losses, 1.3e-6 once in an mae, whose slope jumps).
Hence 5e-6 for losses and weights: no room for a misplaced epsilon, decay or bias correction, which show from
1e-4 up.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lstune.engine.config import LSTM, Dense, Dropout, ModelConfig, OptimizerConfig, TrainConfig
from lstune.engine.keras_format import to_keras_model
from lstune.engine.reference import forward, train_reference
from lstune.engine.weights import initial_weights, variables

keras = pytest.importorskip("keras")
jax = pytest.importorskip("jax")

pytestmark = pytest.mark.slow

N, L, C, H = 11, 4, 2, 2  # batches of 4: two full ones and one of 3
TOLERANCE = 5e-6


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # kept from its first use: another test may have made it float32
    try:
        with jax.enable_x64():
            yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def keras_weights(model, keras_model):
    """The Keras model's weights as one float64 vector in the engine's layout."""
    flat = np.empty(variables(model)[-1].stop)
    layers = [layer for layer in keras_model.layers if not isinstance(layer, keras.layers.InputLayer)]
    for variable in variables(model):
        found = {weight.name: weight for weight in layers[variable.layer].trainable_variables}
        variable.of(flat)[...] = keras.ops.convert_to_numpy(found[variable.name].value)
    return flat


def check(layers, config, target_steps=None):
    rng = np.random.default_rng(7)
    model = ModelConfig(C, layers)
    weights = initial_weights(model, rng)
    shape = (H,) if target_steps is None else (target_steps, H)

    def draw(count):
        x, y = rng.normal(size=(count, L, C)), rng.normal(size=(count, *shape))
        return x.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)

    (x, y), validation = draw(N), draw(5)
    history, last = train_reference(model, config, weights, x, y, validation=validation)

    twin = to_keras_model(model, weights, config=config, lookback=L)
    np.testing.assert_array_equal(keras_weights(model, twin), weights)
    theirs = twin.fit(
        x,
        y,
        epochs=config.epochs,
        batch_size=config.batch_size,
        shuffle=False,
        validation_data=validation,
        verbose=0,
    ).history
    # A run that hardly moves would agree whatever its formulae.
    assert np.abs(last - weights).max() > 0.01
    np.testing.assert_allclose(history["loss"], theirs["loss"], rtol=TOLERANCE)
    np.testing.assert_allclose(history["val_loss"], theirs["val_loss"], rtol=TOLERANCE)
    np.testing.assert_allclose(last, keras_weights(model, twin), rtol=0, atol=TOLERANCE)
    return model, last, x, twin


def config(name="adam", rate=0.02, loss="mse", supervision="last", **optimizer):
    return TrainConfig(
        epochs=5,
        batch_size=4,
        loss=loss,
        delta=0.6,
        supervision=supervision,
        shuffle=False,
        optimizer=OptimizerConfig(name, rate, **optimizer),
    )


ONE_LAYER = {
    "tanh, mae": ((LSTM(3), Dense(H)), config(loss="mae")),
    "sigmoid, hard gates, huber": (
        (LSTM(3, activation="sigmoid", recurrent_activation="hard_sigmoid"), Dense(H)),
        config(loss="huber"),
    ),
    "relu, log_cosh": ((LSTM(3, activation="relu"), Dense(H, "softsign")), config(loss="log_cosh")),
    "elu, no bias, pinball": (
        (LSTM(3, activation="elu", use_bias=False), Dense(H, use_bias=False)),
        config(loss="pinball"),
    ),
    "softsign": ((LSTM(3, activation="softsign"), Dense(3, "elu"), Dense(H)), config()),
    "linear": ((LSTM(3, activation="linear", unit_forget_bias=False), Dense(H, "tanh")), config()),
    "hard_sigmoid": ((LSTM(3, activation="hard_sigmoid"), Dense(3, "relu"), Dense(H, "sigmoid")), config()),
}


@pytest.mark.parametrize(("layers", "training"), ONE_LAYER.values(), ids=ONE_LAYER)
def test_one_layer_with_each_activation_and_loss(layers, training):
    check(layers, training)


OPTIMIZERS = {
    "sgd, clipnorm": config("sgd", 0.05, clipnorm=0.1),
    "sgd nesterov, decay": config("sgd", 0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    "rmsprop, clipvalue": config("rmsprop", clipvalue=0.02),
    "rmsprop centered momentum": config("rmsprop", 0.005, rho=0.8, momentum=0.5, centered=True),
    "adam, global_clipnorm": config("adam", global_clipnorm=0.2, beta_1=0.8, epsilon=1e-3),
    "adamw": config("adamw", weight_decay=0.2),
    "nadam": config("nadam"),
}


@pytest.mark.parametrize("training", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_two_layers_with_each_optimizer_and_clip(training):
    check((LSTM(3, return_sequences=True), LSTM(2), Dense(H)), training)


@pytest.mark.parametrize("target_steps", [1, L], ids=["one target", "target per step"])
def test_every_step_is_supervised_as_keras_does(target_steps):
    """A single target (N, 1, H) is broadcast over the steps of a sequence by Keras, and so by the twin."""
    layers = (LSTM(3, return_sequences=True), Dropout(0.0), Dense(H))
    model, last, x, twin = check(layers, config(supervision="every"), target_steps)
    np.testing.assert_allclose(forward(model, last, x)[0], twin.predict(x, verbose=0), atol=TOLERANCE)
