"""Trials that are cut off: killed and gone on with must equal uninterrupted, bit for bit, callbacks too."""

from __future__ import annotations

import functools
import importlib
from types import SimpleNamespace

import numpy as np
import pytest

import lstune.kt as kt
from clock import Clock
from lstune.engine.state import Status
from lstune.kt import engine_trial
from lstune.kt.fit import run_fit
from lstune.kt.progress import Progress
from lstune.kt.translate import translate_fit

keras = pytest.importorskip("keras")
layers = keras.layers
callbacks = keras.callbacks

# Keras' own variables, not yet made for NumPy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

# The package's name for it is the function.
ENGINE_TRAIN = importlib.import_module("lstune.engine.train")
EPOCHS = 14
# What each does in the uninterrupted fit is asserted below: there must be something to remember.
CALLBACKS = {
    "none": list,
    "early stopping": lambda: [
        callbacks.EarlyStopping("val_loss", patience=2, min_delta=0.01, restore_best_weights=True)
    ],
    "a lower rate": lambda: [callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.02)],
    "a cooldown": lambda: [
        callbacks.ReduceLROnPlateau("val_loss", factor=0.7, patience=1, min_delta=10.0, cooldown=2)
    ],
    "a schedule of the rate": lambda: [callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8)],
    "all": lambda: [
        callbacks.TerminateOnNaN(),
        callbacks.LearningRateScheduler(functools.partial(lambda factor, epoch, rate: rate * factor, 0.97)),
        callbacks.ReduceLROnPlateau("loss", factor=0.3, patience=1, min_delta=0.05),
        callbacks.EarlyStopping("val_mae", mode="min", patience=3, min_delta=0.005),
    ],
}


def windows(count=70):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(count, 5, 1)).astype(np.float32)
    return x, x[:, -1] + rng.normal(size=(count, 1)).astype(np.float32)


@functools.cache
def small_model():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((5, 1)), layers.LSTM(4, activation="tanh"), layers.Dropout(0.2), layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
    return model


def translated(own):
    """The fit as a new process would have it: the same weights, callbacks that know of nothing."""
    x, y = windows()
    arguments = {
        "validation_data": (x[50:], y[50:]), "epochs": EPOCHS, "batch_size": 16, "callbacks": own,
    }  # fmt: skip
    return translate_fit(small_model(), (x[:50], y[:50]), arguments)


def ticking():
    """Stands for the engine's `time`: each look at it is a second."""
    return SimpleNamespace(monotonic=Clock())


# Each batch takes three looks at the clock, and the one after finds that the time is up.
THREE_BATCHES = 10.0


def same(ours, theirs):
    assert ours.history == theirs.history
    assert ours.epochs == theirs.epochs
    np.testing.assert_array_equal(ours.weights, theirs.weights)
    np.testing.assert_array_equal(ours.progress.state.weights, theirs.progress.state.weights)
    np.testing.assert_array_equal(ours.progress.state.slots, theirs.progress.state.slots)
    assert ours.progress.state.step == theirs.progress.state.step


@pytest.mark.parametrize("own", CALLBACKS.values(), ids=CALLBACKS)
def test_a_fit_that_is_cut_off_again_and_again_is_the_same_fit(own, tmp_path, monkeypatch):
    """Cut by a deadline after every third batch, of four in an epoch."""
    whole = run_fit(translated(own()), seed=1)
    path, cuts, inside = tmp_path / "progress.npz", 0, 0
    while True:
        monkeypatch.setattr(ENGINE_TRAIN, "time", ticking())
        start = Progress.load(path) if cuts else None
        outcome = run_fit(translated(own()), seed=1, start=start, deadline=THREE_BATCHES)
        if outcome.status is not Status.DEADLINE:
            break
        cuts, inside = cuts + 1, inside + (outcome.progress.state.position > 0)
        outcome.progress.save(path)
    assert cuts > 3
    assert inside > 1
    same(outcome, whole)


@pytest.mark.parametrize("own", CALLBACKS.values(), ids=CALLBACKS)
def test_a_fit_goes_on_from_every_epoch(own, tmp_path):
    """As after a kill, which leaves what was saved last: also the epoch at which a callback ends training."""
    whole, paths = None, []

    def keep(epoch, logs, progress):
        paths.append(tmp_path / f"{epoch}.npz")
        progress.save(paths[-1])

    whole = run_fit(translated(own()), seed=1, on_epoch=keep)
    assert len(paths) == len(whole.epochs)
    for path in paths:
        same(run_fit(translated(own()), seed=1, start=Progress.load(path)), whole)
    rates = whole.history.get("learning_rate", [])
    stopped = any(isinstance(each, callbacks.EarlyStopping) for each in own())
    assert (len(whole.epochs) < EPOCHS) == stopped
    assert stopped or len(set(rates)) > 2 or not own()


# --- Whole searches -------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def build(hp):
    """No Input layer: the engine draws the weights from the trial's seed."""
    model = keras.Sequential([layers.LSTM(hp.Int("units", 2, 9)), layers.Dropout(0.1), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(hp.Float("rate", 0.05, 0.2)), "mse", metrics=["mae"])
    return model


def own_callbacks():
    return [
        callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.05),
        callbacks.EarlyStopping("val_loss", patience=3, min_delta=0.01, restore_best_weights=True),
    ]


