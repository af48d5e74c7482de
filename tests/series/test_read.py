"""Reading: every common dialect gives the same series; every bad input names its rows and the way out."""

from __future__ import annotations

import bz2
import datetime
import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstune.errors import DataError, UserError
from lstune.series import read_series

ROWS = 40
DAYS = pd.date_range("2024-01-20", periods=ROWS, freq="D")  # days above and below the 12th: order can be told
VALUES = np.round(1000 + 50 * np.sin(np.arange(ROWS)) + np.arange(ROWS), 2)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def table(
    sep=",", stamp="{:%Y-%m-%d}", number="{:.2f}".format, header=("date", "value"), stamps=DAYS, values=VALUES
):
    lines = [sep.join(header)] if header else []
    lines += [sep.join((stamp.format(day), number(value))) for day, value in zip(stamps, values, strict=True)]
    return "\n".join(lines) + "\n"


def check(series, values=VALUES, stamps=DAYS):
    assert np.array_equal(series.values, values)
    assert list(series.timestamps) == list(stamps)
    assert series.freq == "D"


def comma(value):
    return f"{value:.2f}".replace(".", ",")


def german(value):
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


DIALECTS = {
    "comma": table(),
    "semicolon": table(";"),
    "tab": table("\t"),
    "bar": table("|"),
    "spaces": table("  "),
    "decimal comma": table(";", number=comma),
    "decimal comma with tab": table("\t", number=comma),
    "decimal comma quoted": table(number=lambda v: f'"{comma(v)}"'),
    "german thousands": table(";", number=german),
    "english thousands quoted": table(number=lambda v: f'"{v:,.2f}"'),
    "english thousands": table(";", number="{:,.2f}".format),
    "no header, compact dates": table(stamp="{:%Y%m%d}", header=None),
    "no header, nanoseconds since 1970, newest first": table(
        stamp="{0.value}", header=None, stamps=DAYS[::-1], values=VALUES[::-1]
    ),
    "blank thousands": table(";", number=lambda v: f"{v:,.2f}".replace(",", "\u00a0").replace(".", ",")),
    "swiss thousands": table(";", number=lambda v: f"{v:,.2f}".replace(",", "'")),
    "currency": table(number=lambda v: f'"${v:,.2f}"'),
    "euro after": table(";", number=lambda v: f"{comma(v)} €"),
    "percent": table(number=lambda v: f"{v:.2f}%"),
    "quoted": table('","').replace("\n", '"\n"').join(('"', "")).removesuffix('"'),
    "sep line": "sep=;\n" + table(";"),
    "comment lines": "# made by hand\n\n" + table(),
    "windows newlines": table().replace("\n", "\r\n"),
    "no newline at the end": table().rstrip(),
    "blank lines": table().replace("\n", "\n\n"),
    "day first with points": table(";", stamp="{:%d.%m.%Y}", number=comma),
    "day first with slashes": table(stamp="{:%d/%m/%Y}"),
    "month first": table(stamp="{:%m/%d/%Y}"),
    "two-digit year": table(stamp="{:%d.%m.%y}"),
    "unpadded": table(stamp="{0.month}/{0.day}/{0.year}"),
    "iso with time": table(stamp="{:%Y-%m-%dT%H:%M:%S}"),
    "iso in utc": table(stamp="{:%Y-%m-%dT%H:%M:%SZ}"),
    "blank before time": table(stamp="{:%Y-%m-%d %H:%M}"),
    "slashes year first": table(stamp="{:%Y/%m/%d}"),
    "compact": table(stamp="{:%Y%m%d}"),
    "month names": table(";", stamp="{:%b %d, %Y}"),
    "day month-name year": table(stamp="{:%d-%b-%Y}"),
    "twelve hours": table(stamp="{:%m/%d/%Y %I:%M %p}"),
    "no header": table(header=None),
    "no header, semicolon, decimal comma": table(";", number=comma, header=None),
    "prose above": "Station 5 north\nmade by hand\n\n" + table(),
    "names and values above": "Station;5\nName;Berlin\n\n" + table(";"),
    "names, values and dates above": "Station:,Berlin\nHeight:,34\nUnit:,kW\nFrom:,2024-01-20\n\n" + table(),
    "fewer columns above": "Station,Berlin\nHeight,34\n\n" + table(header=("date", "value", "word")).replace(
        "\n", ",x\n"
    ).replace("word,x", "word"),
    "comments below": table() + "# end\n#\n",
    "a total below": table(";") + "Total;40123.5\n",
    "units below the header": table().replace("value\n", "value\n,kW\n"),
    "names in three rows": table(header=("Price", "value")).replace("value\n", "value\nTicker,AMZN\nDate,\n"),
    "numbers as names": table(header=("date", "2024")),
    "day ends at 24": "date,value\n" + "\n".join(
        f"{day - pd.Timedelta(days=1):%Y-%m-%d} 24:00,{v}" for day, v in zip(DAYS, VALUES, strict=True)
    ),
    "newest first": table(stamps=DAYS[::-1], values=VALUES[::-1]),
    "row names": "\n".join(
        line if i == 0 else f"{i},{line}" for i, line in enumerate(table().splitlines())
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_same_series(tmp_path, name):
    series = read_series(write(tmp_path / "data.csv", DIALECTS[name]))
    check(series)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_encoding_keeps_the_column_names(tmp_path, encoding):
    path = write(tmp_path / "data.csv", table(header=("Zeit", "Wärme")), encoding)
    series = read_series(path)
    check(series)
    assert series.target == "Wärme"


def pack_zip(raw, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.csv", raw)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("data.csv.gz", lambda raw, path: path.write_bytes(gzip.compress(raw))),
        ("gzip without the name.csv", lambda raw, path: path.write_bytes(gzip.compress(raw))),
        ("data.csv.bz2", lambda raw, path: path.write_bytes(bz2.compress(raw))),
        ("data.csv.xz", lambda raw, path: path.write_bytes(lzma.compress(raw))),
        ("data.zip", pack_zip),
    ],
)
def test_compressed_files_are_told_by_their_content(tmp_path, name, pack):
    pack(table().encode(), tmp_path / name)
    check(read_series(tmp_path / name))


def test_parquet_and_frames_and_arrays(tmp_path):
    frame = pd.DataFrame({"when": DAYS, "value": VALUES, "word": "x"})
    frame.to_parquet(tmp_path / "data.parquet")
    check(read_series(tmp_path / "data.parquet"))
    check(read_series(str(tmp_path / "data.parquet")))
    check(read_series(frame))
    check(read_series(frame.set_index("when")))
    check(read_series(frame.set_index("when")["value"]))
    check(read_series({"ds": DAYS, "y": VALUES}))
    check(read_series(frame.set_index(pd.PeriodIndex(DAYS, freq="D"))["value"]))
    check(
        read_series(
            frame.assign(when=DAYS.tz_localize("Asia/Tokyo").tz_convert("UTC") + pd.Timedelta(hours=9))
        )
    )
    plain = read_series(VALUES)
    assert np.array_equal(plain.values, VALUES)
    assert list(plain.timestamps) == list(range(ROWS))
    assert plain.freq == ""
    assert any("No timestamp column" in note for note in plain.notes)
    assert read_series(plain) is plain


def test_nullable_columns_of_a_frame():
    column = pd.array([*range(100, 139), None], dtype="Int64")
    series = read_series(pd.DataFrame({"ds": DAYS, "y": column}))
    assert np.array_equal(series.values, np.arange(100.0, 139.0))


def test_any_index_of_a_frame_that_is_not_a_row_count_is_looked_at():
    texts = pd.DataFrame({"y": VALUES}, index=DAYS.strftime("%Y-%m-%d"))
    check(read_series(texts))
    filtered = pd.DataFrame({"ds": DAYS, "y": VALUES}, index=np.arange(ROWS) * 3 + 20_200_101)
    check(read_series(filtered))
    with pytest.raises(DataError, match=r"Column names must be unique. Received: y"):
        read_series(pd.DataFrame(np.zeros((30, 2)), columns=["y", "y"]))


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"data.parquet is a damaged Parquet file"):
        read_series(tmp_path / "data.parquet")


