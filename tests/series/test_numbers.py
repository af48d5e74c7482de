"""Numbers as people write them: which mark is the decimal one, and which cells are missing."""

from __future__ import annotations

import shlex

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError
from lstune.series import read_series
from lstune.series._numbers import _parse_texts, find_mark, parse_numbers
from lstune.series.read import read_rows
from lstune.series.reading import parse_reading

ROWS = 30
DAYS = [f"{day:%Y-%m-%d}" for day in pd.date_range("2021-01-01", periods=ROWS)]
WHOLE = 1000 + np.round(120 * np.sin(np.arange(ROWS))).astype(int)  # above and below one thousand


def grouped(value, mark="."):
    return f"{value:,d}".replace(",", mark)


def write(path, *columns, sep=";", names="abcde"):
    """A file of the days and columns of text; its path."""
    lines = [sep.join(["date", *names[: len(columns)]])]
    lines += [sep.join(cells) for cells in zip(DAYS, *columns, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def told(series, *words):
    return any(all(word in note for word in words) for note in series.notes)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data.csv"


def test_points_between_thousands_beside_smaller_numbers(file):
    write(file, list(map(grouped, WHOLE)))
    series = read_series(file)
    assert np.array_equal(series.values, WHOLE)
    assert told(series, "point in numbers such as 1.000 was read as a thousands mark", "--read decimal=. ")
    assert read_series(file, decimal=".").values.min() == 1.0


def test_points_between_thousands_where_another_column_proves_the_decimal_comma(file):
    closes = ["999", *["1.002"] * (ROWS - 1)]
    write(file, closes, [f"{i},03" for i in range(ROWS)])
    assert np.array_equal(read_series(file, target="a").values, [999, *[1002] * (ROWS - 1)])
    write(file, [f"1.{100 + i}" for i in range(ROWS)], [f"{i},03" for i in range(ROWS)])
    assert np.array_equal(read_series(file, target="a").values, 1100 + np.arange(ROWS))
    # A column of points proves the contrary, and both prove nothing.
    write(file, list(map(grouped, WHOLE)), [f"{i}.03" for i in range(ROWS)])
    assert read_series(file, target="a").values.min() == 1.0
    assert find_mark([["1,5"], ["1.5"]]) is None
    assert find_mark([["1,5"], ["1.500"], ["31.12.2024"], ["a, b"]]) == ","


@pytest.mark.parametrize(
    "cells",
    [
        ["0.966", "1.462"],  # no group of thousands begins with a zero
        ["1.462", "1.5"],
        ["1.462", "2", "1.451", "1.433"],  # a rate that is whole by chance
        ["1.462", "999", "1.451", "-999"],  # nines are likelier a word for "missing"
        ["1.462", "1.459", "145", "1.447"],  # one slip
        ["1.462", "1966"],
        ["1.462", "1.451"],
    ],
)
def test_points_that_are_decimal_marks(cells):
    expected = [float(cell) for cell in cells]
    assert parse_numbers(cells).values.tolist() == expected
    cells = [cell.replace(".", ",") for cell in cells]
    assert parse_numbers(cells, comma_file=False).values.tolist() == expected


def test_a_point_that_may_group_thousands_is_said():
    numbers = parse_numbers(["1.462", "30", "1.451", "20"])
    assert numbers.values.tolist() == [1.462, 30, 1.451, 20]
    assert "if it groups thousands, say --read decimal=, or" in numbers.notes[0]
    assert not parse_numbers(["1.462", "2", "1.451", "1.433"]).notes


def test_points_of_three_digits_alone_are_said_where_commas_part_no_fields(file):
    """1.139 and 1.123 may be rates or thousands; in a file with commas a German number would be quoted."""
    for cells in (["1.139", "1.123"], ["12.500", "999.123", "-1.001"]):
        said = parse_numbers(cells, comma_file=False)
        assert said.values.tolist() == [float(cell) for cell in cells]
        assert f"in numbers such as {cells[0]} was read as the decimal mark; if it groups" in said.notes[0]
        assert not parse_numbers(cells).notes
        assert not parse_numbers([*cells, "0.966"], comma_file=False).notes
    write(file, [f"1.{100 + i}" for i in range(ROWS)], [f"{i}.03" for i in range(ROWS)])
    assert not told(read_series(file, target="a"), "if it groups")  # another column proves the point


def test_numbers_that_pass_a_million(file):
    values = 999_000 + 500 * np.arange(ROWS)
    write(file, list(map(grouped, values)))
    assert np.array_equal(read_series(file).values, values)
    bad = parse_numbers(["1.002.510", "1.5", "2.5"]).bad
    assert bad == {0: "1.002.510"}


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_commas_between_thousands_outside_comma_files(file, sep):
    write(file, [grouped(value, ",") for value in WHOLE], sep=sep)
    series = read_series(file)
    assert np.array_equal(series.values, WHOLE)
    assert told(series, "comma in numbers such as 1,000 was read as a thousands mark", "--read decimal=, ")
    write(file, [f"1,{100 + i}" for i in range(ROWS)], [f"{i}.5" for i in range(ROWS)], sep=sep)
    assert np.array_equal(read_series(file, target="a").values, 1100 + np.arange(ROWS))


def test_a_leading_zero_proves_the_decimal_comma(file):
    write(file, [f'"0,{i:03d}"' for i in range(ROWS)], sep=",")
    series = read_series(file)
    assert np.array_equal(series.values, np.arange(ROWS) / 1000)
    assert told(series, "comma was read as the decimal mark", "--read decimal=. or, in Python, decimal='.'")
    assert parse_numbers(["0,007", "1,234"]).values.tolist() == [0.007, 1.234]
    groups = parse_numbers(["1,007", "1,234"])
    assert groups.values.tolist() == [1007, 1234]
    assert "as a thousands mark; if it is the decimal mark, say --read decimal=, or" in groups.notes[0]
    assert parse_numbers(["1,007", "966"]).notes == ("Thousands marks were removed",)


@pytest.mark.parametrize(
    ("cells", "values", "note"),
    [
        (["41.20", "(41.20)"], [41.2, -41.2], "in brackets"),
        (["41.20-", "$1,041.20-"], [-41.2, -1041.2], "minus behind"),
        (["($1,041.20)", "-$5", "€ 7"], [-1041.2, -5, 7], "signs $ € were removed"),
        (["$5", "6"], [5, 6], "The sign $ was removed from numbers"),
        (["1’234.5", "12\u2009345", "1'234'567"], [1234.5, 12345, 1234567], None),
        (['="5"', '="6.5"'], [5, 6.5], None),
        (["12.30K", "1.25M", "0.5B", "7"], [12300, 1250000, 5e8, 7], "K, M and B behind numbers"),
        (["12,30K", "1,25M"], [12300, 1250000], "decimal mark"),
    ],
)
def test_further_ways_to_write_a_number(cells, values, note):
    numbers = parse_numbers(cells)
    assert numbers.values.tolist() == values
    assert not numbers.bad
    assert (not numbers.notes) if note is None else any(note in told for told in numbers.notes)


@pytest.mark.parametrize("text", ["1M", "5 kWh", "5$6", "(0.13", "1,23,4", "v1.5"])
def test_what_is_no_number_stays_text(text):
    assert parse_numbers(["1", text]).bad == {1: text}


@pytest.mark.parametrize("text", ["\\N", "n.a.", "(null)", "nodata", "*", "No data", "#NV"])
def test_words_for_missing_of_common_exports(text):
    numbers = parse_numbers(["1.5", text])
    assert np.isnan(numbers.values[1])
    assert not numbers.bad


@pytest.mark.parametrize("text", ["-999", "-999.0", "-999.00", "-9.99e2"])
def test_numbers_that_mean_missing_are_compared_as_numbers(file, text):
    write(file, [*map(str, WHOLE[1:]), text])
    assert told(read_series(file), "-999", "occurs 1 time", "--read missing=-999")
    rows, _ = read_rows(file, **parse_reading(["missing=-999"]))
    assert np.isnan(rows.values[-1])
    assert np.array_equal(rows.values[:-1], WHOLE[1:])
    frame = pd.DataFrame({"date": DAYS, "a": [*WHOLE[1:], float(text)]})
    assert np.isnan(read_rows(frame, missing=("-999",))[0].values[-1])


def test_numbers_that_mean_missing_under_a_decimal_comma(file):
    write(file, [*[f"{i},5" for i in range(ROWS - 1)], "-99,99"])
    assert told(read_series(file), "-99.99", "occurs 1 time")
    for text in ("-99.99", "-99,99"):
        assert np.isnan(read_rows(file, missing=(text,))[0].values[-1])


@pytest.mark.parametrize("text", ["<low", "out of order", "a*b", "('x',)", "it's"])
def test_advice_on_missing_can_be_pasted_into_a_shell(file, text):
    write(file, [*map(str, WHOLE[1:]), text])
    with pytest.raises(DataError, match="1 of its 30 rows holds text") as caught:
        read_series(file)
    message = str(caught.value)
    assert f"missing=({text!r},) in Python" in message
    if "," in text:
        assert "--read" not in message
        return
    words = shlex.split(message[message.index("--read") : message.index(" on the command line")])
    assert np.isnan(read_rows(file, **parse_reading(words[1:]))[0].values[-1])


def test_a_number_that_is_not_understood_is_not_called_missing(file):
    write(file, [*map(str, WHOLE[1:]), "<958.8."])
    with pytest.raises(DataError, match=r"'<958.8.' in line 31\. Mend those rows, for example") as caught:
        read_series(file)
    assert "missing" not in str(caught.value)


@pytest.mark.parametrize("empty", ["", "NA", " n/a ", "closed", None])
def test_plain_numbers_with_empty_cells_are_the_same_bits(empty):
    cells = [repr(float(value)) for value in np.random.default_rng(0).normal(size=200)]
    cells[7] = empty
    numbers = parse_numbers(cells, missing=frozenset(["closed"]))
    assert np.isnan(numbers.values[7])
    assert np.delete(numbers.values, 7).tolist() == list(map(float, cells[:7] + cells[8:]))
    assert not numbers.bad


@pytest.mark.parametrize("form", ["{:,.2f}", "{:.3f}", "{:,.1f}", "{:,.0f}"])
@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("decimal", [None, ".", ","])
def test_columns_of_one_shape_are_read_as_any_other(form, mark, decimal):
    values = np.random.default_rng(0).normal(0, 2000, 300)
    cells = [form.format(value) for value in values]
    if mark == ",":
        cells = [cell.translate(str.maketrans(",.", ".,")) for cell in cells]
    cells[5] = "NA"
    found = parse_numbers(cells, decimal=decimal, comma_file=False)
    plain = _parse_texts(np.array(cells, dtype=object), decimal, False, frozenset(), lambda: None)
    np.testing.assert_array_equal(found.values, plain.values)
    assert (found.bad, found.notes) == (plain.bad, plain.notes)


@pytest.mark.parametrize("cells", [pd.date_range("2024-01-01", periods=30), np.arange(30) + 1j, [[1]] * 30])
def test_objects_that_are_no_numbers_are_refused(cells):
    with pytest.raises(DataError, match=r"No column holds numbers|30 of its 30 rows hold text"):
        read_series(pd.DataFrame({"ds": DAYS, "y": cells}), target="y" if isinstance(cells, list) else None)


def test_cells_are_shown_where_no_column_holds_numbers(file):
    write(file, ["x"] * ROWS, [f"{i} kWh" for i in range(ROWS)])
    with pytest.raises(DataError, match="columns date, a, b in data; 'b' holds '0 kWh' and '1 kWh'"):
        read_series(file)


COMMAS = [f"100{i % 7},5{i % 9}" for i in range(ROWS)]  # decimal commas without quotes


@pytest.mark.parametrize(
    ("header", "columns", "received"),
    [
        (
            "date,open,close",
            2,
            "3 names in line 1, but lines of 5 cells such as line 2: 2021-01-01, 1000",
        ),
        ("date,o,h,l,c", 4, "5 names in line 1, but lines of 9 cells"),
        ("open,close", 2, "2 names in line 1, but lines of 4 cells"),
        ("date,volume", 1, "2 names in line 1, but lines of 3 cells"),
        ("pieces,price", 1.5, "2 names in line 1, but lines of 3 cells"),
    ],
)
def test_decimal_commas_that_cut_numbers_in_two_are_refused(file, header, columns, received):
    dates = DAYS if header.startswith("date") else [""] * ROWS
    cells = [",".join([number] * int(columns)) + ",7" * (columns == 1.5) for number in COMMAS]
    lines = [f"{day},{cell}".lstrip(",") for day, cell in zip(dates, cells, strict=True)]
    file.write_text("\n".join([header, *lines]))
    with pytest.raises(DataError, match=rf"{received}.*a decimal comma need quotes"):
        read_series(file, target=header.split(",")[-1])


def test_cells_behind_the_last_name_may_only_be_empty(file):
    lines = [f"{day},{i},," for i, day in enumerate(DAYS)]
    file.write_text("\n".join(["date,a", *lines]))
    assert np.array_equal(read_series(file, target="a").values, np.arange(ROWS))
    lines[20] += "x"
    file.write_text("\n".join(["date,a", *lines]))
    with pytest.raises(DataError, match="2 names in line 1, but lines of 4 cells such as line 22"):
        read_series(file, target="a")
    file.write_text("\n".join(["date;a", *(f"{day};1;x;y" for day in DAYS)]))
    with pytest.raises(DataError, match="Give every column a name"):
        read_series(file, target="a")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("line", [2, 3, 20])
def test_a_line_that_is_one_field_too_long_is_refused_wherever_it_is(file, line):
    lines = ["date,a", *(f"{day},{i}" for i, day in enumerate(DAYS))]
    lines[line - 1] += ",9"
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"same number of fields, 2 here.*3 fields in line {line} of data"):
        read_series(file)


def test_only_newlines_end_a_line(file):
    odd = ["a\x0bb", "a\x1cb", "a\u0085b", "a\u2028b", "a\u2029b", "a\x0cb"] * (ROWS // 6)
    file.write_bytes(write(file, list(map(str, WHOLE)), odd).read_text("utf-8").encode())
    assert np.array_equal(read_series(file).values, WHOLE)
    for end in ("\r", "\r\n"):
        file.write_bytes(file.read_text("utf-8").replace("\n", end).encode())
        assert np.array_equal(read_series(file, target="a").values, WHOLE)


def test_lines_are_counted_where_cells_hold_newlines(file):
    texts = list(map(str, WHOLE))
    noted = ['"two\nlines"'] * ROWS
    write(file, [*texts[:-1], "low"], noted)
    with pytest.raises(DataError, match=r"'low' in line 60\."):
        read_series(file, target="a")
    write(file, [*texts[:-1], "1;2"], noted)
    with pytest.raises(DataError, match=r"4 fields in line 60 of data\.csv"):
        read_series(file, target="a")
    lines = ["title", 'date;"a\n(USD)"', *(";".join(pair) for pair in zip(DAYS, texts, strict=True))]
    file.write_text("\n".join(lines).replace(texts[-1], "low"))
    with pytest.raises(DataError, match=r"'low' in line 33\.|'low' in lines .*33"):
        read_series(file)


def test_one_line_and_several_are_told_apart(file):
    table = write(file, list(map(str, WHOLE))).read_text()
    file.write_text("A title\n" + table.replace("\n", "\n;kW\n", 1))
    notes = read_series(file).notes
    assert "The first line, above the table, was passed over" in notes
    assert "1 more row of names below the header was passed over" in notes
    file.write_text("A title\nof two lines\n" + table.replace("\n", "\n;kW\n;x\n", 1))
    notes = read_series(file).notes
    assert "The first 2 lines, above the table, were passed over" in notes
    assert "2 more rows of names below the header were passed over" in notes


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("old", "new"), [("H", "h"), ("M", "ME"), ("A-DEC", "YE-DEC"), ("30T", "30min")])
def test_old_names_of_frequencies(old, new):
    step = "h" if new == "30min" else "D" if new in ("h", "ME") else "MS"
    step = "10min" if new in ("h", "30min") else step
    stamps = pd.date_range("2000-01-01", periods=1000, freq=step)
    frame = pd.DataFrame({"date": stamps, "a": np.arange(1000.0)})
    series = read_series(frame, freq=old)
    assert series.freq == new
    assert np.array_equal(series.values, read_series(frame, freq=new).values)


def test_a_single_number_beyond_a_thousand():
    assert parse_numbers(["62", "221", "440", "1.183", "220", "122"]).values[3] == 1183


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b'{"a": [1]}', "JSON"),
        (b'\n[{"date": 1}]', "JSON"),
        (b"<!DOCTYPE html>", "a web page or XML"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x28\xb5\x2f\xfd\x00", "compressed with zstd"),
        (b"ARROW1\x00\x00", "a Feather file"),
        (b"data.csv" + b"\x00" * 249 + b"ustar", "a tar archive"),
    ],
)
def test_other_formats_are_called_by_their_name(file, start, what):
    file.write_bytes(start + b"\n" * 400)
    with pytest.raises(DataError, match=f"is {what}"):
        read_series(file)


def test_addresses_are_no_files_and_headers_may_have_brackets(file):
    with pytest.raises(DataError, match=r"not an address.*Download it first"):
        read_series("https://example.org/data.csv")
    table = write(file, list(map(str, WHOLE))).read_text()
    for header in ("<DATE>;<CLOSE>", "[date];[close]"):
        file.write_text(table.replace("date;a", header))
        assert np.array_equal(read_series(file).values, WHOLE)
    file.write_bytes(table.encode("utf-32"))
    assert np.array_equal(read_series(file).values, WHOLE)
