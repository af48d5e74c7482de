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
from lstune.kt.translate import Fit

__all__ = ["Outcome", "run_fit"]

F32 = npt.NDArray[np.float32]


@dataclass
class Outcome:
    """What came of a fit.

    history: name -> one value for each epoch, as Keras' History has it; NaN in the epoch that diverged.
    epochs: the epochs' numbers, from 0.  weights: (P,) float32, what the model would be left with.
    state: where training can go on.
    """

    history: dict[str, list[float]]
    epochs: list[int]
    state: TrainState
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
    state: TrainState | None = None,
    stop: StopFlag | None = None,
    deadline: float | None = None,
    on_epoch: Callable[[int, dict[str, float], TrainState], None] | None = None,
    prefill: bool = False,
) -> Outcome:
    """Train as `fit` says, from its weights or, with `state`, from where that stands.

    `on_epoch(epoch, logs, state)` is called after each epoch with Keras' logs. A loss that is not finite ends
    training with NaN in that epoch's entries. With `prefill` the history starts with the epochs of this fit
    that the state has behind it.
    """
    if state is None:
        state = init_state(fit.chain.model, fit.config, seed=seed, weights=fit.weights)
    # A trial that was stopped early and is promoted all the same goes on at the round's first epoch.
    state = replace(state, epoch=max(state.epoch, fit.initial_epoch))
    model = _StandIn(state, SimpleNamespace(learning_rate=fit.config.optimizer.learning_rate))
    callbacks = [each for each in fit.callbacks if not getattr(each, "lstune_follows", False)]
    for callback in callbacks:
        _attach(callback, model, fit)
    history: dict[str, list[float]] = {}
    epochs: list[int] = []
    if prefill:
        for epoch, behind in fit.epochs_behind(state):
            epochs.append(epoch)
            for name, value in behind.items():
                history.setdefault(name, []).append(value)
    status = Status.FINISHED
    for epoch in range(max(state.epoch, fit.initial_epoch), fit.config.epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        status, logs = _one_epoch(fit, model, epoch, stop, deadline)
        if logs is None:
            break
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
        epochs.append(epoch)
        for name, value in logs.items():
            history.setdefault(name, []).append(float(value))
        if on_epoch is not None:
            on_epoch(epoch, logs, model.state)
        if status is Status.DIVERGED or model.stop_training:
            break
    for callback in callbacks:
        callback.on_train_end()
    weights = model.state.weights if model.restored is None else model.restored
    return Outcome(history, epochs, model.state, weights, status)


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
