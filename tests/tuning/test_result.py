"""What the test tail says of a forecaster without networks, and what such a forecaster needs."""

import numpy as np
import pandas as pd
import pytest

from lstune import datasets
from lstune.errors import UserError
from lstune.forecaster import Forecaster
from lstune.series import read_series, split_series, take_rows
from lstune.tuning.result import score_test

from .conftest import make_series


def test_a_simple_forecast_that_was_clearly_better_is_named():
    series = make_series(noise=0.02)
    split = split_series(series, horizon=1, max_lookback=12)
    naive = Forecaster((), 1, take_rows(series, -60), {"naive": 1.0})
    found = score_test(naive, series, split, reason="time ended")
    assert found.verdict.baseline == "seasonal_naive"
    assert "use the naive forecast (time ended; on the test tail seasonal naive was" in found.verdict.text
    assert not found.verdict.has_skill
    seasonal = Forecaster((), 1, take_rows(series, -60), {"seasonal_naive": 1.0})
    assert "on the test tail" not in score_test(seasonal, series, split, reason="time ended").verdict.text


def test_rows_that_count_alone_must_hold_a_season():
    """Three rows would tell nothing of the season before, and get the wrong one."""
    values = np.tile(np.arange(12.0), 20)
    history = read_series(pd.DataFrame({"y": values}), target="y", season=12)
    forecaster = Forecaster((), 1, history, {"seasonal_naive": 1.0}, reading={"target": "y"})
    with pytest.raises(UserError, match="needs at least 12 rows"):
        forecaster.predict(data=pd.DataFrame({"y": values[:3]}))
    enough = forecaster.predict(steps=3, data=pd.DataFrame({"y": values[5:17]}))
    np.testing.assert_array_equal(enough["forecast"], values[5:8])


def test_a_gain_of_nothing_is_not_worth_a_word():
    """Amazon's share rose: on its tail drift was surely better than naive, by a fifth of a percent."""
    series = datasets.load("amzn")
    split = split_series(series, horizon=1, max_lookback=12)
    naive = Forecaster((), 1, take_rows(series, -60), {"naive": 1.0})
    found = score_test(naive, series, split, reason="time ended").verdict
    assert (found.baseline, found.text) == (
        "drift",
        "no skill over naive: use the naive forecast (time ended)",
    )
    assert -0.01 < found.skill < 0
    assert found.p_value < 0.05