TUNERS = {
    "random": lambda **k: kt.RandomSearch(build, "val_loss", max_trials=3, **k),
    "executions": lambda **k: kt.RandomSearch(build, "val_loss", max_trials=1, executions_per_trial=3, **k),
    "hyperband": lambda **k: kt.Hyperband(build, "val_loss", max_epochs=6, **k),
}


def tune(make, folder, own=own_callbacks, **kwargs):
    x, y = windows()
    tuner = make(directory=folder, project_name="p", seed=4)
    arguments = {"epochs": 9, "batch_size": 16, "callbacks": own(), "verbose": 0, "workers": 1, **kwargs}
    tuner.search(x[:50], y[:50], validation_data=(x[50:], y[50:]), **arguments)
    return tuner


def arrays(folder, name):
    found = {}
    for path in sorted(folder.glob(f"p/trial_*/{name}")):
        with np.load(path) as file:
            found.update({(path.parent.name, key): file[key].tobytes() for key in file.files})
    return found


@pytest.mark.parametrize("make", TUNERS.values(), ids=TUNERS)
def test_a_search_that_is_killed_again_and_again_is_the_same_search(make, tmp_path, monkeypatch):
    whole = tune(make, tmp_path / "whole")
    monkeypatch.setattr(engine_trial, "_SAVE_SECONDS", -1.0)
    save, saved, kills = Progress.save, [], 0

    def save_and_die(progress, path):
        save(progress, path)
        saved.append(progress)
        if len(saved) % 3 == 0:
            raise Killed

    monkeypatch.setattr(Progress, "save", save_and_die)
    while True:
        try:
            killed = tune(make, tmp_path / "killed")
            break
        except Killed:
            kills += 1
    trials = list(whole.oracle.trials.values())
    assert kills > 3
    # No epoch was trained twice.
    assert len({(progress.seed, progress.logs[-1][0]) for progress in saved}) == len(saved)
    assert [t.get_state() for t in killed.oracle.trials.values()] == [t.get_state() for t in trials]
    for name in ("checkpoint.npz", "state.npz"):
        assert arrays(tmp_path / "killed", name) == arrays(tmp_path / "whole", name)
    left = {path.name for path in (tmp_path / "killed").rglob("*") if path.is_file()}
    assert not left & {"progress.npz", "executions.json"}
    if "tuner/round" in trials[0].hyperparameters.values:
        rounds = [t.hyperparameters.values["tuner/round"] for t in trials]
        # Each round is a fit of its own: its callbacks have nothing of the one before.
        later = [p for p in saved if p.logs[0][0] > 0 and len(p.logs) == 1]
        assert len(later) == sum(number > 0 for number in rounds) > 0
        rates = {float(np.float32(t.hyperparameters["rate"])) for t in trials}
        assert {p.logs[0][1]["learning_rate"] for p in later} <= rates


def test_what_cannot_be_gone_on_with_is_said_and_trained_anew(tmp_path, monkeypatch, caplog):
    class Schedule:
        """Remembers, which no one outside can know."""

        calls = 0

        def __call__(self, epoch, rate):
            self.calls += 1
            return 0.1 / self.calls

    def stop(progress, path):
        raise AssertionError("nothing is to be saved")

    def scheduled():
        return [callbacks.LearningRateScheduler(Schedule())]

    one = TUNERS["random"]
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "save", stop)
        patch.setattr(engine_trial, "_SAVE_SECONDS", -1.0)
        # However fast the machine is, the time is up when the first epoch has been trained.
        patch.setattr(ENGINE_TRAIN, "time", ticking())
        patch.setattr(
            kt.RandomSearch, "deadline", property(lambda _: THREE_BATCHES, lambda *_: None), raising=False
        )
        patch.setattr("lstune.kt.base_tuner.time", SimpleNamespace(monotonic=lambda: 0.0))
        tune(one, tmp_path, scheduled)
    assert "will start anew" in caplog.text
    assert "LearningRateScheduler with a schedule that is no plain function" in caplog.text


@pytest.mark.parametrize("damage", ["cut short", "another training"])
def test_progress_that_does_not_fit_is_trained_anew(damage, tmp_path, monkeypatch, caplog):
    one = TUNERS["random"]
    whole = tune(one, tmp_path / "whole")
    monkeypatch.setattr(engine_trial, "_SAVE_SECONDS", -1.0)
    save = Progress.save

    def save_and_die(progress, path):
        save(progress, path)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "save", save_and_die)
        with pytest.raises(Killed):
            tune(one, tmp_path / "killed", own_callbacks if damage == "cut short" else list)
    path = tmp_path / "killed" / "p" / "trial_0" / "progress.npz"
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:1000])
    again = tune(one, tmp_path / "killed")
    assert "starts anew" in caplog.text
    assert [t.score for t in again.oracle.trials.values()] == [t.score for t in whole.oracle.trials.values()]
