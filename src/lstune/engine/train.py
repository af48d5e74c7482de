"""Training and prediction: a state machine around the compiled loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import LOSSES, ModelConfig, TrainConfig
from lstune.engine.data import BATCH_TARGETS, Windows
from lstune.engine.loop import SPAN_DIVERGED, SPAN_DONE, evaluate_span, train_span
from lstune.engine.network import Network
from lstune.engine.optimizers import settings_vector
from lstune.engine.state import Status, StopFlag, TrainState, check_state, init_state
from lstune.engine.warmup import prepare
from lstune.engine.weights import parameter_count
from lstune.errors import ConfigError, explain

__all__ = ["METRICS", "TrainResult", "predict", "train"]

# What the history can hold beside losses; definitions as in Keras.
METRICS = ("mae", "mse", "rmse", "mape")

F32 = npt.NDArray[np.float32]

# Windows evaluated at once: enough rows to fill a matrix tile several times.
_EVALUATE_ROWS = 32


@dataclass(frozen=True)
class TrainResult:
    """`state` goes on from here; `weights` (P,) are the result: the best epoch's where they are kept."""

    state: TrainState
    status: Status
    weights: F32


def train(
    model: ModelConfig,
    config: TrainConfig,
    data: Windows,
    *,
    validation: Windows | None = None,
    state: TrainState | None = None,
    seed: int = 0,
    until_epoch: int | None = None,
    stop: StopFlag | None = None,
    deadline: float | None = None,
    score: Callable[[F32], float] | None = None,
    score_steps: int = 1,
    score_weights: Callable[[F32], float] | None = None,
    metrics: Sequence[str] = (),
    on_epoch: Callable[[int, dict[str, float]], bool | None] | None = None,
    schedule: Callable[[int], float] | None = None,
    order: Callable[[int], Any] | None = None,
) -> TrainResult:
    """Train `model` on `data`, from scratch or from `state`, without the GIL.

    Arguments:
        validation: windows evaluated after each epoch, without dropout.
        state: where to go on; it is copied. `seed` is then the state's own.
        until_epoch: stop, resumable, once this many epochs in all are done; `config.epochs` at most.
        stop: ends training within one batch when set by another thread.
        deadline: `time.monotonic()` seconds; training ends within about one batch of it.
        score: maps the validation windows' last-step outputs (N, H) to the number monitored in place of
            the validation loss, such as an error in original units; less is better.
        score_steps: how many last steps of each window `score` is given, for a model that returns a sequence;
            above 1 its argument is (N, score_steps, H).
        score_weights: the same from the weights (P,) instead, for a score that needs forecasts of its own.
        metrics: names among METRICS that the history shall hold too, as "mae" and "val_mae": in training,
            like the loss, over the epoch's batches as they went; on validation windows over all of them.
        on_epoch: called with the number of finished epochs and the epoch's entries of the history; True ends
            training.
        schedule: the learning rate of an epoch, counted from 0, in place of the optimizer's.
        order: the order of the windows in an epoch, in place of the shuffle.

    Training for n epochs, and for k and then, from the saved state, for n - k, give the same bits.
    A loss or score that is not finite ends training as DIVERGED at once and is not put in the history.
    """
    _check(model, config, data, "data")
    if validation is not None:
        _check(model, config, validation, "validation")
    elif score is not None:
        raise ConfigError(explain("A score needs validation windows", "validation=None"))
    if not set(metrics) <= set(METRICS):
        raise ConfigError(explain(f"metrics must be among {', '.join(METRICS)}", metrics))
    if score_steps != 1 and not (
        model.returns_sequence and validation and 1 < score_steps <= validation.lookback
    ):
        raise ConfigError(
            explain("score_steps must be 1, or within the steps of a model's sequence", score_steps)
        )
    prepare()
    state = init_state(model, config, seed) if state is None else state.copy()
    check_state(model, config, state)
    run = _Run(model, config, data, validation, state, stop or StopFlag(), deadline)
    last_epoch = config.epochs if until_epoch is None else min(until_epoch, config.epochs)
    status = _end_of_patience(config, state)
    while status is None and state.epoch < last_epoch:
        status = run.epoch(schedule, order)
        if status is None:
            status = run.judge(score, score_steps, metrics, score_weights)
        if status is None or status is Status.EARLY:
            logs = {name: values[-1] for name, values in state.history.items()}
            if on_epoch is not None and on_epoch(state.epoch, logs) and status is None:
                status = Status.STOPPED
    best = state.best_weights if config.restore_best_weights else None
    weights = state.weights if best is None else best
    return TrainResult(state, status or Status.FINISHED, weights.copy())