def test_one_column_of_numbers_with_and_without_header(tmp_path):
    numbers = [f"{value:.2f}" for value in VALUES]
    for text, name in (("\n".join(["load", *numbers]), "load"), ("\n".join(numbers), "column_1")):
        series = read_series(write(tmp_path / "data.csv", text))
        assert np.array_equal(series.values, VALUES)
        assert series.target == name
    series = read_series(write(tmp_path / "data.csv", "\n".join(["load", *map(comma, VALUES)])))
    assert np.array_equal(series.values, VALUES)


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_numbers_since_1970_are_timestamps(tmp_path, factor):
    seconds = DAYS.to_numpy().astype("datetime64[s]").astype(np.int64)
    frame = pd.DataFrame({"time": seconds * factor, "y": VALUES})
    check(read_series(frame))
    frame.to_csv(tmp_path / "data.csv", index=False)
    check(read_series(tmp_path / "data.csv"))


def test_years_months_and_quarters(tmp_path):
    for texts, freq, first in (
        ([str(1900 + i) for i in range(ROWS)], "YS-JAN", "1900-01-01"),
        ([f"{2000 + i // 12}{i % 12 + 1:02d}" for i in range(ROWS)], "MS", "2000-01-01"),
        ([f"{2000 + i // 12}-{i % 12 + 1:02d}" for i in range(ROWS)], "MS", "2000-01-01"),
        ([f"{2000 + i // 4}-Q{i % 4 + 1}" for i in range(ROWS)], "QS-JAN", "2000-01-01"),
        ([f"{2000 + i // 4}Q{i % 4 + 1}" for i in range(ROWS)], "QS-JAN", "2000-01-01"),
        ([f"{d:%b %Y}" for d in pd.date_range("2000-01-01", periods=ROWS, freq="MS")], "MS", "2000-01-01"),
        ([f"{d:%Y-%m-%d}" for d in pd.date_range("2000-01-31", periods=ROWS, freq="ME")], "ME", "2000-01-31"),
    ):
        lines = ["period,y", *(f"{text},{value}" for text, value in zip(texts, VALUES, strict=True))]
        series = read_series(write(tmp_path / "data.csv", "\n".join(lines)))
        assert series.freq == freq, texts[:2]
        assert series.timestamps[0] == pd.Timestamp(first)
        assert np.array_equal(series.values, VALUES)


