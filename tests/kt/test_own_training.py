"""HyperModel.fit that compiles the model itself, or trains it by a loop of its own."""

from __future__ import annotations

import numpy as np
import pytest

import lstune.kt as kt

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


# JAX compiles each model anew, which would be nearly all of these tests' time.
EAGERLY = {"loss": "mse", "run_eagerly": True}


def unbuilt(hp):
    # One shape of weights for all trials, and something to search.
    hp.Float("nothing", 0, 1)
    return keras.Sequential([layers.Flatten(), layers.Dense(1)])


def lstm(hp):
    return keras.Sequential([layers.LSTM(hp.Int("units", 2, 9)), layers.Dense(1)])


def error_of(model, x, y):
    return float(np.mean((keras.ops.convert_to_numpy(model(x)) - y) ** 2))


class CompilesInFit(kt.HyperModel):
    """Keras Tuner takes such models."""

    def __init__(self, make, optimizers=("sgd",)):
        super().__init__()
        self.make, self.optimizers = make, optimizers

    def build(self, hp):
        return self.make(hp)

    def fit(self, hp, model, *args, **kwargs):
        for optimizer in self.optimizers:
            model.compile(optimizer, **EAGERLY)
            history = model.fit(*args, **kwargs)
        return history


class Loop(kt.HyperModel):
    """As in Keras Tuner's guide "Custom training loop": of the callbacks only on_epoch_end is called."""

    def __init__(self, compiled):
        super().__init__()
        self.compiled = compiled
        self.kept = {}

    def build(self, hp):
        model = unbuilt(hp)
        if self.compiled:
            model.compile("sgd", **EAGERLY)
        return model

    def fit(self, hp, model, x, y, callbacks=None, **kwargs):
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(2):
            if self.compiled:
                model.train_on_batch(x, y)
            else:
                # Stands for gradients, which each backend takes in its own way.
                outputs = model(x)
                bias = model.trainable_variables[-1]
                bias.assign(bias + keras.ops.mean(y - outputs))
            loss = error_of(model, x, y)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": loss})
        return loss


@pytest.mark.parametrize(("make", "engine"), [(lstm, "lstune"), (unbuilt, "keras")])
def test_a_model_that_fit_compiles_comes_back(make, engine, data, tmp_path):
    tuner = kt.RandomSearch(CompilesInFit(make), "val_loss", max_trials=1, directory=tmp_path, seed=0)
    tuner.search(*data, validation_data=data, epochs=2, verbose=0)
    (trial,) = tuner.oracle.trials.values()
    assert trial.engine.startswith(engine)
    model = tuner.get_best_models()[0]
    assert model.built
    assert not model.compiled
    assert error_of(model, *data) == pytest.approx(trial.score, rel=1e-4)


@pytest.mark.parametrize("optimizers", [("sgd",), ("adam", "sgd")])
def test_promoted_trials_whose_fit_compiles_go_on(optimizers, data, tmp_path):
    hypermodel = CompilesInFit(unbuilt, optimizers)
    arguments = {"max_epochs": 2, "factor": 2, "directory": tmp_path, "seed": 1}
    if len(optimizers) > 1:
        # Compiled in build too: what was saved is the last optimizer's.
        arguments["optimizer"], arguments["loss"] = "adam", "mse"
    tuner = kt.Hyperband(hypermodel, kt.Objective("loss", "min"), **arguments)
    tuner.search(*data, verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert [t.message for t in trials] == [None] * len(trials)
    assert any(t.hyperparameters.values["tuner/round"] for t in trials)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_training_loop_of_ones_own_gives_its_best_model(compiled, data, tmp_path):
    x, y = data
    objective = kt.Objective("my_metric", "min")
    tuner = kt.RandomSearch(Loop(compiled), objective, max_trials=2, directory=tmp_path, seed=0)
    tuner.search(x, y, verbose=0)
    best = tuner.oracle.get_best_trials()[0]
    assert error_of(tuner.get_best_models()[0], x, y) == pytest.approx(best.score, rel=1e-4)


@pytest.mark.parametrize(
    ("fails", "why"), [(False, r"shall hand its callbacks to model\.fit"), (True, "which is FAILED")]
)
def test_a_trial_that_left_no_model_says_why(fails, why, data, tmp_path):
    class Silent(kt.HyperModel):
        def build(self, hp):
            return unbuilt(hp)

        def fit(self, hp, model, *args, **kwargs):
            if fails:
                raise kt.FailedTrialError("no")
            return 1.0

    tuner = kt.RandomSearch(Silent(), max_trials=1, directory=tmp_path)
    tuner.search(*data, verbose=0)
    with pytest.raises(ValueError, match=why):
        tuner.get_best_models()