def _end_of_patience(config: TrainConfig, state: TrainState) -> Status | None:
    return Status.EARLY if config.patience is not None and state.wait >= config.patience else None


def _check(model: ModelConfig, config: TrainConfig, data: Windows, name: str) -> None:
    if len(data) == 0:
        raise ConfigError(explain(f"{name} must hold at least one window", 0))
    if data.channels != model.input_size:
        raise ConfigError(
            explain(f"{name} must have input_size = {model.input_size} channels", data.channels)
        )
    if data.outputs != model.output_size:
        raise ConfigError(explain(f"{name} must have {model.output_size} targets in a row", data.outputs))
    if data.target_step == BATCH_TARGETS and not (config.supervision == "every" and data.outputs == 1):
        raise ConfigError(explain(f"{name} of BATCH_TARGETS needs supervision every and one output", config))
    if data.target_step and data.lookback > 1 and not model.returns_sequence:
        raise ConfigError(
            explain(f"{name} with a target for each step needs a model that returns a sequence", model.layers)
        )
    if config.supervision == "every":
        if not model.returns_sequence:
            raise ConfigError(
                explain(
                    'supervision "every" needs a model that returns a sequence',
                    model.layers,
                    "Set return_sequences=True on the last LSTM, or take supervision 'last'",
                )
            )
        if config.burn_in >= data.lookback:
            raise ConfigError(
                explain(f"burn_in must be below {name}'s lookback of {data.lookback}", config.burn_in)
            )


