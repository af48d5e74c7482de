import numpy as np
import pytest

from lstune.search import Choice, Float, Int, Space, TrialRecord, TrialState
from lstune.search.importance import importances
from lstune.search.space import sample_setting

SPACE = Space(
    {
        "a": Float(0.0, 1.0),
        "b": Float(1e-4, 1e-1, log=True),
        "c": Choice(("x", "y")),
        "deep": Int(1, 3),
        "extra": Int(1, 9, when={"deep": [2, 3]}),
    }
)


def trials(function, count=300, seed=0, space=SPACE):
    rng = np.random.default_rng(seed)
    settings = [sample_setting(space, rng) for _ in range(count)]
    return [
        TrialRecord(k, s, TrialState.COMPLETE, float(function(s)), 9, {9: float(function(s))}, ((9, 1.0),))
        for k, s in enumerate(settings)
    ]


def test_a_linear_function_splits_by_the_squares_of_its_slopes():
    found = importances(SPACE, trials(lambda s: 3 * s["a"] + 1 * np.log(s["b"]) / np.log(1000)))
    # The variance of a uniform on [0, 1] times the squared slope: 9 to 1.
    assert found.shares["a"] == pytest.approx(0.9, abs=0.07)
    assert found.shares["b"] == pytest.approx(0.1, abs=0.07)
    assert max(found.shares["c"], found.shares["deep"], found.shares["extra"]) < 0.02
    assert next(iter(found.shares)) == "a"
    assert (found.trials, found.epochs) == (300, 9)


def test_a_pure_interaction_is_nobodys_main_effect():
    found = importances(SPACE, trials(lambda s: (s["a"] > 0.5) == (s["c"] == "x")))
    assert sum(found.shares.values()) < 0.3


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_it_agrees_with_optuna():
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    from lstune.search.convert import to_distributions

    space = Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0)})
    records = trials(lambda s: s["a"] ** 2 + 0.4 * s["b"], 60, space=space)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(params=t.params, distributions=to_distributions(space), value=t.value)
            for t in records
        ]
    )
    theirs = get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(n_trees=16, seed=0), normalize=False
    )
    ours = importances(space, records).shares
    assert ours["a"] == pytest.approx(theirs["a"], abs=0.1)
    assert ours["b"] == pytest.approx(theirs["b"], abs=0.1)


def test_one_runaway_trial_explains_nothing():
    def function(s):
        return 3 * s["a"] if s["b"] < 0.099 else 1e9

    found = importances(SPACE, trials(function))
    assert next(iter(found.shares)) == "a"


def test_values_are_compared_at_the_rung_that_most_reached():
    records = trials(lambda s: s["a"], 40)
    # Those that went on are better only because they trained longer: that must not count.
    later = [
        TrialRecord(
            t.number,
            t.params,
            TrialState.COMPLETE,
            t.value - 10,
            27,
            {9: t.value, 27: t.value - 10},
            ((9, t.value), (27, t.value - 10)),
        )
        if t.params["c"] == "x"
        else t
        for t in records
    ]
    found = importances(SPACE, later)
    assert found.epochs == 9
    assert found.shares["c"] < 0.1


def test_too_few_trials_give_nothing():
    assert importances(SPACE, trials(lambda s: s["a"], 9)) is None
    assert importances(SPACE, trials(lambda s: 1.0, 30)) is None


def test_effects_show_where_a_parameter_is_best():
    found = importances(SPACE, trials(lambda s: 10 + 3 * s["a"] - (s["c"] == "x")))
    effect = dict(found.effects["c"])
    assert set(effect) == {"x", "y"}
    # The mean is 11: half a unit each way is 4.5 %.
    assert effect["x"] == pytest.approx(-0.5 / 11, abs=0.015)
    assert effect["y"] == pytest.approx(0.5 / 11, abs=0.015)
    places, heights = zip(*found.effects["a"], strict=True)
    assert list(places) == sorted(places)
    assert heights[0] == pytest.approx(-4 / 3 / 11, abs=0.05)
    assert heights[-1] == pytest.approx(4 / 3 / 11, abs=0.05)
