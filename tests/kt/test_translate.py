"""Keras' own fit and the engine's side by side: the same history and weights; what is refused, and why."""

from __future__ import annotations

import numpy as np
import pytest

from lstune.kt.fit import run_fit
from lstune.kt.translate import Untranslatable, translate_fit, write_weights

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras' own variables, not yet made for NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

N, L, C = 27, 6, 2
# As in tests/engine/test_keras_parity.py, and for the same reasons.
TOLERANCE = 5e-5


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def data(rng, count, outputs=1, steps=None, flat=False):
    x = rng.normal(size=(count, L, C)).astype(np.float32)
    shape = (count, outputs) if steps is None else (count, steps, outputs)
    shape = (count,) if flat else shape
    # Away from 0, where relative errors are ill-conditioned.
    return x, (rng.uniform(0.5, 2.0, size=shape) * rng.choice([-1, 1], size=shape)).astype(np.float32)


def sequential(*stack, optimizer="adam", loss="mse", **compiled):
    model = keras.Sequential([keras.Input((L, C)), *stack])
    model.compile(optimizer=optimizer, loss=loss, **compiled)
    return model


def functional(end):
    inputs = keras.Input((L, C))
    model = keras.Model(inputs, end(inputs))
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    return model


def two_layers():
    return sequential(
        layers.LSTM(7, return_sequences=True),
        layers.LSTM(5),
        layers.Dense(1),
        optimizer=keras.optimizers.RMSprop(0.003, momentum=0.3),
        metrics=[
            "mae",
            "mape",
            keras.metrics.RootMeanSquaredError(),
            keras.metrics.MeanSquaredError(name="m"),
        ],
    )


def last_step_by_slice(inputs):
    x = layers.LSTM(6, return_sequences=True)(inputs)
    x = layers.Dropout(0.0)(x)
    return layers.Dense(1)(x[:, -1, :])


CASES = {
    "lstm dense": (lambda: sequential(layers.LSTM(8), layers.Dense(1)), {}),
    "two layers, metrics": (two_layers, {}),
    "relu, sgd nesterov": (
        lambda: sequential(
            layers.LSTM(6, activation="relu"),
            layers.Dense(1),
            optimizer=keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
        ),
        {},
    ),
    "sigmoid, hard gates, mae": (
        lambda: sequential(
            layers.LSTM(6, activation="sigmoid", recurrent_activation="hard_sigmoid"),
            layers.Dense(4, "relu"),
            layers.Dense(1, activation="tanh"),
            loss="mae",
            metrics=["mse"],
        ),
        {},
    ),
    "sequence against one target": (
        lambda: sequential(
            layers.LSTM(6, return_sequences=True), layers.Dropout(0.0), layers.Dense(1), metrics=["mae"]
        ),
        {},
    ),
    "sequence against targets of shape (N,)": (
        lambda: sequential(
            layers.LSTM(6, return_sequences=True), layers.Dense(1), metrics=["mae", "mape"], loss="huber"
        ),
        {"flat": True},
    ),
    "target for each step": (
        lambda: sequential(layers.LSTM(6, return_sequences=True), layers.TimeDistributed(layers.Dense(2))),
        {"outputs": 2, "steps": L},
    ),
    "several outputs, huber": (
        lambda: sequential(layers.LSTM(6), layers.Dense(3), loss=keras.losses.Huber(delta=0.5)),
        {"outputs": 3},
    ),
    "log_cosh, adamw, clipnorm": (
        lambda: sequential(
            layers.LSTM(6, use_bias=False, unit_forget_bias=False),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
            optimizer=keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=0.2),
            loss="log_cosh",
        ),
        {},
    ),
    "nadam, global_clipnorm": (
        lambda: sequential(
            layers.LSTM(6, activation="elu"),
            layers.Dense(1),
            optimizer=keras.optimizers.Nadam(0.005, global_clipnorm=0.5),
        ),
        {},
    ),
    "functional": (lambda: functional(lambda x: layers.Dense(1)(layers.LSTM(6)(x))), {}),
    "functional, last step by a slice": (lambda: functional(last_step_by_slice), {}),
    "bidirectional": (
        lambda: sequential(
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(1),
        ),
        {},
    ),
    "loss and metrics by their classes": (
        lambda: sequential(
            layers.LSTM(5),
            layers.Dense(1),
            loss=keras.losses.MeanSquaredError,
            metrics=[keras.metrics.MeanAbsoluteError, "root_mean_squared_error", "MAPE"],
        ),
        {},
    ),
    "validation_split and no batch size": (
        lambda: sequential(layers.LSTM(6, activation="softsign"), layers.Dense(1)),
        {"fit": {"validation_split": 0.3, "batch_size": None}},
    ),
    "callbacks": (
        lambda: sequential(layers.LSTM(6), layers.Dense(1), optimizer=keras.optimizers.Adam(0.05)),
        {
            "epochs": 12,
            "callbacks": lambda: [
                keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True),
                keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.01),
                keras.callbacks.TerminateOnNaN(),
            ],
        },
    ),
    "a scheduled rate": (
        lambda: sequential(layers.LSTM(6), layers.Dense(1)),
        {
            "callbacks": lambda: [
                keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 if epoch < 2 else rate / 2)
            ]
        },
    ),
}


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.parametrize(("make", "options"), CASES.values(), ids=CASES)
def test_history_and_weights_equal_keras(make, options, rng):
    model = make()
    shape = {name: options[name] for name in ("outputs", "steps", "flat") if name in options}
    x, y = data(rng, N, **shape)
    arguments = {"epochs": options.get("epochs", 4), "batch_size": 8, "shuffle": False, "verbose": 0}
    arguments.update(options.get("fit", {"validation_data": data(rng, 9, **shape)}))
    callbacks = options.get("callbacks", list)

    fit = translate_fit(model, (x, y), {**arguments, "callbacks": callbacks()})
    ours = run_fit(fit, seed=0)
    theirs = model.fit(x, y, **arguments, callbacks=callbacks())

    assert set(ours.history) == set(theirs.history)
    assert ours.epochs == theirs.epoch
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=TOLERANCE, err_msg=name)
    expected = translate_fit(model, (x, y), arguments).weights
    np.testing.assert_allclose(ours.weights, expected, rtol=0, atol=TOLERANCE)
    assert np.abs(ours.weights - fit.weights).max() > 1e-3

    write_weights(fit.chain, model, fit.weights, x.shape)
    again = translate_fit(model, (x, y), arguments)
    np.testing.assert_array_equal(again.weights, fit.weights)