class _Run:
    """One call of `train`: the pieces that kernels need, made once."""

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig,
        data: Windows,
        validation: Windows | None,
        state: TrainState,
        stop: StopFlag,
        deadline: float | None,
    ) -> None:
        self.config, self.data, self.validation, self.state = config, data, validation, state
        self.stop, self.deadline = stop, deadline
        self.network = self.evaluator = Network(model, data.lookback, min(config.batch_size, len(data)))
        self.gradient = np.zeros(self.network.parameters, np.float32)
        self.settings = settings_vector(config.optimizer)
        self.seconds_per_batch = self.seconds_per_judged = 0.0

    def epoch(
        self, schedule: Callable[[int], float] | None, order: Callable[[int], Any] | None
    ) -> Status | None:
        """Finish the epoch that the state stands in, or say why not."""
        state, config, windows = self.state, self.config, len(self.data)
        rate = float(config.optimizer.learning_rate if schedule is None else schedule(state.epoch))
        sequence = self._order(order)
        while state.position < windows:
            batches = self._affordable_batches(self.seconds_per_batch, windows)
            if batches == 0:
                return Status.DEADLINE
            until = min(windows, state.position + batches * config.batch_size)
            began, before = time.monotonic(), state.position
            errors = np.array(state.partial_errors)
            ended, state.position, state.step, state.partial_loss = train_span(
                self.network.workspace, self.network.table, self.network.rates, self.network.segments,
                state.weights, self.gradient, state.slots, self.settings,
                self.data.inputs, self.data.starts, self.data.lookback, self.data.targets,
                self.data.target_starts, self.data.target_step, sequence, config.batch_size,
                _first_step(config, self.data), LOSSES.index(config.loss), _loss_shape(config), rate,
                np.uint64(state.seed), state.step, state.position, until, self.stop.memory,
                state.partial_loss, errors,
            )  # fmt: skip
            state.partial_errors = errors.tolist()
            if ended == SPAN_DIVERGED:
                return Status.DIVERGED
            if ended != SPAN_DONE:
                return Status.STOPPED
            done = math.ceil((state.position - before) / config.batch_size)
            self.seconds_per_batch = (time.monotonic() - began) / max(done, 1)
        return None

    def _affordable_batches(self, seconds: float, most: int) -> int:
        """How many batches of so many seconds (0: nobody knows yet), at `most`, to run before the next look.

        0 when the deadline has passed, else half of what seems to fit, so that the last look at the clock
        comes within one batch of the deadline.
        """
        if self.deadline is None:
            return most
        left = self.deadline - time.monotonic()
        if left <= 0:
            return 0
        if seconds == 0.0:
            return 1
        return min(most, max(1, int(min(left, 2.0) / (2.0 * seconds))))

    def _order(self, order: Callable[[int], Any] | None) -> npt.NDArray[np.int64]:
        windows = len(self.data)
        if order is not None:
            given = np.ascontiguousarray(order(self.state.epoch), np.int64)
            if given.shape != (windows,) or given.min() < 0 or given.max() >= windows:
                raise ConfigError(explain(f"order must give {windows} indices of windows", given.shape))
            return given
        if not self.config.shuffle:
            return np.arange(windows, dtype=np.int64)
        seed = np.random.SeedSequence([self.state.seed, 1, self.state.epoch])
        return np.random.default_rng(seed).permutation(windows).astype(np.int64)

    def judge(
        self,
        score: Callable[[F32], float] | None,
        steps: int = 1,
        metrics: Sequence[str] = (),
        score_weights: Callable[[F32], float] | None = None,
    ) -> Status | None:
        """Close the epoch: history, best weights, patience."""
        state, config = self.state, self.config
        logs = {"loss": state.partial_loss / len(self.data)}
        logs.update(_metrics(metrics, state.partial_errors, config, self.data))
        if self.validation is not None:
            outputs = np.empty((len(self.validation), steps, self.validation.outputs), np.float32)
            seen = self._evaluate(self.validation, outputs)
            if seen is None:  # this epoch is judged when training goes on
                return Status.STOPPED if self.stop.is_set() else Status.DEADLINE
            logs["val_loss"] = loss = float(seen.total / len(self.validation))
            of_validation = _metrics(metrics, seen.errors.tolist(), config, self.validation)
            logs.update({f"val_{name}": value for name, value in of_validation.items()})
            if score is not None:
                last = outputs[:, 0] if steps == 1 else outputs
                logs["val_score"] = float(score(last)) if math.isfinite(loss) else math.nan
        if score_weights is not None:
            logs["val_score"] = float(score_weights(state.weights))
        # The last batch's step may overflow with nothing after it to show it.
        if not (all(math.isfinite(value) for value in logs.values()) and np.isfinite(state.weights).all()):
            return Status.DIVERGED
        state.epoch, state.position, state.partial_loss = state.epoch + 1, 0, 0.0
        state.partial_errors = [0.0, 0.0, 0.0]
        for name, value in logs.items():
            state.history.setdefault(name, []).append(value)
        if self.validation is None and config.patience is None:
            return None
        value = logs[next(name for name in ("val_score", "val_loss", "loss") if name in logs)]
        if state.best_epoch == 0 or value < state.best_value - config.min_delta:
            state.best_epoch, state.best_value, state.wait = state.epoch, value, 0
            if config.restore_best_weights:
                state.best_weights = state.weights.copy()
        else:
            state.wait += 1
        return _end_of_patience(config, state)

    def _evaluator_for(self, windows: Windows) -> Network:
        """A network to evaluate these windows with: training's where it fits, else one kept for it."""
        exact = windows.target_step == BATCH_TARGETS
        # Where a batch's windows are scored together, its size matters: Keras evaluates in fit's.
        rows = min(self.config.batch_size if exact else _EVALUATE_ROWS, len(windows))
        for network in (self.network, self.evaluator):
            fits = network.batch == rows if exact else network.batch >= rows
            if fits and network.lookback == windows.lookback:
                return network
        self.evaluator = Network(self.network.model, windows.lookback, rows)
        return self.evaluator

    def _evaluate(self, windows: Windows, outputs: F32) -> _Evaluation | None:
        """All windows evaluated, None if cut off; `outputs` (N, steps, H) are filled."""
        network = self._evaluator_for(windows)
        seen = _Evaluation(network, self.state.weights, windows, self.config, outputs)
        while seen.position < len(windows):
            batches = self._affordable_batches(self.seconds_per_judged, len(windows))
            if batches == 0:
                return None
            began, before = time.monotonic(), seen.position
            if not seen.go_on(min(len(windows), before + batches * network.batch), self.stop):
                return None
            done = math.ceil((seen.position - before) / network.batch)
            self.seconds_per_judged = (time.monotonic() - began) / max(done, 1)
        return seen


