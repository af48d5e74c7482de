"""The compiled engine against its float64 twin: outputs, one batch's gradient, and five epochs of training.

The gradient is read off a step of plain gradient descent with rate 1, so these tests hold whatever kernels
look like inside. Tolerances are float32's: about 1e-6 of the largest entry for one batch (sums of up to a few
hundred products, and tanh good to 2e-7), 1e-4 for curves after five epochs, where differences feed back.
Wrong formulae show from 1e-2 up.
"""

from __future__ import annotations

import numba
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
    initial_weights,
    predict,
    train,
)
from lstune.engine._jit import JIT_DISABLED
from lstune.engine.config import ACTIVATIONS, LOSSES, RECURRENT_ACTIVATIONS
from lstune.engine.dropout import dropout_multipliers, mix
from lstune.engine.network import HIDDEN, IN_STEP, Network
from lstune.engine.reference import LSTMMasks, forward, loss_and_gradient, loss_value, train_reference
from lstune.engine.weights import input_widths, parameter_count

GRADIENT = OptimizerConfig("sgd", 1.0)


# Kernels have no way in from Python; these are theirs.
@numba.njit
def draw_multipliers(out, rate, key):
    dropout_multipliers(out, rate, key)


@numba.njit
def batch_key(seed, step, layer, part):
    return mix(mix(mix(seed, step), layer), part)


def draw(rng, model, count, steps, target_steps=None):
    """Float32 inputs and targets, and weights of a size that reaches all parts of the activations."""
    x = rng.normal(size=(count, steps, model.input_size)).astype(np.float32)
    shape = (count, model.output_size) if target_steps is None else (count, target_steps, model.output_size)
    y = rng.normal(size=shape).astype(np.float32)
    weights = initial_weights(model, rng)
    weights += rng.normal(0.0, 0.3 / np.sqrt(max(input_widths(model)[-1], 4)), len(weights)).astype(
        np.float32
    )
    return x, y, weights


def check_batch(model, rng, *, batch=4, steps=5, target_steps=None, seed=0, masks=None, **settings):
    """Loss, gradient and outputs of one batch."""
    x, y, weights = draw(rng, model, batch, steps, target_steps)
    config = TrainConfig(epochs=1, batch_size=batch, shuffle=False, optimizer=GRADIENT, **settings)
    data = Windows.from_arrays(x, y)
    state = train(model, config, data, state=_state(model, config, weights, seed)).state
    loss, expected = loss_and_gradient(model, config, weights, x, y, masks)
    assert state.history["loss"][0] == pytest.approx(loss, rel=2e-6)
    gradient = weights.astype(np.float64) - state.weights
    # Reading the gradient off float32 weights of order 1 costs 6e-8 of the weights' size.
    tolerance = 3e-6 * max(np.abs(expected).max(), 0.3)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance)
    assert np.abs(expected).max() > 100 * tolerance
    outputs, _ = forward(model, weights, x)
    ours = predict(model, weights, data)
    assert ours.dtype == np.float32
    assert ours.shape == outputs.shape
    np.testing.assert_allclose(ours, outputs, rtol=0, atol=2e-6 * max(1.0, np.abs(outputs).max()))


def _state(model, config, weights, seed=0):
    from lstune.engine import init_state

    return init_state(model, config, seed=seed, weights=weights)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("recurrent_activation", RECURRENT_ACTIVATIONS)
def test_each_lstm_activation(activation, recurrent_activation, rng):
    lstm = LSTM(5, activation=activation, recurrent_activation=recurrent_activation)
    check_batch(ModelConfig(2, (lstm, Dense(2))), rng)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("outputs", [2, 19], ids=["narrow", "wide"])
def test_each_dense_activation(activation, outputs, rng):
    check_batch(ModelConfig(2, (LSTM(5), Dense(7, activation), Dense(outputs, activation))), rng)


