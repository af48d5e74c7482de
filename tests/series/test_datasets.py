"""The series in the package are what their register and SOURCES.md say."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lstune import datasets
from lstune.errors import DataError


@pytest.mark.parametrize("name", datasets.list_datasets())
def test_each_is_read_and_is_what_the_register_says(name):
    about = datasets.describe(name)
    series = datasets.load(name)
    assert (len(series), series.target, series.name) == (about.rows, about.target, name)
    assert np.isfinite(series.values).all()
    raw = datasets.path_of(name).read_bytes()
    assert raw[4:8] == bytes(4)  # no time in the gzip header: the file can be made again byte for byte
    header, *rows = gzip.decompress(raw).decode().splitlines()
    assert tuple(header.split(",")[1:]) == about.columns
    assert len(rows) == about.rows
    sources = (Path(datasets.__file__).parent / "SOURCES.md").read_text()
    assert f"| `{name}.csv.gz` | {about.rows} |" in sources
    assert len(raw) < 100_000


def test_other_columns_and_unknown_names():
    series = datasets.load("delhi", target="humidity", features=["meantemp", "wind_speed"])
    assert series.target == "humidity"
    assert series.feature_names == ("meantemp", "wind_speed")
    with pytest.raises(
        DataError, match=r"No series of that name.*tesla.*Known: amzn, btc, delhi, sunspots, co2"
    ):
        datasets.load("tesla")


def test_missing_days_of_bitcoin_are_filled_and_told():
    series = datasets.load("btc")
    assert (~series.observed).sum() == 4
    assert any("4 empty values of 'close'" in note for note in series.notes)
