"""The engine against Keras itself (JAX backend), float32: equal weights and batch order, five epochs.

Tolerance: both sum in float32 in different orders and the engine's tanh is good to 2e-7, so one batch differs
by about 1e-6. Over 20 steps differences feed back; activations without a bound (relu, elu, linear) and
divisions by small gradients' roots (RMSprop, Adam, Nadam at their default epsilon of 1e-7) amplify them.
Seen: at most 4e-6; allowed: 5e-5. Formulae that differ, such as an epsilon out of a root, show from 1e-3
up. `test_keras_parity_reference.py` has such a comparison in float64 at 1e-6, `test_kernels.py` closes the
triangle.
"""

from __future__ import annotations

import numpy as np
import pytest

from lstune.engine import (
    LSTM,
    Dense,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    Windows,
    init_state,
    predict,
    train,
)
from lstune.engine.keras_format import from_keras_model, to_keras_model
from lstune.engine.reference import LSTMMasks, loss_and_gradient, loss_value

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.slow

N, L, C, H = 27, 6, 2, 2  # batches of 8: three full ones and one of 3
TOLERANCE = 5e-5


def optimizer(name, rate, **settings):
    return {"optimizer": OptimizerConfig(name, rate, **settings)}


CASES = {
    "tanh, adam": ((LSTM(9), Dense(H)), optimizer("adam", 0.01)),
    "relu, rmsprop, two layers": (
        (LSTM(9, activation="relu", return_sequences=True), LSTM(5, activation="relu"), Dense(H)),
        optimizer("rmsprop", 0.002),
    ),
    "sigmoid, sgd with momentum, two layers": (
        (LSTM(5, activation="sigmoid", return_sequences=True), LSTM(5, activation="sigmoid"), Dense(H)),
        optimizer("sgd", 0.05, momentum=0.9),
    ),
    "elu, adamw, clipnorm, mae": (
        (LSTM(9, activation="elu"), Dense(H)),
        {"loss": "mae", **optimizer("adamw", 0.01, weight_decay=0.1, clipnorm=0.1)},
    ),
    "softsign, nadam, two layers, log_cosh": (
        (LSTM(9, activation="softsign", return_sequences=True), LSTM(3, activation="softsign"), Dense(H)),
        {"loss": "log_cosh", **optimizer("nadam", 0.005)},
    ),
    "linear, nesterov, global_clipnorm, pinball": (
        (LSTM(9, activation="linear"), Dense(7, "relu"), Dense(H)),
        {"loss": "pinball", **optimizer("sgd", 0.05, momentum=0.9, nesterov=True, global_clipnorm=0.3)},
    ),
    "hard_sigmoid, centered rmsprop, clipvalue": (
        (LSTM(9, activation="hard_sigmoid", recurrent_activation="hard_sigmoid", use_bias=False), Dense(H)),
        optimizer("rmsprop", 0.002, centered=True, momentum=0.5, epsilon=1e-5, clipvalue=0.1),
    ),
    "a sequence against one target, huber": (
        (LSTM(9, return_sequences=True), Dense(1)),
        {"loss": "huber", "supervision": "every", **optimizer("adam", 0.01)},
    ),
}


@pytest.mark.parametrize(("layers", "settings"), CASES.values(), ids=CASES)
def test_training_equals_keras(layers, settings, rng):
    model = ModelConfig(C, layers)
    config = TrainConfig(epochs=5, batch_size=8, shuffle=False, delta=0.6, quantile=0.8, **settings)

    def draw(count):
        x = rng.normal(size=(count, L, C)).astype(np.float32)
        return x, rng.normal(size=(count, model.output_size)).astype(np.float32)

    (x, y), (vx, vy) = draw(N), draw(7)
    start = init_state(model, config, seed=3)
    twin = to_keras_model(model, start.weights, config=config, lookback=L)
    theirs = twin.fit(
        x, y, epochs=5, batch_size=8, shuffle=False, validation_data=(vx, vy), verbose=0
    ).history
    ours = train(
        model, config, Windows.from_arrays(x, y), validation=Windows.from_arrays(vx, vy), state=start
    ).state

    read, weights = from_keras_model(twin)
    assert read == model
    assert np.abs(weights - start.weights).max() > 0.01
    np.testing.assert_allclose(ours.history["loss"], theirs["loss"], rtol=TOLERANCE)
    np.testing.assert_allclose(ours.history["val_loss"], theirs["val_loss"], rtol=TOLERANCE)
    np.testing.assert_allclose(ours.weights, weights, rtol=0, atol=TOLERANCE)
    # Equal weights give equal forecasts, whatever trained them.
    forecast = predict(model, weights, Windows.from_arrays(vx))
    np.testing.assert_allclose(forecast, twin.predict(vx, verbose=0), rtol=0, atol=3e-6)
    assert theirs["val_loss"][-1] == pytest.approx(loss_value(model, config, weights, vx, vy), rel=1e-5)


def multipliers(rng, rate, shape):
    return ((rng.random(shape) >= rate) / (1.0 - rate)).astype(np.float32)


@pytest.mark.parametrize("recurrent", [0.0, 0.3], ids=["inputs alone", "recurrent too"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "two ways"])
def test_dropout_masks_as_keras_uses_them(recurrent, bidirectional, rng):
    """Equal masks put into Keras' cells and the twin: one step of gradient descent moves both alike.

    Which masks there are is Keras' own doing: one for all gates without recurrent dropout, else four.
    """
    lstm = LSTM(5, dropout=0.4, recurrent_dropout=recurrent, bidirectional=bidirectional)
    model = ModelConfig(C, (lstm, Dense(H)))
    config = TrainConfig(**optimizer("sgd", 1.0))
    x = rng.normal(size=(8, L, C)).astype(np.float32)
    y = rng.normal(size=(8, H)).astype(np.float32)
    start = init_state(model, config, seed=3).weights
    twin = to_keras_model(model, start, config=config, lookback=L)
    layer = twin.layers[0]
    masks = []
    for half in (layer.forward_layer, layer.backward_layer) if bidirectional else (layer,):
        drawn = half.cell._create_dropout_mask(np.ones((8, C), np.float32), 0.4)
        gates = (len(drawn),) if isinstance(drawn, list) else ()
        assert gates == ((4,) if recurrent else ())
        inputs = multipliers(rng, 0.4, (*gates, 8, C))
        hidden = multipliers(rng, recurrent, (4, 8, 5)) if recurrent else None
        masks.append(LSTMMasks(inputs, hidden))
        given = {0.4: list(inputs) if gates else inputs, recurrent or None: list(hidden) if gates else None}
        half.cell._create_dropout_mask = lambda _, rate, given=given: given[rate]
    loss, gradient = loss_and_gradient(
        model, config, start, x, y, [masks if bidirectional else masks[0], None]
    )
    assert twin.train_on_batch(x, y) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(from_keras_model(twin)[1], start - gradient, rtol=0, atol=2e-6)
    assert np.abs(gradient).max() > 0.01