@pytest.mark.parametrize(("activation", "low"), [("tanh", -1.0), ("sigmoid", 0.0), ("elu", -1.0)])
def test_saturation_is_exact(activation, low):
    x = np.float32([-1e6, -88.0, -20.0, -16.0, 16.0, 20.0, 88.0, 1e6])
    model = ModelConfig(1, (Dense(1, activation, use_bias=False),))
    outputs = predict(model, np.ones(1, np.float32), Windows.from_arrays(x[:, None, None]))
    high = x[4:] if activation == "elu" else np.ones(4)
    assert outputs.ravel().tolist() == [*[low] * 4, *high.tolist()]


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_inputs_that_nobody_scaled_train_as_the_twin_says(name, rng):
    """Saturated gates have a slope of 0: 2e-7 in its place, times such inputs, moved weights by 0.2."""
    model = ModelConfig(2, (LSTM(9), Dense(2)))
    x, y, weights = draw(rng, model, 24, 6)
    x *= 1e6
    config = TrainConfig(epochs=5, batch_size=8, shuffle=False, optimizer=OptimizerConfig(name, 0.01))
    state = train(model, config, Windows.from_arrays(x, y), state=_state(model, config, weights)).state
    history, expected = train_reference(model, config, weights, x, y)
    np.testing.assert_allclose(state.history["loss"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(state.weights, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("every", [False, True], ids=["last", "every"])
def test_each_loss(loss, every, rng):
    model = ModelConfig(2, (LSTM(5, return_sequences=every), Dense(2)))
    settings = {"supervision": "every", "burn_in": 2} if every else {}
    check_batch(model, rng, loss=loss, delta=0.7, quantile=0.8, target_steps=5 if every else None, **settings)


@pytest.mark.parametrize("units", [1, 5, 13, 16, 33, 40])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (3, 2), (17, 7)])
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 1), (7, 6)])
def test_odd_sizes(units, channels, outputs, batch, steps, rng):
    check_batch(ModelConfig(channels, (LSTM(units), Dense(outputs))), rng, batch=batch, steps=steps)


LAYER_KINDS = {
    "lstm alone": (LSTM(3),),
    "lstm alone, a sequence": (LSTM(3, return_sequences=True),),
    "without bias": (LSTM(5, use_bias=False), Dense(2, use_bias=False)),
    "wide dense without bias": (LSTM(5), Dense(33, "tanh", use_bias=False), Dense(2)),
    "stacked": (LSTM(9, return_sequences=True), LSTM(4, return_sequences=True), LSTM(17), Dense(2)),
    "stacked, a sequence": (LSTM(9, return_sequences=True), LSTM(5, return_sequences=True), Dense(2)),
    "dense below": (Dense(6, "tanh"), LSTM(5), Dense(2)),
    "wide dense below and between": (
        Dense(21, "tanh"),
        LSTM(5, return_sequences=True),
        Dense(18, "relu"),
        LSTM(3),
        Dense(2),
    ),
    "dense alone": (Dense(9, "elu"), Dense(3)),
}


@pytest.mark.parametrize("layers", LAYER_KINDS.values(), ids=LAYER_KINDS)
@pytest.mark.parametrize("batch", [1, 5])
def test_each_layer_kind(layers, batch, rng):
    check_batch(ModelConfig(3, layers), rng, batch=batch)


@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("target_steps", [None, 5], ids=["one target", "target per step"])
def test_every_step_supervision(burn_in, target_steps, rng):
    model = ModelConfig(3, (LSTM(9, return_sequences=True), LSTM(5, return_sequences=True), Dense(2)))
    check_batch(model, rng, supervision="every", burn_in=burn_in, target_steps=target_steps)


def engine_masks(model, seed, batch, steps, step=0):
    """The multipliers that the engine draws for the batch of number `step`, as the twin takes them."""

    def multipliers(rate, shape, index, part=0):
        values = np.empty(int(np.prod(shape)), np.float32)
        draw_multipliers(values, rate, np.uint64(batch_key(np.uint64(seed), step, index, part)))
        return values.reshape(shape)

    def of_lstm(layer, width, index):
        # As Keras: a mask for each gate, of the inputs too, once there is recurrent dropout.
        inputs, gates = None, (4,) if layer.recurrent_dropout else ()
        if layer.dropout:
            inputs = multipliers(layer.dropout, (*gates, batch, width), index)
        if not layer.recurrent_dropout:
            return LSTMMasks(inputs, None)
        shape = (4, batch, table[index, HIDDEN])
        return LSTMMasks(inputs, multipliers(layer.recurrent_dropout, shape, index, 1)[..., : layer.units])

    masks, sequence, index = [], True, 0
    table = Network(model, steps, batch).table
    for layer, width in zip(model.layers, input_widths(model), strict=True):
        if isinstance(layer, LSTM) and layer.bidirectional:
            masks.append([of_lstm(layer, width, index), of_lstm(layer, width, index + 1)])
            # The third row merges the two.
            index += 2
        elif isinstance(layer, LSTM):
            masks.append(of_lstm(layer, width, index))
        elif isinstance(layer, Dropout):
            if sequence:
                values = multipliers(layer.rate, (steps, batch, table[index, IN_STEP]), index)
                masks.append(values.transpose(1, 0, 2)[..., :width])
            else:
                masks.append(multipliers(layer.rate, (batch, table[index, IN_STEP]), index)[:, :width])
        else:
            masks.append(None)
        sequence = layer.return_sequences if isinstance(layer, LSTM) else sequence
        index += 1
    return masks


