"""Training as a state machine: going on bit for bit, stopping in time, telling divergence from a result."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from lstune.engine import (
    LSTM,
    Dense,
    Dropout,
    ModelConfig,
    OptimizerConfig,
    Status,
    StopFlag,
    TrainConfig,
    TrainState,
    Windows,
    init_state,
    predict,
    train,
)
from lstune.engine.reference import forward, loss_value
from lstune.errors import ConfigError, RunError

DROPPING = ModelConfig(
    2,
    (
        LSTM(5, dropout=0.2, recurrent_dropout=0.2, return_sequences=True),
        Dropout(0.3),
        LSTM(4, recurrent_dropout=0.1),
        Dropout(0.3),
        Dense(1),
    ),
)
PLAIN = ModelConfig(2, (LSTM(4), Dense(1)))


def windows(rng, count, steps=4, noise=1.0):
    x = rng.normal(size=(count, steps, 2))
    return Windows.from_arrays(x, x[:, -1, :1] - x[:, 0, 1:] + noise * rng.normal(size=(count, 1)))


def assert_same(one: TrainState, other: TrainState) -> None:
    """Equal in every bit."""
    for name in ("weights", "slots", "best_weights"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("seed", "step", "epoch", "history", "best_epoch", "best_value", "wait", "position"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "nadam"])
def test_ten_epochs_equal_four_saved_loaded_and_six(optimizer, rng, tmp_path):
    """With dropout of every kind, shuffling and a partial last batch."""
    momentum = 0.9 if optimizer in ("sgd", "rmsprop") else 0.0
    config = TrainConfig(
        epochs=10, batch_size=8, optimizer=OptimizerConfig(optimizer, 0.01, momentum=momentum), patience=20
    )
    data, validation = windows(rng, 21), windows(rng, 9)
    whole = train(DROPPING, config, data, validation=validation, seed=7)
    first = train(DROPPING, config, data, validation=validation, seed=7, until_epoch=4)
    assert (first.status, first.state.epoch) == (Status.FINISHED, 4)
    path = tmp_path / "state.npz"
    first.state.save(path)
    loaded = TrainState.load(path)
    assert_same(loaded, first.state)
    # The seed is the state's: another one given here must not matter.
    second = train(DROPPING, config, data, validation=validation, state=loaded, seed=999)
    assert (second.status, second.state.epoch) == (Status.FINISHED, 10)
    assert_same(second.state, whole.state)
    np.testing.assert_array_equal(second.weights, whole.weights)
    assert [path] == list(tmp_path.iterdir())
    other = train(DROPPING, config, data, validation=validation, seed=8)
    assert other.state.history["loss"] != whole.state.history["loss"]


def test_state_given_is_not_changed(rng):
    config = TrainConfig(epochs=2)
    state = init_state(PLAIN, config, seed=1)
    before = state.weights.copy()
    train(PLAIN, config, windows(rng, 9), state=state)
    np.testing.assert_array_equal(state.weights, before)
    assert (state.epoch, state.history) == (0, {})


def overfitting(rng):
    """A small noisy set and a high rate: the validation loss soon stops falling."""
    config = TrainConfig(
        epochs=60, batch_size=4, patience=3, min_delta=1e-3, optimizer=OptimizerConfig("adam", 0.05)
    )
    return config, windows(rng, 12), windows(rng, 12)


def test_early_stopping_counts_epochs_without_improvement(rng):
    config, data, validation = overfitting(rng)
    result = train(PLAIN, config, data, validation=validation)
    values = result.state.history["val_loss"]
    assert result.status is Status.EARLY
    # The rule, written out.
    best, best_epoch, wait = np.inf, 0, 0
    for epoch, value in enumerate(values, start=1):
        if value < best - config.min_delta:
            best, best_epoch, wait = value, epoch, 0
        else:
            wait += 1
        assert (wait == config.patience) == (epoch == len(values))
    assert (result.state.best_epoch, result.state.best_value) == (best_epoch, best)
    assert len(values) < config.epochs


@pytest.mark.parametrize("restore", [True, False])
def test_best_weights_are_the_result_if_asked_for(restore, rng):
    config, data, validation = overfitting(rng)
    config = replace(config, restore_best_weights=restore)
    result = train(PLAIN, config, data, validation=validation)
    values = result.state.history["val_loss"]
    expected = values[result.state.best_epoch - 1] if restore else values[-1]
    outputs = predict(PLAIN, result.weights, validation)
    assert np.mean((outputs - validation.targets) ** 2) == pytest.approx(expected, rel=1e-5)
    assert min(values) < values[-1]


def test_best_weights_are_restored_without_early_stopping_too(rng):
    config, data, validation = overfitting(rng)
    config = replace(config, patience=None, epochs=20, min_delta=0.0)
    result = train(PLAIN, config, data, validation=validation)
    assert result.status is Status.FINISHED
    outputs = predict(PLAIN, result.weights, validation)
    best = min(result.state.history["val_loss"])
    assert np.mean((outputs - validation.targets) ** 2) == pytest.approx(best, rel=1e-5)


def test_early_stopping_is_the_same_in_two_parts(rng, tmp_path):
    config, data, validation = overfitting(rng)
    whole = train(PLAIN, config, data, validation=validation)
    cut = whole.state.epoch - 1
    first = train(PLAIN, config, data, validation=validation, until_epoch=cut)
    assert first.status is Status.FINISHED
    first.state.save(tmp_path / "s.npz")
    second = train(PLAIN, config, data, validation=validation, state=TrainState.load(tmp_path / "s.npz"))
    assert second.status is Status.EARLY
    assert_same(second.state, whole.state)
    # Once out of patience, going on changes nothing.
    third = train(PLAIN, config, data, validation=validation, state=second.state)
    assert third.status is Status.EARLY
    assert_same(third.state, whole.state)


def test_a_score_is_monitored_in_place_of_the_loss(rng):
    config, data, validation = overfitting(rng)
    scores = iter([3.0, 2.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    seen = []

    def score(outputs):
        seen.append(outputs.shape)
        return next(scores)

    result = train(PLAIN, config, data, validation=validation, score=score)
    weighed = []
    again = train(
        PLAIN, config, data, score_weights=lambda w: float(weighed.append(w.copy()) or abs(w).sum())
    )
    assert again.state.history["val_score"] == [float(abs(w).sum()) for w in weighed]
    assert np.array_equal(weighed[-1], again.state.weights)
    assert result.status is Status.EARLY
    assert result.state.history["val_score"] == [3.0, 2.0, 1.0, 5.0, 5.0, 5.0]
    assert result.state.best_epoch == 3
    assert set(seen) == {(12, 1)}


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear", "elu"])
def test_divergence_ends_training_at_once_and_is_never_a_number(activation, rng):
    """Targets of 10^18 overflow float32 when squared with the error of the first steps."""
    model = ModelConfig(2, (LSTM(4, activation=activation), Dense(1)))
    x = rng.normal(size=(20, 4, 2))
    data = Windows.from_arrays(x, np.full((20, 1), 1e18))
    config = TrainConfig(epochs=50, batch_size=4, optimizer=OptimizerConfig("sgd", 1e18))
    result = train(model, config, data, validation=data)
    assert result.status is Status.DIVERGED
    assert result.state.epoch <= 1
    assert all(np.isfinite(values).all() for values in result.state.history.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_cosh", "pinball"])
def test_a_bad_value_diverges_in_its_batch_and_spoils_no_weight(bad, loss, rng):
    data = windows(rng, 24)
    targets = data.targets.copy()
    targets[13] = bad
    data = replace(data, targets=targets)
    config = TrainConfig(epochs=5, batch_size=4, shuffle=False, loss=loss)
    result = train(PLAIN, config, data)
    assert result.status is Status.DIVERGED
    assert result.state.step == 3
    assert result.state.history.get("loss", []) == []
    assert np.isfinite(result.state.weights).all()


def test_a_bad_input_or_validation_value_or_score_diverges(rng):
    data, config = windows(rng, 8), TrainConfig(epochs=3)
    inputs = data.inputs.copy()
    inputs[5] = np.nan
    assert train(PLAIN, config, replace(data, inputs=inputs)).status is Status.DIVERGED
    result = train(PLAIN, config, data, validation=replace(data, inputs=inputs))
    assert (result.status, result.state.history) == (Status.DIVERGED, {})
    result = train(PLAIN, config, data, validation=data, score=lambda outputs: float("nan"))
    assert (result.status, result.state.history) == (Status.DIVERGED, {})


def long_task(rng):
    """About ten seconds of training in a single epoch, in batches of about a millisecond."""
    model = ModelConfig(2, (LSTM(32), Dense(1)))
    data = windows(rng, 200, steps=30)
    many = data.take(np.tile(np.arange(200), 1500))
    return model, TrainConfig(epochs=1, batch_size=32), many


def test_stop_flag_from_another_thread_ends_within_a_batch(rng):
    model, config, data = long_task(rng)
    train(model, config, data.take(slice(0, 64)))  # compiled before the clock starts
    stop, result, ended = StopFlag(), [], []

    def work():
        result.append(train(model, config, data, stop=stop))
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)
    asked = time.monotonic()
    stop.set()
    thread.join(timeout=20)
    # A batch takes milliseconds; half a second leaves room for a busy machine.
    assert ended[0] - asked < 0.5
    assert result[0].status is Status.STOPPED
    assert stop.is_set()
    state = result[0].state
    assert state.epoch == 0
    assert 0 < state.position < len(data)
    assert state.position == state.step * config.batch_size
    assert state.history == {}


def test_deadline_ends_within_a_batch(rng):
    model, config, data = long_task(rng)
    train(model, config, data.take(slice(0, 64)))
    deadline = time.monotonic() + 0.4
    result = train(model, config, data, deadline=deadline)
    late = time.monotonic() - deadline
    assert result.status is Status.DEADLINE
    # Not before the time is nearly up, and not long after it.
    assert -0.1 < late < 0.3
    assert 0 < result.state.position < len(data)
    past = train(model, config, data, deadline=time.monotonic() - 1)
    assert (past.status, past.state.step) == (Status.DEADLINE, 0)


@pytest.mark.parametrize("how", ["stop", "deadline"])
def test_validation_too_ends_within_a_batch_and_is_made_up_for(how, rng):
    model, _, many = long_task(rng)
    config, data = TrainConfig(epochs=2, batch_size=32), many.take(slice(0, 64))
    whole = train(model, config, data, validation=many.take(slice(0, 100)), metrics=["mae"])
    assert whole.status is Status.FINISHED
    stop, deadline = StopFlag(), time.monotonic() + 0.4
    if how == "stop":
        threading.Timer(0.4, stop.set).start()
    cut = train(
        model, config, data, validation=many, stop=stop, deadline=deadline if how == "deadline" else None
    )
    assert time.monotonic() - deadline < 0.3
    assert cut.status.value == {"stop": "stopped"}.get(how, how)
    assert (cut.state.epoch, cut.state.position, cut.state.history) == (0, 64, {})
    on = train(model, config, data, validation=many.take(slice(0, 100)), metrics=["mae"], state=cut.state)
    assert_same(on.state, whole.state)


def test_pieces_of_a_validation_add_up_to_the_same_bits(rng):
    data, validation = windows(rng, 30), windows(rng, 300, noise=0.3)
    config = TrainConfig(epochs=2, batch_size=7)
    whole = train(PLAIN, config, data, validation=validation, metrics=["rmse"])
    pieces = train(
        PLAIN, config, data, validation=validation, metrics=["rmse"], deadline=time.monotonic() + 60
    )
    assert_same(pieces.state, whole.state)


def test_a_last_step_that_overflows_is_no_result(rng):
    data = windows(rng, 8).take(slice(0, 4))
    config = TrainConfig(epochs=1, batch_size=4, patience=3, optimizer=OptimizerConfig("sgd", 3e38))
    result = train(PLAIN, config, replace(data, targets=data.targets * 1e6))
    assert (result.status, result.state.history) == (Status.DIVERGED, {})


def test_a_stop_inside_an_epoch_goes_on_bit_for_bit(rng, tmp_path):
    """A deadline every 20 ms cuts epochs anywhere; each part is saved and loaded."""
    config = TrainConfig(epochs=3, batch_size=4, optimizer=OptimizerConfig("adam", 0.01))
    data, validation = windows(rng, 400).take(np.tile(np.arange(400), 40)), windows(rng, 9)
    whole = train(DROPPING, config, data, validation=validation, seed=3)
    state, parts = init_state(DROPPING, config, seed=3), 0
    while True:
        result = train(
            DROPPING, config, data, validation=validation, state=state, deadline=time.monotonic() + 0.02
        )
        state = result.state
        state.save(tmp_path / "s.npz")
        state = TrainState.load(tmp_path / "s.npz")
        if result.status is Status.FINISHED:
            break
        assert result.status is Status.DEADLINE
        parts += 1
    assert parts >= 2
    assert_same(state, whole.state)


def test_on_epoch_and_schedule(rng):
    data = windows(rng, 8)
    config = TrainConfig(epochs=5, optimizer=OptimizerConfig("sgd", 0.1))
    seen = []

    def on_epoch(epoch, logs):
        seen.append((epoch, set(logs)))
        return epoch == 2

    result = train(PLAIN, config, data, validation=data, on_epoch=on_epoch)
    assert (result.status, result.state.epoch) == (Status.STOPPED, 2)
    assert seen == [(1, {"loss", "val_loss"}), (2, {"loss", "val_loss"})]
    still = train(PLAIN, config, data, schedule=lambda epoch: 0.1 if epoch == 0 else 0.0)
    moved = train(PLAIN, config, data, until_epoch=1)
    np.testing.assert_array_equal(still.state.weights, moved.state.weights)
    assert still.state.history["loss"][1] == still.state.history["loss"][4]


def test_validation_loss_is_the_whole_sets_without_dropout(rng):
    config = TrainConfig(epochs=1)
    data = windows(rng, 70)
    result = train(DROPPING, config, data, validation=data)
    x, y = data.inputs.reshape(70, 4, 2), data.targets
    expected = loss_value(DROPPING, config, result.state.weights, x, y)
    assert result.state.history["val_loss"][0] == pytest.approx(expected, rel=2e-6)


def test_metrics_follow_the_epochs_batches_and_the_whole_validation_set(rng, tmp_path):
    """With a rate of 0 an epoch's own metrics are the whole set's; a stop inside it loses none."""
    model = ModelConfig(2, (LSTM(4, return_sequences=True), Dense(1)))
    config = TrainConfig(
        epochs=2, batch_size=8, supervision="every", burn_in=1, optimizer=OptimizerConfig("sgd", 0.0)
    )
    data, validation = windows(rng, 4000), windows(rng, 13)
    names = ("mae", "mse", "rmse", "mape")
    state = init_state(model, config, seed=1)
    parts = 0
    while state.epoch < config.epochs:
        deadline = time.monotonic() + 0.002
        state = train(
            model, config, data, validation=validation, state=state, metrics=names, deadline=deadline
        ).state
        state.save(tmp_path / "s.npz")
        state = TrainState.load(tmp_path / "s.npz")
        parts += 1
    assert parts > 2
    for prefix, part in (("", data), ("val_", validation)):
        x = part.inputs.reshape(len(part), 4, 2)
        target = part.targets[:, None]
        error = forward(model, state.weights, x)[0][:, 1:] - target
        expected = {
            "mae": np.abs(error).mean(),
            "mse": (error**2).mean(),
            "rmse": np.sqrt((error**2).mean()),
            "mape": 100 * (np.abs(error) / np.abs(target)).mean(),
        }
        for name in names:
            assert state.history[prefix + name] == pytest.approx([expected[name]] * 2, rel=1e-5), name
        assert state.history[f"{prefix}loss"] == pytest.approx(state.history[f"{prefix}mse"], rel=1e-12)
    with pytest.raises(ConfigError, match="metrics must be among"):
        train(model, config, data, metrics=["accuracy"])


def test_two_threads_train_as_one_does(rng):
    """Nothing is shared: two trials side by side give the bits that each gives alone."""
    data, config = windows(rng, 300), TrainConfig(epochs=5, batch_size=8)
    alone = [train(DROPPING, config, data, seed=n).state for n in range(4)]
    together: list[TrainState] = [None] * 4  # type: ignore[list-item]

    def work(n):
        together[n] = train(DROPPING, config, data, seed=n).state

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(
    ("model", "optimizer", "name"),
    [(PLAIN, "rmsprop", "slots"), (ModelConfig(2, (LSTM(40), Dense(1))), "sgd", "weights")],
)
def test_a_state_of_another_model_or_optimizer_is_refused(model, optimizer, name, rng):
    """Kernels would write beyond its end."""
    data = windows(rng, 8)
    state = train(PLAIN, TrainConfig(epochs=1, optimizer=OptimizerConfig("sgd", 0.1)), data).state
    with pytest.raises(ConfigError, match=f"this model and optimizer has {name} of the shape"):
        train(model, TrainConfig(epochs=2, optimizer=OptimizerConfig(optimizer, 0.1)), data, state=state)
    double = replace(state, weights=state.weights.astype(float))
    with pytest.raises(ConfigError, match="float64"):
        train(PLAIN, TrainConfig(epochs=2, optimizer=OptimizerConfig("sgd", 0.1)), data, state=double)


def test_whole_numbers_of_any_kind_do_not_compile_anew(rng):
    data, config = windows(rng, 8), TrainConfig(epochs=1, optimizer=OptimizerConfig("sgd", 1))
    one = train(PLAIN, config, replace(data, lookback=np.int32(4), target_step=np.int64(0)))
    other = train(PLAIN, TrainConfig(epochs=1, optimizer=OptimizerConfig("sgd", 1.0)), data)
    assert_same(one.state, other.state)


def test_no_damage_to_a_state_goes_unnamed(rng, tmp_path):
    whole = train(PLAIN, TrainConfig(epochs=1), windows(rng, 8)).state.to_bytes()
    for at in rng.integers(0, len(whole), 400):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        with contextlib.suppress(RunError):  # nothing but that, unless the bit meant nothing
            TrainState.from_bytes(bytes(damaged), "here")


def test_mistakes_are_named(rng, tmp_path):
    data, config = windows(rng, 8), TrainConfig(epochs=1)
    with pytest.raises(ConfigError, match="at least one window"):
        train(PLAIN, config, data.take(slice(0, 0)))
    with pytest.raises(ConfigError, match="input_size"):
        train(ModelConfig(3, (LSTM(4), Dense(1))), config, data)
    with pytest.raises(ConfigError, match="targets"):
        train(ModelConfig(2, (LSTM(4), Dense(2))), config, data)
    with pytest.raises(ConfigError, match="returns a sequence"):
        train(PLAIN, replace(config, supervision="every"), data)
    with pytest.raises(ConfigError, match="indices of windows"):
        train(PLAIN, config, data, order=lambda epoch: np.arange(9))
    with pytest.raises(ConfigError, match="validation"):
        train(PLAIN, config, data, score=lambda outputs: 0.0)
    with pytest.raises(ConfigError, match="one vector of"):
        init_state(PLAIN, config, weights=np.zeros(3))
    with pytest.raises(ConfigError, match="seed must lie between"):
        init_state(PLAIN, config, seed=-1)
    with pytest.raises(ConfigError, match="batch_size must be a whole number"):
        predict(PLAIN, init_state(PLAIN, config).weights, data, batch_size=0)
    with pytest.raises(ConfigError, match="target for each step needs a model that returns a sequence"):
        train(PLAIN, config, Windows.from_arrays(np.zeros((4, 3, 2)), np.zeros((4, 3, 1))))
    for name, value in {"lookback": 4.0, "target_step": -2}.items():
        with pytest.raises(ConfigError, match=f"{name} must be a whole number"):
            replace(data, **{name: value})
    for name, value in {"weight_decay": -0.1, "epsilon": float("nan")}.items():
        with pytest.raises(ConfigError, match=f"{name} must be a finite number"):
            replace(config.optimizer, **{name: value})
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"not a state")
    with pytest.raises(RunError, match="Train this trial anew"):
        TrainState.load(damaged)
    with pytest.raises(RunError):
        TrainState.load(tmp_path / "missing.npz")
