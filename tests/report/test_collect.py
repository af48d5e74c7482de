import csv
import errno
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lstune.errors import RunError
from lstune.report import collect, write_comparison, write_report
from lstune.report.asked import asked, command
from lstune.report.gather import _edges, _rows
from lstune.report.read import read_folder
from lstune.search import Float, Int, Space, TrialState


@pytest.fixture(scope="module")
def data(run):
    return collect(run.path)


def test_errors_are_those_of_the_result(run, data):
    own = next(row for row in data.errors if row.own)
    assert own.mae == pytest.approx(run.result["test"]["mae"])
    assert own.rmse == pytest.approx(run.result["test"]["rmse"])
    assert own.mase == pytest.approx(run.result["test"]["mase"])
    for row in data.errors:
        if not row.own:
            known = run.result["baselines"][row.name.replace(" ", "_")]
            assert row.mae == pytest.approx(known["mae"])
            assert row.versus == pytest.approx(own.mae / row.mae)


def test_steps_average_to_the_error(run, data):
    assert len(data.steps["lstune"]) == 3
    assert np.mean(data.steps["lstune"]) == pytest.approx(run.result["test"]["mae"], rel=1e-4)


def test_the_tail_shows_each_row_once_and_ends_with_the_series(run, data):
    found = data.forecasts
    assert found.x == sorted(set(found.x))
    assert found.x[-1] == data.end == "2020-10-26"
    assert len(found.x) == len(found.actual) == len(found.model) == len(found.baseline)
    assert [band.level for band in found.bands] == [95, 80]
    assert len(found.future) == 3
    assert found.future_x[0] == "2020-10-27"
    inside = [
        low <= y <= high
        for low, y, high in zip(found.bands[0].low, found.actual, found.bands[0].high, strict=True)
    ]
    assert 0.6 < np.mean(inside) <= 1.0


def test_residuals_are_truth_minus_the_first_step(run, data):
    with np.load(run.path / "predictions.npz") as stored:
        origins, forecasts = stored["test_origins"], stored["test_forecasts"]
    with np.load(run.path / "series.npz") as stored:
        values = stored["values"]
    expected = values[origins + 1] - forecasts[:, 0]
    np.testing.assert_allclose(data.residuals.values, expected, rtol=1e-4, atol=1e-5)
    assert data.residuals.mean == pytest.approx(expected.mean())
    assert sum(data.residuals.counts) == len(expected)
    assert data.residuals.bound == pytest.approx(1.96 / np.sqrt(len(expected)))


def test_validation_and_test_stand_side_by_side(run, data):
    chosen = next(row for row in data.honesty if row.name == "chosen forecast")
    assert chosen.mae == pytest.approx(run.result["validation"]["mae"])
    last = data.honesty[-1]
    assert last.mae == pytest.approx(run.result["test"]["mae"])
    assert last.ratio == pytest.approx(1 - run.result["verdict"]["skill"])
    assert data.naive_validation > 0
    assert data.optimism is None or data.optimism >= 0


def test_validation_forecasts_give_the_validation_error(run):
    with np.load(run.path / "predictions.npz") as stored:
        origins, forecasts = stored["validation_origins"], stored["validation_forecasts"]
    with np.load(run.path / "series.npz") as stored:
        values = stored["values"]
    actual = values[origins[:, None] + np.arange(1, 4)]
    assert np.abs(actual - forecasts).mean() == pytest.approx(run.result["validation"]["mae"])


def test_trials_are_those_of_the_table(run, data):
    with open(run.path / "trials.csv", newline="") as file:
        rows = list(csv.reader(file))
    values = [float(row[2]) if row[2] else None for row in rows[1:]]
    assert [row.value for row in data.trials] == pytest.approx(values)
    assert len(data.trials) == 14
    for row in data.trials:
        if row.curve:
            assert min(value for _, value in row.curve) == pytest.approx(row.value, rel=1e-4)
    best = data.trials[data.best_trial]
    assert best.params == run.result["best"]
    assert len(data.training["loss"]) >= 1
    assert data.importance.trials >= 10
    assert set(data.importance.shares) <= set(data.searched)


def test_rungs_count_trials(data):
    assert list(data.rungs.values()) == sorted(data.rungs.values(), reverse=True)
    assert max(data.rungs) == 6


def test_a_folder_without_its_study_is_read_from_the_table(run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run.path, folder)
    whole = collect(folder)
    (folder / "study.journal").unlink()
    table = collect(folder)
    assert [row.value for row in table.trials] == [row.value for row in whole.trials]
    assert [row.params for row in table.trials] == [row.params for row in whole.trials]


