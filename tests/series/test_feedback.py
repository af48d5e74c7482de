from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lstune.errors import UserError
from lstune.series import Series, append_rows, feed_back, fit_pipeline, recurse, take_rows

ROWS = 120
ORIGINS = np.array([70, 71, 99, 115, 119])


def make(seed=0, features=0, dated=True):
    rng = np.random.default_rng(seed)
    values = 20 + 3 * np.sin(np.arange(ROWS) * 2 * np.pi / 7) + rng.normal(size=ROWS)
    return Series(
        pd.date_range("2021-03-01", periods=ROWS, freq="D") if dated else pd.RangeIndex(ROWS),
        values,
        features=rng.normal(size=(ROWS, features)),
        feature_names=tuple("abc"[:features]),
        freq="D" if dated else "",
        season=7,
        seasonal=True,
    )


def network(part):
    """A stand-in whose one-step forecast depends on every input of the window, in scaled units."""
    rows = part.starts[:, None] + np.arange(part.lookback)
    weight = np.linspace(0.2, 1.0, part.lookback)[:, None] * np.linspace(1.0, 0.3, part.inputs.shape[1])
    return np.tanh((part.inputs[rows] * weight).mean(axis=(1, 2)))[:, None]


def by_hand(pipeline, series, origin, steps):
    """One origin, one row after the other, with the series that a user would have at each."""
    rows = take_rows(series, 0, origin + 1)
    for _ in range(steps):
        part = pipeline.windows_for_forecast(rows)
        value = pipeline.invert(network(part), part)[0, 0]
        rows = append_rows(rows, [max(value, 1e-3 * series.values.min())])
    return rows.values[-steps:]


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("lags", [(), (7,), (1, 3, 14)])
@pytest.mark.parametrize("level_input", [False, True])
@pytest.mark.parametrize(
    "transform", ["level", "difference", "log_difference", "seasonal_difference", "relative"]
)
def test_fed_back_forecasts_are_those_of_one_row_after_the_other(transform, level_input, lags, dated):
    series = make(dated=dated)
    calendar = "auto" if dated else "none"
    config = {"transform": transform, "level_input": level_input, "lags": lags, "calendar": calendar}
    pipeline = fit_pipeline(series, range(70), lookback=9, horizon=1, **config)

    def forecast(part):
        return pipeline.invert(network(part), part)

    got = recurse(pipeline, series, ORIGINS, 10, forecast)
    assert got.shape == (5, 10)
    for index, origin in enumerate(ORIGINS):
        np.testing.assert_allclose(got[index], by_hand(pipeline, series, origin, 10), rtol=1e-6)


@pytest.mark.parametrize("feature_inputs", ["all", "none"])
@pytest.mark.parametrize("transform", ["seasonal_difference", "relative"])
def test_features_keep_their_last_values(transform, feature_inputs):
    series = make(features=2)
    config = {"transform": transform, "lags": (7,), "level_input": True, "feature_inputs": feature_inputs}
    pipeline = fit_pipeline(series, range(70), lookback=9, horizon=1, **config)

    def forecast(part):
        return pipeline.invert(network(part), part)

    got = recurse(pipeline, series, ORIGINS, 10, forecast)
    for index, origin in enumerate(ORIGINS):
        np.testing.assert_allclose(got[index], by_hand(pipeline, series, origin, 10), rtol=1e-6)


@pytest.mark.parametrize("transform", ["difference", "relative"])
def test_nothing_after_an_origin_is_seen(transform):
    series = make(features=2)
    values, features = series.values.copy(), series.features.copy()
    values[72:], features[72:] = 1e3, 1e3
    changed = replace(series, values=values, features=features)
    pipeline = fit_pipeline(series, range(70), lookback=9, horizon=1, transform=transform, lags=(7,))

    def forecast(part):
        return pipeline.invert(network(part), part)

    seen = recurse(pipeline, series, ORIGINS[:2], 20, forecast)
    np.testing.assert_array_equal(seen, recurse(pipeline, changed, ORIGINS[:2], 20, forecast))


def test_blocks_are_fed_back_whole():
    series = make()
    seen = []

    def forecast(rows, at):
        seen.append([rows.values[o - 2 : o + 1].tolist() for o in at])
        return rows.values[at][:, None] + np.array([1.0, 2.0])

    got = feed_back(series, np.array([50, 119]), 5, 2, 3, forecast)
    last = series.values[[50, 119]]
    np.testing.assert_allclose(got, last[:, None] + np.array([1, 2, 3, 4, 5]))
    assert seen[0] == [series.values[48:51].tolist(), series.values[117:120].tolist()]
    np.testing.assert_allclose(seen[2][0], last[0] + np.array([2, 3, 4]))


def test_what_cannot_be_fed_back():
    with pytest.raises(UserError, match="needs 30 rows"):
        feed_back(make(), np.array([28]), 5, 1, 30, lambda rows, at: np.zeros((1, 1)))