def test_date_and_time_of_day_in_two_columns(tmp_path):
    stamps = pd.date_range("2024-03-01", periods=ROWS, freq="h")
    lines = [
        "Date;Time;kW",
        *(f"{s:%d/%m/%Y};{s:%H:%M:%S};{comma(v)}" for s, v in zip(stamps, VALUES, strict=True)),
    ]
    path = write(tmp_path / "data.csv", "\n".join(lines))
    for series in (read_series(path), read_series(path, timestamp="Date,Time", target="kW")):
        assert list(series.timestamps) == list(stamps)
        assert np.array_equal(series.values, VALUES)
        assert series.freq == "h"


def test_date_and_hour_in_two_columns(tmp_path):
    stamps = pd.date_range("2024-03-01", periods=ROWS, freq="h")
    lines = [f"{stamp:%Y-%m-%d},{stamp.hour},{value}" for stamp, value in zip(stamps, VALUES, strict=True)]
    series = read_series(write(tmp_path / "data.csv", "\n".join(["dteday,hr,cnt", *lines])), target="cnt")
    assert list(series.timestamps) == list(stamps)
    ending = [
        f"{stamp:%Y-%m-%d},{stamp.hour + 1},{value}" for stamp, value in zip(stamps, VALUES, strict=True)
    ]
    series = read_series(write(tmp_path / "data.csv", "\n".join(["date,hour,cnt", *ending])), target="cnt")
    assert list(series.timestamps) == list(stamps + pd.Timedelta(hours=1))