DROPOUTS = {
    "after": (LSTM(9), Dropout(0.4)),
    "on a sequence": (LSTM(9, return_sequences=True), Dropout(0.4), LSTM(3)),
    "first": (Dropout(0.4), LSTM(9)),
    "inputs": (LSTM(9, dropout=0.4, return_sequences=True), LSTM(5, dropout=0.3)),
    "recurrent": (LSTM(9, recurrent_dropout=0.4, return_sequences=True), LSTM(5, recurrent_dropout=0.4)),
    "recurrent, without bias": (LSTM(16, recurrent_dropout=0.4, use_bias=False), Dense(2)),
    "recurrent, wide": (
        Dense(17, "tanh"),
        LSTM(33, "relu", dropout=0.3, recurrent_dropout=0.2, return_sequences=True),
        LSTM(40, recurrent_dropout=0.2),
        Dense(2),
    ),
    "in two directions": (
        LSTM(9, dropout=0.2, recurrent_dropout=0.3, bidirectional=True, return_sequences=True),
        LSTM(5, dropout=0.2, recurrent_dropout=0.3, bidirectional=True),
        Dropout(0.4),
    ),
    "after dense": (Dense(7, "tanh"), Dropout(0.4), LSTM(5), Dense(6), Dropout(0.4), Dense(2), Dropout(0.4)),
    "all": (
        LSTM(9, dropout=0.4, recurrent_dropout=0.3, return_sequences=True),
        Dropout(0.2),
        LSTM(5, dropout=0.1, recurrent_dropout=0.5, return_sequences=True),
        Dropout(0.4),
    ),
}


@pytest.mark.parametrize("layers", DROPOUTS.values(), ids=DROPOUTS)
def test_dropout(layers, rng):
    """Given the engine's own multipliers, the twin has its loss and gradient; predictions drop nothing."""
    model = ModelConfig(3, layers)
    seed, batch, steps = 11, 6, 5
    masks = engine_masks(model, seed, batch, steps)
    check_batch(model, rng, batch=batch, steps=steps, seed=seed, masks=masks)


def test_training_with_a_mask_for_each_gate(rng):
    """Epochs of full and partial batches, with an evaluation, which drops nothing, after each."""
    layers = (
        LSTM(19, dropout=0.3, recurrent_dropout=0.4, return_sequences=True),
        LSTM(7, recurrent_dropout=0.2),
        Dense(2),
    )
    model, seed, steps = ModelConfig(3, layers), 5, 4
    config = TrainConfig(epochs=3, batch_size=8, optimizer=OptimizerConfig("sgd", 0.1, momentum=0.5))

    def masks(epoch, number):
        return engine_masks(model, seed, 8 if number < 2 else 6, steps, step=3 * epoch + number)

    check_training(model, config, rng, steps=steps, seed=seed, masks=masks)


@pytest.mark.skipif(JIT_DISABLED, reason="a million draws take minutes in plain Python")
def test_dropout_multipliers_drop_at_their_rate_and_keep_the_mean():
    """A million draws: the standard deviation of the share is below 5e-4, so 3e-3 fails once in 10^9."""
    for rate in (0.1, 0.5, 0.8):
        values = np.empty(1_000_000, np.float32)
        draw_multipliers(values, rate, np.uint64(123))
        assert set(np.unique(values)) == {np.float32(0.0), np.float32(1.0 / (1.0 - rate))}
        assert np.mean(values == 0) == pytest.approx(rate, abs=3e-3)
        other = np.empty_like(values)
        draw_multipliers(other, rate, np.uint64(124))
        # Neighbouring keys and neighbouring values are independent: shares multiply.
        both = np.mean((values == 0) & (other == 0)), np.mean((values[1:] == 0) & (values[:-1] == 0))
        assert both == pytest.approx((rate**2, rate**2), abs=3e-3)


