"""A trial trained by the engine: seeds, checkpoints of the best epoch, going on from a saved state."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstune.engine.state import Status, TrainState
from lstune.kt.errors import SearchOver
from lstune.kt.fit import Outcome, run_fit
from lstune.kt.translate import Fit, translate_layers, write_weights
from lstune.kt.trial import Trial

if TYPE_CHECKING:
    from lstune.kt.tuner import Tuner

__all__ = ["EngineTrial", "FitCall"]

log = logging.getLogger("lstune.kt")

# A trial that is longer than this is saved now and then, so that a crash does not lose it.
_SAVE_SECONDS = 30.0


@dataclass(frozen=True)
class FitCall:
    """What each execution of a trial calls `fit` with; callbacks are copied for each of them."""

    callbacks: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class EngineTrial:
    """Keeps what a trial's executions have in common: the best epoch so far and where it is written.

    Files in the trial's folder: checkpoint.npz holds the best epoch's weights and the shape of the inputs,
    state.npz where training ended, progress.npz where it was interrupted.
    """

    def __init__(self, tuner: Tuner, trial: Trial) -> None:
        self.tuner = tuner
        self.folder = Path(tuner.get_trial_dir(trial.trial_id))
        self.execution = 0
        self.best: float | None = None

    def begin(self, execution: int) -> None:
        """Before each execution, counted from 0."""
        self.execution = execution

    def is_better(self, logs: dict[str, float]) -> bool:
        """Whether the epoch is the best of all executions so far; noted if so."""
        objective = self.tuner.oracle.objective
        if not objective.has_value(logs):
            # The objective is computed after training: the last epoch is what it is computed on.
            return True
        value = objective.get_value(logs)
        if not math.isfinite(value) or (
            self.best is not None and not objective.better_than(value, self.best)
        ):
            return False
        self.best = value
        return True

    def train(self, fit: Fit, trial: Trial) -> Outcome:
        """Train; raises SearchOver if the search ends meanwhile, with the state saved."""
        state = self._start(trial)
        interrupted = self.folder / "progress.npz"
        resumable = self.execution == 0 and not fit.callbacks_act
        prefill = False
        if resumable and interrupted.exists():
            state, prefill = TrainState.load(interrupted), True
            self._recall(state, fit)
        saved = time.monotonic()
        shape = (0, fit.train.lookback, fit.chain.model.input_size)

        def on_epoch(epoch: int, logs: dict[str, float], now: TrainState) -> None:
            nonlocal saved
            if self.is_better(logs):
                np.savez(self.folder / "checkpoint.npz", weights=now.weights, shape=np.array(shape))
            if resumable and time.monotonic() - saved > _SAVE_SECONDS:
                now.save(interrupted)
                saved = time.monotonic()

        outcome = run_fit(
            fit,
            seed=self.seed_of(trial),
            state=state,
            stop=self.tuner.stop_flag,
            deadline=self.tuner.deadline,
            on_epoch=on_epoch,
            prefill=prefill,
        )
        if outcome.status in (Status.STOPPED, Status.DEADLINE):
            if resumable:
                outcome.state.save(interrupted)
            else:
                log.warning(
                    "trial %s will start anew when the search goes on: %s", trial.trial_id, self._why(fit)
                )
            raise SearchOver
        interrupted.unlink(missing_ok=True)
        if self.tuner._keeps_states():
            outcome.state.save(self.folder / "state.npz")
        return outcome

    def _why(self, fit: Fit) -> str:
        """Why a trial that is cut off cannot go on where it was."""
        if self.execution > 0:
            return "it was in a further execution, of which only whole ones are kept"
        acting = [type(c).__name__ for c in fit.callbacks if not getattr(c, "lstune_follows", False)]
        return f"callbacks act in it, whose state is not kept ({', '.join(acting)})"

    def _start(self, trial: Trial) -> TrainState | None:
        past = self.tuner._resumed_from(trial)
        if past is None or not (past / "state.npz").exists():
            return None
        return TrainState.load(past / "state.npz")

    def _recall(self, state: TrainState, fit: Fit) -> None:
        """The best value of the epochs before the interruption, whose checkpoint is there already."""
        for _, logs in fit.epochs_behind(state):
            self.is_better(logs)

    def seed_of(self, trial: Trial) -> int:
        """A number that depends on the search's seed, the trial, its execution and its retries alone."""
        oracle = self.tuner.oracle
        number, retries = oracle.numbers_of(trial.trial_id)
        entropy = [oracle.seed & 0xFFFFFFFF, number, self.execution, retries]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def write_back(self, fit: Fit, model: Any, weights: Any) -> None:
        """Put the trained weights into the Keras model."""
        write_weights(fit.chain, model, weights, (0, fit.train.lookback, fit.chain.model.input_size))

    @staticmethod
    def load_weights(folder: Path, model: Any) -> bool:
        """Put a trial's best weights into its rebuilt Keras model; False if the engine did not train it."""
        checkpoint = folder / "checkpoint.npz"
        if not checkpoint.exists():
            return False
        with np.load(checkpoint) as file:
            weights, shape = file["weights"], tuple(int(size) for size in file["shape"])
        write_weights(translate_layers(model, shape[2]), model, weights, shape)
        return True
