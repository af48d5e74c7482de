"""Settings of Keras that belong to a thread hold in every trial, whichever thread builds it."""

from __future__ import annotations

import pytest

import lstune.kt as kt

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


@pytest.fixture
def settings():
    """The tests' thread is left as it was."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)
    keras.config.enable_interactive_logging()


def dense(hp):
    model = keras.Sequential([layers.Flatten(), layers.Dense(hp.Int("units", 2, 9)), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def now():
    return keras.config.dtype_policy().name, keras.config.is_interactive_logging_enabled()


@pytest.mark.parametrize("workers", [1, 2])
def test_policy_and_logging_hold_in_every_trial(workers, data, tmp_path, settings):
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.disable_interactive_logging()
    seen = []

    def build(hp):
        seen.append(now())
        return dense(hp)

    tuner = kt.RandomSearch(build, "loss", max_trials=4, directory=tmp_path, seed=0)
    tuner.search(*data, epochs=1, verbose=0, workers=workers)
    assert {t.status for t in tuner.oracle.trials.values()} == {"COMPLETED"}
    assert now() == ("mixed_bfloat16", False)
    (model,) = tuner.get_best_models()
    assert {layer.dtype_policy.name for layer in model.layers} == {"mixed_bfloat16"}
    assert set(seen) == {("mixed_bfloat16", False)}


@pytest.mark.slow
def test_policy_and_logging_hold_in_processes_of_their_own(data, tmp_path, settings):
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.disable_interactive_logging()

    def build(hp):
        here = (keras.config.dtype_policy().name, keras.config.is_interactive_logging_enabled())
        if here != ("mixed_bfloat16", False):
            raise ValueError(f"{here}")
        return dense(hp)

    tuner = kt.RandomSearch(build, "loss", max_trials=3, directory=tmp_path, seed=0)
    tuner.search(*data, epochs=1, verbose=0, engine="keras", isolate=True)
    assert {t.message for t in tuner.oracle.trials.values()} == {None}


def test_a_model_that_is_built_otherwise_than_in_the_search_is_refused(data, tmp_path, settings):
    def build(hp):
        hp.Float("nothing", 0, 1)
        model = keras.Sequential([layers.LSTM(2), layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    tuner = kt.RandomSearch(build, "loss", max_trials=1, directory=tmp_path, seed=0)
    tuner.search(*data, epochs=1, verbose=0)
    keras.config.set_dtype_policy("mixed_bfloat16")
    with pytest.raises(ValueError, match="the same dtype policy"):
        tuner.get_best_models()
