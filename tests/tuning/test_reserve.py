import pytest

from clock import Clock
from lstune.engine import StopFlag
from lstune.search import Job, TrialState
from lstune.series import Fold, Split, scored_origins, split_series
from lstune.tuning.clock import Budget
from lstune.tuning.finish import load_candidates
from lstune.tuning.objective import _FORWARD, Objective
from lstune.tuning.reserve import Reserve
from lstune.tuning.states import StateStore

from .conftest import make_series, record

SPLIT = Split((Fold(range(100), range(100, 120)),), range(120, 140))


def make(budget, passes=lambda trial, origins: 0.0, split=SPLIT, members=2):
    return Reserve(split, 60, members, 2, Budget(budget, 0.0), passes)


def slow(trial, origins):
    """A tenth of a second for every origin: 2 s for the validation rows, and for the test."""
    return 0.1 * origins


def test_the_reserve_grows_with_the_cost_of_the_best_and_is_bounded():
    def reserve(seconds, budget):
        return make(budget).seconds([record(n, 1.0, seconds=seconds) for n in (0, 1)])

    assert make(60.0).seconds([]) == Reserve.FIXED
    # A second an epoch, best at the third: two trainings on 1.2 and 1.4 times the rows, and other seeds.
    assert reserve(6.0, None) == pytest.approx(Reserve.FIXED + 1.3 * 3 * 2.6 + 1.3 * 3)
    assert reserve(6.0, 1000.0) == reserve(6.0, None)
    assert reserve(600.0, 60.0) == pytest.approx(Reserve.FIXED + Reserve.SHARE * 60)


def test_the_reserve_counts_every_forecast():
    trials = [record(n, 1.0, seconds=0.0) for n in (0, 1)]
    # Two workers: the validation rows once with each trial and once with its other seed, then the test.
    assert make(None, slow).seconds(trials) == pytest.approx(Reserve.FIXED + 2 * 2.0 + 2.0)
    folds = Split((Fold(range(80), range(80, 100)), Fold(range(100), range(100, 120))), range(120, 140))
    assert make(None, slow, folds).seconds(trials) == pytest.approx(Reserve.FIXED + 3 * 2.0 + 2.0)


def test_what_the_best_alone_needs_is_kept_in_any_case():
    trials = [record(n, 1.0, seconds=0.0) for n in range(12)]
    assert make(10.0, slow).seconds(trials) == pytest.approx(Reserve.FIXED + 4.0 + Reserve.SHARE * 10)


def test_repeats_follow_the_time_left():
    trials = [record(n, 1.0) for n in (0, 1)]
    lefts = (1.0, 15.0, 25.0, 1e9, float("inf"))
    assert [make(60.0).repeats(trials, left) for left in lefts] == [1, 1, 2, 3, 3]
    # With 2 s for each network of the test, 25 s are no longer enough for two.
    assert [make(60.0, slow).repeats(trials, left) for left in lefts] == [1, 1, 1, 3, 3]
    assert make(60.0).repeats([], 100.0) == 1


def test_the_mixture_is_no_larger_than_the_test_has_time_for():
    trials = [record(n, 1.0) for n in range(4)]
    # Pairs take 2 s; the test may take three tenths of what is left.
    lefts = (1.0, 7.0, 10.1, 20.1, float("inf"))
    assert [make(60.0, slow, members=4).most_members(trials, left) for left in lefts] == [1, 2, 3, 4, 4]
    assert make(60.0, members=4).most_members(trials, 1.0) == 4


def test_a_trial_whose_forecasts_do_not_fit_is_known():
    trial = record(0, 1.0)
    assert [make(60.0, slow).fits(trial, left) for left in (3.9, 4.1, float("inf"))] == [False, True, True]
    # Late as it is, a quick one is better than none.
    assert make(60.0).fits(trial, -1.0)


# ---- what a forecast costs, on a clock that moves when it is looked at --------------------------------

SETTING = {"units": 4, "lookback": 8, "epochs": 2, "patience": 0, "stride": "lookback/2", "batch_size": 8}


def trained(horizon=3, numbers=(0,), **changes):
    series = make_series()
    split = split_series(series, max_lookback=24, horizon=horizon)
    states = StateStore()
    fold = split.folds[0]
    objective = Objective(
        series, fold, horizon=horizon, seed=3, states=states, stop=StopFlag(), clock=Clock()
    )
    for number in numbers:
        objective.run(Job(number, {**SETTING, **changes}, 0, 2), lambda epoch, value: False)
    return objective


def test_forecasts_that_are_fed_back_are_timed_in_training():
    objective = trained(strategy="recursive")
    origins = len(scored_origins(objective.series, objective.fold.validation, 3))
    few = len(range(0, origins, max(1, origins // 32)))
    assert objective.passes == {0: pytest.approx(1.0 / few)}
    assert objective.pass_seconds(record(0, 1.0), 100) == pytest.approx(100 / few)
    setting = {**SETTING, "strategy": "recursive"}
    objective.forecast(0, objective.fitted(0, setting))  # all origins in the same second
    assert objective.passes == {0: pytest.approx(1.0 / origins)}
    assert objective.on_fold(objective.fold).passes is objective.after_search(None).passes is objective.passes


@pytest.mark.parametrize(("strategy", "windows"), [("direct", 1), ("recursive", 3)])
def test_forecasts_not_timed_yet_are_estimated_from_training(strategy, windows):
    objective = trained(numbers=())
    trial = record(7, 1.0, seconds=12.0, epochs=6, params={**SETTING, "strategy": strategy})
    each = _FORWARD * 2.0 / (len(objective.fold.train) // 4)
    assert objective.pass_seconds(trial, 50) == pytest.approx(each * windows * 50)


def test_finalists_whose_forecasts_would_end_too_late_are_left_out():
    objective = trained(numbers=(0, 1, 2))
    trials = [record(n, 1.0 + n, TrialState.COMPLETE, epochs=2, params=SETTING) for n in range(3)]
    objective.passes.update({1: 1000.0, 2: 0.001})
    later = objective.after_search(objective.clock() + 100.0)
    later.passes = objective.passes
    assert {found.number for found in load_candidates(later, trials, 1)} == {0, 2}
    # The first is taken however late it is.
    passed = objective.after_search(0.0)
    assert [found.number for found in load_candidates(passed, trials, 1)] == [0]
