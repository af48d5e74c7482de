"""What a run leaves for forecasting: saved and loaded, moved on by newer rows, fed back past the horizon."""

import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.errors import RunError, UserError
from lstune.forecaster import Forecaster, forecast_at, load_forecaster, save_forecaster
from lstune.series import Series, append_rows, take_rows
from lstune.tuning.beyond import intervals_beyond

from .conftest import GOOD, make_series


def test_saved_and_loaded_forecasters_are_equal(run, tmp_path):
    save_forecaster(run.forecaster, tmp_path)
    assert not [name for name in os.listdir(tmp_path) if "tmp" in name]
    pd.testing.assert_frame_equal(load_forecaster(tmp_path).predict(7), run.predict(7))


def test_a_damaged_or_newer_forecaster(run, tmp_path):
    with pytest.raises(RunError, match=r"no .*forecaster\.json"):
        load_forecaster(tmp_path)
    save_forecaster(run.forecaster, tmp_path)
    path = tmp_path / "forecaster.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "schema": 99}))
    with pytest.raises(RunError, match="schema 99"):
        load_forecaster(tmp_path)
    path.write_text(json.dumps(data))
    weights = (tmp_path / "weights.npz").read_bytes()
    for broken in (b"PK no", weights[:100]):
        (tmp_path / "weights.npz").write_bytes(broken)
        with pytest.raises(RunError, match="damaged"):
            load_forecaster(tmp_path)


def test_beyond_the_horizon_the_forecast_is_fed_back(multi):
    whole = multi.predict(8)["forecast"].to_numpy()
    first = multi.predict()["forecast"].to_numpy()
    np.testing.assert_allclose(whole[:4], first)
    longer = append_rows(multi.forecaster.history, first)
    np.testing.assert_allclose(multi.predict(data=longer)["forecast"], whole[4:])
    far = multi.predict(30)
    assert far["lower_95"].notna().tolist() == [True] * 24 + [False] * 6
    width = (far["upper_80"] - far["lower_80"]).to_numpy()[:24]
    assert (np.diff(width[3:]) >= 0).all()
    np.testing.assert_allclose(far["lower_95"][:4], multi.predict()["lower_95"])


def test_a_forecaster_shows_itself_in_a_line():
    naive = Forecaster((), 2, Series(pd.RangeIndex(30), np.arange(30.0)), {"naive": 1.0})
    assert repr(naive) == "Forecaster(0 networks, 100 % naive; horizon=2, after 29)"


def test_intervals_widen_as_the_series_wanders():
    walk = np.random.default_rng(0).normal(size=900).cumsum()
    series = Series(pd.RangeIndex(900), walk)
    naive = Forecaster((), 1, series, {"naive": 1.0})
    found = intervals_beyond(naive, series, range(600, 900), 1e9, lambda origins: 0.0)
    assert found.half_widths.shape == (2, 30)
    # A walk of h steps has sqrt(h) times the spread: 4 at 16, from 48 origins within a half and twice.
    assert 2 < found.half_widths[0, 15] / found.half_widths[0, 0] < 8
    assert intervals_beyond(naive, series, range(600, 900), 1.0, lambda origins: 0.0) is None
    assert intervals_beyond(naive, series, range(600, 610), 1e9, lambda origins: 0.0) is None


@pytest.mark.parametrize(("seconds", "worth"), [(0.005, True), (0.05, False)])
def test_intervals_far_ahead_that_cost_too_much_are_left_out(seconds, worth):
    walk = np.random.default_rng(0).normal(size=900).cumsum()
    naive = Forecaster((), 1, Series(pd.RangeIndex(900), walk), {"naive": 1.0})
    # 30 rows ahead from some 40 origins: about 6 s or 60 s of the hundred that are left.
    found = intervals_beyond(naive, naive.history, range(600, 900), 100.0, lambda origins: seconds * origins)
    assert (found is not None) == worth


