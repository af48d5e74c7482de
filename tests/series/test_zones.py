"""Timestamps of a time zone: midnights are days, others hours of UTC."""

import datetime

import numpy as np
import pandas as pd
import pytest

from lstune.series import read_newer, read_series

ZONES = ["America/Los_Angeles", "Asia/Tokyo", "Australia/Sydney", "Europe/Berlin", "UTC"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", ["frame", "text"])
def test_midnights_of_a_zone_are_its_days(tmp_path, zone, form):
    """In UTC they would be others' hours, moved by the summer time of the zone, some of the day before."""
    stamps = pd.bdate_range("2022-01-03", periods=300, tz=zone)
    frame = pd.DataFrame({"day": stamps, "y": np.arange(300.0)})
    if form == "text":
        frame["day"] = [stamp.isoformat() for stamp in stamps]
        frame.to_csv(tmp_path / "zoned.csv", index=False)
    source = frame if form == "frame" else tmp_path / "zoned.csv"
    series = read_series(source)
    assert series.freq == "B"
    assert list(series.timestamps) == list(stamps.tz_localize(None))
    assert any("days of that zone" in note for note in series.notes)
    assert stamps[-1].date() == datetime.date(2023, 2, 24)
    newer = pd.DataFrame({"day": [pd.Timestamp("2023-02-27", tz=zone)], "y": [300.0]})
    found = read_newer(series, newer, {"target": "y"})  # one midnight alone: as the history has it
    assert (len(found), found.timestamps[-1]) == (301, pd.Timestamp("2023-02-27"))


def test_a_midnight_among_hours_is_an_hour(tmp_path):
    stamps = pd.date_range("2024-03-20", periods=400, freq="h", tz="Europe/Berlin")  # with a change to summer
    short = [f"{stamp:%Y-%m-%d %H:%M:%S%z}"[:-2] for stamp in stamps]  # +01, as PostgreSQL has it
    frame = pd.DataFrame({"time": short, "y": np.arange(400.0)})
    frame.to_csv(tmp_path / "hours.csv", index=False)
    series = read_series(tmp_path / "hours.csv")
    assert (series.freq, len(series), series.timestamps[0]) == ("h", 400, pd.Timestamp("2024-03-19 23:00"))
    history = read_series(frame[:48])
    newer = read_newer(history, frame[48:49], {"target": "y"})  # the midnight of the 22nd alone
    assert (len(newer), newer.timestamps[-1]) == (49, pd.Timestamp("2024-03-21 23:00"))


def test_days_can_be_refused():
    stamps = pd.date_range("2022-01-03", periods=100, tz="Asia/Tokyo")
    series = read_series(pd.DataFrame({"day": stamps, "y": np.arange(100.0)}), days=False)
    assert series.timestamps[0] == pd.Timestamp("2022-01-02 15:00")
