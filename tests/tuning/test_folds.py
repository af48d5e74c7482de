"""With several folds, what is compared was measured on the same rows."""

import json
import shutil
from statistics import NormalDist

import numpy as np
import pytest

import lstune
from lstune.report import collect
from lstune.series import scored_origins, split_series
from lstune.tuning import ending
from lstune.tuning.finish import Mixture
from lstune.tuning.result import _optimism

from .conftest import TINY, Notes, make_series, record


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    space = {**TINY, "units": [2, 3, 4, 5]}
    out = tmp_path_factory.mktemp("runs") / "folds"
    return lstune.tune(make_series(rows=400), trials=8, folds=3, space=space, workers=1, out=out)


def test_the_chosen_forecast_is_compared_on_the_rows_of_every_fold(run, tmp_path):
    series = make_series(rows=400)
    folds = split_series(series, max_lookback=13, folds=3).folds
    steps = [np.abs(np.diff(series.values))[scored_origins(series, fold.validation, 1)] for fold in folds]
    kept = run.result["validation"]
    assert kept["folds"] == 3
    assert kept["baselines"]["naive"] == pytest.approx(np.concatenate(steps).mean())
    row = _chosen(run.path)
    assert row.rows == "validation, 3 folds"
    name = row.baseline.replace(" ", "_")
    assert row.ratio == pytest.approx(kept["mae"] / kept["baselines"][name])
    assert collect(run.path).naive_validation == pytest.approx(steps[-1].mean())
    # A folder of an earlier version knows the last fold alone.
    folder = shutil.copytree(run.path, tmp_path / "old")
    old = {**run.result, "validation": {"mae": kept["mae"], "rmse": kept["rmse"]}}
    (folder / "result.json").write_text(json.dumps(old))
    assert _chosen(folder).rows == "validation"
    assert _chosen(folder).baseline_mae != pytest.approx(row.baseline_mae)


def test_optimism_is_of_the_rows_that_trials_were_compared_on():
    losses = np.random.default_rng(0).exponential(size=(90, 1))
    mixture = Mixture((), (), {}, losses, np.zeros((90, 1)))
    trials = [record(number, value) for number, value in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 6.0))]
    found = _optimism(trials, mixture, 30)
    error = losses[-30:].std(ddof=1) / np.sqrt(30)
    assert found == pytest.approx(error * NormalDist().inv_cdf((3 - 0.375) / (3 + 0.25)))


def test_without_time_for_earlier_folds_the_last_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(ending, "try_folds", lambda objectives, candidates, workers: [])
    display = Notes()
    run = lstune.tune(make_series(), space=TINY, trials=2, folds=2, progress=display, out=tmp_path / "run")
    assert any("earlier folds" in note for note in display.notes)
    assert run.result["validation"]["folds"] == 1
    assert _chosen(run.path).rows == "validation"


def _chosen(path):
    return next(row for row in collect(path).honesty if row.name == "chosen forecast")
