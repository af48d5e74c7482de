"""On Keras' other backends too: the same history and weights, in a process of its own for each."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, warnings
import keras, numpy as np
from lstune.kt.fit import run_fit
from lstune.kt.translate import translate_fit, write_weights

assert keras.backend.backend() == sys.argv[1]
rng = np.random.default_rng(3)
x, y = rng.normal(size=(27, 6, 2)).astype("float32"), rng.normal(size=(27, 1)).astype("float32")
validation = rng.normal(size=(9, 6, 2)).astype("float32"), rng.normal(size=(9, 1)).astype("float32")
layers = keras.layers
stacks = [
    [layers.LSTM(6), layers.Dense(1)],
    [layers.LSTM(5, activation="relu", return_sequences=True), layers.LSTM(4), layers.Dense(1)],
    [layers.LSTM(5, return_sequences=True), layers.Dense(1)],
]
for optimizer, stack in zip([keras.optimizers.Adam(0.01), keras.optimizers.RMSprop(0.005), "sgd"], stacks):
    model = keras.Sequential([keras.Input((6, 2)), *stack])
    model.compile(optimizer=optimizer, loss="mse", metrics=["mae"])
    arguments = dict(epochs=3, batch_size=8, shuffle=False, verbose=0, validation_data=validation)
    fit = translate_fit(model, (x, y), arguments)
    ours, theirs = run_fit(fit, seed=0), model.fit(x, y, **arguments)
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=5e-5, err_msg=name)
    expected = translate_fit(model, (x, y), arguments).weights
    np.testing.assert_allclose(ours.weights, expected, rtol=0, atol=5e-5)
    write_weights(fit.chain, model, fit.weights, x.shape)
    np.testing.assert_array_equal(translate_fit(model, (x, y), arguments).weights, fit.weights)
print("EQUAL")
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_history_and_weights_equal_keras(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "EQUAL" in done.stdout, done.stderr[-3000:]
