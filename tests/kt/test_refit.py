"""Several fits of one model: whoever trains, each goes on where the one before has left the model."""

from __future__ import annotations

import numpy as np
import pytest

import lstune.kt as kt
from lstune.kt.engine_trial import EngineTrial
from lstune.kt.fit import run_fit
from lstune.kt.translate import Untranslatable, translate_fit

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras' own variables, not yet made for NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

TOLERANCE = 1e-4


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(24, 5, 2)).astype(np.float32), rng.normal(size=(24, 1)).astype(np.float32)


def model_of(optimizer, dropout=0.0):
    keras.utils.set_random_seed(3)
    stack = [layers.Bidirectional(layers.LSTM(3)), layers.Dropout(dropout), layers.Dense(1)]
    model = keras.Sequential([keras.Input((5, 2)), *stack])
    model.compile(optimizer, "mse")
    return model


def engine_fit(model, data, arguments):
    """As a HyperModel.fit meets it."""
    fit = translate_fit(model, data, arguments)
    outcome = run_fit(fit, seed=1)
    EngineTrial.write_back(None, fit, model, outcome)
    return outcome.history["loss"]


def keras_fit(model, data, arguments):
    return model.fit(*data, **arguments).history["loss"]


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "nadam": lambda: keras.optimizers.Nadam(0.02),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_fits_by_turns_are_what_keras_alone_does(make, data):
    ours, theirs = model_of(make()), model_of(make())
    arguments = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    for fit in (engine_fit, engine_fit, keras_fit, engine_fit):
        expected = keras_fit(theirs, data, arguments)
        np.testing.assert_allclose(fit(ours, data, arguments), expected, rtol=TOLERANCE)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == 24
    # A rate that is set between two fits counts from there.
    ours.optimizer.learning_rate = theirs.optimizer.learning_rate = 0.001
    expected = keras_fit(theirs, data, arguments)
    np.testing.assert_allclose(engine_fit(ours, data, arguments), expected, rtol=TOLERANCE)


def test_an_optimizer_of_another_model_is_kerass_business(data):
    optimizer = keras.optimizers.Adam()
    other = model_of(optimizer)
    optimizer.build(other.trainable_variables)
    with pytest.raises(Untranslatable, match="other weights"):
        translate_fit(model_of(optimizer), data, {})


class Loop(kt.HyperModel):
    """Trains by fits that EarlyStopping ends after two epochs each; keeps what was seen."""

    def __init__(self, rate, dropout):
        super().__init__()
        self.rate, self.dropout, self.losses = rate, dropout, []

    def build(self, hp):
        hp.Float("nothing", 0, 1)
        return model_of(keras.optimizers.Adam(self.rate), self.dropout)

    def fit(self, hp, model, *args, **kwargs):
        for epoch in (0, 2, 4):
            lower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
            ends = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
            kwargs["callbacks"] = [lower, ends]
            history = model.fit(*args, **kwargs, initial_epoch=epoch, epochs=epoch + 9)
            assert model.history is history
            assert history.epoch == [epoch, epoch + 1]
            assert model.stop_training
            self.losses += history.history["loss"]
        self.left = float(model.optimizer.learning_rate), int(model.optimizer.iterations)
        return {"loss": self.losses[-1]}


def loop(data, folder, rate, dropout=0.0):
    own = Loop(rate, dropout)
    tuner = kt.RandomSearch(own, kt.Objective("loss", "min"), max_trials=1, directory=folder, seed=0)
    tuner.search(*data, batch_size=8, shuffle=dropout > 0, verbose=0)
    assert next(iter(tuner.oracle.trials.values())).engine == "lstune"
    return own


def test_a_loop_of_fits_trains_as_in_keras(data, tmp_path):
    own = loop(data, tmp_path, 0.1)
    assert own.left == (pytest.approx(0.1 / 64), 18)
    model = model_of(keras.optimizers.Adam(0.1))
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(*data, batch_size=8, shuffle=False, verbose=0, epochs=6, callbacks=[halve])
    np.testing.assert_allclose(own.losses, history.history["loss"], rtol=TOLERANCE)


def test_each_fit_of_a_loop_has_its_own_masks(data, tmp_path):
    losses = loop(data, tmp_path / "a", 0.0, dropout=0.5).losses
    assert len(set(losses)) == 6
    assert loop(data, tmp_path / "b", 0.0, dropout=0.5).losses == losses


def test_promoted_trials_may_train_in_phases(data, tmp_path):
    """Each fit counts its epochs from 0, and the last has another optimizer than the first."""
    lengths = []

    class Phases(kt.HyperModel):
        def build(self, hp):
            hp.Float("nothing", 0, 1)
            return model_of("adam")

        def fit(self, hp, model, *args, epochs, initial_epoch, **kwargs):
            first = model.fit(*args, epochs=2, **kwargs)
            model.compile("sgd", "mse")
            last = model.fit(*args, epochs=1, **kwargs)
            lengths.append((len(first.epoch), len(last.epoch)))
            return last

    objective = kt.Objective("loss", "min")
    tuner = kt.Hyperband(Phases(), objective, max_epochs=3, factor=3, directory=tmp_path, seed=0)
    tuner.search(*data, batch_size=8, verbose=0)
    trials = tuner.oracle.trials.values()
    assert {(t.status, t.engine) for t in trials} == {("COMPLETED", "lstune")}
    assert any(t.hyperparameters.values["tuner/round"] for t in trials)
    assert set(lengths) == {(2, 1)}


# --- What notebooks take from a tuner beside its results ------------------------------------------


class TensorBoard(keras.callbacks.Callback):
    """Keras Tuner knows it by its name; the real one needs TensorFlow to write."""

    seen: list[str] = []  # noqa: RUF012

    def __init__(self, log_dir):
        super().__init__()
        self.log_dir = log_dir

    def on_train_begin(self, logs=None):
        self.seen.append(self.log_dir)


def test_each_execution_logs_into_its_own_folder(data, tmp_path):
    def build(hp):
        hp.Float("nothing", 0, 1)
        model = keras.Sequential([keras.Input((5, 2)), layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    TensorBoard.seen.clear()
    tuner = kt.RandomSearch(build, "loss", max_trials=1, executions_per_trial=2, directory=tmp_path)
    tuner.search(*data, verbose=0, callbacks=[TensorBoard("logs")])
    (trial,) = tuner.oracle.trials
    assert TensorBoard.seen == [f"logs/{trial}/execution0", f"logs/{trial}/execution1"]


def test_weights_that_a_run_trial_saves_are_the_best_models(tmp_path):
    kept = []

    class Own(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            model = self.hypermodel.build(trial.hyperparameters)
            rng = np.random.default_rng(8)
            model.set_weights([rng.normal(size=each.shape) for each in model.get_weights()])
            model.save_weights(self._get_checkpoint_fname(trial.trial_id))
            kept.extend(model.get_weights())
            return 0.5

    def build(hp):
        hp.Float("nothing", 0, 1)
        return model_of("adam")

    tuner = Own(build, max_trials=1, directory=tmp_path)
    tuner.search()
    for ours, saved in zip(tuner.get_best_models()[0].get_weights(), kept, strict=True):
        np.testing.assert_array_equal(ours, saved)