def test_intervals_hold_the_forecast(multi):
    table = multi.predict()
    assert list(table) == ["forecast", "lower_80", "upper_80", "lower_95", "upper_95"]
    assert (table["lower_95"] < table["lower_80"]).all()
    assert (table["lower_80"] < table["forecast"]).all()
    assert set(multi.result["test"]["coverage"]) == {"80", "95"}
    assert multi.result["test"]["coverage"]["95"] > 0.7


def test_newer_rows_move_the_forecast_on(run):
    series = make_series()
    newer = append_rows(series, [12.0, 9.0, 10.0])
    alone = take_rows(newer, -3)  # three rows that follow the stored ones
    frame = pd.DataFrame({"when": newer.timestamps, "value": newer.values})
    wanted = run.predict(data=newer)
    assert wanted.index[0] == pd.Timestamp("2020-10-30")
    np.testing.assert_allclose(run.predict(data=alone)["forecast"], wanted["forecast"])
    np.testing.assert_allclose(run.predict(data=frame)["forecast"], wanted["forecast"])
    assert run.predict()["forecast"].iloc[0] != wanted["forecast"].iloc[0]


def test_too_few_rows_elsewhere(run):
    far = make_series(rows=3)
    far = type(far)(pd.date_range("2030-01-01", periods=3), far.values, freq="D", season=12)
    with pytest.raises(UserError, match="needs at least"):
        run.predict(data=far)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "3", 100_001, 10**30])
def test_steps_must_be_a_count(run, steps):
    with pytest.raises(UserError, match="steps"):
        run.predict(steps)


def test_forecasts_at_an_origin_know_nothing_later(run):
    series = make_series()
    forecaster = run.forecaster
    targets = range(200, 210)
    before, _, origins = forecast_at(forecaster, series, targets)
    changed = series.values.copy()
    changed[205:] += 50
    other = type(series)(series.timestamps, changed, freq="D", season=12, seasonal=True)
    after, _, _ = forecast_at(forecaster, other, targets)
    known = origins < 205
    np.testing.assert_array_equal(before[known], after[known])
    assert not np.allclose(before[~known], after[~known])


def test_a_recursive_forecaster_is_scored_and_saved_as_it_forecasts(tmp_path):
    space = {**GOOD, "strategy": "recursive", "lookback": 12, "transform": "level"}
    run = lstune.tune(make_series(), horizon=3, method="manual", space=space, out=tmp_path / "run")
    forecaster = run.forecaster
    assert [member.pipeline.config.horizon for member in forecaster.members] == [1] * len(forecaster.members)
    series = make_series()
    forecasts, _, origins = forecast_at(forecaster, series, range(250, 300))
    shorter = replace(forecaster, history=take_rows(series, 0, int(origins[4]) + 1))
    np.testing.assert_allclose(shorter.predict()["forecast"], forecasts[4], rtol=1e-5)
    longer = append_rows(take_rows(series, 0, int(origins[4]) + 1), forecasts[4])
    after = replace(forecaster, history=longer).predict()["forecast"]
    np.testing.assert_allclose(shorter.predict(6)["forecast"][3:], after, rtol=1e-5)


def test_features_keep_their_last_values_while_forecasts_are_fed_back(tmp_path):
    series = make_series()
    rng = np.random.default_rng(5)
    series = replace(series, features=rng.normal(size=(len(series), 1)), feature_names=("driver",))
    space = {**GOOD, "strategy": "recursive", "lookback": 12, "transform": "level", "feature_inputs": "all"}
    run = lstune.tune(series, horizon=3, method="manual", space=space, out=tmp_path / "run")
    assert {member.setting["feature_inputs"] for member in run.forecaster.members} == {"all"}
    forecasts, _, origins = forecast_at(run.forecaster, series, range(250, 300))
    known = take_rows(series, 0, int(origins[4]) + 1)
    step_by_step = replace(run.forecaster, history=known).predict()["forecast"]
    np.testing.assert_allclose(step_by_step, forecasts[4], rtol=1e-5)
    beyond = run.predict(steps=9)
    assert np.isfinite(beyond[["lower_80", "upper_80"]]).all(axis=None)
