"""A run on a series with gaps scores no filled value, on the validation rows or on the test tail."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.evaluation import Intervals
from lstune.forecaster import Forecaster
from lstune.report import collect
from lstune.series import Series, split_series
from lstune.tuning.result import score_test

from .conftest import TINY


def test_no_filled_value_is_scored_at_a_horizon_above_one(tmp_path):
    rng = np.random.default_rng(0)
    values = 10 + np.sin(np.arange(400) * 2 * np.pi / 12) + 0.2 * rng.normal(size=400)
    gone = rng.choice(np.arange(20, 399), 50, replace=False)
    values[gone] = np.nan
    frame = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=400), "y": values})
    run = lstune.tune(
        frame, target="y", trials=3, space=TINY, horizon=4, seed=1, out=tmp_path / "run", baselines="simple"
    )
    with np.load(run.path / "predictions.npz") as stored:
        parts = {
            part: (stored[f"{part}_origins"], stored[f"{part}_forecasts"]) for part in ("validation", "test")
        }
    for part, (origins, forecasts) in parts.items():
        truth = values[origins[:, None] + np.arange(1, 5)]  # as it was given, with holes
        assert np.isnan(truth).any()
        assert run.result[part]["mae"] == pytest.approx(np.nanmean(np.abs(truth - forecasts)))
        assert run.result[part]["rmse"] == pytest.approx(np.sqrt(np.nanmean(np.square(truth - forecasts))))
    assert run.result["verdict"]["skill"] == pytest.approx(
        1 - run.result["test"]["mae"] / run.result["baselines"][run.result["verdict"]["baseline"]]["mae"]
    )
    data = collect(run.path)
    assert next(row.mase for row in data.errors if row.own) == pytest.approx(run.result["test"]["mase"])
    assert np.isfinite([value for errors in data.steps.values() for value in errors]).all()
    assert np.isfinite(data.residuals.values).all()


def test_the_scale_of_mase_counts_no_filled_row_and_is_the_same_in_the_report(tmp_path):
    rng = np.random.default_rng(0)
    values = 10 + np.sin(np.arange(400) * 2 * np.pi / 12) + 0.2 * rng.normal(size=400)
    values[np.r_[100:108, 200:208]] = np.nan
    values[340:342] = np.nan  # the tail begins with filled rows
    frame = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=400), "y": values})
    run = lstune.tune(frame, target="y", trials=2, space=TINY, out=tmp_path / "run", baselines="simple")
    season = run.result["series"]["season"]
    scale = np.nanmean(np.abs(values[season:340] - values[: 340 - season]))
    test = run.result["test"]
    assert test["mase"] == pytest.approx(test["mae"] / scale)
    for row in collect(run.path).errors:
        assert row.mase == pytest.approx(row.mae / scale)


def test_wherever_intervals_are_scaled_filled_rows_are_no_calm():
    """The signature leaves them out by default: then a filled gap narrows the intervals behind it."""
    texts = [path.read_text("utf-8") for path in Path(lstune.__file__).parent.rglob("*.py")]
    calls = [
        node
        for text in texts
        if "local_scale(" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "local_scale"
    ]
    assert len(calls) >= 5
    assert all(ast.unparse(call.args[2]).endswith(".observed") for call in calls)


def test_intervals_behind_a_filled_gap_are_as_wide_as_before_it():
    """A walk of steps of one up and down, with a gap of 60 rows: its local scale is 1 all the way."""
    values = np.cumsum(np.random.default_rng(0).choice([-1.0, 1.0], 900))
    filled = np.r_[700:760, 840:900]
    values[filled[:60]], values[filled[60:]] = values[699], values[839]
    observed = ~np.isin(np.arange(900), filled)
    series = Series(pd.RangeIndex(900), values, observed=observed)
    adaptive = Intervals((0.8,), np.ones((1, 1)), adaptive=True)
    naive = Forecaster((), 1, series, {"naive": 1.0}, adaptive)
    shown = naive.predict()
    assert shown["upper_80"].iloc[0] - shown["forecast"].iloc[0] == pytest.approx(1)
    split = split_series(series, horizon=1, max_lookback=12)
    low, high = score_test(naive, series, split, reason="time ended").bands["80"]
    assert (high - low).ravel() == pytest.approx(2)
