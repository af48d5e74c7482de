"""Files that hold no table, or are not there."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest

from lstune.errors import DataError
from lstune.series import read_series

DAYS = pd.date_range("2024-01-20", periods=40)
VALUES = np.arange(40) % 9 + 0.25


def table(header=("date", "value")):
    rows = (f"{day:%Y-%m-%d},{value}" for day, value in zip(DAYS, VALUES, strict=True))
    return "\n".join([",".join(header), *rows])


def write(path, text):
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (",".join(map(str, range(60))).encode(), r"a row for each time.*1 row of 60 cells.*Turn it"),
        (
            (",".join(map(str, range(60))) + "\n" + ",".join(map(str, range(60)))).encode(),
            "2 rows of 60 cells",
        ),
        (b"x" * 200_000, "cannot be read as delimited text|header but no rows"),
        (b"\x00" * 5000, "not text"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 500,
            "which is an Excel workbook.*Save the sheet as CSV",
        ),
    ],
    ids=["one line", "two lines", "one cell", "zeros", "old Excel"],
)
def test_files_without_rows(tmp_path, raw, match):
    (tmp_path / "data.csv").write_bytes(raw)
    with pytest.raises(DataError, match=match):
        read_series(tmp_path / "data.csv")


def test_a_mark_of_utf_8_before_other_letters(tmp_path):
    (tmp_path / "data.csv").write_bytes(b"\xef\xbb\xbf" + table(header=("Zeit", "Wärme")).encode("cp1252"))
    assert read_series(tmp_path / "data.csv").target == "Wärme"


def test_columns_of_equal_names_are_told(tmp_path):
    path = write(
        tmp_path / "data.csv",
        table(header=("date", "value")).replace("\n", ",1\n").replace("value,1", "value,value"),
    )
    series = read_series(path, target="value")
    assert np.array_equal(series.values, VALUES)
    assert "Of columns with the same name the second is called value.2, and so on" in series.notes


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"an empty text.*Name the file"):
        read_series("")
    with pytest.raises(DataError, match=r"does not exist.*~nobody-of-that-name"):
        read_series("~nobody-of-that-name/prices.csv")
    write(tmp_path / "prices.csv", table())
    with pytest.raises(DataError, match=r"does not exist.*Perhaps prices.csv is meant"):
        read_series(tmp_path / "price.csv")
    with pytest.raises(DataError, match="not a folder"):
        read_series(tmp_path)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(table().encode())[:-20])
    with pytest.raises(DataError, match="compressed but damaged"):
        read_series(tmp_path / "cut.csv.gz")
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
    with pytest.raises(DataError, match="Excel"):
        read_series(tmp_path / "book.xlsx")
    with pytest.raises(DataError, match=r"one-dimensional numbers.*shape \(3, 2\)"):
        read_series(np.zeros((3, 2)))