def check_training(
    model, config, rng, *, windows=22, steps=5, target_steps=None, rtol=1e-4, seed=0, masks=None
):
    x, y, weights = draw(rng, model, windows, steps, target_steps)
    vx, vy, _ = draw(rng, model, 9, steps, target_steps)
    orders = [rng.permutation(windows) for _ in range(config.epochs)]
    result = train(
        model,
        config,
        Windows.from_arrays(x, y),
        validation=Windows.from_arrays(vx, vy),
        state=_state(model, config, weights, seed),
        order=lambda epoch: orders[epoch],
    )
    history, last = train_reference(
        model, config, weights, x, y, lambda epoch: orders[epoch], masks, validation=(vx, vy)
    )
    assert np.abs(last - weights).max() > 0.01
    assert result.state.step == config.epochs * -(-windows // config.batch_size)
    np.testing.assert_allclose(result.state.history["loss"], history["loss"], rtol=rtol)
    np.testing.assert_allclose(result.state.history["val_loss"], history["val_loss"], rtol=rtol)
    np.testing.assert_allclose(result.state.weights, last, rtol=0, atol=rtol)


OPTIMIZERS = {
    "sgd": OptimizerConfig("sgd", 0.05),
    "sgd momentum": OptimizerConfig("sgd", 0.02, momentum=0.9),
    "sgd nesterov, decay": OptimizerConfig("sgd", 0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    "sgd, clipnorm": OptimizerConfig("sgd", 0.1, clipnorm=0.1),
    "rmsprop": OptimizerConfig("rmsprop", 0.01, epsilon=1e-4),
    "rmsprop all, clipvalue": OptimizerConfig(
        "rmsprop", 0.005, rho=0.8, momentum=0.5, centered=True, epsilon=1e-3, clipvalue=0.05
    ),
    "adam": OptimizerConfig("adam", 0.01, epsilon=1e-4),
    "adam betas, global_clipnorm": OptimizerConfig(
        "adam", 0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-4, global_clipnorm=0.3
    ),
    "adamw": OptimizerConfig("adamw", 0.01, epsilon=1e-4, weight_decay=0.2),
    "nadam": OptimizerConfig("nadam", 0.01, epsilon=1e-4),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_five_epochs_with_each_optimizer(optimizer, rng):
    """22 windows in batches of 8, the last of 6.

    Epsilons above the default keep tiny gradients, whose sign float32 decides, from taking whole steps; the
    next test has the default.
    """
    model = ModelConfig(2, (LSTM(9, return_sequences=True), LSTM(5), Dense(2)))
    check_training(model, TrainConfig(epochs=5, batch_size=8, optimizer=optimizer), rng)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "nadam"])
def test_five_epochs_with_default_epsilons(name, rng):
    model = ModelConfig(1, (LSTM(13), Dense(1)))
    config = TrainConfig(epochs=5, batch_size=8, optimizer=OptimizerConfig(name, 0.005))
    check_training(model, config, rng, rtol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_five_epochs_with_each_loss_on_every_step(loss, rng):
    model = ModelConfig(2, (LSTM(9, return_sequences=True), Dense(2)))
    optimizer = OptimizerConfig("sgd", 0.1, momentum=0.5)
    config = TrainConfig(
        epochs=5, batch_size=8, loss=loss, optimizer=optimizer, supervision="every", burn_in=1
    )
    check_training(model, config, rng, target_steps=5, rtol=3e-4)


def test_windows_share_rows_and_gather_their_own(rng):
    """Overlapping windows in any order equal the same windows written out."""
    model = ModelConfig(2, (LSTM(5, return_sequences=True), Dense(1)))
    rows = rng.normal(size=(40, 2)).astype(np.float32)
    targets = rng.normal(size=(50, 1)).astype(np.float32)
    starts = np.array([3, 30, 0, 17, 18, 33])
    target_starts = starts + 4
    lookback = 6
    shared = Windows(rows, starts, lookback, targets, target_starts, 1)
    x = np.stack([rows[s : s + lookback] for s in starts])
    y = np.stack([targets[s : s + lookback] for s in target_starts])
    config = TrainConfig(epochs=2, batch_size=4, supervision="every")
    mine = train(model, config, shared, validation=shared, seed=5)
    apart = Windows.from_arrays(x, y)
    theirs = train(model, config, apart, validation=apart, seed=5)
    assert mine.state.history == theirs.state.history
    np.testing.assert_array_equal(mine.weights, theirs.weights)
    np.testing.assert_array_equal(predict(model, mine.weights, shared), predict(model, mine.weights, apart))
    expected = loss_value(model, config, mine.weights, x, y)
    assert mine.state.history["val_loss"][-1] == pytest.approx(expected, rel=2e-6)


def test_predict_batches_do_not_matter_beyond_rounding(rng):
    model = ModelConfig(2, (LSTM(13), Dense(2)))
    x, y, weights = draw(rng, model, 70, 4)
    data = Windows.from_arrays(x, y)
    whole = predict(model, weights, data, batch_size=70)
    for size in (1, 3, 32, 200):
        np.testing.assert_allclose(predict(model, weights, data, batch_size=size), whole, rtol=0, atol=1e-6)
    assert predict(model, weights, data.take(slice(0, 0))).shape == (0, 2)
    assert len(weights) == parameter_count(model)
