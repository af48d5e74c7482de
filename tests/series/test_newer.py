"""A few newer rows go on from the series that a model was fitted on, whatever they alone would look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError
from lstune.series import filled_note, read_newer, read_series, take_rows, with_known


def hours_of_work():
    hours = pd.date_range("2024-01-01", periods=24 * 60, freq="h")
    return hours[(hours.hour >= 9) & (hours.hour < 17)][:303]


STAMPS = {
    "days": pd.date_range("2024-01-01", periods=300, freq="D"),
    "hours": pd.date_range("2024-01-01", periods=300, freq="h"),
    "quarters of an hour, late": pd.date_range("2024-01-01 00:00:20", periods=300, freq="15min"),
    "working days, over a weekend": pd.date_range("2024-01-01", periods=301, freq="B"),
    "months": pd.date_range("1990-01-01", periods=300, freq="MS"),
    "month ends": pd.date_range("1990-01-31", periods=300, freq="ME"),
    "hours of work, over a night": hours_of_work(),
    "no dates": None,
}
assert STAMPS["working days, over a weekend"][-1].day_name() == "Monday"


def table(stamps):
    count = 300 if stamps is None else len(stamps)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": 10 + rng.normal(size=count), "sale": rng.integers(0, 3, count) * 1.0})
    return frame if stamps is None else frame.assign(when=stamps)


def same(found, wanted):
    assert found.timestamps[-len(wanted) :].equals(wanted.timestamps)
    np.testing.assert_array_equal(found.values[-len(wanted) :], wanted.values)
    np.testing.assert_array_equal(found.features[-len(wanted) :], wanted.features)
    assert (found.freq, found.season, found.regular) == (wanted.freq, wanted.season, wanted.regular)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("stamps", [s for s in STAMPS.values() if s is not None], ids=[*STAMPS][:-1])
def test_few_rows_go_on_from_the_history(stamps, count, tmp_path):
    frame = table(stamps)
    reading = {"target": "y", "features": "sale"}
    history = read_series(frame[:-count], **reading)
    whole = read_series(frame, season=history.season, **reading)
    frame[-count:].to_csv(tmp_path / "newer.csv", index=False)
    for source in (frame[-count:], tmp_path / "newer.csv", take_rows(whole, -count)):
        same(read_newer(take_rows(history, -256), source, reading), take_rows(whole, -256))


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
def test_rows_that_reach_back_replace_the_history(stamps):
    frame = table(stamps)
    reading = {"target": "y", "features": "sale"}
    history = read_series(frame[:250], **reading)
    later = frame[100:].assign(y=frame["y"] + 1)
    found = read_newer(history, later, reading)
    np.testing.assert_array_equal(found.values[-200:], later["y"].to_numpy()[-200:])
    if stamps is not None:
        np.testing.assert_array_equal(found.values[:100], frame["y"][:100])
    older = read_newer(history, frame[:200], reading)  # to forecast again from an earlier row
    np.testing.assert_array_equal(older.values, frame["y"][:200])


def test_a_gap_behind_the_history_is_filled_or_cut():
    frame = table(STAMPS["days"])
    history = read_series(frame[:250], target="y")
    short = read_newer(history, frame[252:255], {"target": "y"})
    assert len(short) == 255
    assert short.observed[-5:].tolist() == [False, False, True, True, True]
    assert short.values[250] == frame["y"][249]
    long = read_newer(history, frame[290:], {"target": "y"})
    np.testing.assert_array_equal(long.values, frame["y"][290:])
    filled = read_newer(history, frame[290:], {"target": "y", "max_gap": 60})
    assert len(filled) == 300


def test_behind_a_gap_nothing_is_known_of_the_coming_rows():
    """Where hours are closed rows are steps, and how many the gap would have had nobody knows."""
    stamps = hours_of_work()
    frame = table(stamps.append(stamps[-30:] + pd.Timedelta(days=70)))
    frame.loc[303:308, "when"] = stamps[-1] + pd.to_timedelta(np.arange(16, 22), unit="h")
    frame.loc[303:308, "y"] = np.nan
    reading = {"target": "y", "known": "sale"}
    history = read_series(frame[:309], **reading)
    assert (len(history), len(history.ahead), history.regular) == (303, 6, False)
    assert len(read_newer(history, frame[302:303], reading).ahead) == 6
    found = read_newer(history, frame[310:313], reading)  # a morning after seventy days
    assert (len(found), len(found.ahead)) == (3, 0)


@pytest.mark.parametrize("days", [70, 700])
def test_nights_stay_closed_behind_a_gap_of_any_length(days):
    stamps = hours_of_work()
    frame = table(stamps.append(stamps[-30:] + pd.Timedelta(days=days)))
    reading = {"target": "y"}
    history = read_series(frame[: len(stamps)], **reading)
    newer = read_newer(history, frame[len(stamps) : len(stamps) + 20], reading)
    np.testing.assert_array_equal(newer.values, frame["y"][len(stamps) : len(stamps) + 20])
    assert not newer.regular


def test_finer_rows_are_averaged_as_those_of_the_history_were():
    stamps = pd.date_range("2024-01-01", periods=1200, freq="15min")
    frame = table(stamps)
    reading = {"target": "y", "freq": "h"}
    history = read_series(frame[:1180], known="sale", **reading)
    whole = read_series(frame, known="sale", season=history.season, **reading)
    newer = read_newer(take_rows(history, -256), frame[1180:], {**reading, "known": "sale"})
    same(newer, take_rows(whole, -256))
    told = with_known(history, frame[1180:].drop(columns="y"), reading)
    np.testing.assert_allclose(told.ahead, whole.features[-5:])


def test_known_rows_of_dated_series_need_their_dates():
    frame = table(STAMPS["days"])
    series = read_series(frame[:-3], target="y", known="sale")
    with pytest.raises(DataError, match=r"must begin with the row to be forecast first.*without timestamps"):
        with_known(series, frame[["sale"]][-3:], {"target": "y"})


def test_a_series_that_reaches_back_is_taken_as_it_is():
    frame = table(STAMPS["days"])
    series = read_series(frame, target="y")
    marked = replace(series, observed=np.arange(300) != 150)
    assert read_newer(take_rows(series, -100), marked, {"target": "y"}).observed.sum() == 299


def test_filled_rows_of_the_history_stay_as_they_are():
    frame = table(STAMPS["days"])
    frame.loc[200:204, "y"] = np.nan
    history = read_series(frame[:290], target="y")
    found = read_newer(history, frame[290:], {"target": "y"})
    np.testing.assert_array_equal(found.observed, read_series(frame, target="y").observed)
    np.testing.assert_array_equal(found.values[:290], history.values)


def test_rows_at_fault_are_named_by_their_own_number(tmp_path):
    frame = table(STAMPS["hours"])
    history = read_series(frame[:290], target="y")
    twice = pd.concat([frame[290:], frame[295:297].assign(y=7.0)])
    twice.to_csv(tmp_path / "newer.csv", index=False)
    with pytest.raises(DataError, match="repeats"):
        read_newer(history, tmp_path / "newer.csv", {"target": "y", "repeats": "error"})
    frame.loc[292, "y"] = 1e200
    frame[290:].to_csv(tmp_path / "huge.csv", index=False)
    with pytest.raises(DataError, match="1e\\+200 in line 4"):
        read_newer(history, tmp_path / "huge.csv", {"target": "y"})


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
@pytest.mark.parametrize("count", [1, 4])
def test_so_do_features_known_beforehand(stamps, count):
    frame = table(stamps)
    series = read_series(frame[:-count], target="y", known="sale")
    told = with_known(series, frame[-count:].drop(columns="y"), {"target": "y"})
    np.testing.assert_array_equal(told.ahead[:, 0], frame["sale"][-count:])


def test_what_was_told_beforehand_holds_for_rows_that_are_absent():
    stamps = pd.date_range("2024-01-01", periods=210, freq="D")
    frame = pd.DataFrame({"when": stamps, "y": np.arange(210.0) % 9, "sale": np.arange(210.0) % 4})
    told = frame.assign(y=frame.y.where(np.arange(210) < 200))
    history = read_series(told, target="y", known="sale")
    assert len(history) == 200
    newer = frame.iloc[[200, 203]].assign(sale=[7.0, 8.0])  # two absent rows between them
    found = read_newer(history, newer, {"target": "y", "known": "sale"})
    assert found.features[200:, 0].tolist() == [7.0, 1.0, 2.0, 8.0]
    assert found.observed[200:].tolist() == [True, False, False, True]
    assert filled_note(history, found) == (
        "2 rows without a value of 'y' filled from the past, the first at 2024-07-20 00:00:00"
    )
    assert filled_note(history, history) is None


def test_an_empty_cell_of_a_row_that_is_there_was_told_or_is_said():
    stamps = pd.date_range("2024-01-01", periods=210, freq="D")
    frame = pd.DataFrame({"when": stamps, "y": np.arange(210.0) % 9, "sale": np.arange(210.0), "rain": 1.0})
    reading = {"target": "y", "known": "sale", "features": "rain"}
    history = read_series(frame.assign(y=frame.y.where(np.arange(210) < 200))[:203], **reading)
    newer = frame.assign(rain=2.0)
    newer.loc[[201, 204], "sale"] = np.nan
    newer.loc[202, "rain"] = np.nan
    for rows in (newer[200:206], newer[:206]):
        found = read_newer(history, rows, reading)
        assert found.features[200:, found.feature_names.index("sale")].tolist() == [
            200,
            201,
            202,
            203,
            203,
            205,
        ]
        said = filled_note(history, found)
        assert said.endswith(
            "1 cell of 'rain' left empty in newer rows: the last value is kept. "
            "1 cell of 'sale' left empty in newer rows: the last value is kept"
        )
    assert filled_note(history, read_newer(history, frame[200:206], reading)) is None


@pytest.mark.parametrize("finer", [False, True])
def test_what_rows_say_themselves_is_not_what_was_told_of_them(finer):
    stamps = pd.date_range("2024-01-01", periods=1200, freq="15min")  # a little late, or averaged onto hours
    stamps = stamps + pd.to_timedelta(1 + np.arange(1200) % 50, unit="s")
    frame = table(stamps)
    reading = {"target": "y", "known": "sale", **({"freq": "h"} if finer else {})}
    told = frame.assign(y=frame.y.where(np.arange(1200) < 1100), sale=5.0)
    history = read_series(told, **reading)
    assert len(history.ahead) == (25 if finer else 100)
    newer = read_newer(history, frame[1100:1180], reading)
    assert newer.features[len(history) :].max() < 3


def test_known_rows_begin_with_the_first_coming_one():
    frame = table(STAMPS["days"])
    series = read_series(frame[:-5], target="y", known="sale")
    rows = frame[-5:].drop(columns="y")
    far = rows.assign(when=rows["when"] + pd.Timedelta(days=400))  # behind a gap that is not filled
    for wrong in (rows[1:], rows[2:], far, frame[:-5].drop(columns="y"), rows.assign(sale=np.nan)):
        with pytest.raises(DataError, match="must begin with the row to be forecast first, 2024-10-22"):
            with_known(series, wrong, {"target": "y"})
    assert len(with_known(series, rows.drop(index=rows.index[2]), {"target": "y"}).ahead) == 2


def test_known_rows_count_up_to_the_first_that_lacks_a_value():
    for stamps in (STAMPS["days"], None):
        frame = table(stamps).assign(more=1.0)
        series = read_series(frame[:-5], target="y", known="sale,more")
        rows = frame[-5:].drop(columns="y").reset_index(drop=True)
        rows.loc[3, "more"] = np.nan
        found = with_known(series, rows, {"target": "y"})
        np.testing.assert_array_equal(found.ahead, rows[["sale", "more"]][:3])
        rows.loc[0, "more"] = np.nan
        with pytest.raises(DataError, match=r"first.*value of 'sale', 'more'"):
            with_known(series, rows, {"target": "y"})
