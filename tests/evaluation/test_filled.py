"""A truth of NaN, where a value was filled, is scored nowhere; a forecast of NaN never looks good."""

import math

import numpy as np
import pytest

from lstune.evaluation import (
    METRICS,
    choose_intervals,
    conformal,
    encompassing,
    judge,
    losses_by_origin,
    measure,
    step_errors,
)
from lstune.tuning.ensemble import select_ensemble

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(60, 4))
TRUTH[RNG.random(TRUTH.shape) < 0.15] = np.nan
TRUTH[:, 0] = RNG.normal(size=60)  # every origin has a target that is known
FILLED = np.isnan(TRUTH)
FORECAST = np.where(FILLED, 0.0, TRUTH) + RNG.normal(size=TRUTH.shape)
OTHER = FORECAST + 0.3 * RNG.normal(size=TRUTH.shape)
NAIVE = RNG.normal(size=TRUTH.shape)


def spoilt(forecast):
    """The same where something is scored."""
    return np.where(FILLED, 1e9, forecast)


EXTRAS = {
    "mase": {"scale": 2.0},
    "pinball": {"quantile": 0.9},
    "coverage": {"upper": FORECAST + 1},
    "directional_accuracy": {"previous": NAIVE[:, :1]},
}


@pytest.mark.parametrize("name", METRICS)
def test_a_measure_is_that_of_the_known_values_alone(name):
    extra = EXTRAS.get(name, {})
    known = {
        key: np.broadcast_to(value, TRUTH.shape)[~FILLED] if np.ndim(value) else value
        for key, value in extra.items()
    }
    expected = measure(name, TRUTH[~FILLED], FORECAST[~FILLED], **known)
    assert measure(name, TRUTH, spoilt(FORECAST), **extra) == expected
    assert math.isfinite(expected)
    bad = FORECAST.copy()
    bad[3, 0] = np.nan
    if name not in ("coverage", "directional_accuracy"):  # a miss
        assert math.isnan(measure(name, TRUTH, bad, **extra))
    nothing_known = {key: np.ones(3) if np.ndim(value) else 1.0 for key, value in extra.items()}
    assert math.isnan(measure(name, np.full(3, np.nan), np.ones(3), **nothing_known))


def test_losses_and_steps_agree_with_the_mean_error():
    mae = measure("mae", TRUTH, FORECAST)
    losses = losses_by_origin(TRUTH, spoilt(FORECAST))
    assert losses.mean() == pytest.approx(mae)
    counts = (~FILLED).sum(axis=0)
    assert np.average(step_errors(TRUTH, spoilt(FORECAST)), weights=counts) == pytest.approx(mae)
    whole = losses_by_origin(NAIVE, FORECAST)
    np.testing.assert_allclose(whole, np.abs(NAIVE - FORECAST).mean(axis=1))


def test_verdict_evidence_and_shares_do_not_see_them():
    def verdict(change):
        return judge(TRUTH, change(FORECAST), {"naive": change(NAIVE)}, horizon=4)

    assert verdict(spoilt) == verdict(np.array)
    mae = [measure("mae", TRUTH, forecast) for forecast in (FORECAST, NAIVE)]
    assert verdict(spoilt).skill == pytest.approx(1 - mae[0] / mae[1])
    assert encompassing(TRUTH, spoilt(NAIVE), FORECAST) == encompassing(TRUTH, NAIVE, spoilt(FORECAST))
    assert encompassing(TRUTH, NAIVE, FORECAST).statistic > 3
    pool = {"one": FORECAST, "other": OTHER}
    assert select_ensemble(pool, TRUTH) == select_ensemble({k: spoilt(v) for k, v in pool.items()}, TRUTH)


def test_intervals_rest_on_the_known_residuals_of_each_step():
    found = conformal(TRUTH - spoilt(FORECAST))
    for step in range(4):
        known = ~FILLED[:, step]
        alone = conformal((TRUTH - FORECAST)[known, step : step + 1])
        np.testing.assert_array_equal(found.half_widths[:, step], alone.half_widths[:, 0])
    chosen = choose_intervals(TRUTH - FORECAST, np.ones(60))
    assert np.isfinite(chosen.half_widths).all()
    never = np.where(np.arange(4) == 2, np.nan, TRUTH - FORECAST)
    widths = conformal(never).half_widths
    np.testing.assert_array_equal(widths[:, 2], np.delete(widths, 2, axis=1).max(axis=1))
