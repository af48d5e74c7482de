"""Runs a translated `fit` on the engine, with Keras' own callbacks acting on a stand-in for the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.state import Status, StopFlag, TrainState, init_state
from lstune.engine.train import train
from lstune.kt.progress import Progress, changed, plain_values
from lstune.kt.translate import Fit

__all__ = ["Outcome", "run_fit"]

F32 = npt.NDArray[np.float32]


@dataclass
class Outcome:
    """What came of a fit.

    history: name -> one value for each epoch, as Keras' History has it; NaN in the epoch that diverged.
    epochs: the epochs' numbers, from 0.  weights: (P,) float32, what the model would be left with.
    progress: where training can go on.
    """

    history: dict[str, list[float]]
    epochs: list[int]
    progress: Progress
    weights: F32
    status: Status


@dataclass
class _StandIn:
    """As much of a Keras model as the known callbacks touch."""

    state: TrainState
    optimizer: SimpleNamespace
    metrics: list[Any] = field(default_factory=list)
    stop_training: bool = False
    restored: F32 | None = None

    def get_weights(self) -> list[F32]:
        return [self.state.weights.copy()]

    def set_weights(self, weights: list[F32]) -> None:
        self.restored = weights[0]


def run_fit(
    fit: Fit,
    *,
    seed: int,
    start: TrainState | Progress | None = None,
    stop: StopFlag | None = None,
    deadline: float | None = None,
    on_epoch: Callable[[int, dict[str, float], Progress], None] | None = None,
) -> Outcome:
    """Train as `fit` says, from its weights or from `start`.

    A TrainState as `start` is another fit's end, on which this one builds with callbacks that begin anew and
    the optimizer's own learning rate; Progress is where this same fit was cut off, and both together give
    what one fit without a cut gives, callbacks and history too. `on_epoch(epoch, logs, progress)` is called
    after each epoch with Keras' logs, but not after one whose loss is not finite: that ends training, with
    NaN in its entries.
    """
    past = start if isinstance(start, Progress) else None
    state = past.state if past is not None else start
    if not isinstance(state, TrainState):
        state = init_state(fit.chain.model, fit.config, seed=seed, weights=fit.weights)
        # The Keras model's optimizer may have been at work before.
        state = replace(state, step=fit.step, slots=state.slots if fit.slots is None else fit.slots)
    # A trial that was stopped early and is promoted all the same goes on at the round's first epoch.
    state = replace(state, epoch=max(state.epoch, fit.initial_epoch))
    model = _StandIn(state, SimpleNamespace(learning_rate=fit.config.optimizer.learning_rate))
    logbook = list(past.logs) if past is not None else []
    for callback in fit.acting:
        _attach(callback, model, fit)
    fresh = [plain_values(callback) for callback in fit.acting]
    if past is not None:
        model.optimizer.learning_rate, model.stop_training = past.learning_rate, past.stop_training
        for callback, (_, values) in zip(fit.acting, past.callbacks, strict=True):
            vars(callback).update(values)

    def progress() -> Progress:
        pairs = zip(fit.acting, fresh, strict=True)
        remembered = tuple((type(each).__name__, changed(each, before)) for each, before in pairs)
        rate = float(model.optimizer.learning_rate)
        return Progress(model.state, seed, rate, tuple(logbook), remembered, model.stop_training)

    status, now = Status.FINISHED, progress()
    for epoch in range(state.epoch, fit.config.epochs):
        if model.stop_training:
            break
        for callback in fit.acting:
            callback.on_epoch_begin(epoch)
        status, logs = _one_epoch(fit, model, epoch, stop, deadline)
        if logs is None:
            # Within an epoch: its beginning, which may have changed the learning rate, comes once more.
            return _outcome(replace(now, state=model.state), model.state.weights, status)
        for callback in fit.acting:
            callback.on_epoch_end(epoch, logs)
        logbook.append((epoch, {name: float(value) for name, value in logs.items()}))
        now = progress()
        if status is Status.DIVERGED:
            break
        if on_epoch is not None:
            on_epoch(epoch, logs, now)
    for callback in fit.acting:
        callback.on_train_end()
    return _outcome(now, model.state.weights if model.restored is None else model.restored, status)


def _outcome(progress: Progress, weights: F32, status: Status) -> Outcome:
    history: dict[str, list[float]] = {}
    for _, logs in progress.logs:
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
    return Outcome(history, [epoch for epoch, _ in progress.logs], progress, weights, status)


def _one_epoch(
    fit: Fit, model: _StandIn, epoch: int, stop: StopFlag | None, deadline: float | None
) -> tuple[Status, dict[str, float] | None]:
    rate = float(model.optimizer.learning_rate)
    result = train(
        fit.chain.model,
        fit.config,
        fit.train,
        validation=fit.validation,
        state=model.state,
        until_epoch=epoch + 1,
        stop=stop,
        deadline=deadline,
        schedule=lambda _: rate,
        metrics=tuple(dict.fromkeys(fit.metrics.values())),
    )
    model.state = result.state
    if result.status in (Status.STOPPED, Status.DEADLINE):
        return result.status, None
    if result.status is Status.DIVERGED:
        prefixes = ("", "val_") if fit.validation is not None else ("",)
        return result.status, {p + name: math.nan for p in prefixes for name in ("loss", *fit.metrics)}
    return result.status, fit.logs_of(result.state, -1)


def _attach(callback: Any, model: _StandIn, fit: Fit) -> None:
    callback.set_model(model)
    # All metrics that the engine knows are errors; Keras would find this out from metric objects.
    undecided = getattr(callback, "monitor_op", model) is None and callback.mode == "auto"
    if undecided and callback.monitor.removeprefix("val_") in {"loss", *fit.metrics}:
        callback.mode = "min"
    callback.on_train_begin()
    if getattr(callback, "monitor_op", model) is None and hasattr(callback, "_set_monitor_op"):
        # Else done after the first epoch, once: it turns the sign of min_delta, and twice would undo that.
        callback._set_monitor_op()