@dataclass
class _Evaluation:
    """Windows evaluated up to `position`: their outputs (N, steps, H), loss sum and sums of errors (3,)."""

    network: Network
    weights: F32
    windows: Windows
    config: TrainConfig
    outputs: F32
    position: int = 0
    total: float = 0.0
    errors: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def go_on(self, until: int, stop: StopFlag) -> bool:
        """Evaluate the windows before `until`; False if stopped on the way."""
        network, windows, config = self.network, self.windows, self.config
        ended, self.position, self.total = evaluate_span(
            network.workspace, network.table, network.rates, self.weights,
            windows.inputs, windows.starts, windows.lookback, windows.targets, windows.target_starts,
            windows.target_step, np.arange(len(windows), dtype=np.int64), network.batch,
            _first_step(config, windows), LOSSES.index(config.loss), _loss_shape(config), self.outputs,
            self.position, until, stop.memory, self.total, self.errors,
        )  # fmt: skip
        return bool(ended == SPAN_DONE)


def _first_step(config: TrainConfig, data: Windows) -> int:
    return config.burn_in if config.supervision == "every" else data.lookback - 1


def _loss_shape(config: TrainConfig) -> float:
    return float(config.quantile if config.loss == "pinball" else config.delta)


def _metrics(
    names: Sequence[str], errors: Sequence[float], config: TrainConfig, windows: Windows
) -> dict[str, float]:
    """Metrics over `windows` from the sums of absolute, squared and relative absolute errors."""
    steps = windows.lookback - _first_step(config, windows)
    absolute, squared, relative = (total / (len(windows) * steps * windows.outputs) for total in errors)
    known = {"mae": absolute, "mse": squared, "rmse": math.sqrt(squared), "mape": 100.0 * relative}
    return {name: known[name] for name in names}


def predict(
    model: ModelConfig,
    weights: Any,
    data: Windows,
    *,
    batch_size: int = _EVALUATE_ROWS,
    last_step: bool = False,
) -> F32:
    """The model's outputs: (N, H), or (N, L, H) if it returns a sequence.

    `last_step` gives (N, H) in either case. The targets of `data` are not looked at. A window that holds NaN
    or an infinity may give NaN, and changes nothing in the outputs of the others.
    """
    weights = np.require(weights, np.float32, ["C", "A", "W"])
    count = parameter_count(model)
    if weights.shape != (count,):
        raise ConfigError(explain(f"This model's weights are one vector of {count} numbers", weights.shape))
    if data.channels != model.input_size:
        raise ConfigError(explain(f"data must have input_size = {model.input_size} channels", data.channels))
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ConfigError(explain("batch_size must be a whole number of 1 or more", batch_size))
    prepare()
    blank = Windows(
        data.inputs,
        data.starts,
        data.lookback,
        np.zeros((1, model.output_size), np.float32),
        np.zeros(len(data), np.int64),
    )
    steps = data.lookback if model.returns_sequence and not last_step else 1
    outputs = np.empty((len(data), steps, model.output_size), np.float32)
    if len(data):
        network = Network(model, data.lookback, min(batch_size, len(data)))
        _Evaluation(network, weights, blank, TrainConfig(), outputs).go_on(len(data), StopFlag())
    return outputs if model.returns_sequence and not last_step else outputs[:, 0]
