"""An infinite error is no good score: Keras Tuner's Bayesian oracle takes it for one, our samplers do not."""

import numpy as np
import pytest

from lstune.search import Float, Space, Study, TrialState

# Losses below zero do not occur here, so 0 would be better than every finite one.
EDGE = 0.7


def loss(x):
    """Best at 0.2; everything from EDGE on diverges."""
    return float("inf") if x >= EDGE else 1.0 + (x - 0.2) ** 2


def share_of_infinite(values):
    return float(np.mean([value >= EDGE for value in values]))


def search(sampler, bad, trials=30):
    """The values that a sampler tries when the objective is `bad` above EDGE."""
    study = Study(
        Space({"x": Float(0.0, 1.0)}),
        sampler=sampler,
        scheduler="none",
        max_epochs=1,
        n_trials=trials,
        seed=0,
    )
    while (job := study.ask()) is not None:
        value = loss(job.params["x"])
        study.tell(job.number, value if np.isfinite(value) else bad)
    return study


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("sampler", ["gp", "tpe", "smac"])
def test_what_is_not_finite_neither_wins_nor_attracts(sampler, bad):
    study = search(sampler, bad)
    for trial in study.trials:
        assert (trial.state is TrialState.DIVERGED) == (trial.params["x"] >= EDGE)
        assert trial.has_value != (trial.params["x"] >= EDGE)
    assert study.best.params["x"] < EDGE
    assert np.isfinite(study.best.value)
    # Chance alone would go there in 30 % of the trials; a surrogate that is drawn there goes nearly always.
    assert share_of_infinite(t.params["x"] for t in study.trials[10:]) <= 0.3


@pytest.mark.filterwarnings("ignore")  # whatever Keras Tuner and its regression warn of is not ours
def test_keras_tuner_turns_infinity_into_the_best_score(tmp_path, monkeypatch):
    """The fault that lstune does not have; if this fails, Keras Tuner has mended it."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras_tuner = pytest.importorskip("keras_tuner")
    space = keras_tuner.HyperParameters()
    space.Float("x", 0.0, 1.0)
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        objective=keras_tuner.Objective("loss", "min"),
        max_trials=16,  # each takes its regression longer than the one before
        num_initial_points=8,
        hyperparameters=space,
        seed=1,  # 0 means a new one each time
    )
    oracle._set_project_dir(tmp_path, "theirs")
    tried = []
    for _ in range(16):
        trial = oracle.create_trial("w")
        if trial.status == "STOPPED":
            break
        tried.append(trial.hyperparameters.get("x"))
        oracle.update_trial(trial.trial_id, {"loss": loss(tried[-1])})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    seen = [t for t in oracle.trials.values() if t.status == "COMPLETED" and np.isinf(t.score)]
    assert seen, "an infinite loss was kept as a finished trial's score"
    _, scores = oracle._vectorize_trials()
    assert np.nan_to_num(scores, posinf=0, neginf=0).min() == 0.0
    assert share_of_infinite(tried[8:]) > 0.3
    ours = search("gp", float("inf"), trials=16)
    assert share_of_infinite(t.params["x"] for t in ours.trials[8:]) < share_of_infinite(tried[8:])
