"""What must hold on each of Keras' backends, beside the parity in test_translate: whole searches.

On JAX with the other tests; on TensorFlow and torch with
`LSTUNE_TEST_BACKEND=torch pytest -m backends tests/kt`, which `.ci/run` does in an
environment that has both.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import lstune.kt as kt

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = [
    pytest.mark.backends,
    pytest.mark.slow,
    # Keras' own variables, not yet made for NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(90, 6, 1)).astype(np.float32)
    return {"x": x[:60], "y": x[:60, -1], "validation_data": (x[60:], x[60:, -1]), "verbose": 0}


def build(hp):
    """No Input layer: Keras has no weights until the model is trained."""
    model = keras.Sequential([layers.LSTM(hp.Int("units", 2, 9)), layers.Dense(1)])
    model.compile(optimizer=hp.Choice("optimizer", ["adam", "rmsprop", "sgd"]), loss="mse", metrics=["mae"])
    return model


def build_gru(hp):
    model = keras.Sequential([layers.GRU(hp.Int("units", 2, 4)), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def test_the_backend_is_the_one_asked_for():
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


@pytest.mark.parametrize("function", [build, build_gru], ids=["the engine trains", "Keras trains"])
def test_a_search_and_its_best_model(function, data, tmp_path):
    tuner = kt.Hyperband(function, "val_loss", max_epochs=3, directory=tmp_path, seed=1)
    tuner.search(**data)
    trials = tuner.oracle.trials.values()
    assert all(t.status == "COMPLETED" for t in trials)
    assert all(t.engine.split()[0] == ("lstune" if function is build else "keras") for t in trials)
    best = tuner.oracle.get_best_trials(1)[0]
    model = tuner.get_best_models(1)[0]
    x, y = data["validation_data"]
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(best.score, rel=1e-4)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


def test_isolated_trials_run_on_this_backend(data, tmp_path):
    def build_here(hp):
        assert keras.backend.backend() == backend
        return build_gru(hp)

    backend = keras.backend.backend()
    tuner = kt.RandomSearch(build_here, "val_loss", max_trials=2, directory=tmp_path, seed=1)
    tuner.search(**data, epochs=2, isolate=True)
    best = tuner.oracle.get_best_trials(1)[0]
    assert (best.status, best.engine.split()[0]) == ("COMPLETED", "keras")
    model = tuner.get_best_models(1)[0]
    assert model.evaluate(*data["validation_data"], verbose=0)[0] == pytest.approx(best.score, rel=1e-4)


# As it is written for Keras Tuner, but for the import.
EXAMPLE = """
import lstune.kt as kt
from tensorflow import keras
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import LSTM, Dense, Dropout

def build_model(hp):
    model = Sequential()
    model.add(LSTM(units=hp.Int('units', min_value=32, max_value=256, step=32),
                   activation=hp.Choice('activation', values=['tanh', 'relu', 'sigmoid']),
                   return_sequences=True))
    model.add(Dropout(hp.Float('dropout', 0.1, 0.5, step=0.1)))
    model.add(Dense(1))
    model.compile(optimizer=hp.Choice('optimizer', values=['adam', 'rmsprop', 'sgd']), loss='mse')
    return model

tuner = kt.Hyperband(build_model, objective='val_loss', max_epochs=50, factor=3,
                     directory='my_tuning', project_name='lstm_tuning')
tuner.search(x_train, y_train, epochs=50, validation_data=(x_val, y_val))
best_hps = tuner.get_best_hyperparameters(num_trials=1)[0]
print(best_hps.get('units'), best_hps.get('activation'), best_hps.get('dropout'), best_hps.get('optimizer'))
"""


@pytest.mark.skipif(
    os.environ.get("KERAS_BACKEND") != "tensorflow", reason="the example is written for TensorFlow"
)
@pytest.mark.filterwarnings("ignore:The model returns a sequence:UserWarning")
def test_the_example_with_only_its_import_changed(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x_val, y_val = data["validation_data"]
    names = {"x_train": data["x"], "y_train": data["y"], "x_val": x_val, "y_val": y_val}
    exec(EXAMPLE, names)
    tuner = names["tuner"]
    assert len(tuner.oracle.trials) == 90
    assert {t.engine for t in tuner.oracle.trials.values()} == {"lstune"}
    units, activation, dropout, optimizer = capsys.readouterr().out.splitlines()[-1].split()
    assert int(units) in range(32, 257, 32)
    assert activation in ("tanh", "relu", "sigmoid")
    assert 0.1 <= float(dropout) <= 0.5
    assert optimizer in ("adam", "rmsprop", "sgd")
    # The model gives a sequence, the target is one a window: Keras' own loss, on its own broadcast.
    model = tuner.get_best_models(1)[0]
    best = tuner.oracle.get_best_trials(1)[0]
    assert model.evaluate(x_val, y_val, verbose=0) == pytest.approx(best.score, rel=1e-4)
