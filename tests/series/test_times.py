"""Timestamps in every way of writing them; what cannot be one is refused by its line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError
from lstune.series import read_series
from lstune.series._times import parse_times

DAYS = pd.date_range("2021-01-01", periods=200)
HOURS = pd.date_range("2021-03-01", periods=200, freq="h")
MONTHS = pd.date_range("2000-01-01", periods=120, freq="MS")
QUARTERS = pd.date_range("1970-01-01", periods=100, freq="QS")
WEEKS = pd.date_range("2019-01-07", periods=100, freq="W-MON")
VALUES = 100 + np.arange(400) % 17.0


def read(tmp_path, texts, header="date;y", **options):
    """A series from a file with the texts in its first column, or columns."""
    lines = [header, *(f"{text};{value}" for text, value in zip(texts, VALUES, strict=False))]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    return read_series(tmp_path / "data.csv", target="y", **options)


def check(series, stamps):
    assert list(series.timestamps) == list(stamps)
    assert np.array_equal(series.values, VALUES[: len(stamps)])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("form", ["%y-%m-%d", "%y/%m/%d", "%d/%m/%y", "%m/%d/%y"])
@pytest.mark.parametrize(
    "stamps",
    [
        DAYS,
        DAYS[:28],
        MONTHS,
        WEEKS,
        pd.bdate_range("2022-08-01", periods=60),
        pd.date_range("2005-05-01", periods=28),
        QUARTERS[40:],
    ],
)
def test_which_of_three_short_numbers_is_the_year(stamps, form, order):
    stamps = stamps[::order]
    assert list(parse_times(stamps.strftime(form).tolist()).stamps) == list(stamps)


def test_a_choice_that_nothing_decides_is_said(tmp_path):
    minutes = pd.date_range("2014-02-09", periods=60, freq="15min")
    series = read(tmp_path, minutes.strftime("%y-%m-%d %H:%M"))
    assert any("14-02-09 00:00 were read with the day before month" in note for note in series.notes)
    halves = pd.date_range("2018-04-08 12:00", periods=23, freq="12h").delete(11)[::-1]
    assert list(parse_times(halves.strftime("%d/%m/%y %H:%M").tolist()).stamps) == list(halves)


def test_a_year_first_of_two_digits_is_said_and_first_days_of_years_are_none(tmp_path):
    series = read(tmp_path, DAYS.strftime("%y-%m-%d"))
    check(series, DAYS)
    assert any("21-01-01 were read with the year first" in note for note in series.notes)
    hours = read(tmp_path, HOURS.strftime("%y-%m-%d %H:%M"))
    check(hours, HOURS)
    for first in ("2001-12-31", "2001-01-01"):
        years = pd.date_range(first, periods=20, freq=pd.DateOffset(years=1))
        assert list(parse_times(years.strftime("%d/%m/%y").tolist()).stamps) == list(years)
    for form in ("%y-%m-%d", "%d-%m-%y"):
        for stamps in (DAYS, pd.bdate_range("2010-01-14", periods=31).delete([3, 17])):
            stamps = stamps[np.random.default_rng(0).permutation(len(stamps))]
            assert list(parse_times(stamps.strftime(form).tolist()).stamps) == list(stamps)


@pytest.mark.parametrize("form", ["%d/%m/%y", "%m/%d/%y", "%d-%b-%y", "%y-%m-%d"])
def test_years_of_two_digits_do_not_lie_in_the_future(tmp_path, form):
    stamps = pd.date_range("1968-06-01", periods=400)
    series = read(tmp_path, stamps.strftime(form))
    check(series, stamps)
    assert any("lay ahead were taken back: 68 is 1968" in note for note in series.notes)


def test_rows_for_what_is_known_beforehand_may_lie_in_the_future():
    stamps = pd.date_range("2015-01-01", pd.Timestamp.now() + pd.DateOffset(years=5), freq="MS")
    assert list(parse_times(stamps.strftime("%d/%m/%y").tolist()).stamps) == list(stamps)
    century = pd.date_range("1940-01-01", pd.Timestamp.now(), freq="MS")
    assert list(parse_times(century.strftime("%d/%m/%y").tolist()).stamps) == list(century)


@pytest.mark.parametrize("form", ["%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_long_numbers_are_dates_with_a_time_of_day(tmp_path, form):
    for stamps in (DAYS, HOURS):
        texts = stamps.strftime(form)
        series = read(tmp_path, texts)
        check(series, stamps)
        assert any("year, month, day, hour" in note for note in series.notes)
        assert list(parse_times(texts.astype(np.float64)).stamps) == list(stamps)
    ends = [f"{stamp:%Y%m%d}{stamp.hour + 1:02d}" for stamp in HOURS]
    assert list(parse_times(ends).stamps) == list(HOURS + pd.Timedelta(hours=1))
    assert parse_times(["2021130100", "2021130101"]).stamps[0].year == 2034  # no month 13: seconds since 1970


WRITTEN = [
    (DAYS, "%Y-%m-%d %H:%M:%S UTC"),
    (DAYS, "%Y-%m-%d UTC"),
    (HOURS, "%Y-%m-%d %H:%M:%S GMT"),
    (HOURS, "%d/%m/%Y %H:%M UTC"),
    (HOURS, "%Y-%m-%d %H:%M:%S Z"),
    (HOURS, "%a, %d %b %Y %H:%M:%S GMT"),
    (HOURS, "%Y%m%dT%H%M%S"),
    (HOURS, "%Y%m%dT%H%M%SZ"),
    (HOURS, "%Y%m%d %H:%M"),
    (HOURS, "%m/%d/%Y %I:%M%p"),
    (HOURS, "%Y-%m-%d %I:%M %p"),
    (HOURS, "%Y-%m-%d %I:%M%p UTC"),
    (HOURS, "%b %d, %Y, %I:%M %p"),
    (HOURS, "%a %b %d %H:%M:%S %Y"),
    (HOURS, "%d/%b/%Y:%H:%M:%S"),
    (HOURS, "%d/%m/%Y %H"),
    (DAYS, "%a, %d %b %Y"),
    (DAYS, "%A, %B %d, %Y"),
    (DAYS, "%d/%b/%Y"),
    (DAYS, "%d%b%Y"),
    (DAYS, "%b-%d-%Y"),
    (DAYS, "%Y-%b-%d"),
    (DAYS, "%Y %b %d"),
    (DAYS, "%Y-%j"),
    (DAYS, "%G-W%V-%u"),
    (WEEKS, "%G-W%V"),
    (WEEKS, "%GW%V"),
    (MONTHS, "%m/%Y"),
    (MONTHS, "%m-%Y"),
    (MONTHS, "%YM%m"),
    (MONTHS, "%Y M%m"),
    (MONTHS, "%Y %b"),
    (MONTHS, "%Y-%b"),
    (MONTHS, "%b-%y"),
    (MONTHS[::-1], "%b '%y"),
]
LANGUAGES = {
    "german": (
        "{d}. {m} {y}",
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    ),
    "german, short": ("{d:02d}.{m}.{y}", "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez"),
    "german, without marks": ("{d}. {m} {y}", "Jän Feb Maerz Apr Mai Juni Juli Aug Sept Okt Nov Dez."),
    "french": (
        "{d} {m} {y}",
        "janvier fevrier mars avril mai juin juillet août septembre octobre novembre décembre",
    ),
    "french, short": ("{d}-{m}-{y}", "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."),
    "spanish": (
        "{d} de {m} de {y}",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    ),
    "portuguese": ("{d:02d}/{m}/{y}", "jan fev mar abr mai jun jul ago set out nov dez"),
    "italian": ("{d} {m} {y} 00:00", "gen feb mar apr mag giu lug ago set ott nov dic"),
    "dutch": (
        "{d} {m} {y}",
        "januari februari maart april mei juni juli augustus september oktober november december",
    ),
}


@pytest.mark.parametrize(("stamps", "form"), WRITTEN, ids=[form for _, form in WRITTEN])
def test_ways_of_writing_a_date(tmp_path, stamps, form):
    assert list(parse_times(stamps.strftime(form).tolist()).stamps) == list(stamps)
    series = read(tmp_path, stamps.strftime(form))
    assert list(series.timestamps) == sorted(stamps)


@pytest.mark.parametrize("rows", [31, 200])
def test_days_of_months_are_no_years(tmp_path, rows):
    with pytest.raises(DataError, match=r"'month' does not hold timestamps.*'Jan-01', 'Jan-02'"):
        read(tmp_path, DAYS[:rows].strftime("%b-%d"), "month;y")


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_of_months_in_other_languages(tmp_path, language):
    form, names = LANGUAGES[language]
    texts = [form.format(d=s.day, m=names.split()[s.month - 1], y=s.year) for s in DAYS]
    check(read(tmp_path, texts), DAYS)
    months = [f"{names.split()[s.month - 1]} {s.year}" for s in MONTHS]
    check(read(tmp_path, months), MONTHS)
    parts = [f"{s.year};{names.split()[s.month - 1].rstrip('.')}" for s in MONTHS]
    check(read(tmp_path, parts, "year;month;y"), MONTHS)


@pytest.mark.parametrize(("stamps", "digits"), [(DAYS, 0), (HOURS, 10), (HOURS, 5)])
def test_days_as_excel_counts_them(tmp_path, stamps, digits):
    texts = [f"{day:.{digits}f}" for day in (stamps - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)]
    series = read(tmp_path, texts)
    check(series, stamps)
    assert "Numbers were read as days since 1899-12-30, as Excel counts" in series.notes
    check(read(tmp_path, texts, "t;y", timestamp="t"), stamps)
    seconds = [str(s.value // 10**9) for s in stamps]
    check(read(tmp_path, seconds, "ts;y"), stamps)
    assert not read(tmp_path, texts, "time;y").has_timestamps  # which may count anything


@pytest.mark.parametrize("below", [["Total"], ["Sum", "Mean"], ["* provisional, until 2022"]])
def test_rows_below_the_table_are_passed_over(tmp_path, below):
    texts = DAYS.strftime("%d.%m.%Y").tolist()
    series = read(tmp_path, [*texts, *below])
    check(series, DAYS)
    assert any(
        note.startswith(f"The last {'row' if len(below) == 1 else '2 rows'} ({below[0]!r}")
        for note in series.notes
    )
    columns = [f"{text};{s.hour}" for text, s in zip(HOURS.strftime("%Y-%m-%d"), HOURS, strict=True)]
    check(read(tmp_path, [*columns, *(f"{text};" for text in below)], "date;hour;y"), HOURS)


@pytest.mark.parametrize("text", ["2021-13-01", "", "n/a", "31.06.2021 sum"])
def test_a_last_row_that_may_be_one_of_the_table_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"1 timestamp in the column 'date'.* in line 202"):
        read(tmp_path, [*DAYS.strftime("%Y-%m-%d"), text])


@pytest.mark.parametrize("form", ["Q{q} {y}", "{y} Q{q}", "{q}Q{y}", "{q}Q{s:02d}", "Q{q}-{y}", "{y}:Q{q}"])
def test_ways_of_writing_a_quarter(tmp_path, form):
    check(read(tmp_path, [form.format(q=s.quarter, y=s.year, s=s.year % 100) for s in QUARTERS]), QUARTERS)


def test_times_of_day_and_names_of_months_as_people_write_them(tmp_path):
    texts = [f"{s:%d/%m/%Y %I:%M} {'a.m.' if s.hour < 12 else 'p.m.'}" for s in HOURS]
    check(read(tmp_path, texts), HOURS)
    names = ["Jan.", "Feb", "March", "April", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "December"]
    check(read(tmp_path, [f"{s.day} {names[s.month - 1]} {s.year}" for s in DAYS]), DAYS)
    ends = [
        f"{s - pd.Timedelta(days=1):%Y-%m-%dT24:00:00}" if not s.hour else f"{s:%Y-%m-%dT%H:%M:%S}"
        for s in HOURS
    ]
    check(read(tmp_path, ends), HOURS)


def test_quarters_written_like_months_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"'date' does not hold timestamps.*'1/1970'"):
        read(tmp_path, [f"{s.quarter}/{s.year}" for s in QUARTERS])
    assert parse_times(["02/2021"]).stamps[0] == pd.Timestamp("2021-02-01")  # one newer row


def in_columns(form, stamps=HOURS):
    return [form.format(s, s=s, y=s.year % 100, h=s.hour) for s in stamps]


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("Datum;Uhrzeit;y", "{:%d.%m.%Y;%H:%M}"),
        ("Datum;Zeit;y", "{:%d.%m.%Y;%H:%M:%S}"),
        ("day;time;y", "{:%Y-%m-%d;%I:%M %p}"),
        ("date;Time (UTC);y", "{:%Y%m%d;%H:%M}"),
        ("date;hour;y", "{:%Y%m%d};{h}"),
        ("YEAR;MONTH;DAY;HOUR;y", "{s.year};{s.month};{s.day};{h}"),
        ("year;month;day;hour;y", "{y};{s.month};{s.day};{h}"),
        ("year;month;day;hr;y", "{s.year};{s:%b};{s.day};{h}"),
        ("year;month;day;time;y", "{s.year};{s.month};{s.day};{s:%H:%M}"),
        ("year;month;day;time;y", "{s.year};{s.month};{s.day};{s:%I:%M:%S %p}"),
        ("date;time;y", "{:%Y-%m-%d 00:00:00;%H:%M}"),
        ("date;hour;y", "{:%Y-%m-%d %H:%M:%S};{h}"),
        ("yr;mo;dy;hr;y", "{s.year};{s.month};{s.day};{h}"),
        ("DD;MM;YYYY;HH;y", "{s.day};{s.month};{s.year};{h}"),
    ],
)
def test_dates_and_times_of_day_in_columns(tmp_path, header, form):
    check(read(tmp_path, in_columns(form), header), HOURS)


def test_days_of_a_frame_and_its_times_of_day():
    frame = pd.DataFrame({"date": HOURS.normalize(), "time": HOURS.strftime("%H:%M"), "y": VALUES[:200]})
    check(read_series(frame), HOURS)
    check(read_series(frame.assign(time=HOURS.time)), HOURS)
    check(read_series(frame.rename(columns={"time": "slot"}), timestamp="date,slot"), HOURS)
    check(
        read_series(pd.DataFrame({"date": HOURS, "hour": HOURS.hour, "y": VALUES[:200]}), target="y"), HOURS
    )


def test_hours_that_end_are_known_by_name(tmp_path):
    earlier = in_columns("{:%Y-%m-%d}", HOURS - pd.Timedelta(hours=1))
    texts = [f"{day};{(s.hour - 1) % 24 + 1}" for day, s in zip(earlier, HOURS, strict=True)]
    check(read(tmp_path, texts, "Date;Hour Ending;y"), HOURS)
    # An unknown name is not guessed at, since a few newer rows could not tell it again.
    with pytest.raises(
        DataError, match=r"'Date' holds each day several times; 'Std' may.*--timestamp 'Date,Std'"
    ):
        read(tmp_path, texts, "Date;Std;y")
    check(read(tmp_path, texts, "Date;Std;y", timestamp="Date,Std"), HOURS)
    compact = in_columns("{:%Y-%m-%d;%H%M}")
    with pytest.raises(DataError, match=r"'time' may be the time of day.*2021-03-01, 0100 in line 3"):
        read(tmp_path, compact, "date;time;y")
    check(read(tmp_path, compact, "date;time;y", timestamp="date,time"), HOURS)


def test_columns_that_only_sound_like_parts_of_a_time_are_none(tmp_path):
    check(read(tmp_path, [f"{s.year};{s.month};shop" for s in MONTHS], "year;month;tag;y"), MONTHS)
    rows = [f"{s:%Y-%m-%d};{i}" for i, s in enumerate(DAYS[:30])]
    check(read(tmp_path, rows, "date;time;y"), DAYS[:30])
    hire = [f"1;{s.year - 2021};{s.month};{s:%Y-%m-%d};{s.hour}" for s in HOURS]
    check(read(tmp_path, hire, "season;yr;mnth;dteday;hr;y"), HOURS)


def test_years_of_two_digits_in_a_column(tmp_path):
    stamps = pd.date_range("1968-06-01", periods=200)
    series = read(tmp_path, in_columns("{y};{s.month};{s.day}", stamps), "year;month;day;y")
    check(series, stamps)
    assert any("68 is 1968" in note for note in series.notes)
    wrong = in_columns("{s.year};{s.month};{s.day}", DAYS)
    wrong[50] = "2021;2;30"
    with pytest.raises(
        DataError, match=r"1 timestamp in the column 'year,month,day'.*'2021-2-30' in line 52"
    ):
        read(tmp_path, wrong, "year;month;day;y")


@pytest.mark.parametrize("cell", ["n/a", "", "unknown"])
def test_a_time_column_with_a_bad_cell_is_seen_under_any_name(tmp_path, cell):
    texts = DAYS[::-1].strftime("%d.%m.%Y").tolist()
    texts[5] = cell
    with pytest.raises(DataError, match=rf"1 timestamp in the column 'measured'.*'{cell}' in line 7"):
        read(tmp_path, texts, "measured;y")
    texts[0] = cell  # the first cell decides nothing either
    with pytest.raises(DataError, match=r"2 timestamps in the column 'date'.*in lines 2 and 7"):
        read(tmp_path, texts)


def test_a_whole_time_column_is_preferred_to_one_with_holes(tmp_path):
    texts = [f"{'' if i == 7 else f'{s:%Y-%m-%d}'};{s:%Y-%m-%d}" for i, s in enumerate(DAYS)]
    check(read(tmp_path, texts, "delivered;ordered;y"), DAYS)
    sparse = [f"{s:%Y-%m-%d}" if i % 2 else "" for i, s in enumerate(DAYS)]
    assert not read(tmp_path, sparse, "delivered;y").has_timestamps


@pytest.mark.parametrize("name", ["time", "measured"])
def test_dates_that_cannot_be_read_are_no_equal_steps(tmp_path, name):
    with pytest.raises(DataError, match=r"'CEST' names no one time zone.*\+02:00"):
        read(tmp_path, HOURS[::-1].strftime("%Y-%m-%d %H:%M:%S CEST"), f"{name};y")
    parts = [f"12-{i % 90 + 10}-5678" for i in range(100)]
    assert not read(tmp_path, parts, f"{name[0]}part;y").has_timestamps


def test_years_that_pandas_does_not_hold_are_told(tmp_path):
    for texts in (
        [f"{1610 + i}-01-01" for i in range(60)],
        [f"01/01/{2300 + i}" for i in range(60)],
        [f"01-01-{2300 + i}" for i in range(60)],
    ):
        with pytest.raises(DataError, match=r"outside of the years 1678 to 2261.*pandas holds no others"):
            read(tmp_path, texts)
    with pytest.raises(DataError, match=r"'date' does not hold timestamps.*'-89251200'"):
        read(tmp_path, [str(-89251200 - 86400 * i) for i in range(60)])  # seconds before 1970
    far = DAYS.strftime("%Y-%m-%d").tolist()
    far[-1] = "9999-12-31"
    with pytest.raises(DataError, match=r"outside of the years.*'9999-12-31' in line 201"):
        read(tmp_path, far)


@pytest.mark.filterwarnings("error")
def test_steps_below_a_microsecond_are_refused():
    frame = pd.DataFrame({"t": pd.date_range("2021-01-01", periods=300, freq="100ns"), "y": VALUES[:300]})
    with pytest.raises(
        DataError,
        match=r"at least a microsecond long.*100 ns between rows 0 and 1 \(counted from 0\).*freq=ms",
    ):
        read_series(frame)
    assert len(read_series(frame, freq="us")) == 30
