"""One trial: a setting and a fold in, a validation error in original units out."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine import (
    ModelConfig,
    Status,
    StopFlag,
    TrainResult,
    TrainState,
    Windows,
    predict,
    train,
)
from lstune.errors import RunError
from lstune.evaluation import measure
from lstune.forecaster import as_windows
from lstune.search import TrialRecord
from lstune.series import (
    Fold,
    Pipeline,
    PipelineConfig,
    Series,
    WindowSet,
    fit_pipeline,
    recurse,
    scored_origins,
    truth_after,
)
from lstune.tuning.executors import Outcome
from lstune.tuning.settings import Recipe, recipe
from lstune.tuning.states import StateStore

__all__ = [
    "Fitted",
    "Objective",
    "epoch_seconds",
    "fit_member",
    "forecast_rows",
    "forecast_windows",
    "training_seed",
]

F64 = npt.NDArray[np.float64]

# Validation runs of consecutive steps: enough of them to fill the kernels' blocks of rows.
_RUNS = 32
_KEPT_PIPELINES = 24
# Origins, spread over the validation rows, from which forecasts that are fed back are scored in training.
_FED_BACK = 32
# The time to forecast a window, as a part of that to train one: at most 0.2 in measurements on 3000 rows.
_FORWARD = 0.25
_STATUS = {
    Status.FINISHED: "reached",
    Status.EARLY: "reached",
    Status.STOPPED: "interrupted",
    Status.DEADLINE: "interrupted",
}


@dataclass(frozen=True)
class Fitted:
    """A trained network with the pipeline around it; `seconds` is what training took.

    `horizon` is that of the forecasts: a pipeline of horizon 1 feeds its own back to reach it.
    """

    pipeline: Pipeline
    model: ModelConfig
    weights: npt.NDArray[np.float32]
    seconds: float = 0.0
    horizon: int = 1


def training_seed(seed: int, number: int) -> int:
    """The seed of a trial's weights and batches: a function of the run's seed and the trial's number."""
    return int(np.random.SeedSequence([seed, number, 0x7261696E]).generate_state(1)[0] >> 1)


def epoch_seconds(trial: TrialRecord) -> float:
    """Seconds that an epoch of the trial took, its validation included."""
    return float(trial.attrs.get("seconds", 0.0)) / max(1, trial.epochs)


def forecast_windows(fitted: Fitted, part: WindowSet) -> F64:
    """Forecasts (N, H) in original units for the windows of `part`, each from its own lookback rows."""
    raw = predict(fitted.model, fitted.weights, as_windows(part), last_step=True)
    return fitted.pipeline.invert(raw, part)


def forecast_rows(fitted: Fitted, rows: range, few: bool = False) -> F64:
    """Forecasts (N, H) in original units for every origin whose H targets lie in `rows`.

    `few` is for a rough look: about `_FED_BACK` origins, spread evenly.
    """
    series, horizon = fitted.pipeline.series, fitted.horizon
    assert series is not None
    origins = scored_origins(series, rows, horizon)
    origins = origins[_spread(len(origins))] if few else origins
    if fitted.pipeline.config.horizon == horizon:
        return forecast_windows(fitted, fitted.pipeline.windows_at(origins))
    return recurse(fitted.pipeline, series, origins, horizon, lambda part: forecast_windows(fitted, part))


