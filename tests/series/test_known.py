"""Features known beforehand: read from rows without a target, seen H rows ahead, never a look at the rest."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError
from lstune.series import (
    Pipeline,
    Series,
    append_rows,
    feed_back,
    fit_pipeline,
    load_series,
    read_series,
    recurse,
    save_series,
    take_rows,
)

ROWS, AHEAD = 120, 5
ORIGINS = np.array([70, 71, 99, 115, 119])
TRANSFORMS = ["level", "difference", "log_difference", "seasonal_difference", "relative"]


def make(rows=ROWS, ahead=AHEAD, dated=True):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(ROWS + AHEAD, 3))
    return Series(
        pd.date_range("2021-03-01", periods=rows, freq="D") if dated else pd.RangeIndex(rows),
        20 + 3 * np.sin(np.arange(rows) * 2 * np.pi / 7) + rng.normal(size=ROWS)[:rows],
        target="y",
        features=features[:rows],
        feature_names=("past", "sale", "rain"),
        known_names=("rain", "sale"),
        ahead=features[rows : rows + ahead, [2, 1]],
        freq="D" if dated else "",
        season=7,
        seasonal=True,
    )


SERIES = make()


def inputs_of(windows):
    return windows.inputs[windows.starts[:, None] + np.arange(windows.lookback)]


def test_a_row_shows_what_is_known_of_the_rows_after_it():
    pipeline = fit_pipeline(SERIES, range(70), lookback=4, horizon=3, scaler="none")
    windows = pipeline.windows(range(70, ROWS))
    inputs = inputs_of(windows)
    assert pipeline.channels == inputs.shape[-1] == 1 + 1 + 2 * 3
    for n, o in enumerate(windows.origins):
        for step, t in enumerate(range(o - 3, o + 1)):
            expected = [
                SERIES.features[t, 0],
                *SERIES.known[t + 1 : t + 4, 0],
                *SERIES.known[t + 1 : t + 4, 1],
            ]
            np.testing.assert_array_equal(inputs[n, step, 1:], np.float32(expected))
    assert inputs_of(pipeline.windows_for_forecast())[0, -1, 2:5] == pytest.approx(SERIES.ahead[:3, 0])
    config = {"lookback": 4, "horizon": 3, "scaler": "none"}
    assert fit_pipeline(SERIES, range(70), feature_inputs="none", **config).channels == 1
    known = fit_pipeline(SERIES, range(70), feature_inputs="known", **config)
    np.testing.assert_array_equal(
        inputs_of(known.windows(range(70, ROWS))), inputs[..., [0, *range(2, inputs.shape[-1])]]
    )


@pytest.mark.parametrize(
    ("lookback", "horizon", "leads"),
    [(4, 1, [1]), (4, 3, [1, 3]), (2, 3, [1, 3]), (2, 5, [1, 3, 5]), (2, 4, [1, 2, 4])],
)
def test_few_leads_still_show_every_coming_row(lookback, horizon, leads):
    pipeline = fit_pipeline(
        SERIES, range(70), lookback=lookback, horizon=horizon, scaler="none", known_leads="few"
    )
    window = inputs_of(pipeline.windows_at([80]))[0, :, 2:]
    rows = np.arange(81 - lookback, 81)[:, None] + leads
    expected = np.concatenate([SERIES.known[rows, 0], SERIES.known[rows, 1]], axis=1)
    np.testing.assert_array_equal(window, np.float32(expected))
    assert set(rows.ravel()) >= set(range(81, 81 + horizon))


@pytest.mark.parametrize("scaler", ["standard", "robust", "minmax"])
def test_one_feature_has_one_scale_for_all_the_rows_ahead(scaler):
    pipeline = fit_pipeline(SERIES, range(70), lookback=4, horizon=3, scaler=scaler)
    alone = replace(SERIES, known_names=(), ahead=np.empty((0, 0)))
    plain = fit_pipeline(alone, range(70), lookback=4, horizon=3, scaler=scaler)
    for of in ("center", "scale"):
        given, usual = getattr(pipeline.input_scaler, of), getattr(plain.input_scaler, of)
        np.testing.assert_allclose(given[:2], usual[:2], rtol=1e-12)
        np.testing.assert_allclose(given[2:5], usual[[3, 3, 3]], rtol=1e-12)
        np.testing.assert_allclose(given[5:8], usual[[2, 2, 2]], rtol=1e-12)


@pytest.mark.parametrize("supervision", ["last", "every"])
def test_nothing_else_of_the_future_is_seen(supervision):
    now, horizon = 80, 3
    config = {"lookback": 6, "horizon": horizon, "supervision": supervision, "lags": (7,)}
    values, features = SERIES.values.copy(), SERIES.features.copy()
    values[now:], features[now:, 0], features[now + horizon :, 1:] = 1e3, -1e3, 1e3
    changed = replace(SERIES, values=values, features=features, ahead=SERIES.ahead + 9)
    pipeline, other = (fit_pipeline(series, range(now), **config) for series in (SERIES, changed))
    assert pipeline.to_dict() == other.to_dict()
    for rows in (range(now), range(now, now + horizon)):
        np.testing.assert_array_equal(inputs_of(pipeline.windows(rows)), inputs_of(other.windows(rows)))
    features[now, 1] += 1.0  # and what is known beforehand is
    seen = inputs_of(pipeline.bind(replace(changed, features=features)).windows(range(now, now + horizon)))
    assert not np.array_equal(seen, inputs_of(other.windows(range(now, now + horizon))))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_window_beyond_the_end_is_the_one_a_longer_series_would_give(transform):
    pipeline = fit_pipeline(SERIES, range(70), lookback=6, horizon=3, transform=transform)
    for rows in (90, 118):
        short = pipeline.windows_for_forecast(take_rows(SERIES, 0, rows))
        longer = pipeline.windows_at([rows - 1])
        np.testing.assert_array_equal(inputs_of(short), inputs_of(longer))
    again = Pipeline.from_dict(pipeline.to_dict()).bind(SERIES)
    np.testing.assert_array_equal(inputs_of(again.windows_at([119])), inputs_of(pipeline.windows_at([119])))
    with pytest.raises(DataError, match=r"features known beforehand of the fitted model: \['rain', 'sale'\]"):
        pipeline.bind(replace(SERIES, known_names=("rain",), ahead=SERIES.ahead[:, :1]))


def test_past_the_last_known_row_its_values_are_kept():
    pipeline = fit_pipeline(SERIES, range(70), lookback=2, horizon=8, scaler="none")
    last = inputs_of(pipeline.windows_for_forecast())[0, -1, 2:10]
    np.testing.assert_array_equal(last, np.float32([*SERIES.ahead[:, 0], *SERIES.ahead[[-1] * 3, 0]]))


def test_rows_cut_off_stay_ahead_and_come_back():
    short = take_rows(SERIES, 0, 100)
    np.testing.assert_array_equal(short.ahead, SERIES.known[100:])
    longer = append_rows(short, SERIES.values[100:110])
    np.testing.assert_array_equal(longer.features[:, 1:], SERIES.features[:110, 1:])
    np.testing.assert_array_equal(longer.features[100:, 0], np.repeat(SERIES.features[99, 0], 10))
    np.testing.assert_array_equal(longer.known, SERIES.known)
    far = append_rows(SERIES, np.ones(9))
    np.testing.assert_array_equal(far.features[ROWS:, 2], [*SERIES.ahead[:, 0], *SERIES.ahead[[-1] * 4, 0]])
    assert take_rows(SERIES, -10).ahead.shape == SERIES.ahead.shape
    assert far.ahead.shape == (0, 2)


def test_what_is_known_is_saved_and_part_of_the_fingerprint(tmp_path):
    save_series(SERIES, tmp_path / "series.npz")
    again = load_series(tmp_path / "series.npz")
    assert again.known_names == ("rain", "sale")
    np.testing.assert_array_equal(again.ahead, SERIES.ahead)
    assert again.fingerprint == SERIES.fingerprint
    assert replace(SERIES, ahead=SERIES.ahead[:-1]).fingerprint != SERIES.fingerprint
    plain = replace(SERIES, known_names=(), ahead=np.empty((0, 0)))
    assert plain.fingerprint != replace(plain, known_names=("sale",)).fingerprint
    with pytest.raises(DataError, match="known_names must be among feature_names"):
        replace(SERIES, known_names=("snow", "sale"))
    with pytest.raises(DataError, match="a column for each of known_names"):
        replace(SERIES, known_names=("sale",))


def network(part):
    """A stand-in that weighs every input of the window, (N, 1) in scaled units."""
    rows = part.starts[:, None] + np.arange(part.lookback)
    weight = np.linspace(0.2, 1.0, part.lookback)[:, None] * np.linspace(1.0, 0.3, part.inputs.shape[1])
    return np.tanh((part.inputs[rows] * weight).mean(axis=(1, 2)))[:, None]


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_forecasts_are_fed_back_beside_what_is_known(transform, dated):
    series = make(dated=dated)
    pipeline = fit_pipeline(series, range(70), lookback=9, horizon=1, transform=transform, lags=(7,))

    def forecast(part):
        return pipeline.invert(network(part), part)

    got = recurse(pipeline, series, ORIGINS, 10, forecast)
    for index, origin in enumerate(ORIGINS):
        rows = take_rows(series, 0, origin + 1)
        for step in range(10):
            value = forecast(pipeline.windows_for_forecast(rows))[0, 0]
            assert got[index, step] == pytest.approx(value, rel=1e-6)
            rows = append_rows(rows, [max(value, 1e-3 * series.values.min())])


def test_blocks_are_fed_back_beside_what_is_known():
    pipeline = fit_pipeline(SERIES, range(70), lookback=9, horizon=3)

    def forecast(rows, at):
        part = pipeline.bind(rows).windows_at(at)
        return pipeline.invert(network(part) * [[1.0, 2.0, 3.0]], part)

    got = feed_back(SERIES, ORIGINS, 8, 3, pipeline.rows_needed, forecast)
    for index, origin in enumerate(ORIGINS):
        rows = take_rows(SERIES, 0, origin + 1)
        for begin in (0, 3, 6):
            block = forecast(rows, np.array([len(rows) - 1]))[0]
            np.testing.assert_allclose(got[index, begin : begin + 3], block[: 8 - begin], rtol=1e-6)
            rows = append_rows(rows, block)


def table(rows=100, ahead=4, freq="D"):
    y = np.r_[np.sin(np.arange(rows)), np.full(ahead, np.nan)]
    sale = np.arange(rows + ahead) % 3.0
    return pd.DataFrame(
        {"ds": pd.date_range("2024-01-01", periods=rows + ahead, freq=freq), "y": y, "sale": sale, "wind": y}
    )


@pytest.mark.parametrize("freq", ["D", "h", "B", "MS"])
def test_rows_without_a_target_at_the_end_tell_what_is_known(freq, tmp_path):
    frame = table(freq=freq)
    frame.to_csv(tmp_path / "sales.csv", index=False)
    for source in (frame, tmp_path / "sales.csv"):
        series = read_series(source, target="y", features="wind", known="sale")
        assert (series.feature_names, series.known_names) == (("wind", "sale"), ("sale",))
        assert len(series) == 100
        np.testing.assert_array_equal(series.known[:, 0], frame["sale"])
        assert any("4 rows after the last value of 'y' tell what is known" in note for note in series.notes)
        assert not any("left out" in note for note in series.notes)
    assert read_series(frame, target="y", features="all", known="sale").known_names == ("sale",)
    assert read_series(frame[["ds", "y", "sale"]], known=["sale", "sale"]).known_names == ("sale",)
    assert read_series(frame.drop(columns="ds"), target="y", known="sale").ahead.shape == (4, 1)


def test_rows_ahead_end_at_the_first_that_is_absent_or_incomplete():
    absent = read_series(table(ahead=6).drop(index=102), target="y", known="sale")
    assert absent.ahead[:, 0].tolist() == [1.0, 2.0]
    assert any("3 rows without a value of 'y' at the end, left out" in note for note in absent.notes)
    frame = table(ahead=6)
    frame.loc[101, "sale"] = np.nan
    assert len(read_series(frame, target="y", known="sale").ahead) == 1
    frame.loc[100:, "sale"] = np.nan
    assert len(read_series(frame, target="y", known="sale").ahead) == 0
    late = table(ahead=6)
    late.loc[105, "ds"] = pd.Timestamp("2190-01-01")  # a slip of the pen makes no grid of centuries
    assert len(read_series(late, target="y", known="sale").ahead) == 5


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"features": "sale"}, "'sale' has values after the last one of 'y': .*known='sale'"),
        ({"features": "sale,more"}, "'sale', 'more' have values .*--known 'sale,more'"),
        ({"features": "wind,more", "known": "sale"}, "'more' has values .*known='sale,more'"),
        ({"known": "sale,more"}, None),
        ({"features": "wind"}, None),
        ({}, None),
    ],
)
def test_features_that_could_be_known_beforehand_are_named(named, said):
    notes = read_series(table().assign(more=1.0), target="y", **named).notes
    found = [note for note in notes if "known beforehand can be used" in note]
    assert len(found) == (said is not None)
    assert said is None or re.match(said, found[0])


def test_closed_hours_are_skipped_ahead_too():
    hours = pd.date_range("2024-01-01", periods=24 * 40, freq="h")
    hours = hours[(hours.hour >= 9) & (hours.hour < 17)]
    frame = pd.DataFrame(
        {"ds": hours, "y": np.sin(np.arange(len(hours))), "sale": np.arange(len(hours)) % 5.0}
    )
    frame.loc[len(frame) - 12 :, "y"] = np.nan
    assert len(read_series(frame, target="y", known="sale").ahead) == 12


def test_gaps_before_the_last_target_are_filled_as_ever():
    frame = table()
    frame.loc[50:51, "y"] = np.nan
    series = read_series(frame, target="y", known="sale")
    assert series.observed.sum() == 98
    np.testing.assert_array_equal(series.known[:, 0], frame["sale"])


def test_names_that_cannot_be():
    with pytest.raises(DataError, match="no feature column 'sales'"):
        read_series(table(), target="y", known="sales")
    with pytest.raises(DataError, match="'y' is the target"):
        read_series(table(), target="y", known="y")
