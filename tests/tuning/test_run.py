import csv
import json
import time
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.cli.table import result_table
from lstune.errors import DataError, RunError, SpaceError, StudyError, UserError
from lstune.evaluation import baseline_forecasts, mase_scale
from lstune.report import collect
from lstune.series import scored_origins, split_series
from lstune.tuning.executors import Outcome
from lstune.tuning.objective import Objective
from lstune.tuning.resume import resume

from .conftest import GOOD, TINY, Notes, make_series


def test_the_result_has_the_documented_form(run):
    result = json.loads((run.path / "result.json").read_text())
    assert result == run.result
    assert result["schema"] == 1
    assert result["series"]["rows"] == 300
    assert result["series"]["freq"] == "D"
    assert (result["series"]["start"], result["series"]["end"]) == (
        "2020-01-01T00:00:00",
        "2020-10-26T00:00:00",
    )
    assert (result["method"], result["seed"], result["horizon"]) == ("tpe", 1, 1)
    assert set(result["trials"]) == {"complete", "pruned", "failed"}
    assert sum(result["trials"].values()) == 5
    assert set(result["seconds"]) == {"search", "refit", "total"}
    assert set(result["best"]) >= {"units", "lookback", "transform"}
    assert set(result["validation"]) == {"mae", "rmse", "folds", "baselines"}
    assert {"rows", "mae", "rmse", "mase"} <= set(result["test"])
    assert set(result["baselines"]) == {"naive", "seasonal_naive", "drift", "mean"}
    assert all(set(errors) == {"mae", "rmse"} for errors in result["baselines"].values())
    assert {"baseline", "skill", "p_value", "text"} <= set(result["verdict"])


def test_a_seasonal_series_is_learnt(run):
    assert run.result["test"]["mae"] < 0.9 * run.result["baselines"]["naive"]["mae"]
    assert run.result["verdict"]["baseline"] == "seasonal_naive"
    assert run.result["verdict"]["skill"] > 0


@pytest.mark.parametrize("which", ["run", "multi"])
def test_baselines_are_scored_on_the_rows_of_the_tail(which, request):
    run = request.getfixturevalue(which)
    series = make_series()
    horizon = run.result["horizon"]
    split = split_series(series, max_lookback=12, horizon=horizon)
    origins = scored_origins(series, split.test, horizon)
    assert run.result["test"]["rows"] == len(origins) == 45 - horizon + 1
    truth = np.stack([series.values[origins + k] for k in range(1, horizon + 1)], axis=1)
    for name, forecast in baseline_forecasts(series.values, origins, horizon=horizon, season=12).items():
        errors = run.result["baselines"][name]
        assert errors["mae"] == pytest.approx(np.abs(forecast - truth).mean())
        assert errors["rmse"] == pytest.approx(np.sqrt(np.square(forecast - truth).mean()))
    scale = mase_scale(series.values[: split.test.start], 12)
    assert run.result["test"]["mase"] == pytest.approx(run.result["test"]["mae"] / scale)


def test_the_skill_follows_from_the_errors(run):
    result = run.result
    base = result["baselines"][result["verdict"]["baseline"]]["mae"]
    assert base == min(errors["mae"] for errors in result["baselines"].values())
    assert result["verdict"]["skill"] == pytest.approx(1 - result["test"]["mae"] / base)


