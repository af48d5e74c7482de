"""Settings of Keras that belong to a thread hold in every trial, whoever builds it; names of layers."""

from __future__ import annotations

import threading

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
    hp.Float("nothing", 0, 1)
    model = keras.Sequential([keras.Input((5, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")

    def fit(*args, callbacks, **kwargs):
        """In place of Keras' training, nearly all of which would be compilation."""
        for callback in callbacks:
            callback.set_model(model)
            callback.on_epoch_end(0, {"loss": 1.0})
        return {"loss": 1.0}

    model.fit = fit
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

    tuner = kt.RandomSearch(build, "loss", max_trials=2 * workers, directory=tmp_path, seed=0)
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

    # The second trial comes after a cleared session.
    tuner = kt.RandomSearch(build, "loss", max_trials=2, directory=tmp_path, seed=0)
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


def test_a_fit_has_its_settings_though_another_trial_cleared_the_session(data, tmp_path, settings):
    keras.config.disable_interactive_logging()
    seen = []

    class Meanwhile(kt.HyperModel):
        def build(self, hp):
            model = dense(hp)
            model.fit = lambda *args, **kwargs: seen.append(now()) or {"loss": 1.0}
            return model

        def fit(self, hp, model, *args, **kwargs):
            # As the build of another thread's trial, or what a notebook's build function begins with.
            other = threading.Thread(target=keras.utils.clear_session)
            other.start()
            other.join()
            return model.fit(*args, **kwargs)

    kt.RandomSearch(Meanwhile(), "loss", max_trials=1, directory=tmp_path).search(*data, verbose=0)
    assert seen == [("float32", False)]


def test_layers_bear_the_same_names_in_every_trial(data, tmp_path):
    """A notebook asks for a layer by its name, and several outputs give their names to the objective."""
    names = []

    def build(hp):
        hp.Float("nothing", 0, 1)
        model = keras.Sequential([layers.LSTM(2), layers.Dense(2), layers.Dense(1)])
        model.compile("adam", "mse")
        names.append([layer.name for layer in model.layers])
        return model

    tuner = kt.RandomSearch(build, "loss", max_trials=3, directory=tmp_path, seed=0)
    tuner.search(*data, verbose=0, workers=1)
    assert tuner.get_best_models()[0].get_layer("dense_1").units == 1
    assert names[1:] == [["lstm", "dense", "dense_1"]] * 4
