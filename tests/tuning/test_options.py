"""What `tune` and `resume` are asked for: refused before anything is written, or kept as plain data."""

import json

import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.errors import ConfigError, UserError
from lstune.tuning.options import TuneOptions
from lstune.tuning.resume import resume
from lstune.tuning.run import open_series

from .conftest import TINY, make_series


@pytest.mark.parametrize("name", ["method", "scheduler"])
@pytest.mark.parametrize("value", ["magic", ["gp"], ["asha"], [], {}, 5, ""])
def test_names_that_are_none(tmp_path, name, value):
    with pytest.raises(ConfigError, match=f"The {name} must be one of .*, ") as caught:
        lstune.tune(make_series(), trials=1, space=TINY, out=tmp_path / "run", **{name: value})
    assert str(value) in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"method": "TPE"}, "'tpe'"),
        ({"scheduler": "ASHA"}, "'asha'"),
        ({"space": {"lr": 0.1}}, "'learning_rate'"),
        ({"space": {"unit": 8}}, "'units'"),
        ({"data": "sunspot"}, "'sunspots'"),
    ],
)
def test_names_that_are_near(options, meant):
    with pytest.raises(UserError, match=f"Perhaps {meant} is meant"):
        lstune.tune(**{"data": make_series(), "trials": 1, **options})


def test_scalars_of_numpy_are_kept_as_plain_data(tmp_path):
    counts = {"horizon": np.int64(2), "trials": np.int32(2), "workers": np.uint8(1), "seed": np.int64(3)}
    shares = {"test_fraction": np.float32(0.25), "ensemble": np.bool_(True), "budget": np.int64(600)}
    space = {**TINY, "epochs": np.int64(3), "units": [np.int64(4), np.int32(5)]}
    run = lstune.tune(make_series(), **counts, **shares, space=space, out=tmp_path / "run")
    kept = json.loads((run.path / "settings.json").read_text())
    assert kept["options"] == {
        **TuneOptions(horizon=2, trials=2, workers=1, seed=3, test_fraction=0.25, budget=600).to_dict(),
        "study": "run",
    }
    assert kept["space"]["epochs"] == {"type": "fixed", "value": 3}
    assert len(resume(run.path, trials=np.int64(3)).trials) == 3


@pytest.mark.parametrize("value", [True, np.bool_(True), 2.0, np.float64(2.0), np.int64(0), "2"])
@pytest.mark.parametrize("name", ["trials", "horizon", "workers", "folds"])
def test_numbers_that_are_no_counts(name, value):
    with pytest.raises(UserError, match=f"{name} must be a whole number of 1 or more"):
        TuneOptions(**{name: value})


def test_a_comparison_with_scalars_of_numpy(tmp_path):
    counts = {"seeds": np.int64(2), "seed": np.int64(3), "trials": np.int64(2), "workers": np.int64(1)}
    done = lstune.compare(make_series(), methods="random", space=TINY, out=tmp_path / "run", **counts)
    assert [search["seed"] for search in done.result["searches"]] == [3, 4]
    with pytest.raises(UserError, match="seeds must be"):
        lstune.compare(make_series(), seeds=np.bool_(True), out=tmp_path / "other")


def test_a_season_is_not_looked_for_in_validation_rows():
    options = TuneOptions(folds=3)
    assert options.training_share == pytest.approx(0.4)
    assert TuneOptions(folds=9).training_share == pytest.approx(0.85 / 3)
    assert TuneOptions(test_fraction=0.6, validation_fraction=0.6).training_share == 0.0
    stamps = pd.date_range("2024-01-01", periods=960, freq="h")
    values = np.sin(np.arange(960) * 2 * np.pi / 24) + 0.1 * np.random.default_rng(0).normal(size=960)
    validation = slice(int(0.4 * 960), 480)  # in the first half all the same
    values[validation] = 100 * np.random.default_rng(5).normal(size=480 - int(0.4 * 960))
    table = pd.DataFrame({"time": stamps, "load": values})
    assert not open_series(table, 0.7, target="load").seasonal
    assert open_series(table, options.training_share, target="load").seasonal
    assert open_series(table, options.training_share, target="load", season=12).season == 12


WRONG = {
    "test_fraction": [float("nan"), float("inf"), "0.1", None, True, 0, 1, -0.1, [0.1]],
    "validation_fraction": [float("nan"), "0.1", None, False, 1.5],
    "budget": [10**400, -1, float("nan"), True, [], {}],
    "trial_timeout": [10**400, 0],
    "workers": [10**6, 1025],
    "baselines": [None, 3, "", []],
    "storage": [3, "", " ", "a\0b", []],
    "study": [3, "", {}],
    "ensemble": ["no", None, 1],
    "large_grid": ["yes", 0],
    "space": [3, [1], 2.5],
    "out": [3, "a\0b", b"run", []],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=repr
)
def test_whatever_is_given_for_an_option(tmp_path, monkeypatch, name, value):
    monkeypatch.chdir(tmp_path)
    given = {"trials": 1, "space": TINY, "out": "run", name: value}
    if name == "study":
        given["storage"] = "study.journal"
    with pytest.raises(UserError):
        lstune.tune(make_series(), **given)
    assert not list(tmp_path.iterdir())


def test_a_storage_may_be_a_path(tmp_path):
    assert TuneOptions(storage=tmp_path / "study.journal").to_dict()["storage"] == f"{tmp_path}/study.journal"
    assert TuneOptions(workers=1024).threads == 1024


def test_a_file_that_cannot_be_looked_for():
    """As in a folder that the user may not enter."""
    with pytest.raises(UserError, match=r"cannot be read.*xxx"):
        lstune.tune("x" * 300 + ".csv", trials=1)