def test_columns_of_two_levels_and_row_counters():
    frame = pd.DataFrame({("Close", "AMZN"): VALUES, ("Open", "AMZN"): VALUES}, index=DAYS.rename("Date"))
    assert read_series(frame, target="Close", features="Open").feature_names == ("Open",)
    counted = pd.DataFrame({"time": np.arange(ROWS) * 0.1, "load": VALUES})
    assert read_series(counted).target == "load"


def test_year_month_day_hour_in_columns():
    stamps = pd.date_range("2024-03-01", periods=ROWS, freq="h")
    frame = pd.DataFrame({"year": stamps.year, "month": stamps.month, "day": stamps.day, "hour": stamps.hour})
    series = read_series(frame.assign(pm=VALUES))
    assert list(series.timestamps) == list(stamps)
    assert series.target == "pm"


def test_day_and_month_that_could_be_exchanged_are_told_by_order_and_said(tmp_path):
    stamps = pd.date_range("2024-01-01", periods=12, freq="MS").append(
        pd.date_range("2025-01-01", periods=12, freq="MS")
    )
    text = table(stamp="{:%d/%m/%Y}", stamps=stamps, values=VALUES[:24])
    series = read_series(write(tmp_path / "data.csv", text))
    assert list(series.timestamps) == list(stamps)
    assert any("day before month" in note for note in series.notes)


def test_zones_are_converted_and_said(tmp_path):
    local = pd.date_range("2024-03-30", periods=ROWS, freq="h", tz="Europe/Berlin")
    text = "\n".join(["time,y", *(f"{s.isoformat()},{v}" for s, v in zip(local, VALUES, strict=True))])
    series = read_series(write(tmp_path / "data.csv", text))
    assert series.timestamps[0] == pd.Timestamp("2024-03-29 23:00")
    assert series.freq == "h"
    assert any("UTC" in note for note in series.notes)


LONG = pd.DataFrame(
    {"unique_id": ["a"] * ROWS + ["b"] * ROWS, "ds": [*DAYS, *DAYS], "y": [*VALUES, *(VALUES * 2)]}
)


def test_long_tables(tmp_path):
    LONG.to_csv(tmp_path / "long.csv", index=False)
    check(read_series(tmp_path / "long.csv", series_id="b"), VALUES * 2)
    check(read_series(LONG, series_id="a"))
    check(read_series(LONG[:ROWS]))
    check(
        read_series(LONG.rename(columns={"unique_id": "shop"}), series_id="b", id_column="shop"), VALUES * 2
    )
    with pytest.raises(DataError, match=r"holds 2 series.*unique_id: a, b.*series_id='a'"):
        read_series(LONG)
    with pytest.raises(DataError, match="No series is called 'c'"):
        read_series(LONG, series_id="c")
    with pytest.raises(DataError, match="series_id needs a column"):
        read_series(LONG.drop(columns="unique_id"), series_id="a")


WIDE = pd.DataFrame(
    {"timestamp": DAYS, "open": VALUES, "close": VALUES + 1, "volume": np.arange(ROWS), "weather": "rain"}
)


def test_choice_of_target_and_features():
    assert read_series(WIDE[["timestamp", "open", "weather"]]).target == "open"
    assert read_series(WIDE.rename(columns={"open": "y"})).target == "y"
    series = read_series(WIDE, target="close", features=["open", "volume"])
    assert series.feature_names == ("open", "volume")
    assert np.array_equal(series.features, WIDE[["open", "volume"]].to_numpy())
    assert read_series(WIDE, target="Close", features="all").feature_names == ("open", "volume")
    assert read_series(WIDE, target="close", features="open, volume").feature_names == ("open", "volume")


