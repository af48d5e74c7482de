"""Windows: exact inversion, equal scored rows for every lookback, and no number that knows the future."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lstune.series.windows as windows_module
from lstune.engine.data import Windows
from lstune.errors import DataError, UserError
from lstune.series import (
    CALENDAR_FEATURES,
    TRANSFORMS,
    Pipeline,
    PipelineConfig,
    Series,
    allowed_transforms,
    append_rows,
    fit_pipeline,
    load_series,
    save_series,
    scored_origins,
    series_frame,
    split_series,
    take_rows,
)
from lstune.series.calendar import calendar_features, calendar_names
from lstune.series.scalers import SCALERS, fit_scaler

ROWS, SEASON = 600, 24
SPLIT = split_series(ROWS, max_lookback=48, horizon=3)
TRAIN, VALIDATION = SPLIT.folds[0].train, SPLIT.folds[0].validation


def make(rows=ROWS, seed=0, features=2, **more):
    rng = np.random.default_rng(seed)
    values = 50 + 10 * np.sin(2 * np.pi * np.arange(rows) / SEASON) + rng.normal(size=rows).cumsum() * 0.3
    return Series(
        timestamps=pd.date_range("2024-01-01", periods=rows, freq="h"),
        values=values,
        target="y",
        features=rng.normal(size=(rows, features)),
        feature_names=tuple(f"x{i}" for i in range(features)),
        freq="h",
        season=SEASON,
        **more,
    )


SERIES = make()
CONFIGS = [
    PipelineConfig(transform, lookback, horizon, supervision, scaler, "auto", lags, level_input=level)
    for transform in TRANSFORMS
    for supervision in ("last", "every")
    for lookback, horizon, scaler, lags, level in (
        (1, 1, "standard", (), False), (12, 3, "robust", (24,), True), (48, 1, "minmax", (2, 24), False),
        (7, 3, "none", (), True),
    )
    if not (transform == "relative" and supervision == "every")
]  # fmt: skip
IDS = [f"{c.transform}-{c.supervision}-{c.lookback}-{c.horizon}" for c in CONFIGS]


def step_targets(windows):
    """(N, L or 1, H) scaled targets that the engine reads for each window and step."""
    steps = windows.lookback if windows.target_step else 1
    return windows.targets[windows.target_starts[:, None] + np.arange(steps)]


def inputs_of(windows):
    """(N, L, C) inputs as the engine reads them."""
    return windows.inputs[windows.starts[:, None] + np.arange(windows.lookback)]


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_targets_invert_to_the_actual_values_for_every_horizon_step(config):
    pipeline = fit_pipeline(SERIES, TRAIN, config)
    for rows in (TRAIN, VALIDATION, SPLIT.test):
        windows = pipeline.windows(rows)
        Windows(windows.inputs, windows.starts, windows.lookback, windows.targets, windows.target_starts,
                windows.target_step)  # fmt: skip  # the engine checks that no window leaves its rows
        assert np.allclose(pipeline.invert(step_targets(windows)[:, -1], windows), windows.actual, rtol=1e-5)
        assert np.array_equal(windows.actual, SERIES.values[windows.target_rows])
        assert windows.target_rows[:, -1].max() == rows[-1]
        assert windows.target_rows.min() >= rows[0]
        assert pipeline.channels == windows.inputs.shape[1]
        assert np.isfinite(windows.inputs).all()
        assert np.isfinite(windows.targets).all()


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_every_lookback_is_scored_on_the_same_rows(config):
    expected = scored_origins(SERIES, VALIDATION, config.horizon)
    assert expected[0] == VALIDATION.start - 1
    for lookback in (1, 5, 48):
        pipeline = fit_pipeline(SERIES, TRAIN, replace(config, lookback=lookback))
        assert np.array_equal(pipeline.windows(VALIDATION).origins, expected)


def changes_with_the_future(fit, config, now):
    """What about training rows or a window at `now` changes when rows after them do; nothing, if honest."""
    pipeline = fit(SERIES, range(now), config)
    changed = []
    rng = np.random.default_rng(0)
    futures = {
        "huge": lambda a: a * 1e6 + 1e6,
        "tiny": lambda a: a * 1e-6,
        "shuffled": lambda a: rng.permutation(a, axis=0),
        "constant": lambda a: np.full_like(a, 7.0),
    }
    for name, change in futures.items():
        values, features = SERIES.values.copy(), SERIES.features.copy()
        values[now:], features[now:] = change(values[now:]), change(features[now:])
        other = fit(replace(SERIES, values=values, features=features), range(now), config)
        if other.to_dict() != pipeline.to_dict():
            changed.append(f"{name}: fitted numbers")
        for rows in (range(now), range(now, now + config.horizon)):
            a, b = pipeline.windows(rows), other.windows(rows)
            if not np.array_equal(inputs_of(a), inputs_of(b)):
                changed.append(f"{name}: inputs for targets {rows}")
            if not np.array_equal(a.base, b.base):
                changed.append(f"{name}: base for targets {rows}")
            if rows.start == 0 and not np.array_equal(step_targets(a), step_targets(b)):
                changed.append(f"{name}: training targets")
    return changed


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_nothing_changes_with_what_comes_after(config):
    assert changes_with_the_future(fit_pipeline, config, now=400) == []


def test_the_same_check_catches_a_scaler_that_looks_ahead(monkeypatch):
    config = PipelineConfig(lookback=12)

    def leaky(series, train_range, config):
        return fit_pipeline(series, range(len(series)), config)

    assert "huge: fitted numbers" in changes_with_the_future(leaky, config, now=400)
    assert "tiny: inputs for targets range(0, 400)" in changes_with_the_future(leaky, config, now=400)

    def raw_columns(series, config, honest=windows_module._raw_columns):
        return np.roll(honest(series, config), -1, axis=0)  # an off-by-one: row t holds what happens at t + 1

    monkeypatch.setattr(windows_module, "_raw_columns", raw_columns)
    assert any("inputs" in change for change in changes_with_the_future(fit_pipeline, config, now=400))


def test_training_targets_end_where_validation_begins():
    for supervision in ("last", "every"):
        pipeline = fit_pipeline(SERIES, TRAIN, horizon=3, lookback=12, supervision=supervision)
        assert pipeline.windows(TRAIN).target_rows.max() == VALIDATION.start - 1
        assert pipeline.windows(TRAIN).target_rows.min() == 12
        assert pipeline.windows(VALIDATION).target_rows.min() == VALIDATION.start


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_inputs_and_targets_are_those_of_the_table(transform):
    """The plain formulae of transforms.py, window by window."""
    y, h = SERIES.values, 30  # a horizon beyond the season
    pipeline = fit_pipeline(SERIES, TRAIN, transform=transform, lookback=6, horizon=h, scaler="none")
    windows = pipeline.windows(TRAIN)
    inputs, targets = inputs_of(windows), step_targets(windows)[:, -1]
    for n in (0, 17, len(windows) - 1):
        o = int(windows.origins[n])
        for step, t in enumerate(range(o - 5, o + 1)):
            plain = {
                "level": y[t],
                "difference": y[t] - y[t - 1],
                "log_difference": np.log(y[t] / y[t - 1]),
                "relative": y[t] / y[o] - 1,
                "seasonal_difference": y[t] - y[t - SEASON],
            }[transform]
            assert inputs[n, step, 0] == pytest.approx(plain, rel=1e-5, abs=1e-6)
            assert np.array_equal(inputs[n, step, 1:], SERIES.features[t].astype(np.float32))
        for k in (1, 24, 25, 30):
            plain = {
                "level": y[o + k],
                "difference": y[o + k] - y[o],
                "log_difference": np.log(y[o + k] / y[o]),
                "relative": y[o + k] / y[o] - 1,
                "seasonal_difference": y[o + k] - y[o + k - (24 if k <= 24 else 48)],
            }[transform]
            assert targets[n, k - 1] == pytest.approx(plain, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("transform", [t for t in TRANSFORMS if t != "relative"])
def test_supervision_on_every_step_gives_each_step_the_target_of_its_own_row(transform):
    shared = {"transform": transform, "lookback": 8, "horizon": 2, "scaler": "standard"}
    every = fit_pipeline(SERIES, TRAIN, **shared, supervision="every")
    last = fit_pipeline(SERIES, TRAIN, **shared, supervision="last")
    a, b = every.windows(TRAIN), last.windows(TRAIN)
    assert np.array_equal(step_targets(a)[:, -1], step_targets(b)[:, -1])
    assert np.array_equal(step_targets(a)[7:, 0], step_targets(b)[:-7, -1])


def test_lags_show_the_value_of_the_step_that_is_forecast():
    pipeline = fit_pipeline(SERIES, TRAIN, lookback=4, lags=(24,), scaler="none", transform="level")
    windows = pipeline.windows(VALIDATION)
    assert np.allclose(inputs_of(windows)[:, -1, 1], SERIES.values[windows.origins + 1 - 24])
    relative = fit_pipeline(SERIES, TRAIN, lookback=4, lags=(24,), scaler="none", transform="relative")
    last = SERIES.values[windows.origins]
    expected = SERIES.values[windows.origins + 1 - 24] / last - 1
    assert np.allclose(inputs_of(relative.windows(VALIDATION))[:, -1, 1], expected, atol=1e-6)


def test_level_input_adds_the_level_where_the_transform_hides_it():
    with_level = fit_pipeline(
        SERIES, TRAIN, transform="difference", level_input=True, scaler="none", lookback=4
    )
    windows = with_level.windows(VALIDATION)
    assert np.allclose(inputs_of(windows)[:, -1, 1], SERIES.values[windows.origins])
    assert fit_pipeline(SERIES, TRAIN, transform="level", level_input=True, lookback=4).channels == 3


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_without_feature_inputs_a_window_is_that_of_the_target_alone(transform):
    target = replace(SERIES, features=np.empty((ROWS, 0)), feature_names=())
    settings = {"transform": transform, "lookback": 6, "lags": (24,), "calendar": "auto"}
    without = fit_pipeline(SERIES, TRAIN, feature_inputs="none", **settings)
    alone = fit_pipeline(target, TRAIN, **settings)
    assert without.channels == alone.channels == fit_pipeline(SERIES, TRAIN, **settings).channels - 2
    assert np.array_equal(inputs_of(without.windows(VALIDATION)), inputs_of(alone.windows(VALIDATION)))
    written = json.loads(json.dumps(without.to_dict()))
    written["config"]["feature_inputs"] = False  # as earlier versions wrote it
    restored = Pipeline.from_dict(written).bind(SERIES)
    assert np.array_equal(inputs_of(restored.windows(VALIDATION)), inputs_of(without.windows(VALIDATION)))


def test_stride_keeps_the_latest_window():
    pipeline = fit_pipeline(SERIES, TRAIN, lookback=12)
    full, sparse = pipeline.windows(TRAIN), pipeline.windows(TRAIN, stride=5)
    assert sparse.origins[-1] == full.origins[-1]
    assert (np.diff(sparse.origins) == 5).all()
    assert len(sparse) == -(-len(full) // 5)


def test_filled_rows_are_neither_trained_on_nor_scored():
    observed = np.ones(ROWS, bool)
    observed[[100, 450, 451, 470]] = False
    series = make(observed=observed)
    pipeline = fit_pipeline(series, TRAIN, lookback=12)
    assert not np.isin(pipeline.windows(TRAIN).target_rows, [100]).any()
    assert not np.isin(pipeline.windows(VALIDATION).target_rows, [450, 451, 470]).any()
    assert len(pipeline.windows(VALIDATION)) == len(VALIDATION) - 3
    three = fit_pipeline(series, TRAIN, lookback=12, horizon=3).windows(VALIDATION)
    share = observed[three.target_rows].mean(axis=1)
    assert share.min() > 0.5
    assert len(three) == len(VALIDATION) - 2 - 2  # two windows hold both 450 and 451


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_the_window_beyond_the_end_is_the_one_a_longer_series_would_give(config):
    pipeline = fit_pipeline(SERIES, TRAIN, config)
    shorter = take_rows(SERIES, 0, 500)
    ahead = pipeline.windows_for_forecast(shorter)
    same = pipeline.windows(range(500, 500 + config.horizon))
    assert len(ahead) == 1
    assert np.array_equal(inputs_of(ahead), inputs_of(same))
    assert np.array_equal(ahead.base, same.base)
    assert np.isnan(ahead.actual).all()
    zero = np.zeros((1, config.horizon), np.float32)
    assert np.array_equal(pipeline.invert(zero, ahead), pipeline.invert(zero, same))
    assert np.array_equal(inputs_of(pipeline.windows_for_forecast())[0, -1, -1:], pipeline._inputs[-1, -1:])


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_a_pipeline_written_as_json_is_the_same_pipeline(config):
    pipeline = fit_pipeline(SERIES, TRAIN, config)
    again = Pipeline.from_dict(json.loads(json.dumps(pipeline.to_dict())))
    with pytest.raises(UserError, match="holds no series"):
        again.windows(VALIDATION)
    a, b = pipeline.windows(VALIDATION), again.bind(SERIES).windows(VALIDATION)
    for name in ("inputs", "targets", "base", "starts"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    assert again.config == pipeline.config


def test_a_log_forecast_never_overflows():
    pipeline = fit_pipeline(SERIES, TRAIN, transform="log_difference", lookback=4)
    windows = pipeline.windows(VALIDATION)
    assert np.isfinite(pipeline.invert(np.full((len(windows), 1), 1e30), windows)).all()
    assert (pipeline.invert(np.full((len(windows), 1), -1e30), windows) >= 0).all()


def test_transforms_that_values_do_not_allow():
    assert allowed_transforms(SERIES.values, 24) == TRANSFORMS
    assert allowed_transforms(SERIES.values - 60, 1) == ("level", "difference")
    negative = replace(SERIES, values=SERIES.values - 60)
    for transform in ("log_difference", "relative"):
        with pytest.raises(
            DataError, match=rf"'{transform}' needs values above zero.*at row \d+.*'difference'"
        ):
            fit_pipeline(negative, TRAIN, transform=transform)
    with pytest.raises(DataError, match="season above 1"):
        fit_pipeline(replace(SERIES, season=1), TRAIN, transform="seasonal_difference")
    with pytest.raises(UserError, match="transform must be one of level, difference"):
        fit_pipeline(SERIES, TRAIN, transform="logit")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"transform": "relative", "supervision": "every"}, "cannot be supervised on every step"),
        ({"supervision": "all"}, "supervision must be one of last, every"),
        ({"scaler": "log"}, "scaler must be one of standard"),
        ({"lookback": 0}, "lookback must be a whole number"),
        ({"horizon": -1}, "horizon must be a whole number"),
        ({"lags": (0,)}, "a lag must be a whole number"),
        ({"calendar": "moon"}, "calendar must name features among none, auto, time_of_day"),
        ({"lookback": 500}, r"No training window of lookback 500 and horizon 1 fits.*420 training rows"),
    ],
)
def test_settings_that_do_not_go_together(settings, match):
    with pytest.raises(UserError, match=match) as caught:
        fit_pipeline(SERIES, TRAIN, **settings)
    assert caught.value.exit_code == 2


def test_ranges_that_do_not_fit():
    pipeline = fit_pipeline(SERIES, TRAIN, lookback=48, transform="difference")
    with pytest.raises(DataError, match=r"lookback of 48 needs 49 rows before the first target.*at most 29"):
        pipeline.windows(range(30, 60))
    assert pipeline.windows(range(49, 60)).origins[0] == 48
    with pytest.raises(UserError, match="must lie within the series' rows"):
        pipeline.windows(range(590, 610))
    with pytest.raises(DataError, match="needs at least 49 rows"):
        pipeline.windows_for_forecast(take_rows(SERIES, -40))
    with pytest.raises(DataError, match=r"features of the fitted model: \['x0', 'x1'\]"):
        pipeline.windows_for_forecast(make(features=1))


@pytest.mark.parametrize("kind", SCALERS)
def test_scalers_invert_and_survive_columns_without_spread(kind):
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(5, 3, 200), np.full(200, 4.0), np.where(np.arange(200) < 20, 9.0, 0.0)])
    scaler = fit_scaler(x, kind)
    scaled = scaler.apply(x)
    assert np.allclose(scaler.invert(scaled), x)
    assert np.isfinite(scaled).all()
    plain = {
        "standard": (x[:, 0] - x[:, 0].mean()) / x[:, 0].std(),
        "robust": (x[:, 0] - np.median(x[:, 0])) / (np.subtract(*np.quantile(x[:, 0], [0.75, 0.25])) / 1.349),
        "minmax": 2 * (x[:, 0] - x[:, 0].min()) / np.ptp(x[:, 0]) - 1,
        "none": x[:, 0],
    }[kind]
    assert np.allclose(scaled[:, 0], plain)


def test_one_bad_value_does_not_drown_the_inputs():
    values = SERIES.values.copy()
    values[450] = 1e9
    windows = fit_pipeline(replace(SERIES, values=values), TRAIN, lookback=12).windows(VALIDATION)
    assert np.abs(inputs_of(windows)[..., 0]).max() == 10.0


def test_calendar_tells_of_the_step_after():
    names = calendar_names(SERIES, "auto")
    assert names == ("time_of_day", "day_of_week")  # a month of hours says nothing about the year
    table = calendar_features(SERIES, names)
    following = SERIES.timestamps + pd.Timedelta(hours=1)
    assert np.allclose(table[:, 0], np.sin(2 * np.pi * following.hour / 24), atol=1e-6)
    assert np.array_equal(table[:, 6], (following.day_of_week >= 5).astype(np.float32))
    assert np.abs(calendar_features(SERIES, tuple(CALENDAR_FEATURES))).max() <= 1.0
    assert calendar_names(SERIES, "none") == ()
    undated = Series(pd.RangeIndex(100), np.arange(100.0))
    assert calendar_names(undated, "auto") == ()
    with pytest.raises(UserError, match="Calendar features need timestamps"):
        calendar_names(undated, ("day_of_week",))


@pytest.mark.parametrize(
    ("freq", "years", "names"),
    [("15min", 0.1, ("time_of_day", "day_of_week")), ("D", 1, ("day_of_week",)),
     ("D", 4, ("day_of_week", "day_of_year")), ("B", 4, ("day_of_week", "day_of_year")),
     ("W-SUN", 4, ("day_of_year",)), ("MS", 4, ("day_of_year",)), ("YS-JAN", 40, ())],
)  # fmt: skip
def test_calendar_features_follow_the_step(freq, years, names):
    stamps = pd.date_range(
        "2000-01-01", pd.Timestamp("2000-01-01") + pd.Timedelta(days=366 * years), freq=freq
    )
    series = Series(stamps, np.arange(float(len(stamps))), freq=freq)
    assert calendar_names(series, "auto") == names
    assert np.isfinite(calendar_features(series, names)).all()


def test_the_calendar_of_a_working_day_does_not_know_of_coming_holidays():
    days = pd.bdate_range("2024-01-01", periods=300)
    holiday = Series(days.delete([100]), np.arange(299.0), freq="B", regular=False)
    plain = Series(days, np.arange(300.0), freq="B", regular=False)
    names = ("day_of_week",)
    assert np.array_equal(calendar_features(holiday, names)[:100], calendar_features(plain, names)[:100])


def test_series_are_extended_cut_saved_and_told_apart(tmp_path):
    longer = append_rows(take_rows(SERIES, 0, 500), SERIES.values[500:503])
    assert np.array_equal(longer.timestamps, SERIES.timestamps[:503])
    assert np.array_equal(longer.values, SERIES.values[:503])
    assert np.array_equal(longer.features[500:], np.repeat(SERIES.features[499:500], 3, axis=0))
    assert len(take_rows(SERIES, -10)) == 10
    save_series(SERIES, tmp_path / "series.npz")
    again = load_series(tmp_path / "series.npz")
    assert again.fingerprint == SERIES.fingerprint
    assert np.array_equal(again.timestamps, SERIES.timestamps)
    for name in ("target", "feature_names", "freq", "season", "notes", "name", "regular"):
        assert getattr(again, name) == getattr(SERIES, name)
    undated = Series(pd.RangeIndex(50), np.arange(50.0))
    save_series(undated, tmp_path / "undated.npz")
    assert load_series(tmp_path / "undated.npz").fingerprint == undated.fingerprint
    assert list(append_rows(undated, [1.0]).timestamps) == list(range(51))
    assert make(seed=1).fingerprint != SERIES.fingerprint
    assert take_rows(SERIES, 0, 599).fingerprint != SERIES.fingerprint
    assert list(series_frame(SERIES).columns) == ["y", "x0", "x1"]
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="not a saved series"):
        load_series(tmp_path / "broken.npz")


def test_windows_of_all_ranges_share_one_table_of_rows():
    """A trial must not wait for its windows: cutting another range copies nothing."""
    pipeline = fit_pipeline(SERIES, TRAIN, transform="difference", lookback=60, calendar="auto")
    parts = [pipeline.windows(rows, stride=stride) for rows in (TRAIN, VALIDATION) for stride in (1, 4)]
    assert all(part.inputs is parts[0].inputs and part.targets is parts[0].targets for part in parts)
    names = calendar_names(SERIES, "auto")
    assert calendar_features(SERIES, names) is calendar_features(SERIES, names)
