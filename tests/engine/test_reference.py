"""The NumPy twin against central finite differences in float64, its optimizers against scalar formulae."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lstune.engine.config import (
    ACTIVATIONS,
    LOSSES,
    LSTM,
    RECURRENT_ACTIVATIONS,
    Dense,
    Dropout,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from lstune.engine.reference import (
    LSTMMasks,
    forward,
    loss_and_gradient,
    loss_value,
    optimizer_step,
    train_reference,
)
from lstune.engine.weights import initial_weights, input_widths, parameter_count, variables
from lstune.errors import ConfigError

B, L, C, U, H = 4, 5, 2, 3, 2
EVERY = {"supervision": "every", "burn_in": 2}


def keep(rng, shape, rate=0.4):
    """Inverted dropout multipliers."""
    return (rng.random(shape) >= rate) / (1.0 - rate)


def draw_masks(model, rng, batch=B, steps=L, four=False):
    """One mask for each layer that drops something, as the engine would draw them."""
    masks, sequence = [], True
    for layer, width in zip(model.layers, input_widths(model), strict=True):
        lead = (4,) if four else ()
        if isinstance(layer, LSTM):
            inputs = keep(rng, (*lead, batch, width)) if layer.dropout else None
            recurrent = keep(rng, (*lead, batch, layer.units)) if layer.recurrent_dropout else None
            masks.append(LSTMMasks(inputs, recurrent))
            sequence = layer.return_sequences
        elif isinstance(layer, Dropout):
            masks.append(keep(rng, (batch, steps, width) if sequence else (batch, width)))
        else:
            masks.append(None)
    return masks


def finite_differences(function, weights):
    """Central differences; the step, cube root of float64's precision, balances truncation and rounding."""
    step = np.cbrt(np.finfo(np.float64).eps)
    gradient = np.empty_like(weights)
    for index in range(len(weights)):
        moved = weights.copy()
        moved[index] = weights[index] + step
        above = function(moved)
        moved[index] = weights[index] - step
        gradient[index] = (above - function(moved)) / (2 * step)
    return gradient


def check_gradient(model, config, rng, masks=None, target_steps=None):
    # Weights of order 1 put gates on both sides of every kink, and none of them within a step of one.
    weights = rng.normal(0.0, 0.7, parameter_count(model))
    x = rng.normal(size=(B, L, model.input_size))
    shape = (B, H) if target_steps is None else (B, target_steps, H)
    y = rng.normal(0.0, 1.5, shape)
    loss, gradient = loss_and_gradient(model, config, weights, x, y, masks)
    assert loss == loss_value(model, config, weights, x, y, masks)
    expected = finite_differences(lambda w: loss_value(model, config, w, x, y, masks), weights)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("recurrent_activation", RECURRENT_ACTIVATIONS)
def test_gradient_of_each_lstm_activation(activation, recurrent_activation, rng):
    lstm = LSTM(U, activation=activation, recurrent_activation=recurrent_activation)
    check_gradient(ModelConfig(C, (lstm, Dense(H))), TrainConfig(), rng)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_each_dense_activation(activation, rng):
    model = ModelConfig(C, (LSTM(U), Dense(U, activation), Dense(H, activation)))
    check_gradient(model, TrainConfig(), rng)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("supervision", [{}, EVERY], ids=["last", "every"])
def test_gradient_of_each_loss(loss, supervision, rng):
    model = ModelConfig(C, (LSTM(U, return_sequences=bool(supervision)), Dense(H)))
    config = TrainConfig(loss=loss, delta=0.7, quantile=0.8, **supervision)
    check_gradient(model, config, rng, target_steps=L if supervision else None)