class Own(keras.Model):
    def call(self, x):
        return x


def frozen(layer, part, *before):
    """A model one part of whose layer does not learn."""
    model = sequential(*before, layer, layers.Dense(1))
    getattr(layer, part).trainable = False
    return model


class OnGPU:
    """As torch's tensors in a GPU's memory."""

    shape = (N, L, C)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def frozen_model():
    model = sequential(layers.LSTM(3), layers.Dense(1))
    model.trainable = False
    for layer in model.layers:
        layer.trainable = True
    return model


REFUSED = {
    "GRU": (lambda: sequential(layers.GRU(3), layers.Dense(1)), {}, "GRU"),
    "own class": (lambda: Own(), {}, "compiled|class of its own"),
    "masks that Keras mixes up": (
        lambda: sequential(layers.LSTM(3, dropout=0.1, implementation=1), layers.Dense(1)),
        {},
        "implementation=1",
    ),
    "whole sequence flattened": (
        lambda: sequential(layers.LSTM(3, return_sequences=True), layers.Flatten(), layers.Dense(1)),
        {},
        "Flatten",
    ),
    "lambda": (lambda: sequential(layers.LSTM(3), layers.Lambda(lambda x: x)), {}, "Lambda"),
    "branches": (
        lambda: functional(
            lambda x: layers.Dense(1)(layers.Concatenate()([layers.LSTM(3)(x), layers.LSTM(2)(x)]))
        ),
        {},
        "joins",
    ),
    "arithmetic on tensors": (
        lambda: functional(lambda x: layers.Dense(1)(layers.LSTM(3)(x * 2.0))),
        {},
        "operation Multiply",
    ),
    "a step that is not the last": (
        lambda: functional(lambda x: layers.Dense(1)(layers.LSTM(3, return_sequences=True)(x)[:, 0])),
        {},
        "operation GetItem",
    ),
    "loss": (lambda: sequential(layers.LSTM(3), layers.Dense(1), loss="poisson"), {}, "loss poisson"),
    "loss weights": (lambda: sequential(layers.LSTM(3), layers.Dense(1), loss_weights=[0.1]), {}, "loss_w"),
    "a loss name that Keras does not know": (
        lambda: sequential(layers.LSTM(3), layers.Dense(1), loss="Mae"),
        {},
        "loss Mae",
    ),
    "a metric name that Keras does not know": (
        lambda: sequential(layers.LSTM(3), layers.Dense(1), metrics=["mean_Squared_error"]),
        {},
        "metric mean_Squared_error",
    ),
    "the same metric twice": (
        lambda: sequential(layers.LSTM(3), layers.Dense(1), metrics=["mae", "mae"]),
        {},
        "two metrics",
    ),
    "a penalty on TimeDistributed": (
        lambda: sequential(
            layers.LSTM(3, return_sequences=True),
            layers.TimeDistributed(layers.Dense(1), activity_regularizer="l2"),
        ),
        {},
        "activity_regularizer on TimeDistributed",
    ),
    "a penalty within Bidirectional": (
        lambda: sequential(layers.Bidirectional(layers.LSTM(3, activity_regularizer="l2")), layers.Dense(1)),
        {},
        "activity_regularizer",
    ),
    "a frozen model of trainable layers": (lambda: frozen_model(), {}, "not trainable"),
    "a frozen direction": (
        lambda: frozen(layers.Bidirectional(layers.LSTM(3)), "forward_layer"),
        {},
        "trainable on LSTM",
    ),
    "a frozen cell": (lambda: frozen(layers.LSTM(3), "cell"), {}, "whole layers"),
    "a frozen TimeDistributed": (
        lambda: frozen(
            layers.TimeDistributed(layers.Dense(1)), "layer", layers.LSTM(3, return_sequences=True)
        ),
        {},
        "trainable on Dense",
    ),
    "other columns than it was built for": (
        lambda: sequential(layers.LSTM(3), layers.Dense(1)),
        {"x": np.zeros((N, L, C + 1), np.float32)},
        "weights of the shapes",
    ),
    "other steps than a functional model takes": (
        lambda: functional(lambda x: layers.Dense(1)(layers.LSTM(3)(x))),
        {"x": np.zeros((N, L + 1, C), np.float32)},
        "Input of shape",
    ),
    "sum of losses": (
        lambda: sequential(
            layers.LSTM(3), layers.Dense(1), loss=keras.losses.MeanSquaredError(reduction="sum")
        ),
        {},
        "reduction",
    ),
    "metric": (lambda: sequential(layers.LSTM(3), layers.Dense(1), metrics=["accuracy"]), {}, "accuracy"),
    "optimizer": (lambda: sequential(layers.LSTM(3), layers.Dense(1), optimizer="lion"), {}, "Lion"),
    "amsgrad": (
        lambda: sequential(layers.LSTM(3), layers.Dense(1), optimizer=keras.optimizers.Adam(amsgrad=True)),
        {},
        "amsgrad",
    ),
    "rate by step": (
        lambda: sequential(
            layers.LSTM(3),
            layers.Dense(1),
            optimizer=keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
        ),
        {},
        "every step",
    ),
    "sample weights": (None, {"sample_weight": np.ones(N)}, "sample_weight"),
    "class weights": (None, {"class_weight": {0: 1.0}}, "class_weight"),
    "steps": (None, {"steps_per_epoch": 2}, "steps_per_epoch"),
    "validation with weights": (None, {"validation_data": (1, 2, 3)}, "pair"),
    "callback": (None, {"callbacks": [keras.callbacks.CSVLogger("x.csv")]}, "CSVLogger"),
    "targets": (lambda: sequential(layers.LSTM(3), layers.Dense(4)), {}, "targets of shape"),
    "a tensor elsewhere": (None, {"x": OnGPU()}, "NumPy cannot read"),
    "generator": (None, {"x": iter([1])}, "no array"),
    "shuffle": (None, {"shuffle": "batch"}, "shuffle"),
    "validation batches of targets compared all with all": (
        lambda: sequential(layers.LSTM(3, return_sequences=True), layers.Dense(1)),
        {"y": np.zeros(N), "validation_batch_size": 5},
        "validation_batch_size",
    ),
}


