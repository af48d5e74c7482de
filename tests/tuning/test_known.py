"""Features known beforehand, from a file to a forecast and to one with newer knowledge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import lstune
from lstune.cli.app import app
from lstune.errors import DataError, UserError

from .conftest import TINY, Notes

ROWS, AHEAD = 260, 4
SPACE = {**TINY, "lookback": 6, "epochs": 40, "learning_rate": 0.02, "batch_size": 8, "feature_inputs": "all"}
SALES = np.random.default_rng(3).integers(0, 2, ROWS + AHEAD).astype(float)


def frame(ahead=AHEAD):
    """Ten pieces a day and four more in a sale, which no past row gives away."""
    noise = 0.3 * np.random.default_rng(4).normal(size=ROWS)
    days = pd.date_range("2023-01-01", periods=ROWS + ahead, freq="D")
    pieces = np.r_[10 + 4 * SALES[:ROWS] + noise, np.full(ahead, np.nan)]
    return pd.DataFrame({"day": days, "pieces": pieces, "sale": SALES[: ROWS + ahead]})


def call(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def run_of(out, strategy="direct", table=None, progress=None):
    return lstune.tune(
        frame() if table is None else table,
        target="pieces",
        known="sale",
        horizon=3,
        trials=3,
        space={**SPACE, "strategy": strategy},
        baselines="simple",
        out=out,
        progress=progress,
    )


@pytest.fixture(scope="module", params=["direct", "recursive"])
def run(request, tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("runs") / "run", request.param)


def test_what_is_known_makes_the_forecast(run):
    assert run.result["verdict"]["skill"] > 0.5
    told = lstune.load(run.path).predict(4)
    assert told.attrs["note"] is None
    assert told["forecast"].to_numpy() == pytest.approx(10 + 4 * SALES[ROWS:], abs=1.5)
    assert pd.read_csv(run.path / "forecast.csv")["forecast"].tolist() == pytest.approx(told["forecast"][:3])


def test_newer_knowledge_replaces_what_the_series_said(run, tmp_path):
    other = frame().iloc[ROWS - 2 :].drop(columns="pieces")  # rows that have passed may stand before
    other["sale"] = 1 - other["sale"]
    turned = run.predict(4, known=other)
    assert turned["forecast"].to_numpy() == pytest.approx(14 - 4 * SALES[ROWS:], abs=1.5)
    other.to_csv(tmp_path / "sale.csv", index=False)
    done = call(
        "forecast", run.path, "--steps", 4, "--known", tmp_path / "sale.csv", "--out", tmp_path / "f.csv"
    )
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "f.csv")["forecast"].tolist() == pytest.approx(turned["forecast"].tolist())
    gap = run.predict(4, known=other.drop(index=ROWS + 2))  # later rows say nothing of the one that is absent
    assert gap.attrs["note"].startswith("'sale' given for 2 of the 4 coming rows")
    alone = run.predict(1, known=other.iloc[[2]])  # one row has no step of its own
    assert alone["forecast"].iloc[0] == pytest.approx(turned["forecast"].iloc[0], abs=0.5)


def test_newer_rows_bring_their_own(run):
    newer = frame()
    newer.loc[ROWS, "pieces"] = 10 + 4 * SALES[ROWS]
    shown = run.predict(3, newer)
    assert shown.index[0] == pd.Timestamp(newer["day"][ROWS + 1])
    assert shown["forecast"].to_numpy() == pytest.approx(10 + 4 * SALES[ROWS + 1 :], abs=1.5)


def test_newer_rows_that_say_nothing_leave_what_the_run_was_told(run):
    newer = frame(ahead=0)
    newer.loc[ROWS] = [frame()["day"][ROWS], 10 + 4 * SALES[ROWS], SALES[ROWS]]
    for rows in (newer, newer.iloc[-3:], newer.iloc[-1:]):
        shown = run.predict(3, rows)
        assert shown.index[0] == pd.Timestamp(frame()["day"][ROWS + 1])
        assert shown.attrs["note"] is None
        assert shown["forecast"].to_numpy() == pytest.approx(10 + 4 * SALES[ROWS + 1 :], abs=1.5)
    older = run.predict(3, frame(ahead=0).iloc[:-2])  # of rows that have passed the history tells
    assert older["forecast"].to_numpy() == pytest.approx(10 + 4 * SALES[ROWS - 2 : ROWS + 1], abs=1.5)
    assert older.attrs["note"] is None
    apart = newer.assign(day=pd.date_range("2023-11-01", periods=len(newer)).astype(newer["day"].dtype))
    note = run.predict(3, apart).attrs["note"]
    assert "rows from 2023-11-01 00:00:00 on count alone: the gap behind 2023-09-17" in note
    assert "'sale' given for none" in note


def test_further_on_the_last_value_is_kept_and_that_is_said(run):
    shown = run.predict(6)
    assert shown.attrs["note"].startswith("'sale' given for 4 of the 6 coming rows")
    assert shown["forecast"].to_numpy()[4:] == pytest.approx(10 + 4 * SALES[[-1, -1]], abs=1.5)
    done = call("forecast", run.path, "--steps", 6)
    assert "for 4 of the 6 coming rows" in done.stderr


def test_what_does_not_follow_the_series(run):
    with pytest.raises(DataError, match="must begin with the row to be forecast first, 2023-09-18"):
        run.predict(known=frame().iloc[ROWS + 1 :].drop(columns="pieces"))
    with pytest.raises(DataError, match="no target column 'sale'"):
        run.predict(known=frame()[["day", "pieces"]])


def test_a_run_says_what_its_scores_rest_on(tmp_path):
    display = Notes()
    run_of(tmp_path / "run", table=frame(ahead=0), progress=display)
    assert any(text.startswith("Scores take 'sale' of coming rows as known") for text in display.notes)
    assert any("'sale' given for none of the 3 coming rows" in text for text in display.notes)


def test_rows_are_counted_where_there_are_no_dates(tmp_path):
    run = run_of(tmp_path / "run", table=frame().drop(columns="day"))
    turned = run.predict(3, known=pd.DataFrame({"sale": 1 - SALES[ROWS : ROWS + 3]}))
    assert turned["forecast"].to_numpy() == pytest.approx(14 - 4 * SALES[ROWS : ROWS + 3], abs=1.5)


def test_a_run_without_such_features_takes_none(tmp_path):
    table = frame(ahead=0)
    run = lstune.tune(table, target="pieces", features="sale", trials=2, space=TINY, out=tmp_path / "run")
    assert (run.path / "model" / "forecaster.json").read_text().startswith('{\n "schema": 1')
    with pytest.raises(UserError, match="No feature of this series is known beforehand"):
        run.predict(known=table)
