"""`--read` reaches the reader, is kept with the run, and is told in its report."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.errors import UserError

from .test_cli import TINY, call


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Two shops in one table, three rows an hour, decimal commas, and "kaputt" for a missing value."""
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2024-01-01", periods=24 * 12 * 3, freq="20min")
    lines = ["time;shop;sales"]
    for number, stamp in enumerate(stamps):
        value = 50 + 9 * np.sin(number * 2 * np.pi / 72) + rng.normal()
        text = "kaputt" if number == 30 else f"{value:.3f}".replace(".", ",")
        lines += [f"{stamp:%Y-%m-%d %H:%M};north;{text}", f"{stamp:%Y-%m-%d %H:%M};south;1,5"]
    path = tmp_path_factory.mktemp("data") / "shops.csv"
    path.write_text("\n".join(lines))
    return path


READ = ["freq=h", "series_id=north", "id_column=shop", "missing=kaputt", "decimal=comma"]
READ_ARGS = [item for text in READ for item in ("--read", text)]


def test_a_run_reads_as_it_is_told_and_goes_on_so(file, tmp_path):
    out = tmp_path / "run"
    result = call("tune", file, "--target", "sales", "--trials", 2, *READ_ARGS, *TINY, "--out", out)
    assert result.exit_code == 0, result.stderr
    series = json.loads((out / "result.json").read_text())["series"]
    assert (series["rows"], series["freq"]) == (24 * 12, "h")
    kept = json.loads((out / "settings.json").read_text())["reading"]
    assert kept["freq"] == "h"
    assert kept["missing"] == ["kaputt"]
    # The command in the report repeats the run.
    command = re.search(r"lstune tune .*", call("report", out, "--format", "md", "--out", "-").stdout)[0]
    for text in ("freq=h", "series_id=north", "id_column=shop", "missing=kaputt", "decimal=,"):
        assert f"--read {text}" in command
    # Newer rows are read alike: the rows of the file, three an hour, become hours again.
    more = call("resume", out, "--trials", 3)
    assert more.exit_code == 0, more.stderr
    assert json.loads((out / "settings.json").read_text())["reading"] == kept
    newer = call("forecast", out, "--data", file)
    assert newer.exit_code == 0, newer.stderr
    assert newer.stdout.splitlines()[1].startswith("2024-01-13 ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frequency=h", "freq, repeats, max_gap, season"),
        ("freq", "NAME=VALUE"),
        ("freq=fortnight", "pandas frequency"),
        ("repeats=often", "auto, mean, sum, first, last, error"),
        ("max_gap=long", "whole number of 0 or more"),
        ("header=perhaps", "yes or no"),
        ("series_id=west", "north, south"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(file, tmp_path, text, words):
    args = ["--target", "sales", "--trials", 1, *TINY, "--out", tmp_path / "run"]
    fine = ["--read", "decimal=,", "--read", "missing=kaputt"]
    if not text.startswith("series_id"):
        fine += ["--read", "series_id=north"]
    result = call("tune", file, *args, *fine, "--read", "id_column=shop", "--read", text)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_messages_about_a_file_name_the_option(file, tmp_path):
    result = call("tune", file, "--target", "sales", "--read", "id_column=shop", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "--read series_id=north" in result.stderr
    result = call("tune", file, "--target", "sales", *READ_ARGS[:6], "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "--read missing=kaputt" in result.stderr


def test_a_series_that_is_read_already_takes_no_options_of_reading():
    series = lstune.read_series(np.sin(np.arange(99.0)))
    with pytest.raises(UserError, match="read already"):
        lstune.tune(series, reading={"freq": "h"})