LAYER_KINDS = {
    "lstm alone": (LSTM(H),),
    "without bias": (LSTM(U, use_bias=False), Dense(H, use_bias=False)),
    "stacked": (LSTM(U, return_sequences=True), LSTM(U + 1, return_sequences=True), LSTM(U), Dense(H)),
    "dense below": (Dense(4, "tanh"), LSTM(U), Dense(H)),
    "dropout": (Dropout(0.4), LSTM(U, return_sequences=True), Dropout(0.4), LSTM(U), Dropout(0.4), Dense(H)),
    "input dropout": (LSTM(U, dropout=0.4, return_sequences=True), LSTM(U, dropout=0.4), Dense(H)),
    "recurrent dropout": (LSTM(U, dropout=0.4, recurrent_dropout=0.4), Dense(H)),
}


@pytest.mark.parametrize("four", [False, True], ids=["one mask", "mask per gate"])
@pytest.mark.parametrize("layers", LAYER_KINDS.values(), ids=LAYER_KINDS)
def test_gradient_of_each_layer_kind(layers, four, rng):
    model = ModelConfig(C, layers)
    check_gradient(model, TrainConfig(), rng, draw_masks(model, rng, four=four))


SEQUENCES = {
    "lstm alone": (LSTM(H, return_sequences=True),),
    "two and dropout": (
        LSTM(U, return_sequences=True),
        Dropout(0.4),
        LSTM(U, return_sequences=True),
        Dense(H),
    ),
    "dense alone": (Dense(U, "relu"), Dense(H)),
}