def _spread(count: int) -> slice:
    """About `_FED_BACK` of so many origins, evenly spread."""
    return slice(None, None, max(1, count // _FED_BACK))


@dataclass(frozen=True)
class _Validation:
    """Validation windows, and where in the network's output each origin's forecast stands."""

    windows: Windows
    part: WindowSet
    steps: int = 1  # S, the last steps of each window that are forecasts
    row: npt.NDArray[np.int64] | None = None  # (N,) in which run an origin's forecast is
    step: npt.NDArray[np.int64] | None = None  # (N,) and in which of the run's last S steps

    def forecasts(self, raw: Any, pipeline: Pipeline) -> F64:
        """Forecasts (N, H) in original units from the network's output, (runs, S, H) or (N, H)."""
        return pipeline.invert(raw[self.row, self.step] if raw.ndim == 3 else raw, self.part)


def _validation(part: WindowSet, supervision: str) -> _Validation:
    """Windows for validation during training.

    A network that gives every step needs no window for each origin: a run of lookback - 1 + c steps holds the
    forecasts of c origins, each with at least `lookback` rows before it. That is up to `lookback` times
    less work, with forecasts that differ little (they know up to c - 1 rows more). The scores shown at the
    end of a run are those of exact windows.
    """
    if supervision != "every":
        return _Validation(as_windows(part), part)
    low, high = int(part.origins[0]), int(part.origins[-1])
    count = high - low + 1
    each = min(count, max(-(-count // _RUNS), 1))
    length = part.lookback - 1 + each
    first = np.minimum(
        np.arange(low, high + 1, each), high + 1 - each
    )  # the last run may overlap its neighbour
    starts = first - (part.lookback - 1)
    offset = int(part.target_starts[0] - part.starts[0])
    windows = Windows(part.inputs, starts, length, part.targets, starts + offset, part.target_step)
    if each == 1:
        return _Validation(as_windows(part), part)
    row = np.minimum((part.origins - low) // each, len(first) - 1)
    return _Validation(windows, part, each, row, part.origins - first[row])


class Objective:
    """Trains trials on one fold; every method may be called from several threads.

    A trial's state is kept in `states`, so that a job with `start_epoch` above 0 goes on where it paused.
    """

    def __init__(
        self,
        series: Series,
        fold: Fold,
        *,
        horizon: int,
        seed: int,
        states: StateStore,
        stop: StopFlag,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.series = series
        self.fold = fold
        self.horizon = horizon
        self.seed = seed
        self.states = states
        self.stop = stop
        self.deadline: float | None = None
        self.timeout = timeout
        self.clock = clock
        self.passes: dict[int, float] = {}  # seconds to forecast from one origin, by trial, where measured
        self._lock = threading.Lock()
        self._pipelines: OrderedDict[PipelineConfig, tuple[Pipeline, _Validation]] = OrderedDict()

    def after_search(self, deadline: float | None) -> Objective:
        """For work after the search: can be trained again, until `deadline` on the monotonic clock if given.

        Its states do not touch those of the search, which a resumed study must find as it left them.
        """
        other = Objective(
            self.series,
            self.fold,
            horizon=self.horizon,
            seed=self.seed,
            states=self.states.overlay(),
            stop=StopFlag(),
            clock=self.clock,
        )
        other.deadline, other.passes = deadline, self.passes
        return other

    def on_fold(self, fold: Fold) -> Objective:
        """The same for another fold, with states of its own and the same deadline."""
        other = Objective(
            self.series,
            fold,
            horizon=self.horizon,
            seed=self.seed,
            states=StateStore(),
            stop=self.stop,
            clock=self.clock,
        )
        other.deadline, other.passes = self.deadline, self.passes
        return other

    def recipe(self, setting: dict[str, Any]) -> Recipe:
        """The setting, resolved for this series."""
        return recipe(setting, self.series.season)

    def prepared(self, chosen: Recipe) -> tuple[Pipeline, _Validation]:
        """Pipeline fitted on the fold's training rows, and the validation windows; the latest are kept."""
        config = chosen.pipeline(self.horizon)
        with self._lock:
            if config in self._pipelines:
                self._pipelines.move_to_end(config)
                return self._pipelines[config]
        pipeline = fit_pipeline(self.series, self.fold.train, config)
        made = pipeline, _validation(pipeline.windows(self.fold.validation), config.supervision)
        with self._lock:
            self._pipelines[config] = made
            while len(self._pipelines) > _KEPT_PIPELINES:
                self._pipelines.popitem(last=False)
        return made

    def run(self, job: Any, report: Callable[[int, float], bool]) -> Outcome:
        """Train one job; `report(epoch, error)` takes each epoch's error and says whether to stop."""
        began = time.monotonic()
        chosen = self.recipe(job.params)
        pipeline, validation = self.prepared(chosen)
        windows = as_windows(pipeline.windows(self.fold.train, chosen.stride))
        direct = pipeline.config.horizon == self.horizon
        state = self._state(job)
        pruned = self._replay(job, state, report)

        model = chosen.model(pipeline.channels, self.horizon)

        def score_fed_back(weights: Any) -> float:
            fitted = Fitted(pipeline, model, weights, horizon=self.horizon)
            return self.rough_error(fitted, job.number)

        def score(raw: Any) -> float:
            return measure("mae", validation.part.actual, validation.forecasts(raw, pipeline))

        def on_epoch(epoch: int, logs: dict[str, float]) -> bool:
            nonlocal pruned
            value = logs.get("val_score", float("nan"))
            pruned = bool(np.isfinite(value) and report(epoch, float(value)))
            return pruned

        if pruned and state is not None:
            return self._outcome(job, TrainResult(state, Status.STOPPED, state.weights), True, 0.0)
        result = train(
            model,
            chosen.train,
            windows,
            validation=validation.windows,
            state=state,
            seed=training_seed(self.seed, job.number),
            until_epoch=min(job.stop_epoch, chosen.train.epochs),
            stop=self.stop,
            deadline=self._deadline(began),
            score=score if direct else None,
            score_steps=validation.steps if direct else 1,
            score_weights=None if direct else score_fed_back,
            on_epoch=on_epoch,
            schedule=chosen.schedule,
        )
        return self._outcome(job, result, pruned, time.monotonic() - began)

    def rough_error(self, fitted: Fitted, number: int | None = None) -> float:
        """Mean absolute error on the validation rows from some evenly spread origins.

        Where forecasts are fed back each origin costs a pass over a window for every step of the horizon: too
        much for all after each epoch. The scores shown at the end of a run are those of all origins.
        """
        truth = self.validation_truth()
        return measure("mae", truth[_spread(len(truth))], self.forecast(number, fitted, few=True))

    def forecast(self, number: int | None, fitted: Fitted, few: bool = False) -> F64:
        """Forecasts (V, H) of the fold's validation rows; what they cost is noted for trial `number`."""
        began = self.clock()
        made = forecast_rows(fitted, self.fold.validation, few)
        if number is not None and len(made):
            each = (self.clock() - began) / len(made)
            # The least: something else may have held up the machine, and a few origins cost more each.
            self.passes[number] = min(each, self.passes.get(number, each))
        return made

    def pass_seconds(self, trial: TrialRecord, origins: int) -> float:
        """Seconds to forecast from so many origins with a trial's network: measured, else from its training.

        Training is measured in windows; forecasts that are fed back take a window for every row.
        """
        if trial.number in self.passes:
            return self.passes[trial.number] * origins
        chosen = self.recipe(trial.params)
        windows = max(1, len(self.fold.train) // chosen.stride)
        each = self.horizon // chosen.steps(self.horizon)
        return _FORWARD * epoch_seconds(trial) / windows * each * origins

    def validating(self, number: int) -> float:
        """Seconds that forecasts of the validation rows took for trial `number`; 0 if it made none."""
        return self.passes.get(number, 0.0) * len(self.fold.validation)

    def late(self, seconds: float = 0.0) -> bool:
        """Whether what takes so many seconds would end after the deadline."""
        return self.deadline is not None and self.clock() + seconds > self.deadline

    def _deadline(self, began: float) -> float | None:
        limits = [
            limit for limit in (self.deadline, self.timeout and began + self.timeout) if limit is not None
        ]
        return min(limits, default=None)

    def _state(self, job: Any) -> TrainState | None:
        """Where the trial stands; a damaged file counts as none, for training anew gives the same bits."""
        try:
            return self.states.get(job.number, job.start_epoch)
        except RunError:
            return None

    def _replay(self, job: Any, state: TrainState | None, report: Callable[[int, float], bool]) -> bool:
        """Report epochs that a killed process had trained and saved, but not told."""
        scores = state.history.get("val_score", []) if state is not None else []
        for epoch in range(job.start_epoch + 1, min(len(scores), job.stop_epoch) + 1):
            if report(epoch, scores[epoch - 1]):
                return True
        return False

    def _outcome(self, job: Any, result: TrainResult, pruned: bool, seconds: float) -> Outcome:
        state = result.state
        if result.status is Status.DIVERGED:
            self.states.drop(job.number)
            return Outcome("diverged", None, state.epoch, "the loss is not finite", seconds)
        if result.status is Status.DEADLINE and self.deadline is None:
            self.states.drop(job.number)
            return Outcome("failed", None, state.epoch, f"longer than {self.timeout:g} s", seconds)
        self.states.put(job.number, state)
        value = float(state.best_value) if state.best_epoch > 0 else None
        if value is None or not np.isfinite(value):
            reason = "no epoch was finished" if state.epoch == 0 else "the validation error is not finite"
            status = "interrupted" if state.epoch == 0 else "diverged"
            return Outcome(status, None, state.epoch, reason, seconds)
        status = "pruned" if pruned else _STATUS[result.status]
        if result.status is Status.EARLY:
            status = "early"
        return Outcome(status, value, state.epoch, None, seconds)

    def validation_origins(self) -> npt.NDArray[np.int64]:
        """The origins (V,) of the forecasts of the fold's validation rows."""
        return scored_origins(self.series, self.fold.validation, self.horizon)

    def validation_truth(self) -> F64:
        """The truth (V, H) on the fold's validation rows, NaN where a value was filled."""
        return truth_after(self.series, self.validation_origins(), self.horizon)

    def fitted(self, number: int, setting: dict[str, Any], epoch: int = 0) -> Fitted | None:
        """The trial's network with its best weights after `epoch` epochs or more; None if it has none."""
        state: TrainState | None = self.states.get(number, epoch)
        if state is None or state.best_weights is None:
            return None
        chosen = self.recipe(setting)
        pipeline, _ = self.prepared(chosen)
        model = chosen.model(pipeline.channels, self.horizon)
        return Fitted(pipeline, model, state.best_weights, horizon=self.horizon)


def fit_member(
    series: Series,
    rows: range,
    chosen: Recipe,
    *,
    horizon: int,
    epochs: int,
    seed: int,
    stop: StopFlag,
    deadline: float | None = None,
) -> Fitted | None:
    """Train a setting from scratch on `rows` for `epochs`, without validation; None if it did not finish.

    The learning rate runs through its whole decay within these epochs.
    """
    began = time.monotonic()
    pipeline = fit_pipeline(series, rows, chosen.pipeline(horizon))
    windows = as_windows(pipeline.windows(rows, chosen.stride))
    model = chosen.model(pipeline.channels, horizon)
    config = replace(chosen.train, epochs=epochs, patience=None, restore_best_weights=False)
    result = train(
        model,
        config,
        windows,
        seed=seed,
        stop=stop,
        deadline=deadline,
        schedule=chosen.schedule_over(epochs),
    )
    if result.status is not Status.FINISHED:
        return None
    return Fitted(pipeline, model, result.weights, time.monotonic() - began, horizon)
