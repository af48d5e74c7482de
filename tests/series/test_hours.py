"""Which times come next where nights, weekends and holidays are skipped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError
from lstune.series import (
    Series,
    append_rows,
    future_timestamps,
    load_series,
    read_newer,
    read_series,
    save_series,
    take_rows,
    with_known,
)


def opened(days, hours=range(9, 16)):
    """Timestamps of the hours of the days."""
    return pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in hours])


def in_utc(days, zone, hours=range(9, 16)):
    return opened(days, hours).tz_localize(zone).tz_convert("UTC").tz_localize(None)


def series_of(stamps):
    return Series(stamps, np.zeros(len(stamps)), freq="h", regular=False)


@pytest.mark.parametrize(
    ("zone", "first", "change"),
    [
        ("America/New_York", "2024-01-22", "2024-03-11"),
        ("America/New_York", "2024-09-16", "2024-11-04"),
        ("Australia/Sydney", "2024-02-19", "2024-04-08"),
        ("Europe/Berlin", "2024-09-09", "2024-10-28"),
    ],
)
@pytest.mark.parametrize("rows", [7, 7 + 3, 21, 35, 7 * 9])
def test_the_week_after_the_clocks_change(zone, first, change, rows):
    stamps = in_utc(pd.bdate_range(first, periods=60), zone)
    changed = in_utc(pd.bdate_range(change, periods=1), zone)[0]
    now = int(stamps.searchsorted(changed)) + rows
    assert np.array_equal(future_timestamps(series_of(stamps[:now]), 50), stamps[now : now + 50])


def test_the_week_after_the_clocks_change_with_holidays_in_it():
    days = pd.bdate_range("2024-02-01", periods=80)
    days = days[~days.isin(pd.to_datetime(["2024-03-29", "2024-04-01"]))]
    stamps = in_utc(days, "Europe/Berlin")
    now = int(stamps.searchsorted(pd.Timestamp("2024-04-03")))  # behind the first day of summer time
    assert np.array_equal(future_timestamps(series_of(stamps[:now]), 50), stamps[now : now + 50])


def test_one_late_day_does_not_move_the_others():
    days = pd.bdate_range("2024-01-01", periods=60)
    stamps = opened(days)
    late = stamps + pd.to_timedelta(np.where(stamps.normalize() == days[46], 1, 0), unit="h")
    now = int(stamps.searchsorted(days[48]))
    assert np.array_equal(future_timestamps(series_of(late[:now]), 14), stamps[now : now + 14])


def test_rows_that_are_left_out_still_tell_the_hours(tmp_path):
    stamps = opened(pd.bdate_range("2024-01-01", periods=60))
    short = take_rows(series_of(stamps[:-60]), -10)
    save_series(short, tmp_path / "series.npz")
    for series in (short, load_series(tmp_path / "series.npz"), append_rows(short, np.zeros(5))):
        coming = stamps[stamps > series.timestamps[-1]]
        assert np.array_equal(future_timestamps(series, 50), coming[:50])
    assert len(short.earlier) == 35 * 8


@pytest.mark.parametrize("weeks", [10, 100])
def test_the_hours_stay_those_of_the_history_behind_a_gap_too_long_to_fill(weeks):
    stamps = opened(pd.bdate_range("2024-01-01", periods=60))
    history = read_series(pd.DataFrame({"ds": stamps, "y": np.arange(len(stamps)) % 9.0}))
    later = stamps[-100:] + pd.Timedelta(weeks=weeks)
    newer = read_newer(history, pd.DataFrame({"ds": later[:20], "y": np.arange(20.0)}), {"target": "y"})
    assert (len(newer), newer.regular) == (20, False)
    assert np.array_equal(future_timestamps(newer, 50), later[20:70])


def test_minutes_of_open_hours_are_not_cut_at_weekends_nor_filled_at_night():
    days = pd.bdate_range("2024-01-01", periods=15)
    stamps = opened(days, np.arange(9 * 60, 16 * 60) / 60).round("min")
    frame = pd.DataFrame({"ds": stamps, "y": np.arange(len(stamps)) % 9.0})
    series = read_series(frame[:-420])
    assert (len(series), series.regular) == (420 * 14, False)
    newer = read_newer(take_rows(series, -256), frame[-420:-415], {"target": "y"})
    assert len(newer) == 261
    assert np.array_equal(future_timestamps(newer, 5), stamps[-415:-410])


def told(stamps, targets):
    """A frame of days or hours, numbered in the column "sale", of which the first `targets` have a value."""
    number = np.arange(len(stamps), dtype=float)
    return pd.DataFrame({"ds": stamps, "y": np.where(number < targets, number % 9, np.nan), "sale": number})


READING = {"target": "y", "known": "sale"}


def test_a_holiday_that_the_coming_rows_leave_out_is_none_of_them():
    days = pd.bdate_range("2024-01-01", periods=110).delete(102)
    series = read_series(told(days, 100), **READING)
    assert list(series.coming) == list(days[100:])
    assert list(future_timestamps(series, 12)) == [*days[100:], *pd.bdate_range(days[-1], periods=4)[1:]]
    longer = append_rows(series, [1.0, 2.0, 3.0])
    assert list(longer.timestamps[-3:]) == list(days[100:103])
    assert (list(longer.coming), longer.ahead[0, 0]) == (list(days[103:]), 103)
    assert list(take_rows(series, 0, 95).coming) == list(days[95:])


@pytest.mark.parametrize(
    "stamps", [pd.bdate_range("2024-01-01", periods=110), opened(pd.bdate_range("2024-01-01", periods=40))]
)
def test_a_holiday_that_nobody_told_moves_no_row(stamps, tmp_path):
    rows = len(stamps) - 10
    history = read_series(told(stamps, rows), **READING)
    save_series(history, tmp_path / "history.npz")
    newer = pd.DataFrame({"ds": stamps[[rows + 2]], "y": 5.0, "sale": rows + 2.0})  # two rows did not come
    for known in (history, load_series(tmp_path / "history.npz")):
        series = read_newer(known, newer, READING)
        assert series.ahead[:, 0].tolist() == list(range(rows + 3, rows + 10))
        assert list(future_timestamps(series, 3)) == list(stamps[rows + 3 : rows + 6])
    older = read_newer(history, told(stamps, rows)[: rows - 5], READING)
    assert older.ahead[:, 0].tolist() == list(range(rows - 5, rows + 10))


@pytest.mark.parametrize("step", ["D", "h"])
@pytest.mark.parametrize("late", [False, True])
def test_known_rows_of_every_day_and_hour_count_where_it_is_open(step, late):
    days = pd.bdate_range("2024-01-01", periods=60)
    stamps = days if step == "D" else opened(days)
    rows = int(stamps.searchsorted(pd.Timestamp("2024-03-09")))  # a Friday night
    series = read_series(told(stamps, rows)[:rows], **READING)
    whole = pd.date_range(stamps[rows - 1], periods=24 * 9 if step == "h" else 9, freq=step)[1:]
    whole = whole[whole >= stamps[rows]] if late else whole
    calendar = pd.DataFrame({"ds": whole, "sale": np.arange(len(whole))})
    found = with_known(series, calendar, READING)
    wanted = calendar[calendar.ds.isin(stamps)]
    assert list(found.coming) == list(wanted.ds)
    assert found.ahead[:, 0].tolist() == list(wanted.sale)
    assert list(future_timestamps(found, 5)) == list(stamps[rows : rows + 5])


def test_coming_rows_behind_a_pause_like_none_before_do_not_count():
    days = pd.bdate_range("2024-01-01", periods=110)
    frame = told(days, 100)
    frame.loc[108:, "ds"] = [pd.Timestamp("2094-01-01"), pd.Timestamp("2094-01-04")]  # a slip of the pen
    series = read_series(frame, **READING)
    assert series.ahead[:, 0].tolist() == list(range(100, 108))
    assert any(note.startswith("2 rows after the last value of 'y' at closed times") for note in series.notes)
    with pytest.raises(DataError, match="must begin with the row to be forecast first, 2024-05-20"):
        with_known(series, frame[["ds", "sale"]][108:], READING)


def test_a_coming_row_that_lacks_a_value_is_not_closed():
    stamps = opened(pd.bdate_range("2024-01-01", periods=40))
    series = read_series(told(stamps, 270)[:270], **READING)
    rows = told(stamps, 270)[268:].drop(columns="y")
    rows.loc[273, "sale"] = np.nan
    assert with_known(series, rows, READING).ahead[:, 0].tolist() == [270, 271, 272]
    rows.loc[270, "sale"] = np.nan
    with pytest.raises(DataError, match=r"first, 2024-02-22 13:00:00.*2 rows without a value of 'sale'"):
        with_known(series, rows, READING)


def test_there_is_a_timestamp_for_each_coming_row():
    with pytest.raises(DataError, match=r"a timestamp for each row of ahead.*1 timestamps for 0 rows"):
        Series(pd.RangeIndex(3), np.zeros(3), coming=pd.DatetimeIndex(["2024-01-01"]))
