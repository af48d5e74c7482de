"""Searches from end to end: trained by the engine, saved, reloaded, promoted; models come back from Keras."""

from __future__ import annotations

import json
import math
import threading
import time

import numpy as np
import pytest

import lstune.kt as kt
from lstune.kt.base_tuner import parse_budget
from lstune.kt.trial import Trial

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = [
    # Keras' own variables, not yet made for NumPy 2; and Keras Tuner's threads.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(currentThread|getName).*is deprecated:DeprecationWarning"),
]


L = 8


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    series = np.sin(np.arange(240) / 5) + 0.05 * rng.normal(size=240)
    x = np.stack([series[i : i + L] for i in range(220)])[..., None]
    y = series[L : L + 220, None]
    return (x[:160], y[:160]), (x[160:], y[160:])


def build(hp):
    """Not one weight exists until training: no Input layer, as in most notebooks."""
    model = keras.Sequential(
        [
            layers.LSTM(hp.Int("units", 2, 8, step=2)),
            layers.Dropout(hp.Float("dropout", 0, 0.2, step=0.1)),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer=hp.Choice("optimizer", ["adam", "sgd"]), loss="mse", metrics=["mae"])
    return model


def search(tuner, data, **kwargs):
    train, validation = data
    tuner.search(*train, validation_data=validation, verbose=0, **{"epochs": 3, **kwargs})
    return tuner


TUNERS = {
    "random": lambda **k: kt.RandomSearch(build, "val_loss", max_trials=4, **k),
    "grid": lambda **k: kt.GridSearch(build, "val_loss", max_trials=4, **k),
    "gp": lambda **k: kt.BayesianOptimization(build, "val_mae", max_trials=4, num_initial_points=3, **k),
    "tpe": lambda **k: kt.TPE(build, "val_loss", max_trials=4, **k),
    "hyperband": lambda **k: kt.Hyperband(build, "val_loss", max_epochs=4, **k),
    "bohb": lambda **k: kt.BOHB(build, "val_loss", max_epochs=4, **k),
}


@pytest.mark.parametrize("make", TUNERS.values(), ids=TUNERS)
def test_a_search_with_each_tuner(make, data, tmp_path):
    tuner = search(make(directory=tmp_path, project_name="p", seed=0), data)
    trials = tuner.oracle.trials.values()
    assert len(trials) >= 4
    assert all(t.status == "COMPLETED" and t.engine == "lstune" for t in trials)
    best = tuner.oracle.get_best_trials(2)
    assert best[0].score <= best[1].score
    assert tuner.get_best_hyperparameters()[0].values == best[0].hyperparameters.values
    assert tuner.get_best_step()[0] == best[0].best_step
    settings = [
        json.dumps({k: v for k, v in t.hyperparameters.values.items() if "/" not in k}) for t in trials
    ]
    if "tuner/epochs" not in best[0].hyperparameters.values:
        assert len(set(settings)) == len(settings)


def test_best_model_is_a_real_keras_model_with_the_best_epochs_weights(data, tmp_path, capsys):
    tuner = search(
        kt.RandomSearch(build, "val_loss", max_trials=3, directory=tmp_path, seed=1), data, epochs=6
    )
    model = tuner.get_best_models(1)[0]
    _, (x, y) = data
    best = tuner.oracle.get_best_trials(1)[0]
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(best.score, rel=1e-4)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    tuner.search_space_summary()
    tuner.results_summary()
    printed = capsys.readouterr().out
    assert "units (Int)" in printed
    assert "Trained by: lstune" in printed


def test_hyperband_plans_what_keras_tuner_plans(tmp_path, keras_tuner):
    """The same trials in the same rounds with the same epochs, for objectives that are equal."""

    def build_space(hp):
        hp.Float("x", 0, 1)

    def rounds(module, folder):
        class Tuner(module.Hyperband):
            def run_trial(self, trial, *args, **kwargs):
                values = trial.hyperparameters.values
                seen.append(
                    (
                        values["tuner/bracket"],
                        values["tuner/round"],
                        values["tuner/initial_epoch"],
                        values["tuner/epochs"],
                    )
                )
                return {"val_loss": values["x"]}

        seen: list[tuple[int, ...]] = []
        hp = module.HyperParameters()
        build_space(hp)
        tuner = Tuner(
            None,
            "val_loss",
            max_epochs=10,
            hyperband_iterations=2,
            hyperparameters=hp,
            directory=folder,
            seed=0,
        )
        tuner.search(verbose=0)
        return seen, tuner

    theirs, _ = rounds(keras_tuner, str(tmp_path / "theirs"))
    ours, tuner = rounds(kt, tmp_path / "ours")
    assert sorted(ours) == sorted(theirs)
    assert len(ours) == 60
    for trial in tuner.oracle.trials.values():
        past = trial.hyperparameters.values.get("tuner/trial_id")
        if past is not None:
            assert tuner.oracle.trials[past].hyperparameters["x"] == trial.hyperparameters["x"]


def test_a_promoted_trial_goes_on_where_it_stopped(data, tmp_path):
    """Three rounds of one trial give what one training of as many epochs gives, optimizer and all."""
    tuner = kt.Hyperband(build, "val_loss", max_epochs=9, directory=tmp_path, seed=3)
    search(tuner, data)
    chain = next(t for t in tuner.oracle.trials.values() if t.hyperparameters.values["tuner/round"] == 2)
    values = chain.hyperparameters.values
    assert (values["tuner/initial_epoch"], values["tuner/epochs"]) == (3, 9)
    from lstune.engine import TrainState

    state = TrainState.load(tmp_path / "untitled_project" / f"trial_{chain.trial_id}" / "state.npz")
    assert state.epoch == 9
    assert state.step == 9 * math.ceil(160 / 32)
    assert len(state.history["loss"]) == 9


def test_a_search_goes_on_after_reloading(data, tmp_path):
    arguments = {"max_trials": 6, "directory": tmp_path, "project_name": "p", "seed": 2}
    whole = search(
        kt.RandomSearch(build, "val_loss", **{**arguments, "project_name": "whole"}), data, workers=1
    )
    first = kt.RandomSearch(build, "val_loss", **{**arguments, "max_trials": 3})
    search(first, data, workers=1)
    second = kt.RandomSearch(build, "val_loss", **arguments)
    assert second.remaining_trials == 3
    search(second, data, workers=1)
    assert second.remaining_trials == 0
    assert [t.score for t in second.oracle.trials.values()] == [t.score for t in whole.oracle.trials.values()]
    fresh = kt.RandomSearch(build, "val_loss", **arguments, overwrite=True)
    assert fresh.oracle.trials == {}


def test_a_tuner_has_the_id_that_it_is_given_and_knows_the_folder_by_any(tmp_path, monkeypatch):
    class Box(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            return trial.hyperparameters.Float("x", 0, 1)

    arguments = {"directory": tmp_path, "project_name": "p"}
    first = Box(max_trials=2, tuner_id="me", **arguments)
    first.search(verbose=0, workers=2)
    assert first.tuner_id == "me"
    assert (tmp_path / "p" / "me.json").exists()
    assert not (tmp_path / "p" / "tuner0.json").exists()
    assert Box(max_trials=3, **arguments).remaining_trials == 1
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker1")
    assert Box(max_trials=3, **arguments).tuner_id == "worker1"
    # Each would search for itself, and all of them in one folder.
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(RuntimeError, match=r"chief.*Unset the KERASTUNER_ variables"):
        Box(max_trials=3, **arguments)


def test_a_folder_that_keras_tuner_wrote_is_taken_over(tmp_path, keras_tuner):
    class Theirs(keras_tuner.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            x = trial.hyperparameters.Float("x", 0, 1)
            return {"val_loss": float("inf") if x > 0.9 else x}

    class Ours(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            return {"val_loss": trial.hyperparameters.Float("x", 0, 1)}

    theirs = Theirs(objective="val_loss", max_trials=20, directory=str(tmp_path), project_name="p", seed=1)
    theirs.search(verbose=0)
    ours = Ours(objective="val_loss", max_trials=22, directory=tmp_path, project_name="p", seed=1)
    assert len(ours.oracle.trials) == len(theirs.oracle.trials)
    assert ours.oracle.get_best_trials(1)[0].score == theirs.oracle.get_best_trials(1)[0].score
    infinite = [t for t in ours.oracle.trials.values() if t.hyperparameters["x"] > 0.9]
    assert infinite
    assert all(t.status == "FAILED" and t.score is None for t in infinite)
    ours.search(verbose=0)
    assert len(ours.oracle.trials) == 22


def test_two_trials_at_once_give_what_one_after_the_other_gives(data, tmp_path):
    one = search(
        kt.RandomSearch(build, "val_loss", max_trials=6, directory=tmp_path / "a", seed=4), data, workers=1
    )
    two = search(
        kt.RandomSearch(build, "val_loss", max_trials=6, directory=tmp_path / "b", seed=4), data, workers=2
    )
    assert {t.trial_id: t.score for t in one.oracle.trials.values()} == {
        t.trial_id: t.score for t in two.oracle.trials.values()
    }


def test_no_more_trials_at_once_than_cores_this_process_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    tuner = kt.RandomSearch(build, "val_loss", directory=tmp_path)
    for cores, workers in (({3}, 1), ({0, 5}, 2), ({0, 1, 2, 3}, 2)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        assert tuner._workers(None) == workers
    assert tuner._workers(3) == 3


def test_early_stopping_and_several_executions(data, tmp_path):
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, restore_best_weights=True)
    tuner = kt.Hyperband(build, "val_loss", max_epochs=6, directory=tmp_path, seed=0, executions_per_trial=2)
    search(tuner, data, callbacks=[stop])
    trials = tuner.oracle.trials.values()
    assert all(t.status == "COMPLETED" and t.engine == "lstune" for t in trials)
    # The checkpoint is the better execution's; the score is the mean of both.
    best = tuner.oracle.get_best_trials(1)[0]
    model = tuner.get_best_models(1)[0]
    assert model.evaluate(*data[1], verbose=0)[0] <= best.score * (1 + 1e-4)


def test_batch_size_and_epochs_are_tuned_by_being_named(data, tmp_path):
    def build_named(hp):
        hp.Choice("batch_size", [16, 64])
        hp.Int("epochs", 1, 3)
        return build(hp)

    tuner = search(
        kt.RandomSearch(build_named, "val_loss", max_trials=6, directory=tmp_path, seed=0), data, epochs=50
    )
    for trial in tuner.oracle.trials.values():
        assert trial.best_step < trial.hyperparameters["epochs"]
    assert len({t.hyperparameters["batch_size"] for t in tuner.oracle.trials.values()}) == 2


def test_hyperband_sets_the_epochs_whatever_they_are_named(data, tmp_path, caplog):
    def build_with_epochs(hp):
        hp.Int("epochs", 2, 3)
        return build(hp)

    tuner = kt.Hyperband(build_with_epochs, "val_loss", max_epochs=4, factor=2, directory=tmp_path, seed=3)
    search(tuner, data, batch_size=160)
    trials = tuner.oracle.trials.values()
    assert {t.status for t in trials} == {"COMPLETED"}
    assert any(t.hyperparameters.values["tuner/initial_epoch"] for t in trials)
    assert caplog.text.count("Hyperband itself sets the epochs") == 1


def test_a_fit_without_an_epoch_says_why(data, tmp_path):
    tuner = kt.RandomSearch(build, "val_loss", max_trials=1, directory=tmp_path)
    with pytest.raises(kt.FatalValueError, match="initial_epoch is not below epochs"):
        search(tuner, data, epochs=2, initial_epoch=2)


def test_the_lookback_is_tuned_on_the_same_targets(tmp_path):
    series = np.sin(np.arange(200) / 4)
    windows = kt.series_windows(series, validation_fraction=0.25)

    def build_lookback(hp):
        hp.Int("lookback", 4, 20, step=8)
        return build(hp)

    tuner = kt.GridSearch(build_lookback, "val_loss", max_trials=6, directory=tmp_path, seed=0)
    tuner.search(windows, epochs=2, verbose=0)
    assert {t.hyperparameters["lookback"] for t in tuner.oracle.trials.values()} == {4, 12, 20}
    assert all(t.engine == "lstune" for t in tuner.oracle.trials.values())
    for lookback in (4, 12, 20):
        (x, y), (vx, vy) = windows.cut(lookback, 20)
        assert x.shape[1:] == (lookback, 1)
        np.testing.assert_array_equal(np.concatenate([y, vy])[:, 0], series[20:].astype(np.float32))
        np.testing.assert_array_equal(x[0, -1], series[19:20].astype(np.float32))
        np.testing.assert_array_equal(vx[0, -1, 0], y[-1, 0])
    best = tuner.oracle.get_best_trials(1)[0]
    model = tuner.get_best_models(1)[0]
    _, validation = windows.cut(best.hyperparameters["lookback"], 20)
    assert model.evaluate(*validation, verbose=0)[0] == pytest.approx(best.score, rel=1e-4)
    # With several rows ahead no training target reaches into the validation rows.
    (_, y), (_, vy) = kt.series_windows(np.arange(60.0), horizon=3).cut(5, 10)
    assert y.max() < vy.min()
    with pytest.raises(kt.FatalValueError, match="lookback"):
        kt.RandomSearch(build, "val_loss", directory=tmp_path / "b").search(windows, verbose=0)
    with pytest.raises(kt.FatalValueError, match="rows"):
        windows.cut(5, 199)


def test_a_hypermodels_own_fit_is_served_by_the_engine(data, tmp_path):
    class Own(kt.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *args, **kwargs):
            history = model.fit(*args, batch_size=hp.Choice("batch", [8, 32]), **kwargs)
            # The model is trained, whoever trained it.
            predictions = model.predict(data[1][0], verbose=0)
            final = float(np.mean((predictions - data[1][1]) ** 2))
            assert final == pytest.approx(history.history["val_loss"][-1], rel=1e-4)
            return {"val_loss": final}

    tuner = search(kt.RandomSearch(Own(), "val_loss", max_trials=1, directory=tmp_path, seed=0), data)
    trial = tuner.oracle.get_best_trials(1)[0]
    assert (trial.engine, trial.status) == ("lstune", "COMPLETED")
    assert trial.hyperparameters["batch"] in (8, 32)


def test_diverged_and_crashed_trials_fail_and_are_counted(data, tmp_path):
    def build_bad(hp):
        kind = hp.Choice("kind", ["good", "diverges", "crashes"])
        if kind == "crashes":
            raise ValueError("no such model")
        model = keras.Sequential([layers.LSTM(2), layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e30 if kind == "diverges" else 0.01), "mse")
        return model

    hp = kt.HyperParameters()
    hp.Choice("kind", ["good", "diverges", "crashes"])
    tuner = kt.GridSearch(
        build_bad, "val_loss", hyperparameters=hp, directory=tmp_path, seed=0, max_retries_per_trial=1
    )
    search(tuner, data)
    by_kind = {t.hyperparameters["kind"]: t for t in tuner.oracle.trials.values()}
    assert by_kind["good"].status == "COMPLETED"
    assert (by_kind["diverges"].status, by_kind["diverges"].score) == ("FAILED", None)
    assert "no such model" in by_kind["crashes"].message
    assert tuner.oracle._run_times[by_kind["crashes"].trial_id] == 2
    assert tuner.oracle.get_best_trials(1)[0] is by_kind["good"]

    def always_crashes(hp):
        if hp.Int("x", 0, 99) >= 0 and crash.is_set():
            raise ValueError("broken\nsizes: 50")
        return build(hp)

    crash = threading.Event()
    tuner = kt.RandomSearch(always_crashes, "val_loss", max_trials=9, directory=tmp_path / "b")
    crash.set()
    with pytest.raises(RuntimeError, match="3 trials in a row") as raised:
        search(tuner, data, workers=1)
    # Why comes first, then where, to the last word.
    first, rest = str(raised.value).split("\n", 1)
    assert first.endswith("Received: ValueError: broken.")
    assert "Traceback" in rest
    assert rest.endswith("ValueError: broken\nsizes: 50")


def test_budget_ends_the_search_and_the_trial_goes_on_later(data, tmp_path):
    arguments = {"max_trials": 1, "directory": tmp_path, "seed": 0}
    tuner = kt.RandomSearch(build, "val_loss", **arguments)

    def build_while_time_runs_out(hp):
        # However fast the machine is, the budget is gone when training begins.
        tuner.deadline = time.monotonic()
        return build(hp)

    tuner.hypermodel.build = build_while_time_runs_out
    search(tuner, data, epochs=40, budget="1h")
    folder = tmp_path / "untitled_project" / "trial_0"
    assert [t.status for t in tuner.oracle.trials.values()] == ["RUNNING"]
    assert (folder / "progress.npz").exists()
    later = search(kt.RandomSearch(build, "val_loss", **arguments), data, epochs=40)
    whole = search(
        kt.RandomSearch(build, "val_loss", **{**arguments, "directory": tmp_path / "w"}), data, epochs=40
    )
    assert later.oracle.trials["0"].score == whole.oracle.trials["0"].score
    assert not (folder / "progress.npz").exists()
    assert parse_budget("2h") == 7200
    assert parse_budget("1h30m") == 5400
    assert parse_budget(90) == 90
    for wrong in ("soon", "0s", "-3m", "1.2.3"):
        with pytest.raises(ValueError, match="budget"):
            parse_budget(wrong)


def test_only_the_best_keep_their_weights(data, tmp_path):
    tuner = kt.RandomSearch(build, "val_loss", max_trials=5, directory=tmp_path, seed=0, keep_checkpoints=2)
    search(tuner, data)
    kept = {path.parent.name for path in tmp_path.glob("*/trial_*/checkpoint.npz")}
    assert kept == {f"trial_{t.trial_id}" for t in tuner.oracle.get_best_trials(2)}
    with pytest.raises(ValueError, match="keep_checkpoints"):
        tuner.load_model(tuner.oracle.get_best_trials(5)[-1])


def test_conditional_spaces_are_explored_before_the_search(tmp_path):
    def build_deep(hp):
        depth = hp.Int("depth", 1, 3)
        model = keras.Sequential()
        for n in range(depth):
            with hp.conditional_scope("depth", list(range(n + 1, 4))):
                units = hp.Int(f"units_{n}", 2, 4)
            model.add(layers.LSTM(units, return_sequences=n < depth - 1))
        if depth == 1:
            with hp.conditional_scope("depth", [1]):
                hp.Boolean("shallow")
        model.add(layers.Dense(1))
        model.compile("adam", "mse")
        return model

    tuner = kt.RandomSearch(build_deep, "val_loss", max_trials=3, directory=tmp_path)
    assert [hp.name for hp in tuner.oracle.get_space().space] == ["depth", "units_0", "shallow"]


@pytest.mark.slow
def test_what_the_engine_does_not_know_keras_trains_and_says_why(data, tmp_path, caplog):
    def build_gru(hp):
        model = keras.Sequential([layers.GRU(hp.Int("units", 2, 3)), layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    tuner = search(kt.RandomSearch(build_gru, "val_loss", max_trials=1, directory=tmp_path, seed=0), data)
    trial = tuner.oracle.get_best_trials(1)[0]
    assert trial.engine.startswith("keras (")
    assert "GRU" in trial.engine
    assert "GRU" in caplog.text
    model = tuner.get_best_models(1)[0]
    assert model.evaluate(*data[1], verbose=0) == pytest.approx(trial.score, rel=1e-4)
    strict = kt.RandomSearch(build_gru, "val_loss", max_trials=1, directory=tmp_path / "s")
    with pytest.raises(kt.FatalValueError, match="GRU"):
        search(strict, data, engine="lstune")


def test_growing_memory_is_told_once(tmp_path, monkeypatch, caplog):
    """Where Keras trains in the process of the search; isolate=True is the way out."""
    sizes = iter([900.0, 1150.0, 1210.0, 1900.0])
    monkeypatch.setattr("lstune.kt.tuner.resident_mib", lambda: next(sizes))
    tuner = kt.RandomSearch(build, "val_loss", directory=tmp_path)
    trial = tuner.oracle.create_trial("tuner0")
    told = []
    for _ in range(4):
        assert tuner._fit_with_keras(lambda: "history", trial, None, "a reason", (), {}) == "history"
        told.append(caplog.text.count("isolate=True"))
    assert told == [0, 0, 1, 1]
    assert "grown by 310 MiB" in caplog.text


def test_black_box_and_multi_objective(tmp_path):
    class Box(kt.TPE):
        def run_trial(self, trial, *args, **kwargs):
            x = trial.hyperparameters.Float("x", -2.0, 2.0)
            return x * x + 2 * x + 1

    tuner = Box(max_trials=20, directory=tmp_path, seed=0)
    tuner.search(verbose=0)
    assert tuner.oracle.get_best_trials(1)[0].score < 0.1

    class Two(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            x = trial.hyperparameters.Float("x", 0, 1)
            return {"loss": x, "accuracy": x * x, "multi_objective": x - x * x}

    objective = [kt.Objective("loss", "min"), "accuracy"]
    tuner = Two(objective=objective, max_trials=5, directory=tmp_path / "two", seed=0)
    tuner.search(verbose=0)
    assert tuner.oracle.objective.name_to_direction == {"loss": "min", "accuracy": "max"}
    best = tuner.oracle.get_best_trials(1)[0]
    assert best.score == min(
        x["x"] - x["x"] ** 2 for x in (t.hyperparameters for t in tuner.oracle.trials.values())
    )


def test_trials_written_are_read_by_keras_tuner(data, tmp_path, keras_tuner):
    tuner = search(kt.RandomSearch(build, "val_loss", max_trials=2, directory=tmp_path, seed=0), data)
    path = tmp_path / "untitled_project" / "trial_0" / "trial.json"
    theirs = keras_tuner.engine.trial.Trial.load(str(path))
    assert theirs.score == tuner.oracle.trials["0"].score
    assert theirs.hyperparameters.values == Trial.load(path).hyperparameters.values
