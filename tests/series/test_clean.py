"""Cleaning: what is mended, how, and that the user is told; nothing is ever filled from the future."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError, UserError
from lstune.series import Series, append_rows, future_timestamps, read_series, take_rows
from lstune.series.season import find_season, season_candidates, with_season_of

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def frame(stamps, values, **more):
    return pd.DataFrame({"ds": stamps, "y": np.asarray(values, dtype=float), **more})


def hourly(rows=24 * 30, noise=0.0, seed=0):
    stamps = pd.date_range("2024-01-01", periods=rows, freq="h")
    rng = np.random.default_rng(seed)
    daily = 10 + 5 * np.sin(2 * np.pi * np.arange(rows) / 24) + 2 * np.sin(2 * np.pi * np.arange(rows) / 12)
    return stamps, daily + noise * rng.normal(size=rows)


def told(series, *words):
    return any(all(word in note for word in words) for note in series.notes)


def test_clean_rows_stay_as_they_are():
    stamps, values = hourly()
    series = read_series(frame(stamps, values))
    assert series.notes == ()
    assert np.array_equal(series.values, values)
    assert series.observed.all()
    assert (series.freq, series.season, series.seasonal, series.regular) == ("h", 24, True, True)


def test_rows_out_of_order_are_sorted():
    stamps, values = hourly(100)
    order = np.random.default_rng(1).permutation(100)
    series = read_series(frame(stamps[order], values[order]))
    assert np.array_equal(series.values, values)
    assert told(series, "sorted by time")
    assert told(read_series(frame(stamps[::-1], values[::-1])), "newest first")


def test_equal_repeats_count_once_and_features_are_averaged():
    stamps, values = hourly(100)
    table = frame(stamps, values, rain=np.arange(100.0))
    twice = pd.concat([table, table.assign(rain=table["rain"] + 1)[:30]])
    series = read_series(twice, target="y", features="rain")
    assert np.array_equal(series.values, values)
    assert np.array_equal(series.features[:30, 0], np.arange(30) + 0.5)
    assert np.array_equal(series.features[30:, 0], np.arange(30, 100))
    assert told(series, "30 repeated timestamps with the same value", "counts once")


def test_a_clock_set_back_is_averaged_unasked_but_many_conflicts_are_not():
    stamps, values = hourly(200)
    one = pd.concat([frame(stamps, values), frame(stamps[50:51], values[50:51] + 2)])
    series = read_series(one)
    assert series.values[50] == pytest.approx(values[50] + 1)
    assert told(series, "1 repeated timestamp, 1 with another value: the mean is used")
    many = pd.concat([frame(stamps, values), frame(stamps[50:60], values[50:60] + 2)])
    with pytest.raises(DataError, match="10 rows would come twice, 10 with another value"):
        read_series(many)
    for rule, expected in (("mean", 1.0), ("first", 0.0), ("last", 2.0), ("sum", values[50:60] + 2)):
        assert np.allclose(read_series(many, repeats=rule).values[50:60], values[50:60] + expected)
    with pytest.raises(DataError, match="1 row would come twice"):
        read_series(one, repeats="error")


def test_short_gaps_repeat_the_last_value_and_are_not_scored():
    stamps, values = hourly(240)
    keep = np.ones(240, bool)
    keep[[40, 41, 100]] = False
    series = read_series(frame(stamps[keep], values[keep]))
    assert np.array_equal(series.timestamps, stamps)
    assert np.array_equal(series.values[[40, 41, 100]], values[[39, 39, 99]])
    assert np.array_equal(np.flatnonzero(~series.observed), [40, 41, 100])
    assert told(series, "3 absent rows of 'y'", "last known value", "2024-01-02 16:00:00", "not scored")


def test_longer_gaps_repeat_the_season_before():
    stamps, values = hourly(24 * 20)
    values = values + 0.25 * np.arange(480)
    hole = np.arange(245, 255)
    holed = values.copy()
    holed[hole] = np.nan
    series = read_series(frame(stamps, holed))
    assert np.allclose(
        series.values[hole], values[hole]
    )  # moved to the level of the last value: the trend stays
    assert told(series, "10 empty values", "24 rows back")


def test_filling_never_looks_ahead():
    stamps, values = hourly(24 * 40)
    rng = np.random.default_rng(3)
    missing = rng.random(len(values)) < 0.1
    missing[300:320] = True
    missing[[0, 500]] = False

    def holed(values):
        values = np.where(missing, np.nan, values)
        return read_series(frame(stamps, values, x=1.5 * values), target="y", features="x")

    filled = holed(values)
    other = holed(np.where(np.arange(len(values)) > 500, values[::-1] * 3 + 7, values))
    assert np.array_equal(filled.values[:501], other.values[:501])
    assert np.array_equal(filled.features[:501], other.features[:501])
    assert not np.array_equal(filled.values, other.values)


def test_missing_at_the_ends_is_left_out():
    stamps, values = hourly(100)
    values[:5] = np.nan
    values[-3:] = np.nan
    series = read_series(frame(stamps, values))
    assert len(series) == 92
    assert series.timestamps[0] == stamps[5]
    assert told(series, "5 rows without a value of 'y' at the beginning, left out")
    assert told(series, "3 rows without a value of 'y' at the end")


def test_features_that_begin_late_or_are_too_empty():
    stamps, values = hourly(100)
    late = np.where(np.arange(100) < 7, np.nan, 1.0 * np.arange(100))
    series = read_series(frame(stamps, values, x=late), target="y", features="x")
    assert len(series) == 93
    assert told(series, "first 7 rows, before every feature has a value")
    for begin in (60, 100):
        empty = np.where(np.arange(100) < begin, np.nan, 1.0)
        with pytest.raises(DataError, match=rf"'x' is missing too often.*{begin} of 100 rows.*Leave it out"):
            read_series(frame(stamps, values, x=empty), target="y", features="x")


def test_after_a_long_gap_only_the_latest_stretch_is_used_unless_asked_otherwise():
    stamps, values = hourly(24 * 60)
    keep = np.r_[0:700, 1000:1440]
    table = frame(stamps[keep], values[keep])
    series = read_series(table)
    assert len(series) == 440
    assert series.timestamps[0] == stamps[1000]
    assert told(series, "A gap of 300 hours ends at 2024-02-11 16:00:00", "440 rows after it", "max_gap=300")
    whole = read_series(table, max_gap=300)
    assert len(whole) == 1440
    assert (~whole.observed).sum() == 300


def test_a_stray_last_row_is_named():
    stamps, values = hourly(100)
    stray = stamps[:-1].append(pd.DatetimeIndex(["2044-01-01"]))
    with pytest.raises(
        DataError, match=r"too near the end: only 1 row after it.*row 99 \(counted from 0\), at 2044-01-01"
    ):
        read_series(frame(stray, values))


def test_a_gap_near_the_end_is_rather_filled():
    stamps, values = hourly(24 * 60)
    keep = np.r_[0:1200, 1400:1440]
    series = read_series(frame(stamps[keep], values[keep]))
    assert len(series) == 1440
    assert told(series, "200 absent rows")


@pytest.mark.parametrize(
    ("freq", "step", "candidates"),
    [("D", "D", (7, 365)), ("h", "h", (24, 168)), ("15min", "15min", (96, 672)), ("MS", "MS", (12,)),
     ("ME", "ME", (12,)), ("QS-JAN", "QS", (4,)), ("YS-JAN", "YS", (1,)), ("W-SUN", "W-SUN", (52,)),
     ("B", "B", (5,)), ("30s", "30s", (2, 120, 2880, 20160)), ("2D", "2D", (1,)), ("6h", "6h", (4, 28))],
)  # fmt: skip
def test_steps_and_the_seasons_they_suggest(freq, step, candidates):
    stamps = pd.date_range("2021-01-01", periods=200, freq=step)
    series = read_series(frame(stamps, np.random.default_rng(0).normal(size=200)))
    assert series.freq == freq
    assert season_candidates(freq) == candidates
    assert series.season == candidates[0]
    future = future_timestamps(series, 3)
    assert list(future) == list(pd.date_range(stamps[-1], periods=4, freq=step)[1:])


def test_months_stamped_anywhere_are_months():
    stamps = pd.date_range("2020-01-01", periods=40, freq="MS") + pd.Timedelta(days=14)
    series = read_series(frame(stamps, np.arange(40.0)))
    assert series.freq == "MS"
    assert told(series, "first day of their month")


def test_late_sensors_are_moved_to_the_grid_and_strays_are_named():
    stamps, values = hourly(100)
    jitter = pd.to_timedelta(np.random.default_rng(0).integers(0, 300, 100), unit="s")
    series = read_series(frame(stamps + jitter, values))
    assert np.array_equal(series.timestamps, stamps)
    assert told(series, "nearest full hour")
    stray = stamps.to_series().reset_index(drop=True)
    stray[40] += pd.Timedelta(minutes=29)
    with pytest.raises(
        DataError, match=r"no regular step.*first irregular: row 40 \(counted from 0\) at 2024-01-02 16:29:00"
    ):
        read_series(frame(stray, values))


def test_a_given_step_averages_finer_rows():
    stamps, values = hourly(24 * 30)
    series = read_series(frame(stamps, values), freq="D")
    assert series.freq == "D"
    assert np.allclose(series.values, values.reshape(30, 24).mean(axis=1))
    assert told(series, "720 rows were averaged onto 30 steps of one day")
    assert not told(series, "The last step")
    begun = read_series(frame(stamps[:-15], values[:-15]), freq="D")
    assert told(begun, "The last step, 2024-01-30 00:00:00, averages 9 rows where 24 are usual")
    with pytest.raises(DataError, match="finer than the rows"):
        read_series(frame(stamps, values), freq="5min")


def test_working_days_are_consecutive_and_holidays_are_said():
    stamps = pd.bdate_range("2024-01-01", periods=200)
    stamps = stamps.delete([50, 120])
    series = read_series(frame(stamps, np.arange(198.0) ** 1.5))
    assert (series.freq, series.season, series.regular) == ("B", 5, False)
    assert len(series) == 198
    assert told(series, "2 weekdays without a row, taken as holidays")
    assert all(day.day_of_week < 5 for day in future_timestamps(series, 10))


def test_closed_hours_are_skipped_and_said():
    days = pd.bdate_range("2024-01-01", periods=60)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(9, 16)])
    rng = np.random.default_rng(0)
    series = read_series(frame(stamps, np.tile([5.0, 1, 4, 2, 8, 3, 9], 60) + rng.normal(size=len(stamps))))
    assert len(series) == len(stamps)
    assert (series.season, series.seasonal) == (7, True)  # seven open hours, not twenty-four
    assert not series.regular
    assert told(series, "closed hours", "consecutive steps")
    # The coming rows are those of the next open hours, over nights and weekends.
    for rows in (7 * 40, 7 * 40 + 3, 7 * 45 - 1):
        coming = stamps[rows : rows + 100]
        begun = take_rows(series, 0, rows)
        assert np.array_equal(future_timestamps(begun, len(coming)), coming)
        assert np.array_equal(append_rows(begun, np.zeros(9)).timestamps[-9:], coming[:9])
    short = take_rows(series, 0, 7 * 3)  # too little to tell the hours of a week
    assert future_timestamps(short, 1)[0] == stamps[20] + pd.Timedelta(hours=1)


def test_new_opening_hours_are_taken_up_and_times_without_a_plan_go_by_the_step():
    days = pd.bdate_range("2024-01-01", periods=80)
    hours = [range(9, 16) if day < pd.Timestamp("2024-02-20") else range(8, 20) for day in days]
    plan = zip(days, hours, strict=True)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day, open_ in plan for hour in open_])
    series = Series(stamps[:-24], np.zeros(len(stamps) - 24), freq="h", regular=False)
    assert np.array_equal(future_timestamps(series, 24), stamps[-24:])
    # The clocks changed: a week later the new hours alone hold.
    moved = np.where(stamps < pd.Timestamp("2024-03-10"), 0, -1)
    times = stamps + pd.to_timedelta(moved, unit="h")
    series = Series(times[:-60], np.zeros(len(times) - 60), freq="h", regular=False)
    assert np.array_equal(future_timestamps(series, 60), times[-60:])
    # A holiday in the last week: eight weeks tell.
    held = stamps[stamps.normalize() != stamps[-30].normalize()]
    series = Series(held[:-6], np.zeros(len(held) - 6), freq="h", regular=False)
    after = future_timestamps(series, 60)
    assert (after[6:].day_of_week == stamps[-30].day_of_week).any()
    # Three rows and a pause of 31 hours, over and over: at no time of the week is there always one.
    turns = pd.date_range("2024-01-01", periods=200, freq="34h")
    stamps = pd.DatetimeIndex([turn + pd.Timedelta(hours=h) for turn in turns for h in range(3)])
    series = Series(stamps, np.arange(600.0), freq="h", regular=False)
    assert future_timestamps(series, 1)[0] == stamps[-1] + pd.Timedelta(hours=1)


def test_a_season_is_confirmed_by_the_first_half_alone():
    _, values = hourly(24 * 40, noise=0.5)
    assert find_season(values, "h") == (24, True)
    late = values.copy()
    late[len(late) // 2 :] = np.random.default_rng(5).normal(size=len(late) - len(late) // 2) * 100
    assert find_season(late, "h") == (24, True)
    assert find_season(np.random.default_rng(0).normal(size=2000).cumsum(), "D") == (7, False)
    weekly = np.tile(np.random.default_rng(2).normal(size=168), 20)
    assert find_season(weekly, "h") == (168, True)
    assert find_season(np.tile([1.0, 5, 2, 8, 3, 9, 4.0, 7, 0], 40), "") == (9, True)
    assert find_season(np.random.default_rng(0).normal(size=500).cumsum(), "")[0] == 1
    assert find_season(np.zeros(40), "h") == (1, False)  # a season is not named that is hardly seen once


def test_a_season_is_that_of_a_given_share_of_the_rows():
    stamps, values = hourly(24 * 40, noise=0.5)
    values[24 * 12 : 24 * 20] = np.random.default_rng(5).normal(size=24 * 8) * 100
    series = read_series(frame(stamps, values))
    assert not series.seasonal  # the half
    assert with_season_of(series, 0.7) is series
    told = with_season_of(series, 0.3)
    assert (told.season, told.seasonal) == (24, True)


def test_newer_rows_may_be_few():
    stamps, values = hourly(6)
    with pytest.raises(DataError, match="at least 20 rows"):
        read_series(frame(stamps, values))
    series = read_series(frame(stamps, values), check=False, freq="h")
    assert len(series) == 6
    assert series.freq == "h"


def test_a_series_must_be_finite_and_of_one_length():
    with pytest.raises(DataError, match="finite numbers only"):
        Series(pd.RangeIndex(3), np.array([1.0, np.nan, 2.0]))
    with pytest.raises(DataError, match="one entry for each row"):
        Series(pd.RangeIndex(4), np.zeros(3))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real series is not there")
class TestRealSeries:
    def test_traffic_with_repeats_and_a_gap_of_307_days(self):
        series = read_series(SHARED / "metro_traffic_hourly.csv", target="traffic_volume")
        assert (series.freq, series.seasonal) == ("h", True)
        assert series.timestamps[0] == pd.Timestamp("2015-06-11 20:00")
        assert len(series) == 28972
        assert told(series, "7629 repeated timestamps")
        assert told(series, "A gap of 7386 hours", "26677 rows after it are used", "13898 rows before")
        assert told(series, "2295 absent rows", "not scored")

    def test_carbon_dioxide_with_missing_weeks(self):
        series = read_series(SHARED / "co2_mauna_loa_weekly.csv")
        assert (len(series), series.freq, series.season) == (2284, "W-SAT", 52)
        assert (~series.observed).sum() == 59
        assert told(series, "59 empty values of 'co2'")

    @pytest.mark.parametrize(
        ("name", "target", "freq"),
        [("amzn_daily_open", "close", "B"), ("btc_usd_daily_bsd", "close", "D"), ("etth1", "OT", "h"),
         ("pjm_rto_hourly_2023", None, "h"), ("melbourne_min_temp_daily", None, "D"),
         ("sunspots_monthly", None, "MS"), ("airline_passengers_monthly", None, "MS"),
         ("valencia_air_quality_hourly", "no2", "h"), ("bike_sharing_hourly", "users", "h")],
    )  # fmt: skip
    def test_the_others_are_read_without_a_word_of_help(self, name, target, freq):
        series = read_series(SHARED / f"{name}.csv", target=target)
        assert series.freq == freq
        assert np.isfinite(series.values).all()


def test_codes_for_missing_are_pointed_out_beside_others_and_in_features():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"y": rng.uniform(0, 300, 100), "t": rng.uniform(10, 13, 100)})
    assert not told(read_series(table, target="y", features="t"), "missing")
    table.loc[[10, 50], "y"] = -999
    table.loc[20, "t"], table.loc[30, "t"] = -99, 9999
    series = read_series(table, target="y", features="t")
    assert told(series, "The value -999 occurs 2 times")
    assert told(series, "The value -99 of 't' occurs 1 time")
    assert told(series, "The value 9999 of 't' occurs 1 time")


@pytest.mark.parametrize("freq", ["0D", "-1h"])
def test_a_step_must_go_forward(freq):
    with pytest.raises(UserError, match="freq must be a pandas frequency"):
        read_series(frame(pd.date_range("2024-01-01", periods=60), np.arange(60.0)), freq=freq)


@pytest.mark.parametrize("step", [28, 91])
def test_equal_steps_of_weeks_are_no_months(step):
    stamps = pd.date_range("2010-01-01", periods=80, freq=f"{step}D").delete(40)
    series = read_series(frame(stamps, np.arange(79.0)))
    assert (series.freq, len(series), series.regular) == (f"{step}D", 80, True)


def test_weekdays_with_an_empty_value_are_not_called_absent():
    values = np.arange(200.0)
    values[50] = np.nan
    series = read_series(frame(pd.bdate_range("2024-01-01", periods=200), values))
    assert told(series, "1 weekday without a row or value, taken as holidays")
