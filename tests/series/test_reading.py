"""Options of reading as text: read, written back, and refused with what is allowed."""

import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError, UserError
from lstune.series import READ_OPTIONS, format_reading, parse_reading, read_series
from lstune.series._rows import CleanOptions
from lstune.series.columns import ReadOptions


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("freq=15min", "15min"),
        ("repeats=sum", "sum"),
        ("max_gap=0", 0),
        ("max-gap=48", 48),
        ("season=7", 7),
        ("series_id=a=b", "a=b"),
        ("id_column= shop ", "shop"),
        ("missing=?, x", ("?", "x")),
        ("delimiter=tab", "\t"),
        ("delimiter=\\t", "\t"),
        ("delimiter= ", " "),
        ("delimiter=;", ";"),
        ("decimal=,", ","),
        ("header=no", False),
        ("header=TRUE", True),
    ],
)
def test_texts_are_read_and_written_back(text, value):
    found = parse_reading([text])
    (name,) = found
    assert found[name] == value
    assert type(found[name]) is type(value)
    assert parse_reading(format_reading(found)) == found


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["freq"], "NAME=VALUE"),
        (["frequency=h"], "freq, repeats, max_gap"),
        (["check=no"], "Options of reading are"),
        (["max_gpa=3"], "Perhaps 'max_gap' is meant"),
        (["freq="], "a pandas frequency"),
        (["repeats=median"], "auto, mean, sum, first, last, error"),
        (["max_gap=-1"], "0 or more"),
        (["max_gap=2.5"], "0 or more"),
        (["season=0"], "1 or more"),
        (["decimal=;"], '"." or ","'),
        (["delimiter=::"], "one character"),
        (["header=maybe"], "yes or no"),
        (["missing=,"], "texts with commas"),
        (["freq=h", "freq=D"], "twice"),
    ],
)
def test_what_is_no_option_is_refused(texts, words):
    with pytest.raises(UserError) as error:
        parse_reading(texts)
    assert words in str(error.value)


def test_every_option_of_read_series_can_be_given():
    """A new option of reading needs a row in the table, or a reason here."""
    known = {field.name for field in (*fields(ReadOptions), *fields(CleanOptions))}
    known |= set(inspect.signature(read_series).parameters)
    # Options of the command line themselves, or nothing that a user of it can use.
    own = {"target", "timestamp", "features", "known"}
    inner = {"source", "options", "clean_options", "name", "check", "closed"}
    assert set(READ_OPTIONS) == known - own - inner


def test_every_option_reaches_read_series(tmp_path):
    rows = np.arange(60)
    stamps = pd.date_range("2024-01-01", periods=60, freq="D").strftime("%Y-%m-%d")
    lines = [f"{day};{shop};{row},5" for day, row in zip(stamps, rows, strict=True) for shop in "ab"]
    lines[20] = lines[20].replace("10,5", "kaputt")
    path = tmp_path / "shops.csv"
    path.write_text("\n".join(lines))
    texts = "delimiter=; decimal=, header=no id_column=column_2 series_id=a missing=kaputt repeats=first"
    texts += " max_gap=3 season=5 freq=D days=yes"
    reading = parse_reading(texts.split())
    assert set(reading) == set(READ_OPTIONS)
    series = read_series(path, target="column_3", timestamp="column_1", **reading)
    assert len(series) == 60
    assert series.season == 5
    assert series.observed.sum() == 59
    assert series.values[11] == 11.5


@pytest.mark.parametrize("options", [{"decimal": "'"}, {"delimiter": "::"}])
def test_read_series_itself_refuses_bad_values(options, tmp_path):
    (tmp_path / "a.csv").write_text("day,y\n2024-01-01,1\n")
    with pytest.raises(UserError, match=next(iter(options))):
        read_series(tmp_path / "a.csv", **options)


def test_python_takes_the_words_and_values_of_the_command_line(tmp_path):
    file = tmp_path / "plain.csv"
    file.write_text("\n".join(f"2024-01-{day:02d};{day}.5;-999" for day in range(1, 29)))
    words = {"header": "no", "max_gap": "3", "days": "no"}
    series = read_series(file, **words, target="column_2", missing=(-999,), season=np.int64(7))
    assert (series.values[0], len(series), series.season) == (1.5, 28, 7)
    stamps = pd.date_range("2024-01-01", periods=30)
    table = pd.DataFrame({0: stamps, 1: np.arange(30.0), 2: np.arange(30) % 5})
    series = read_series(table, target=1, features=[2], freq=pd.offsets.Day())
    assert (series.target, series.feature_names) == ("1", ("2",))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"max_gap": "x"}, "max_gap .* is a whole number of 0 or more"),
        ({"max_gap": 2.5}, "max_gap .* is a whole number of 0 or more"),
        ({"season": True}, "season .* is a whole number of 1 or more"),
        ({"header": "perhaps"}, "header .* is yes or no"),
        ({"days": 3}, "days .* is yes or no"),
    ],
)
def test_values_of_python_that_are_none(option, words):
    with pytest.raises(UserError, match=words):
        read_series(pd.DataFrame({"y": np.arange(30.0)}), **option)


def test_masked_values_are_missing():
    values = np.ma.masked_greater(np.where(np.arange(60) == 50, 1e6, np.arange(60.0)), 1e5)
    series = read_series(values)
    assert series.values.max() < 100
    assert not series.observed[50]


def test_an_index_of_several_levels_becomes_columns(tmp_path):
    stamps = pd.date_range("2024-01-01", periods=40)
    table = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": np.arange(40.0)}).set_index(
        ["unique_id", "ds"]
    )
    series = read_series(table)
    assert (series.target, series.freq, len(series)) == ("y", "D", 40)
    pytest.importorskip("pyarrow")
    table.to_parquet(tmp_path / "levels.parquet")
    assert np.array_equal(read_series(tmp_path / "levels.parquet").timestamps, stamps)


def test_a_mapping_of_single_values_is_refused():
    with pytest.raises(DataError, match=r"must be a list of values.*a: 5"):
        read_series({"a": 5})


def test_a_name_with_a_comma_in_it_can_be_the_target_or_the_time():
    table = pd.DataFrame(
        {"day, UTC": pd.date_range("2024-01-01", periods=40), "load, MW": np.arange(40.0), "other": 1.0}
    )
    series = read_series(table, target="load, MW", timestamp="day, UTC")
    assert (series.target, series.freq) == ("load, MW", "D")