def test_a_folder_with_the_result_alone_still_makes_a_report(run, tmp_path):
    from lstune.report import render

    shutil.copy(run.path / "result.json", tmp_path)
    data = collect(tmp_path)
    assert data.forecasts is None
    assert data.trials == []
    assert next(row for row in data.errors if row.own).mae == run.result["test"]["mae"]
    for format in ("html", "md", "json"):
        assert "naive" in render(data, format)


def test_a_folder_without_a_result_is_refused(tmp_path):
    with pytest.raises(RunError, match="finished run"):
        collect(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(RunError, match="lstune resume"):
        collect(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        collect(tmp_path)


def test_values_at_the_edge_name_the_option_that_widens():
    space = Space({"units": Int(8, 64, log=True), "rate": Float(1e-3, 1e-1, log=True), "layers": Int(1, 2)})
    assert _edges(space, {"units": 20, "rate": 0.01, "layers": 1}) == []
    text = _edges(space, {"units": 64, "rate": 0.001, "layers": 2})
    assert [line.rsplit("--set ", 1)[1] for line in text] == [
        "units=8..128",
        "rate=0.00025..0.1",
        "layers=1..3",
    ]


def test_no_trial_of_a_finished_run_is_called_running(run):
    folder = read_folder(run.path)
    cut = replace(folder, trials=[replace(folder.trials[0], state=TrialState.RUNNING)])
    assert [row.state for row in _rows(cut)] == ["interrupted"]


def test_the_command_tells_what_was_asked():
    settings = {
        "series": {"source": "my data.csv"},
        "changed": ["units", "loss", "dropout"],
        "space": {
            "units": {"type": "int", "low": 8, "high": 16, "log": True},
            "loss": {"type": "choice", "options": ["mae", "mse"]},
            "dropout": {"type": "fixed", "value": 0.123456789},
        },
        "options": {"horizon": 24, "method": "tpe", "budget": 90.0, "seed": 3, "ensemble": False},
        "reading": {"target": "y", "features": ["a", "b"], "header": False, "missing": ["?", "x y"]},
    }
    assert command(settings) == (
        "lstune tune 'my data.csv' --target y --features a,b --read header=no --read 'missing=?,x y' "
        "--horizon 24 --method tpe --budget 90s --seed 3 --no-ensemble --set units=8..16:log "
        "--set loss=mae,mse --set dropout=0.123456789"
    )
    more = {
        "options": {"method": "grid", "folds": 1, "trial_timeout": 5.0, "large_grid": True},
        "changed": [],
    }
    assert command({**settings, **more, "reading": {}}) == (
        "lstune tune 'my data.csv' --method grid --trial-timeout 5s --yes"
    )
    # --set has no words for a step.
    steps = {"units": {"type": "int", "low": 8, "high": 16, "step": 4}}
    assert command({**settings, "changed": ["units"], "space": steps}) is None
    assert command({**settings, "changed": None}) is None
    assert command({**settings, "series": {}}) is None


def test_the_command_is_one_that_the_command_line_takes(tmp_path):
    from lstune.tuning.defaults import parse_override

    name, value = parse_override("units=8..16:log")
    assert (name, value["low"], value["high"], value["log"]) == ("units", 8, 16, True)


def test_settings_tell_source_and_versions(run):
    settings = json.loads((run.path / "settings.json").read_text())
    assert settings["series"]["source"] is None
    assert {"python", "lstune", "numpy", "numba"} <= set(settings["versions"])
    assert "units" in settings["changed"]


def test_the_bands_are_those_whose_coverage_is_told(undated):
    data = collect(undated.path)
    for band in data.forecasts.bands:
        inside = [
            low <= y <= high for low, y, high in zip(band.low, data.forecasts.actual, band.high, strict=True)
        ]
        assert np.mean(inside) == pytest.approx(data.coverage[f"{band.level:g}"], abs=0.011)


def test_a_password_stays_out_of_reports():
    found = asked(
        {"options": {"storage": "postgresql://me:se/c@ret@host/db", "seed": 1}, "reading": {"target": "y"}}
    )
    assert found == {"storage": "postgresql://me:***@host/db", "seed": 1, "target": "y"}
    queried = asked({"options": {"storage": "postgresql://host/db?user=me&password=secret"}})
    assert queried == {"storage": "postgresql://host/db?user=me&password=***"}


@pytest.mark.parametrize("limit", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_leaves_the_report_that_is_there(run, tmp_path, monkeypatch, limit):
    path = tmp_path / "report.html"
    path.write_text("a good page")

    def full(*_):
        raise OSError(limit, os.strerror(limit))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="report cannot be written"):
        write_report(run.path, path)
    monkeypatch.setattr("lstune.report.comparison.to_html", str)
    with pytest.raises(OSError, match=os.strerror(limit)):
        write_comparison({}, path)
    assert path.read_text() == "a good page"