def test_trials_csv_has_every_trial(run):
    with (run.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(range(5))
    assert {row["state"] for row in rows} <= {"complete", "pruned", "paused"}
    assert float(rows[0]["validation_mae"]) > 0
    assert rows[0]["units"] == "4"
    assert len(run.trials) == 5


def test_the_forecast_file_is_the_forecasters_forecast(run, multi):
    for each, rows in ((run, 1), (multi, 4)):
        table = pd.read_csv(each.path / "forecast.csv", index_col=0, parse_dates=True)
        assert len(table) == rows
        assert table.index[0] == pd.Timestamp("2020-10-27")
        pd.testing.assert_frame_equal(table, each.predict(), check_freq=False, check_index_type=False)


def test_a_run_can_be_moved_and_loaded(run, tmp_path):
    import shutil

    shutil.copytree(run.path, tmp_path / "moved")
    again = lstune.load(tmp_path / "moved")
    assert again.result == run.result
    pd.testing.assert_frame_equal(again.predict(5), run.predict(5))
    assert run.verdict in repr(again)


def test_the_report_is_one_file(run):
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "no skill over seasonal naive" in page.lower() or "beats seasonal naive" in page.lower()
    assert len(page) < 6_000_000


def test_the_search_repeats_itself_with_one_worker(tmp_path):
    results = []
    for name in "ab":
        run = lstune.tune(make_series(), trials=4, space=TINY, seed=5, workers=1, out=tmp_path / name)
        results.append({key: value for key, value in run.result.items() if key != "seconds"})
    assert results[0] == results[1]


def test_the_test_tail_decides_nothing(tmp_path):
    """Other values in the tail: the same trials, the same setting, the same shares."""
    series = make_series()
    tail = split_series(series, max_lookback=12).test
    other = series.values.copy()
    other[tail.start :] = np.random.default_rng(0).normal(10, 1, len(tail))
    changed = type(series)(series.timestamps, other, freq="D", season=12, seasonal=True)
    runs = [
        lstune.tune(each, trials=4, space=TINY, workers=1, out=tmp_path / name)
        for name, each in (("a", series), ("b", changed))
    ]
    for key in ("trials", "best", "validation"):
        assert runs[0].result[key] == runs[1].result[key]
    shares = [[entry["share"] for entry in each.result["forecaster"]["settings"]] for each in runs]
    assert shares[0] == shares[1]
    columns = ["trial", "state", "validation_mae", "epochs_trained"]
    pd.testing.assert_frame_equal(runs[0].trials[columns], runs[1].trials[columns])


def test_the_budget_covers_everything(tmp_path):
    # A machine busy with other things can be late once or twice: one run in four has to be in time.
    late = []
    for attempt in range(4):
        began = time.monotonic()
        try:
            run = lstune.tune(make_series(), budget="6s", space=TINY, out=tmp_path / str(attempt))
        except StudyError as error:
            late.append(str(error))
            continue
        spent = time.monotonic() - began
        assert run.result["seconds"]["total"] <= spent
        if spent < 6 + 3 and run.result["seconds"]["search"] > 1:
            return
        late.append(run.result["seconds"])
    pytest.fail(f"never in time: {late}")


def test_direct_and_recursive_forecasts_side_by_side(tmp_path):
    space = {**TINY, "strategy": ["direct", "recursive"], "lookback": 6, "transform": "level"}
    run = lstune.tune(make_series(), horizon=3, method="grid", trials=2, space=space, out=tmp_path / "run")
    steps = run.result["steps"]
    assert set(steps["validation"]) == {"direct", "recursive"}
    assert {len(errors) for errors in [*steps["validation"].values(), *steps["test"].values()]} == {3}
    assert np.mean(steps["test"]["forecast"]) == pytest.approx(run.result["test"]["mae"])
    assert {"smape", "pinball", "directional_accuracy"} <= set(run.result["test"])
    assert len(run.predict(7)) == 7


@pytest.mark.usefixtures("with_statsforecast")
def test_fitted_baselines_stand_beside_the_simple_ones(tmp_path):
    asked = {"trials": 2, "space": TINY, "method": "random", "workers": 1, "horizon": 2}
    found = lstune.tune(make_series(), **asked, baselines="auto_theta,auto_ets", out=tmp_path / "with")
    plain = lstune.tune(make_series(), **asked, baselines="simple", out=tmp_path / "without")
    assert list(found.result["baselines"])[-2:] == ["auto_theta", "auto_ets"]
    assert list(plain.result["baselines"]) == ["naive", "seasonal_naive", "drift", "mean"]
    assert found.result["test"] == plain.result["test"]
    best = min(errors["mae"] for errors in found.result["baselines"].values())
    verdict = found.result["verdict"]
    assert found.result["baselines"][verdict["baseline"]]["mae"] == best
    names = [row.name for row in collect(found.path).errors]
    assert names[-2:] == ["AutoTheta", "AutoETS"]


def test_finalists_see_every_fold(tmp_path):
    series = make_series(rows=400)
    run = lstune.tune(series, trials=4, folds=3, space=TINY, workers=1, out=tmp_path / "run")
    split = split_series(series, max_lookback=12, folds=3)
    origins = np.concatenate([scored_origins(series, fold.validation, 1) for fold in split.folds])
    with np.load(run.path / "predictions.npz") as kept:
        assert len(kept["validation_forecasts"]) == len(scored_origins(series, split.folds[-1].validation, 1))
        last = np.abs(
            kept["validation_forecasts"][:, 0] - series.values[kept["validation_origins"] + 1]
        ).mean()
    naive = np.abs(np.diff(series.values)[origins]).mean()
    assert 0.3 * naive < run.result["validation"]["mae"] < naive
    assert run.result["validation"]["mae"] != pytest.approx(last)


def test_manual_trains_one_setting_to_its_end(tmp_path):
    space = {**TINY, "lookback": 6, "transform": "level", "patience": 0}
    run = lstune.tune(make_series(), method="manual", space=space, out=tmp_path / "run")
    assert run.result["trials"] == {"complete": 1, "pruned": 0, "failed": 0}
    assert run.trials["epochs"].tolist() == [6]
    assert run.result["best"]["transform"] == "level"


def test_grid_tries_every_setting(tmp_path):
    space = {
        **TINY,
        "activation": "tanh",
        "dropout": 0.0,
        "loss": "mae",
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 0.01,
    }
    run = lstune.tune(make_series(), method="grid", space=space, out=tmp_path / "run")
    assert len(run.trials) == 4
    assert len(run.trials[["lookback", "transform"]].drop_duplicates()) == 4


def test_features_and_rows_without_dates(tmp_path):
    rng = np.random.default_rng(0)
    driver = rng.normal(size=200)
    frame = pd.DataFrame({"y": np.roll(driver, 1) + 0.05 * rng.normal(size=200), "driver": driver})
    run = lstune.tune(frame, target="y", features="driver", trials=4, space=GOOD, out=tmp_path / "run")
    assert run.forecaster.history.feature_names == ("driver",)
    assert run.result["verdict"]["skill"] > 0.3
    assert len(run.predict(3)) == 3


def test_a_study_in_which_all_fails_names_the_reason(tmp_path):
    space = {**TINY, "learning_rate": 1e30, "optimizer": "adam", "clipnorm": 0, "loss": "mse"}
    with pytest.raises(StudyError, match=r"Every trial failed.*not finite") as error:
        lstune.tune(make_series(), trials=3, space=space, out=tmp_path / "run")
    assert "learning_rate" in str(error.value)
    assert "diverged" in (tmp_path / "run" / "trials.csv").read_text()


def test_a_budget_too_small_for_one_epoch_still_ends_usefully(tmp_path, monkeypatch):
    def train_too_long(self, job, report):
        while not self.stop.is_set():
            time.sleep(0.01)
        return Outcome("interrupted", None, 0, "no epoch was finished", 0.0)

    monkeypatch.setattr(Objective, "run", train_too_long)
    display = Notes()
    asked = {"space": TINY, "budget": "2s", "progress": display}
    run = lstune.tune(make_series(), out=tmp_path / "run", **asked)
    assert run.verdict.startswith("no skill over seasonal naive: use the seasonal naive forecast (time ended")
    assert run.result["forecaster"]["baselines"] == {"seasonal_naive": 1.0}
    assert run.result["trials"]["complete"] == 0
    assert any("larger --budget" in note for note in display.notes)
    assert run.predict()["forecast"].iloc[0] == make_series().values[-12]
    assert "time ended" in (run.path / "report.html").read_text()
    assert "time ended" in result_table(run.result, str(run.path))
    monkeypatch.undo()
    again = resume(run.path, trials=3)
    assert again.result["trials"]["complete"] >= 1


def test_the_time_that_compiling_takes_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("lstune.engine.warmup"), "is_compiled", lambda: False)
    display = Notes()
    lstune.tune(make_series(), space=TINY, trials=1, budget="1h", progress=display, out=tmp_path / "run")
    assert any("Compiling took" in note and "budget" in note for note in display.notes)