def fails(match, **options):
    return pytest.param(options, match, id=match[:40])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        fails(r"3 columns could be the target.*open, close, volume.*target='close'"),
        fails(r"no target column 'clsoe'.*columns open, close.*Perhaps 'close' is meant", target="clsoe"),
        fails(r"no feature column 'volum'.*Perhaps 'volume'", target="close", features=["volum"]),
        fails(r"no timestamp column 'tiemstamp'.*Perhaps 'timestamp'", target="close", timestamp="tiemstamp"),
        fails(r"'open' is the target; its past is an input", target="open", features=["open"]),
        fails(r"'weather' must hold numbers, but 40 of its 40 rows.*'rain' in lines 2, 3", target="weather"),
        fails(r"'weather' does not hold timestamps", target="close", timestamp="weather"),
        fails(r"freq must be a pandas frequency.*fortnight", target="close", freq="fortnight"),
        fails(r"repeats .* is one of auto, mean", target="close", repeats="middle"),
        fails(r"unexpected keyword argument 'traget'.*Known: target", traget="close"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, match):
    WIDE.to_csv(tmp_path / "wide.csv", index=False)
    with pytest.raises(UserError, match=match) as caught:
        read_series(tmp_path / "wide.csv", **options)
    assert caught.value.exit_code == 2


def spoil(line, cell):
    lines = table().splitlines()
    lines[line - 1] = lines[line - 1].split(",")[0] + "," + cell
    return "\n".join(lines)


