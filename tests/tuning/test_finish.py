import threading
import time

import numpy as np
import pytest

from lstune.engine import StopFlag
from lstune.search import TrialState
from lstune.tuning.finish import Candidate, choose_mixture, finalists, in_threads

from .conftest import record


def candidate(number, forecasts, actual):
    return Candidate(number, {"units": number}, 5, None, forecasts, float(np.abs(forecasts - actual).mean()))


def make(noise_of_models, rows=400, naive_noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    actual = rng.normal(size=(rows, 1))
    naive = actual + naive_noise * rng.normal(size=actual.shape)
    found = [
        candidate(n, actual + s * rng.normal(size=actual.shape), actual)
        for n, s in enumerate(noise_of_models)
    ]
    return sorted(found, key=lambda c: c.mae), {"naive": naive}, actual


def error(mixture):
    return np.abs(mixture.forecasts - mixture.actual).mean()


def test_clear_skill_is_kept_nearly_whole():
    candidates, baselines, actual = make([0.5, 0.5, 0.6])
    mixture = choose_mixture(candidates, baselines, actual, horizon=1, ensemble=True, tried=100)
    assert len(mixture.candidates) >= 2
    assert sum(mixture.shares) > 0.9
    assert sum(mixture.shares) + sum(mixture.baselines.values()) == pytest.approx(1.0)
    assert error(mixture) < candidates[0].mae


def test_the_forecasts_are_those_of_the_shares():
    candidates, baselines, actual = make([0.8, 0.9])
    mixture = choose_mixture(candidates, baselines, actual, horizon=1, ensemble=True, tried=3)
    by_hand = sum(s * c.forecasts for c, s in zip(mixture.candidates, mixture.shares, strict=True))
    by_hand = by_hand + sum(share * baselines[name] for name, share in mixture.baselines.items())
    np.testing.assert_allclose(mixture.forecasts, by_hand)


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_many_without_skill_is_the_baseline(seed):
    # Forecasts that differ from naive by noise alone: whatever looks better here is luck.
    rng = np.random.default_rng(seed)
    walk = rng.normal(size=400).cumsum()
    actual, naive = walk[1:, None], walk[:-1, None]
    candidates = [candidate(n, naive + 0.1 * rng.normal(size=naive.shape), actual) for n in range(12)]
    candidates.sort(key=lambda c: c.mae)
    mixture = choose_mixture(candidates, {"naive": naive}, actual, horizon=1, ensemble=True, tried=200)
    assert mixture.candidates == ()
    assert mixture.baselines == {"naive": 1.0}


def test_a_forecast_that_errs_where_the_baseline_does_not_is_used_though_both_err_as_much():
    # What each knows, the other does not: half of each is much better than either.
    rng = np.random.default_rng(3)
    known, other = rng.normal(size=(2, 300, 1))
    actual, naive = known + other, known
    model = candidate(0, 0.95 * other + 0.1 * rng.normal(size=other.shape), actual)
    mixture = choose_mixture([model], {"naive": naive}, actual, horizon=1, ensemble=True, tried=150)
    assert 0.3 < sum(mixture.shares) < 0.7
    assert error(mixture) < 0.8 * min(model.mae, np.abs(naive - actual).mean())


def test_without_an_ensemble_the_best_stands_alone():
    candidates, baselines, actual = make([2.0, 3.0])
    mixture = choose_mixture(candidates, baselines, actual, horizon=1, ensemble=False)
    assert mixture.candidates == (candidates[0],)
    assert (mixture.shares, mixture.baselines) == ((1.0,), {})


def test_the_better_baseline_is_the_one_to_fall_back_on():
    candidates, baselines, actual = make([3.0])
    baselines["seasonal_naive"] = actual + 0.1
    mixture = choose_mixture(candidates, baselines, actual, horizon=1, ensemble=True, tried=10)
    assert mixture.baselines == {"seasonal_naive": 1.0}


def test_finalists_are_the_best_with_a_value():
    trials = [record(0, 2.0), record(1, None, TrialState.DIVERGED), record(2, 1.0), record(3, 1.0)]
    assert [trial.number for trial in finalists(trials, 2)] == [2, 3]
    assert len(finalists(trials, 9)) == 3


def test_work_in_threads_keeps_order_and_survives_failures():
    def work(item):
        time.sleep(0.01 * (3 - item))
        if item == 1:
            raise ValueError("no")
        return item * 10

    assert in_threads(work, [0, 1, 2], 3, StopFlag()) == [0, None, 20]
    assert in_threads(work, [], 2, StopFlag()) == []


def test_ctrl_c_stops_the_work_in_threads():
    stop, began = StopFlag(), threading.Event()

    def work(item):
        if item == 0:
            began.wait(5)
            raise KeyboardInterrupt
        began.set()
        end = time.monotonic() + 5
        while not stop.is_set() and time.monotonic() < end:
            time.sleep(0.01)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_threads(work, [0, 1], 2, stop)
    assert stop.is_set()
    assert time.monotonic() - start < 4