class Interrupts(Notes):
    """Presses Ctrl-C once there is a result."""

    pressed = False

    def show(self, snapshot):
        if snapshot.best is not None and not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt


def test_ctrl_c_finishes_with_what_was_found(tmp_path):
    progress = Interrupts()
    run = lstune.tune(
        make_series(), trials=10_000, space={**TINY, "units": [4, 8]}, out=tmp_path / "run", progress=progress
    )
    assert progress.pressed
    assert 1 <= sum(run.result["trials"].values()) < 10_000
    assert any("Interrupted" in note for note in progress.notes)
    assert len(run.predict(2)) == 2


def test_names_and_files(tmp_path):
    with pytest.raises(UserError, match="amzn"):
        lstune.tune("nosuchname", trials=1, out=tmp_path / "run")
    with pytest.raises(DataError):
        lstune.tune(str(tmp_path / "missing.csv"), trials=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"horizon": 0}, UserError),
        ({"trials": 0}, UserError),
        ({"budget": "soon"}, UserError),
        ({"seed": -1}, UserError),
        ({"workers": 0}, UserError),
        ({"folds": 0}, UserError),
        ({"test_fraction": 0.0}, UserError),
        ({"method": "magic"}, UserError),
        ({"space": {"unit": 3}}, SpaceError),
        ({"space": {"lookback": 5000}}, DataError),
    ],
)
def test_bad_options_leave_no_folder(tmp_path, options, error):
    with pytest.raises(error):
        lstune.tune(make_series(), out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_folder_is_not_used_twice(run):
    with pytest.raises(RunError, match="folder of its own"):
        lstune.tune(make_series(), trials=1, space=TINY, out=run.path)


def test_load_needs_a_finished_run(tmp_path):
    with pytest.raises(RunError):
        lstune.load(tmp_path)
