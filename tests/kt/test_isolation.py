"""Trials in processes of their own: everything comes back, errors too; processes that grow are renewed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import lstune.kt as kt
from lstune.kt import isolation

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = [
    pytest.mark.slow,
    # Keras' own variables, not yet made for NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

HERE = os.getpid()


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(48, 5, 1)).astype(np.float32)
    return (x[:32], x[:32, -1]), (x[32:], x[32:, -1])


def search(tuner, data, **kwargs):
    train, validation = data
    arguments = {"epochs": 2, "verbose": 0, "isolate": True, **kwargs}
    tuner.search(*train, validation_data=validation, **arguments)
    return tuner


def gru(hp):
    """For Keras to train."""
    model = keras.Sequential([layers.GRU(hp.Int("units", 2, 3)), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


class WritePid(keras.callbacks.Callback):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_end(self, logs=None):
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")


def pids(path):
    return [int(line) for line in path.read_text().split()]


def test_results_checkpoints_and_prints_come_back(data, tmp_path, monkeypatch, capsys, caplog):
    """And one process serves many trials, or each has its own where the one before has grown."""
    said = "built with"

    def build(hp):
        print(said, hp.Int("units", 2, 3))
        return gru(hp)

    def tune(name):
        tuner = kt.Hyperband(build, "val_loss", max_epochs=2, directory=tmp_path, project_name=name, seed=0)
        return search(tuner, data, workers=1, callbacks=[WritePid(tmp_path / name / "pids")])

    monkeypatch.setattr(isolation, "_GROWTH_MIB", 1e6)
    tuner = tune("one")
    trials = list(tuner.oracle.trials.values())
    assert {t.status for t in trials} == {"COMPLETED"}
    assert all(t.engine == "keras (the callback WritePid)" for t in trials)
    assert caplog.text.count("the callback WritePid") == 1
    assert len(trials) == len(pids(tmp_path / "one" / "pids")) == 2
    assert len({HERE, *pids(tmp_path / "one" / "pids")}) == 2
    # Printed in each trial here, where it turns out to be for Keras, and once more there.
    assert capsys.readouterr().out.count(said) >= 2 * len(trials)
    best = tuner.oracle.get_best_trials(1)[0]
    assert best.metrics.exists("loss")
    model = tuner.get_best_models(1)[0]
    assert model.evaluate(*data[1], verbose=0) == pytest.approx(best.score, rel=1e-4)
    # Each trial's random numbers are its own, whichever process draws them.
    monkeypatch.setattr(isolation, "_GROWTH_MIB", -1.0)
    again = tune("two").oracle.trials
    assert len({HERE, *pids(tmp_path / "two" / "pids")}) == 3
    assert {t.trial_id: t.score for t in trials} == {t.trial_id: t.score for t in again.values()}


def test_errors_come_back_and_a_process_that_dies_is_a_failed_trial(data, tmp_path):
    def build(hp):
        kind = hp.Choice("kind", ["fine", "raises", "dies", "own error"])
        if os.getpid() != HERE:
            if kind == "raises":
                raise ValueError("no such model")
            if kind == "own error":
                raise Own("one", "two")
            if kind == "dies":
                os._exit(3)
        return gru(hp)

    class Own(Exception):
        def __init__(self, first, second):
            super().__init__(f"{first} and {second}")

    hp = kt.HyperParameters()
    hp.Choice("kind", ["fine", "raises", "dies", "own error"])
    tuner = kt.GridSearch(
        build,
        "val_loss",
        hyperparameters=hp,
        tune_new_entries=False,
        directory=tmp_path,
        max_consecutive_failed_trials=9,
    )
    search(tuner, data, engine="keras")
    messages = {t.hyperparameters["kind"]: t.message for t in tuner.oracle.trials.values()}
    assert messages["fine"] is None
    assert "ValueError: no such model" in messages["raises"]
    assert "in the trial's own process" in messages["raises"]
    assert ", in build" in messages["raises"]
    assert "exit status 3" in messages["dies"]
    assert "one and two" in messages["own error"]


def test_a_fit_of_ones_own_goes_to_the_process_as_a_whole(data, tmp_path):
    class Model(kt.HyperModel):
        def build(self, hp):
            model = keras.Sequential([layers.LSTM(2), layers.Dense(1)])
            model.compile("adam", "mse")
            return model

        def fit(self, hp, model, *args, **kwargs):
            assert os.getpid() != HERE
            history = model.fit(*args, batch_size=hp.Choice("batch", [8, 16]), **kwargs)
            assert np.isfinite(model.predict(args[0], verbose=0)).all()
            return history

    tuner = search(kt.RandomSearch(Model(), "val_loss", max_trials=2, directory=tmp_path, seed=0), data)
    for trial in tuner.oracle.trials.values():
        assert (trial.status, trial.engine) == ("COMPLETED", "lstune")
        assert trial.hyperparameters["batch"] in (8, 16)
    assert "batch" in [hp.name for hp in tuner.oracle.get_space().space]


def test_what_cannot_be_sent_is_refused_with_its_place(data, tmp_path):
    lock = threading.Lock()

    def build(hp):
        with lock:
            return gru(hp)

    tuner = kt.RandomSearch(build, "val_loss", max_trials=2, directory=tmp_path)
    with pytest.raises(kt.FatalValueError, match=r"(?s)build_model.*leave isolate out"):
        search(tuner, data, engine="keras")
    tuner = kt.RandomSearch(gru, "val_loss", max_trials=2, directory=tmp_path / "b")
    generator = (pair for pair in [data[0]])
    with pytest.raises(kt.FatalValueError, match=r"(?s)fit's arguments.*leave isolate out"):
        tuner.search(generator, isolate=True, verbose=0)


def test_a_search_that_ends_ends_its_processes(data, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise kt.FatalRuntimeError("enough")

    tuner = kt.RandomSearch(gru, "val_loss", max_trials=2, directory=tmp_path)
    with pytest.raises(kt.FatalRuntimeError, match="enough"):
        search(tuner, data, callbacks=[Stop()])
    assert tuner._isolation is None
    view = isolation.OracleView(tuner.oracle, next(iter(tuner.oracle.trials.values())))
    with pytest.raises(AttributeError, match=r"oracle\.create_trial"):
        view.create_trial("x")


SCRIPT = """
import numpy as np, keras
import lstune.kt as kt

print("READ")
UNITS = 3


def build_model(hp):
    model = keras.Sequential([keras.layers.GRU(hp.Int("units", 2, UNITS)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


class Mine(kt.RandomSearch):
    def on_epoch_end(self, trial, model, epoch, logs=None):
        print("EPOCH", epoch)


x = np.zeros((8, 4, 1), "float32")
tuner = Mine(build_model, "val_loss", max_trials=1, directory="tuning", seed=0)
tuner.search(x, x[:, -1], validation_data=(x, x[:, -1]), epochs=2, verbose=0, isolate=True)
print("STATUS", tuner.oracle.get_best_trials(1)[0].status)
"""


def test_a_script_without_a_main_guard(tmp_path):
    script = tmp_path / "notebook.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("READ") == 1
    assert done.stdout.count("EPOCH 1") == 1
    assert "STATUS COMPLETED" in done.stdout