@pytest.mark.parametrize("layers", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("config", [{}, EVERY, {"supervision": "every"}], ids=["last", "burn-in", "every"])
@pytest.mark.parametrize("target_steps", [None, L], ids=["one target", "target per step"])
def test_gradient_of_sequence_models(layers, config, target_steps, rng):
    model = ModelConfig(C, layers)
    check_gradient(model, TrainConfig(**config), rng, draw_masks(model, rng), target_steps)


def test_burn_in_hides_the_first_steps(rng):
    model = ModelConfig(C, (LSTM(H, return_sequences=True),))
    config = TrainConfig(**EVERY)
    weights = initial_weights(model, rng)
    x, y = rng.normal(size=(B, L, C)), rng.normal(size=(B, L, H))
    early, late = y.copy(), y.copy()
    early[:, :2] += 1.0
    late[:, 2] += 1.0
    base = loss_value(model, config, weights, x, y)
    assert loss_value(model, config, weights, x, early) == base
    assert loss_value(model, config, weights, x, late) != base


def test_every_step_needs_a_sequence(rng):
    model = ModelConfig(C, (LSTM(H),))
    with pytest.raises(ConfigError, match="needs a sequence"):
        loss_value(
            model, TrainConfig(**EVERY), initial_weights(model, rng), np.zeros((B, L, C)), np.zeros((B, H))
        )


def test_loss_by_hand():
    """One output of 0 against errors y = 2 and -0.5: means over both elements."""
    model = ModelConfig(1, (Dense(2, use_bias=False),))
    x, y = np.zeros((1, 1, 1)), np.array([[2.0, -0.5]])
    expected = {
        "mse": (4 + 0.25) / 2,
        "mae": 2.5 / 2,
        "huber": ((2 - 0.5) + 0.125) / 2,
        "log_cosh": (math.log(math.cosh(2)) + math.log(math.cosh(0.5))) / 2,
        "pinball": (0.9 * 2 + 0.1 * 0.5) / 2,
    }
    for loss, value in expected.items():
        config = TrainConfig(loss=loss, quantile=0.9)
        assert loss_value(model, config, np.zeros(2), x, y) == pytest.approx(value, rel=1e-12), loss


def test_lstm_by_hand():
    """One unit, one channel, two steps, each gate with its own weights: the equations written out."""
    model = ModelConfig(1, (LSTM(1),))
    r, k, b = [0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, 0.8], [0.01, 1.0, -0.03, 0.04]
    sigmoid = lambda v: 1 / (1 + math.exp(-v))  # noqa: E731
    h = c = 0.0
    for x in (1.5, -0.5):
        z = [r[n] * h + k[n] * x + b[n] for n in range(4)]
        c = sigmoid(z[1]) * c + sigmoid(z[0]) * math.tanh(z[2])
        h = sigmoid(z[3]) * math.tanh(c)
    outputs, _ = forward(model, np.array(r + k + b), np.array([[[1.5], [-0.5]]]))
    assert outputs[0, 0] == pytest.approx(h, rel=1e-12)


OPTIMIZERS = {
    "sgd": OptimizerConfig("sgd", 0.1),
    "sgd momentum": OptimizerConfig("sgd", 0.1, momentum=0.9),
    "sgd nesterov": OptimizerConfig("sgd", 0.1, momentum=0.9, nesterov=True),
    "sgd decay": OptimizerConfig("sgd", 0.1, weight_decay=0.05),
    "rmsprop": OptimizerConfig("rmsprop", 0.01),
    "rmsprop all": OptimizerConfig("rmsprop", 0.01, rho=0.8, momentum=0.7, centered=True),
    "adam": OptimizerConfig("adam", 0.01),
    "adam betas": OptimizerConfig("adam", 0.01, beta_1=0.7, beta_2=0.95, epsilon=1e-3),
    "adamw": OptimizerConfig("adamw", 0.01),
    "nadam": OptimizerConfig("nadam", 0.01, weight_decay=0.01),
}


def textbook(o: OptimizerConfig, w: float, gradients: list[float]) -> float:
    """The papers' formulae on one weight, written without the twin's rearrangements."""
    rate, velocity, m, v, mean, product = o.learning_rate, 0.0, 0.0, 0.0, 0.0, 1.0
    for t, g in enumerate(gradients, start=1):
        w *= 1.0 - rate * o.decay
        if o.name == "sgd":
            before = velocity
            velocity = o.momentum * velocity - rate * g
            # Sutskever et al. (2013), written for the looked-ahead point w + momentum * velocity.
            w += (1 + o.momentum) * velocity - o.momentum * before if o.nesterov else velocity
        elif o.name == "rmsprop":
            v = o.rho * v + (1 - o.rho) * g * g
            mean = o.rho * mean + (1 - o.rho) * g
            velocity = o.momentum * velocity + rate * g / math.sqrt(v - o.centered * mean * mean + o.epsilon)
            w -= velocity
        else:
            m = o.beta_1 * m + (1 - o.beta_1) * g
            v = o.beta_2 * v + (1 - o.beta_2) * g * g
            v_hat = v / (1 - o.beta_2**t)
            if o.name == "nadam":
                mu, mu_next = (o.beta_1 * (1 - 0.5 * 0.96**s) for s in (t, t + 1))
                product *= mu
                m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
                w -= rate * m_hat / (math.sqrt(v_hat) + o.epsilon)
            else:
                # "epsilon hat": Keras adds epsilon to the uncorrected root.
                root = math.sqrt(v_hat) + o.epsilon / math.sqrt(1 - o.beta_2**t)
                w -= rate * m / (1 - o.beta_1**t) / root
    return w


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizer_against_its_textbook_formula(optimizer, rng):
    model = ModelConfig(C, (Dense(H),))
    count = parameter_count(model)
    start, gradients = rng.normal(size=count), rng.normal(size=(7, count))
    weights, slots = start, {}
    for step, gradient in enumerate(gradients, start=1):
        weights, slots = optimizer_step(optimizer, weights, gradient, slots, step, model)
    expected = [textbook(optimizer, start[n], list(gradients[:, n])) for n in range(count)]
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


def test_clips_change_the_gradient_as_keras_defines_them(rng):
    model = ModelConfig(C, (LSTM(U), Dense(H)))
    gradient = rng.normal(size=parameter_count(model))
    plain = OptimizerConfig("sgd", 1.0)
    zero = np.zeros_like(gradient)

    def clipped(**clip):
        return -optimizer_step(replace(plain, **clip), zero, gradient, {}, 1, model)[0]

    np.testing.assert_array_equal(clipped(), gradient)
    np.testing.assert_array_equal(clipped(clipvalue=0.5), np.clip(gradient, -0.5, 0.5))
    whole = clipped(global_clipnorm=1.5)
    assert np.linalg.norm(whole) == pytest.approx(1.5)
    np.testing.assert_allclose(whole / np.linalg.norm(whole), gradient / np.linalg.norm(gradient))
    limit = 3.0
    norms = [np.linalg.norm(variable.of(gradient)) for variable in variables(model)]
    assert min(norms) < limit < max(norms)
    for variable, norm in zip(variables(model), norms, strict=True):
        expected = variable.of(gradient) * min(1.0, limit / norm)
        np.testing.assert_allclose(variable.of(clipped(clipnorm=limit)), expected, rtol=1e-12)
    np.testing.assert_allclose(clipped(global_clipnorm=1e6), gradient, rtol=1e-12)
    assert not np.any(optimizer_step(replace(plain, clipnorm=1.0), zero, zero, {}, 1, model)[0])


def test_decay_comes_before_the_step_and_scales_with_the_rate(rng):
    model = ModelConfig(C, (Dense(H),))
    weights = rng.normal(size=parameter_count(model))
    optimizer = OptimizerConfig("adamw", 0.01, weight_decay=0.1)
    moved, _ = optimizer_step(optimizer, weights, np.zeros_like(weights), {}, 1, model, learning_rate=0.5)
    np.testing.assert_allclose(moved, weights * (1 - 0.5 * 0.1), rtol=1e-14)


def test_training_weights_the_last_partial_batch_by_its_size():
    """With a learning rate of 0 an epoch's loss is the whole set's, though batches differ in size."""
    rng = np.random.default_rng(3)
    model = ModelConfig(C, (LSTM(U), Dense(H)))
    config = TrainConfig(epochs=2, batch_size=4, optimizer=OptimizerConfig("sgd", 0.0))
    weights = initial_weights(model, rng)
    x, y = rng.normal(size=(10, L, C)), rng.normal(size=(10, H))
    history, last = train_reference(model, config, weights, x, y, order=lambda epoch: np.arange(10)[::-1])
    expected = loss_value(model, config, weights, x, y)
    assert history["loss"] == pytest.approx([expected, expected], rel=1e-12)
    np.testing.assert_array_equal(last, weights)


def test_training_learns_and_validates():
    rng = np.random.default_rng(4)
    model = ModelConfig(1, (LSTM(8), Dense(1)))
    config = TrainConfig(epochs=30, batch_size=8, optimizer=OptimizerConfig("adam", 0.02))
    x = rng.normal(size=(40, L, 1))
    y = x[:, -1] - 0.5 * x[:, -2]
    weights = initial_weights(model, rng)
    history, last = train_reference(model, config, weights, x[:32], y[:32], validation=(x[32:], y[32:]))
    assert history["val_loss"][-1] == loss_value(model, config, last, x[32:], y[32:])
    assert history["loss"][-1] < 0.05 * history["loss"][0]
    assert len(history["loss"]) == len(history["val_loss"]) == 30


def test_gradient_where_each_output_meets_all_the_batchs_targets(rng):
    """Targets (B,) against outputs (B, L, 1), as Keras broadcasts them."""
    model = ModelConfig(C, (LSTM(U, return_sequences=True), Dense(1)))
    config = TrainConfig(loss="huber", delta=0.7, **EVERY)
    weights = rng.normal(0.0, 0.7, parameter_count(model))
    x, y = rng.normal(size=(B, L, C)), rng.normal(size=B)
    loss, gradient = loss_and_gradient(model, config, weights, x, y)
    outputs, _ = forward(model, weights, x)
    size = np.abs(outputs[:, 2:] - y)
    assert size.shape == (B, L - 2, B)
    assert loss == pytest.approx(np.where(size <= 0.7, 0.5 * size**2, 0.7 * size - 0.245).mean(), rel=1e-12)
    expected = finite_differences(lambda w: loss_value(model, config, w, x, y), weights)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)
