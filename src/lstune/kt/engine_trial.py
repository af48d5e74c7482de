"""A trial trained by the engine: seeds, checkpoints of the best epoch, going on from a saved state."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from lstune.engine.optimizers import slot_count
from lstune.engine.state import Status, TrainState, init_state
from lstune.errors import RunError, explain
from lstune.kt.errors import SearchOver
from lstune.kt.fit import Outcome, run_fit
from lstune.kt.optimizer_state import write_optimizer
from lstune.kt.progress import Progress, forgetful
from lstune.kt.translate import Fit, Untranslatable, translate_layers, write_weights
from lstune.kt.trial import Trial, load_json, save_json

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
    state.npz where training ended, progress.npz where an execution was interrupted, executions.json the
    executions before that one.
    """

    def __init__(self, tuner: Tuner, trial: Trial) -> None:
        self.tuner = tuner
        self.folder = Path(tuner.get_trial_dir(trial.trial_id))
        self.execution = 0
        self.calls = 0
        self.best: float | None = None

    def begin(self, execution: int) -> None:
        """Before each execution, counted from 0."""
        self.execution, self.calls = execution, 0

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
        self.calls += 1
        seed, interrupted = self._seed_of_call(trial), self.folder / "progress.npz"
        unkept = self._why_anew(fit)
        past = self._interrupted(fit, trial, seed) if unkept is None else None
        shape = (0, fit.train.lookback, fit.chain.model.input_size)
        saved = time.monotonic()

        def on_epoch(epoch: int, logs: dict[str, float], now: Progress) -> None:
            nonlocal saved
            if self.is_better(logs):
                np.savez(self.folder / "checkpoint.npz", weights=now.state.weights, shape=np.array(shape))
            if unkept is None and time.monotonic() - saved > _SAVE_SECONDS:
                now.save(interrupted)
                saved = time.monotonic()

        outcome = run_fit(
            fit,
            seed=seed,
            start=past or (self._past_round(fit, trial) if self.calls == 1 else None),
            stop=self.tuner.stop_flag,
            deadline=self.tuner.deadline,
            on_epoch=on_epoch,
        )
        if outcome.status in (Status.STOPPED, Status.DEADLINE):
            if unkept is None:
                outcome.progress.save(interrupted)
            else:
                log.warning("trial %s will start anew when the search goes on: %s", trial.trial_id, unkept)
            raise SearchOver
        interrupted.unlink(missing_ok=True)
        if self.tuner._keeps_states():
            outcome.progress.state.save(self.folder / "state.npz")
        return outcome

    def _why_anew(self, fit: Fit) -> str | None:
        """Why a training that is cut off cannot go on where it was; None if it can."""
        if self.calls > 1:
            return "its HyperModel.fit had trained the model before, which is not kept"
        unkept = [text for callback in fit.acting if (text := forgetful(callback)) is not None]
        return f"the state of a callback is not kept ({', '.join(unkept)})" if unkept else None

    def _interrupted(self, fit: Fit, trial: Trial, seed: int) -> Progress | None:
        """Where this very training was interrupted, if it was; its epochs count for the best one."""
        path = self.folder / "progress.npz"
        if not path.exists():
            return None
        try:
            past = Progress.load(path)
        except RunError as error:
            log.warning("trial %s starts anew: %s", trial.trial_id, error)
            return None
        if not past.belongs_to(fit.chain.model, fit.config, fit.acting, seed):
            log.warning("trial %s starts anew: it was another training that was cut off", trial.trial_id)
            return None
        # The best one's checkpoint is there already.
        for _, logs in past.logs:
            self.is_better(logs)
        return past

    def _past_round(self, fit: Fit, trial: Trial) -> TrainState | None:
        past = self.tuner._resumed_from(trial)
        if past is None or not (past / "state.npz").exists():
            return None
        state = TrainState.load(past / "state.npz")
        if state.slots.shape != (slot_count(fit.config.optimizer), state.weights.size):
            # A HyperModel.fit in phases ended with another optimizer than it begins with.
            return init_state(fit.chain.model, fit.config, seed=state.seed, weights=state.weights)
        # Its last fit may have counted its epochs anew.
        return replace(state, epoch=fit.initial_epoch)

    # --- Whole executions, kept for the case that a further one is cut off ---

    def finished(self, trial: Trial) -> list[Any]:
        """The histories of the executions that were finished before the search was cut off."""
        path = self.folder / "executions.json"
        results: list[Any] = []
        for kept in load_json(path) if path.exists() else []:
            # A trial that is tried again trains with other seeds.
            if kept["seed"] != self.seed_of(trial, len(results)):
                break
            results.append(SimpleNamespace(history=kept["history"], epoch=kept["epoch"]))
            for values in zip(*kept["history"].values(), strict=True):
                self.is_better(dict(zip(kept["history"], values, strict=True)))
        return results

    def keep_finished(self, trial: Trial, results: list[Any]) -> None:
        """Note the histories of all executions so far; nothing if a fit of the user's own gave others."""
        kept = []
        for execution, result in enumerate(results):
            if not isinstance(getattr(result, "history", None), dict):
                return
            history = {name: [float(value) for value in values] for name, values in result.history.items()}
            seed = self.seed_of(trial, execution)
            kept.append({"seed": seed, "history": history, "epoch": list(result.epoch)})
        save_json(self.folder / "executions.json", kept)

    def forget_finished(self) -> None:
        """The trial is over."""
        (self.folder / "executions.json").unlink(missing_ok=True)

    def seed_of(self, trial: Trial, execution: int | None = None) -> int:
        """A number that depends on the search's seed, the trial, its execution and its retries alone."""
        execution = self.execution if execution is None else execution
        oracle = self.tuner.oracle
        number, retries = oracle.numbers_of(trial.trial_id)
        entropy = [oracle.seed & 0xFFFFFFFF, number, execution, retries]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _seed_of_call(self, trial: Trial) -> int:
        """Each `fit` of a HyperModel.fit shuffles and drops out in its own way."""
        seed = self.seed_of(trial)
        if self.calls == 1:
            return seed
        return int(np.random.SeedSequence([seed, self.calls]).generate_state(1)[0])

    def write_back(self, fit: Fit, model: Any, outcome: Outcome) -> None:
        """Leave the Keras model as its own `fit` would: weights, learning rate and optimizer's state."""
        chain, progress = fit.chain, outcome.progress
        write_weights(chain, model, outcome.weights, (0, fit.train.lookback, chain.model.input_size))
        model.optimizer.learning_rate = progress.learning_rate
        state = progress.state
        write_optimizer(chain.model, fit.config.optimizer, model, chain.keras_layers, state.slots, state.step)

    @staticmethod
    def load_weights(folder: Path, model: Any) -> bool:
        """Put a trial's best weights into its rebuilt Keras model; False if the engine did not train it."""
        checkpoint = folder / "checkpoint.npz"
        if not checkpoint.exists():
            return False
        with np.load(checkpoint) as file:
            weights, shape = file["weights"], tuple(int(size) for size in file["shape"])
        try:
            chain = translate_layers(model, shape[2])
        except Untranslatable as reason:
            rule = "A trial that the engine trained is built anew with layers that the engine knows"
            fix = "Build as in the search: the same build function, and the same dtype policy"
            raise ValueError(explain(rule, str(reason), fix)) from reason
        write_weights(chain, model, weights, shape)
        return True