BAD_FILES = {
    "empty": ("", "holds no rows"),
    "blank": ("\n \n\n", "holds no rows"),
    "header only": ("date,value\n", "header but no rows"),
    "text in numbers": (spoil(5, "12x"), r"'value' must hold numbers, but 1 of its 40 rows.*'12x' in line 5"),
    "more text": (
        spoil(5, "err").replace("2024-01-30", "2024-01-30,off,").replace(",off,,", ",off"),
        "same number of fields|must hold numbers",
    ),
    "infinite": (spoil(7, "inf"), r"'value' holds infinite values.*line 7.*leave the cells empty"),
    "minus infinite": (spoil(7, "-Infinity"), r"infinite values.*line 7"),
    "constant": (table(values=[5.0] * ROWS), r"'value' is constant.*5 in all 40 rows"),
    "too short": (table(stamps=DAYS[:10], values=VALUES[:10]), r"at least 20 rows.*10 rows of 'value'"),
    "no numbers": ("date,word\n" + "\n".join(f"{d:%Y-%m-%d},x" for d in DAYS), "No column holds numbers"),
    "only missing": (
        "date,value,other\n" + "\n".join(f"{d:%Y-%m-%d},,x" for d in DAYS),
        "No column holds numbers",
    ),
    "ragged": (table() + "2024-03-01,1,2,3\n", r"same number of fields, 2 here.*4 fields in line 42"),
    "bad date": (
        table().replace("2024-01-25", "2024-01-32"),
        r"1 timestamp in the column 'date'.*'2024-01-32' in line 7",
    ),
    "irregular": (
        "date,value\n"
        + "\n".join(f"{pd.Timestamp('2024-01-01') + pd.Timedelta(minutes=i * i * 7)},{i}" for i in range(30)),
        r"no regular step.*first irregular: line 4.*freq='h'",
    ),
    "repeats that differ": (
        table() + table(header=None, values=VALUES + 1),
        r"40 rows would come twice, 40 with another value.*lines 2 and 42 at 2024-01-20.*repeats='mean'",
    ),
    "lonely last row": (
        table() + "2034-01-01,5\n",
        r"A gap of \d+ days lies too near the end: only 1 row after it.*line 42",
    ),
    "mostly missing": (
        table(number=lambda v: f"{v:.2f}" if int(v * 100) % 3 == 0 or v < 1010 else ""),
        "Too many steps have no value of 'value'",
    ),
    "dates in words": (
        table(stamp="{0.day}. Tag"),
        r"'date' does not hold timestamps.*dates like 2024-01-31",
    ),
    "one timestamp": (
        table(stamp="2024-01-01"),
        r"39 rows would come twice, 39 with another value.*lines 2, 3, 4, 5, 6",
    ),
    "too large": (spoil(6, "1e200"), r"'value' holds values too large.*1e\+200 in line 6"),
    "binary": ("\x00\x01\x02\x03" * 50, "not text"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_with_rows_and_a_way_out(tmp_path, name):
    text, match = BAD_FILES[name]
    with pytest.raises(DataError, match=match) as caught:
        read_series(write(tmp_path / "data.csv", text))
    assert caught.value.exit_code == 2


def test_a_number_that_probably_means_missing_is_pointed_out(tmp_path):
    path = write(tmp_path / "data.csv", spoil(9, "-9999"))
    assert any("-9999 occurs 1 time, far from all others" in note for note in read_series(path).notes)
    assert not any("-9999" in note for note in read_series(path, missing=("-9999",)).notes)


def test_text_that_means_missing_can_be_named(tmp_path):
    path = write(tmp_path / "data.csv", spoil(9, "out of order"))
    series = read_series(path, missing=("out of order",))
    assert series.values[7] == VALUES[6]
    assert not series.observed[7]
    assert series.observed.sum() == ROWS - 1


def test_an_explicit_dialect_overrules_the_found_one(tmp_path):
    path = write(tmp_path / "data.csv", table(";", number=lambda v: f"{v * 1000:,.0f}"))
    assert np.array_equal(read_series(path).values, np.round(VALUES * 1000))
    path = write(tmp_path / "data.csv", table(";", number=lambda v: f"{v / 1000:.3f}"))
    assert np.array_equal(read_series(path).values, np.round(VALUES / 1000, 3))
    assert np.array_equal(read_series(path, decimal=",", delimiter=";").values, np.round(VALUES))
    headless = write(
        tmp_path / "years.csv",
        "2001;2002\n" + "\n".join(f"{d:%Y-%m-%d};{v}" for d, v in zip(DAYS, VALUES, strict=True)),
    )
    check(read_series(headless, header=True))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    values=st.lists(st.integers(-(10**8), 10**8), min_size=20, max_size=30, unique=True),
    sep=st.sampled_from([",", ";", "\t", "|"]),
    mark=st.sampled_from([".", ","]),
    group=st.sampled_from(["", ".", ",", " ", "'"]),
    form=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]),
    start=st.dates(datetime.date(1980, 1, 1), datetime.date(2040, 1, 1)),
    header=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
)
def test_what_is_written_in_a_dialect_is_read_from_it(
    tmp_path, values, sep, mark, group, form, start, header, encoding
):
    """Cents keep every number apart from a whole one, so that no cell could mean two things."""
    if group == mark:
        group = ""
    expected = np.array([value + 0.25 for value in values])
    stamps = pd.date_range(start, periods=len(values), freq="D")
    cells = [f"{value:,.2f}".replace(",", "G").replace(".", mark).replace("G", group) for value in expected]
    lines = ["when" + sep + "load"] if header else []
    lines += [f'{stamp:{form}}{sep}"{cell}"' for stamp, cell in zip(stamps, cells, strict=True)]
    series = read_series(write(tmp_path / "data.csv", "\n".join(lines), encoding))
    assert np.array_equal(series.values, expected)
    assert list(series.timestamps) == list(stamps)


def test_lines_longer_than_the_header_are_refused_where_columns_would_move(tmp_path):
    path, cells = tmp_path / "commas.csv", [f"2024-01-{day:02d},{day}" for day in range(1, 32)]
    path.write_text("\n".join(["day,pieces", *(cell + ",5" for cell in cells)]))
    with pytest.raises(DataError, match=r"2 names in line 1, but lines of 3 cells: 2024-01-01, 1, 5"):
        read_series(path)
    path.write_text("\n".join(["day,pieces", *(cell + "," for cell in cells)]))
    assert list(read_series(path, target="pieces").values[:3]) == [1, 2, 3]
    path.write_text("\n".join(["pieces,price", *(cell + ",5" for cell in cells)]))  # with row names
    assert read_series(path, target="pieces").timestamps[0] == pd.Timestamp("2024-01-01")