@pytest.mark.parametrize(("make", "arguments", "reason"), REFUSED.values(), ids=REFUSED)
def test_the_rest_is_refused_with_a_reason(make, arguments, reason, rng):
    model = make() if make is not None else sequential(layers.LSTM(3), layers.Dense(1))
    x, y = data(rng, N)
    with pytest.raises(Untranslatable, match=reason):
        translate_fit(model, (), {"x": x, "y": y, **arguments})


def test_unbuilt_models_are_drawn_by_the_engine_as_keras_would(rng):
    x, y = data(rng, N)
    model = keras.Sequential([layers.LSTM(8), layers.Dropout(0.1), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    assert translate_fit(model, (x, y), {}).weights is None
    seeded = keras.Sequential([layers.LSTM(3, kernel_initializer=keras.initializers.GlorotUniform(seed=1))])
    seeded.compile(optimizer="adam", loss="mse")
    # An initialiser with a seed is the model's own business: Keras builds it.
    weights = translate_fit(seeded, (x, rng.normal(size=(N, 3))), {}).weights
    expected = keras.initializers.GlorotUniform(seed=1)((C, 12))
    np.testing.assert_array_equal(weights[36 : 36 + 24], np.asarray(expected).ravel())


def test_a_series_of_targets_is_a_column_as_in_keras(rng):
    pandas = pytest.importorskip("pandas")
    model = sequential(layers.LSTM(4, return_sequences=True), layers.Dense(1))
    x, y = data(rng, N, flat=True)
    arguments = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0, "validation_split": 0.3}
    fit = translate_fit(model, (x, pandas.Series(y)), arguments)
    assert not fit.flat
    ours, theirs = run_fit(fit, seed=0).history, model.fit(x, pandas.Series(y), **arguments).history
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=TOLERANCE, err_msg=name)


def test_a_diverged_run_says_nan_and_stops(rng):
    x, y = data(rng, N)
    model = sequential(
        layers.LSTM(3, activation="relu"), layers.Dense(1), optimizer=keras.optimizers.SGD(1e18)
    )
    outcome = run_fit(translate_fit(model, (x, 1e18 * y), {"epochs": 9, "verbose": 0}), seed=0)
    assert len(outcome.epochs) < 3
    assert np.isnan(outcome.history["loss"][-1])
