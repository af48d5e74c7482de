import numpy as np
import pytest

from lstune.tuning.ensemble import select_ensemble


def error(shares, candidates, truth):
    return np.abs(sum(share * candidates[name] for name, share in shares.items()) - truth).mean()


def make(seed=0, rows=200):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(rows, 2))
    candidates = {name: truth + rng.normal(size=truth.shape) for name in "abc"}
    candidates["bad"] = truth + 10.0
    return candidates, truth


def test_independent_errors_are_averaged():
    candidates, truth = make()
    shares = select_ensemble(candidates, truth)
    assert set(shares) == {"a", "b", "c"}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert error(shares, candidates, truth) < min(np.abs(f - truth).mean() for f in candidates.values()) * 0.8


def test_a_perfect_forecast_stands_alone():
    candidates, truth = make()
    candidates["truth"] = truth
    assert select_ensemble(candidates, truth) == {"truth": 1.0}


@pytest.mark.parametrize("seed", range(5))
def test_never_worse_than_the_best_single_one(seed):
    candidates, truth = make(seed)
    best = min(np.abs(forecast - truth).mean() for forecast in candidates.values())
    assert error(select_ensemble(candidates, truth), candidates, truth) <= best + 1e-12


def test_the_number_of_members_is_bounded():
    candidates, truth = make()
    assert len(select_ensemble(candidates, truth, most=2)) == 2
    assert select_ensemble(candidates, truth, rounds=1).keys() <= {"a", "b", "c"}


def test_opposite_errors_cancel():
    truth = np.zeros(10)
    assert select_ensemble({"up": truth + 1, "down": truth - 1, "half": truth + 0.6}, truth, rounds=2) == {
        "half": 0.5,
        "down": 0.5,
    }
