import threading

import numpy as np
import pytest

from lstune.engine import StopFlag, predict
from lstune.search import Job
from lstune.search.blobs import FolderBlobs
from lstune.series import scored_origins, split_series
from lstune.tuning.objective import (
    Objective,
    _validation,
    fit_member,
    forecast_windows,
    training_seed,
)
from lstune.tuning.states import StateStore

SETTING = {"units": 4, "lookback": 8, "epochs": 6, "patience": 0, "stride": "lookback/2", "batch_size": 8}


def make(series, horizon=1, folder=None, seed=3):
    split = split_series(series, max_lookback=24, horizon=horizon)
    return Objective(
        series,
        split.folds[0],
        horizon=horizon,
        seed=seed,
        states=StateStore(folder and FolderBlobs(folder)),
        stop=StopFlag(),
    )


def go(objective, start=0, stop=6, number=0, report=lambda epoch, value: False, **changes):
    return objective.run(Job(number, {**SETTING, **changes}, start, stop), report)


@pytest.mark.parametrize("supervision", ["every", "last"])
@pytest.mark.parametrize("transform", ["level", "difference", "log_difference", "seasonal_difference"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_value_is_the_mean_absolute_error_in_original_units(series, supervision, transform, horizon):
    objective = make(series, horizon)
    outcome = go(objective, supervision=supervision, transform=transform)
    assert outcome.status == "reached"
    assert outcome.epochs == 6
    fitted = objective.fitted(0, {**SETTING, "supervision": supervision, "transform": transform})
    part = fitted.pipeline.windows(objective.fold.validation)
    exact = np.abs(forecast_windows(fitted, part) - part.actual).mean()
    # In "every" the value comes from runs that know a few rows more than the exact windows.
    assert outcome.value == pytest.approx(exact, rel=1e-5 if supervision == "last" else 0.05)
    origins = scored_origins(series, objective.fold.validation, horizon)
    np.testing.assert_array_equal(part.origins, origins)


@pytest.mark.parametrize("lookback", [2, 8, 24])
def test_every_lookback_is_scored_on_the_same_rows(series, lookback):
    objective = make(series)
    _, validation = objective.prepared(objective.recipe({**SETTING, "lookback": lookback}))
    np.testing.assert_array_equal(
        validation.part.origins, scored_origins(series, objective.fold.validation, 1)
    )
    assert len(validation.row) == len(validation.part)


def test_runs_of_steps_give_what_windows_of_that_length_give(series):
    objective = make(series, horizon=2)
    go(objective)
    fitted = objective.fitted(0, SETTING)
    pipeline = fitted.pipeline
    part = pipeline.windows(objective.fold.validation)
    validation = _validation(part, "every")
    raw = predict(fitted.model, fitted.weights, validation.windows)[:, -validation.steps :]
    got = validation.forecasts(raw, pipeline)
    # Each origin by hand: the rows from the start of its run up to the origin, and the last step's output.
    for n in (0, 1, len(part) // 2, len(part) - 1):
        begin = int(validation.windows.starts[validation.row[n]])
        rows = part.inputs[begin : int(part.origins[n]) + 1][None]
        assert rows.shape[1] >= part.lookback
        from lstune.engine import Windows

        single = predict(fitted.model, fitted.weights, Windows.from_arrays(rows))[:, -1]
        wanted = pipeline.target_scaler.invert(single.astype(float)) + part.base[n]
        np.testing.assert_allclose(got[n], wanted[0], rtol=1e-4)


def test_two_jobs_are_one(series, tmp_path):
    whole = go(make(series, folder=tmp_path / "a"), dropout=0.2)
    objective = make(series, folder=tmp_path / "b")
    first = go(objective, 0, 2, dropout=0.2)
    assert (first.status, first.epochs) == ("reached", 2)
    again = make(series, folder=tmp_path / "b")  # another process: the state comes from the folder
    second = go(again, 2, 6, dropout=0.2)
    assert second.value == whole.value
    assert second.epochs == 6


def test_epochs_saved_but_not_told_are_reported_again(series, tmp_path):
    seen = []

    def report(epoch, value):
        seen.append((epoch, value))
        return False

    whole = go(make(series, folder=tmp_path), report=report)
    told = list(seen)
    seen.clear()
    again = go(make(series, folder=tmp_path), report=report)  # as after a crash before the study was told
    assert seen == told
    assert again.value == whole.value


def test_a_damaged_state_means_training_anew(series, tmp_path):
    whole = go(make(series, folder=tmp_path))
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert go(make(series, folder=tmp_path), 2, 6).value == whole.value


def test_work_after_the_search_leaves_its_states_alone(series, tmp_path):
    objective = make(series, folder=tmp_path)
    go(objective, 0, 2)
    later = objective.after_search(None)
    assert go(later, 2, 6).epochs == 6
    assert objective.states.get(0).epoch == 2
    assert later.states.get(0).epoch == later.after_search(None).states.get(0).epoch == 6


def test_a_trial_that_takes_too_long_fails_with_the_reason(series):
    objective = make(series)
    objective.timeout = 1e-9
    outcome = go(objective)
    assert outcome.status == "failed"
    assert "longer than" in outcome.reason


def test_the_scheduler_can_stop_a_trial(series):
    seen = []

    def report(epoch, value):
        seen.append((epoch, value))
        return epoch == 3

    outcome = go(make(series), report=report)
    assert outcome.status == "pruned"
    assert outcome.epochs == 3
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert outcome.value == min(value for _, value in seen)


def test_a_diverged_trial_has_no_value(series):
    outcome = go(make(series), learning_rate=1e30, clipnorm=0, optimizer="sgd", loss="mse")
    assert outcome.status == "diverged"
    assert outcome.value is None
    assert "not finite" in outcome.reason


def test_the_stop_flag_interrupts(series):
    objective = make(series)
    objective.stop.set()
    outcome = go(objective)
    assert (outcome.status, outcome.value, outcome.epochs) == ("interrupted", None, 0)
    assert go(objective.after_search(None)).status == "reached"


def test_early_stopping_says_so(series):
    outcome = go(make(series), stop=60, epochs=60, patience=1, learning_rate=0.1, decay="none")
    assert outcome.status == "early"
    assert outcome.epochs < 60


def test_trials_are_reproducible_and_differ_by_number(series):
    values = [go(make(series), number=number).value for number in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert training_seed(1, 2) == training_seed(1, 2) != training_seed(2, 1)


def test_threads_do_not_disturb_each_other(series):
    alone = [go(make(series), number=number).value for number in range(4)]
    objective = make(series)
    values = {}
    threads = [
        threading.Thread(target=lambda n=n: values.update({n: go(objective, number=n).value}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [values[number] for number in range(4)] == alone


def test_a_member_is_trained_on_the_rows_it_is_given(series):
    objective = make(series)
    chosen = objective.recipe(SETTING)
    stop = StopFlag()
    a = fit_member(series, range(200), chosen, horizon=1, epochs=3, seed=1, stop=stop)
    changed = type(series)(
        series.timestamps,
        np.where(np.arange(len(series)) < 200, series.values, 1e6),
        freq="D",
        season=12,
        seasonal=True,
    )
    b = fit_member(changed, range(200), chosen, horizon=1, epochs=3, seed=1, stop=stop)
    np.testing.assert_array_equal(a.weights, b.weights)
    stop.set()
    assert fit_member(series, range(200), chosen, horizon=1, epochs=3, seed=1, stop=stop) is None


def test_future_rows_do_not_change_a_trial(series):
    objective = make(series)
    end = objective.fold.validation.stop
    planted = type(series)(
        series.timestamps,
        np.where(np.arange(len(series)) < end, series.values, 1e6),
        freq="D",
        season=12,
        seasonal=True,
    )
    assert go(objective).value == go(make(planted)).value
