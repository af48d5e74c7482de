"""What notebooks that were written for Keras Tuner count on, beside its names and arguments."""

from __future__ import annotations

import random

import pytest

import lstune.kt as kt
from lstune.kt.trial import MetricObservation

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def lstm(hp):
    model = keras.Sequential([layers.LSTM(2), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def test_a_seed_at_the_top_of_the_notebook_repeats_the_search(tmp_path):
    seeds = []
    for seed in (42, 42, 43):
        random.seed(seed)
        seeds.append(kt.RandomSearch(lstm, "loss", directory=tmp_path / str(len(seeds))).oracle.seed)
    assert seeds[0] == seeds[1] != seeds[2]


def test_metrics_of_trials_are_printed_and_compared():
    history = kt.engine.trial.Trial(kt.HyperParameters()).metrics
    history.update("val_loss", 0.5, step=3)
    assert str(history.get_history("val_loss")) == "[MetricObservation(value=[0.5], step=3)]"
    assert history.get_history("val_loss") == [MetricObservation(0.5, 3)]
    assert MetricObservation(0.5, 3) != MetricObservation(0.5, 2)


def test_a_history_tells_the_epochs_that_were_asked_for(data, tmp_path):
    histories = []

    class Own(kt.HyperModel):
        def build(self, hp):
            return lstm(hp)

        def fit(self, hp, model, *args, **kwargs):
            histories.append(model.fit(*args, batch_size=10, **kwargs))
            return histories[0]

    stop = keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=1)
    tuner = kt.RandomSearch(Own(), "loss", max_trials=1, directory=tmp_path)
    tuner.search(*data, epochs=9, callbacks=[stop], verbose=0)
    assert tuner.oracle.trials["0"].engine == "lstune"
    assert histories[0].params == {"verbose": 0, "epochs": 9, "steps": 3}
    assert histories[0].epoch == [0, 1]


def test_a_search_without_hyperparameters_prints_so(data, tmp_path, capsys):
    kt.RandomSearch(lstm, "loss", max_trials=3, directory=tmp_path).search(*data)
    text = capsys.readouterr().out
    assert "default configuration" in text
    assert "Best Value So Far" not in text


def test_oracles_take_their_seed_by_its_place():
    oracles = kt.oracles
    made = [
        oracles.RandomSearchOracle("loss", 9, 3),
        oracles.GridSearchOracle("loss", 9, 3),
        oracles.BayesianOptimizationOracle("loss", 9, 2, 1e-4, 2.6, 3),
        oracles.HyperbandOracle("loss", 9, 2, 1, 3),
    ]
    assert [oracle.seed for oracle in made] == [3] * 4


def test_hooks_of_ones_own_see_one_trial_after_the_other(tmp_path, monkeypatch):
    class Timed(kt.Hyperband):
        def on_trial_begin(self, trial):
            self.began = trial

    monkeypatch.setattr("lstune.kt.tuner.available_cores", lambda: 4)
    workers = [make(lstm, "loss", directory=tmp_path)._workers(None) for make in (kt.Hyperband, Timed)]
    assert workers == [2, 1]


def test_there_are_no_models_without_a_hypermodel(tmp_path):
    class Box(kt.RandomSearch):
        def run_trial(self, trial, **kwargs):
            return trial.hyperparameters.Float("x", 0, 1)

    tuner = Box(max_trials=1, directory=tmp_path)
    tuner.search(verbose=0)
    with pytest.raises(ValueError, match="made without"):
        tuner.get_best_models()
