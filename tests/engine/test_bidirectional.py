"""Two directions: the twin by finite differences, the engine against the twin, and Keras' own."""

from __future__ import annotations

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
    init_state,
    predict,
    train,
)
from lstune.engine.keras_format import from_keras_model, to_keras_model
from lstune.engine.reference import forward, loss_and_gradient, loss_value, train_reference
from lstune.errors import ConfigError

STACKS = {
    "alone": (LSTM(4, bidirectional=True),),
    "then dense": (LSTM(5, bidirectional=True), Dense(3, "elu"), Dense(1)),
    "stacked": (LSTM(5, bidirectional=True, return_sequences=True), LSTM(7, bidirectional=True), Dense(1)),
    "sequence": (
        LSTM(9, bidirectional=True, return_sequences=True),
        Dropout(0.0),
        LSTM(3, "relu", return_sequences=True),
        LSTM(8, bidirectional=True, return_sequences=True),
        Dense(2),
    ),
}


@pytest.fixture(params=STACKS)
def model(request):
    return ModelConfig(2, STACKS[request.param])


def draw(model, rng, count=11, steps=6):
    x = rng.normal(size=(count, steps, 2)).astype(np.float32)
    return x, rng.normal(size=(count, model.output_size)).astype(np.float32)


def test_the_twin_by_finite_differences(model, rng):
    x, y = draw(model, rng, count=3, steps=4)
    config = TrainConfig()
    weights = init_state(model, config, 5).weights.astype(np.float64) + rng.normal(0, 0.1)
    _, gradient = loss_and_gradient(model, config, weights, x, y)
    step = 1e-6
    for index in rng.choice(len(weights), 40):
        near = weights.copy()
        near[index] += step
        above = loss_value(model, config, near, x, y)
        near[index] -= 2 * step
        slope = (above - loss_value(model, config, near, x, y)) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_the_engine_trains_as_the_twin(model, rng):
    x, y = draw(model, rng)
    config = TrainConfig(epochs=3, batch_size=4, shuffle=False, optimizer=OptimizerConfig("adam", 0.01))
    state = init_state(model, config, 1)
    ours = train(model, config, Windows.from_arrays(x, y), state=state)
    history, weights = train_reference(model, config, state.weights, x, y)
    # As for one direction: float32 sums of up to a few hundred products.
    np.testing.assert_allclose(ours.state.history["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(ours.weights, weights, rtol=0, atol=5e-5)
    assert np.abs(weights - state.weights).max() > 0.01
    outputs, _ = forward(model, ours.weights, x)
    np.testing.assert_allclose(
        predict(model, ours.weights, Windows.from_arrays(x)), outputs, rtol=0, atol=1e-6
    )


def test_keras_predicts_the_same_and_comes_back_unchanged(model, rng):
    x, _ = draw(model, rng)
    weights = init_state(model, TrainConfig(), 2).weights
    built = to_keras_model(model, weights, lookback=6)
    ours = predict(model, weights, Windows.from_arrays(x))
    np.testing.assert_allclose(built.predict(x, verbose=0), ours, rtol=0, atol=1e-6)
    again, same = from_keras_model(built)
    assert again == model
    np.testing.assert_array_equal(same, weights)


def test_dropout_in_both_directions_resumes_bit_for_bit(rng):
    lstm = LSTM(6, dropout=0.3, recurrent_dropout=0.2, bidirectional=True, return_sequences=True)
    model = ModelConfig(2, (lstm, Dropout(0.2), LSTM(5, bidirectional=True), Dense(1)))
    data = Windows.from_arrays(*draw(model, rng))
    config = TrainConfig(epochs=6, batch_size=4)
    whole = train(model, config, data, seed=3)
    part = train(model, config, data, seed=3, until_epoch=2)
    rest = train(model, config, data, state=part.state)
    np.testing.assert_array_equal(whole.weights, rest.weights)


def test_a_last_step_of_two_directions_is_refused():
    model = ModelConfig(1, STACKS["sequence"])
    with pytest.raises(ConfigError, match="one direction"):
        to_keras_model(model, init_state(model, TrainConfig()).weights, last_step=True)
