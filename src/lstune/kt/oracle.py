"""Oracles decide what to try: trials, retries, failures, saving; the choice itself is a subclass's."""

from __future__ import annotations

import functools
import hashlib
import math
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstune.errors import RunError, explain
from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.objective import MultiObjective, create_objective
from lstune.kt.trial import Trial, TrialStatus, load_json, save_json

__all__ = ["Oracle", "synchronized"]


def _reason(message: str) -> str:
    """Of a traceback the line with the error, which may go on for some lines; of a message its first line."""
    lines = message.splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    after = lines[frames[-1] + 1 :] if frames else lines
    return next((line for line in after if line and not line.startswith(" ")), lines[-1])


def synchronized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time into an oracle's methods that bear this decorator."""

    @functools.wraps(function)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return function(self, *args, **kwargs)

    return wrapped


class Oracle:
    """Base of all oracles: subclass it and write `populate_space(trial_id)`.

    objective: a metric's name, a kt.Objective or a list.  max_trials: how many trials; None: no end.
    hyperparameters: declared beforehand; what a model asks for besides is added to the space unless
    `tune_new_entries` is False (then it keeps its default), and is an error if `allow_new_entries` is False.
    max_retries_per_trial: how often a trial that crashed or has no finite result is tried again.
    max_consecutive_failed_trials: that many failures in a row end the search with an error.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        seed: int | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        self.objective = create_objective(objective)
        self.max_trials = max_trials
        if hyperparameters is None and not (tune_new_entries and allow_new_entries):
            raise ValueError(
                explain(
                    "Without new entries the space must be given",
                    f"tune_new_entries={tune_new_entries}, allow_new_entries={allow_new_entries}",
                    "Pass hyperparameters=",
                )
            )
        self.hyperparameters = HyperParameters() if hyperparameters is None else hyperparameters
        self.allow_new_entries = allow_new_entries
        self.tune_new_entries = tune_new_entries
        # From Python's generator, which notebooks seed: keras.utils.set_random_seed repeats the search.
        self.seed = random.randint(1, 10_000) if seed is None else int(seed)
        self.max_retries_per_trial = max_retries_per_trial
        self.max_consecutive_failed_trials = max_consecutive_failed_trials
        self.trials: dict[str, Trial] = {}
        self.ongoing_trials: dict[str, Trial] = {}
        self.start_order: list[str] = []
        self.end_order: list[str] = []
        self.lock = threading.RLock()
        self.verbose: int | str = 1
        self._run_times: dict[str, int] = {}
        self._retry_queue: list[str] = []
        self._folder: Path | None = None

    # --- For subclasses ---

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """What to try: {"status": "RUNNING", "values": {...}}, or status "IDLE" (ask later) or "STOPPED"."""
        raise NotImplementedError

    def score_trial(self, trial: Trial) -> None:
        """Give a completed trial its score: the objective's best value."""
        trial.score = trial.metrics.get_best_value(self.objective.name)
        trial.best_step = trial.metrics.get_best_step(self.objective.name)

    # --- A trial's life ---

    @synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """The next trial; its status says whether to run it, to ask later, or that the search is over."""
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        if self._retry_queue:
            trial = self.trials[self._retry_queue.pop(0)]
            trial.status = TrialStatus.RUNNING
            self.ongoing_trials[tuner_id] = trial
            self.save()
            return trial
        trial_id = str(len(self.trials)).zfill(len(str(self.max_trials)))
        if self.max_trials and len(self.trials) >= self.max_trials:
            response: dict[str, Any] = {"status": TrialStatus.STOPPED}
        else:
            response = self.populate_space(trial_id)
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = dict(response.get("values") or {})
        trial = Trial(hyperparameters, trial_id, response["status"])
        if trial.status == TrialStatus.RUNNING:
            self.ongoing_trials[tuner_id] = trial
            self.trials[trial_id] = trial
            self.start_order.append(trial_id)
            self._save_trial(trial)
            self.save()
        return trial

    @synchronized
    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        """Note metrics of a trial at a step (epoch)."""
        trial = self.trials[trial_id]
        wanted = (
            list(self.objective.name_to_direction)
            if isinstance(self.objective, MultiObjective)
            else [self.objective.name]
        )
        missing = [name for name in wanted if name not in metrics]
        if missing:
            raise ValueError(
                explain(f"The metrics of a trial must hold the objective {', '.join(missing)}", list(metrics))
            )
        metrics = dict(metrics)
        if isinstance(self.objective, MultiObjective):
            metrics.setdefault(self.objective.name, self.objective.get_value(metrics))
        for name, value in metrics.items():
            if not trial.metrics.exists(name):
                trial.metrics.register(name, self._direction(name))
            trial.metrics.update(name, value, step=step)
        self._save_trial(trial)
        return trial

    def _direction(self, name: str) -> str | None:
        if isinstance(self.objective, MultiObjective) and name in self.objective.name_to_direction:
            return self.objective.name_to_direction[name]
        return self.objective.direction if name == self.objective.name else None

    @synchronized
    def end_trial(self, trial: Trial) -> None:
        """Take a trial back: COMPLETED, INVALID (may be tried again) or FAILED."""
        known = self.trials[trial.trial_id]
        known.hyperparameters, known.status = trial.hyperparameters, trial.status
        known.message, known.engine = trial.message, trial.engine
        trial = known
        self.update_space(trial.hyperparameters)
        if trial.status == TrialStatus.COMPLETED:
            self.score_trial(trial)
            # Neither NaN nor an infinite loss is a result: a diverged run must never look good.
            if trial.score is None or not math.isfinite(trial.score):
                trial.score, trial.status = None, TrialStatus.INVALID
                trial.message = trial.message or f"{self.objective.name} was never finite"
        self._run_times[trial.trial_id] = self._run_times.get(trial.trial_id, 0) + 1
        for tuner_id, ongoing in list(self.ongoing_trials.items()):
            if ongoing.trial_id == trial.trial_id:
                del self.ongoing_trials[tuner_id]
        if (
            trial.status == TrialStatus.INVALID
            and self._run_times[trial.trial_id] <= self.max_retries_per_trial
        ):
            self._retry_queue.append(trial.trial_id)
            self._save_trial(trial)
            self.save()
            return
        if trial.status == TrialStatus.INVALID:
            trial.status = TrialStatus.FAILED
        self.end_order.append(trial.trial_id)
        self._save_trial(trial)
        self.save()
        self._check_failures(trial)

    def _check_failures(self, trial: Trial) -> None:
        last = self.end_order[-self.max_consecutive_failed_trials :]
        if len(last) == self.max_consecutive_failed_trials and all(
            self.trials[trial_id].status == TrialStatus.FAILED for trial_id in last
        ):
            rule = f"The search ends when {self.max_consecutive_failed_trials} trials in a row fail"
            message = (trial.message or "no message").strip()
            text = explain(rule, _reason(message))
            # `explain` alone would cut it.
            raise RuntimeError(f"{text}\n\nThe last trial's message:\n{message}")

    # --- The space ---

    def get_space(self) -> HyperParameters:
        """A copy of the search space."""
        return self.hyperparameters.copy()

    @synchronized
    def update_space(self, hyperparameters: HyperParameters) -> None:
        """Add hyperparameters that a model has asked for; known ones stay as they are."""
        new = [hp for hp in hyperparameters.space if not self.hyperparameters._exists(hp.name, hp.conditions)]
        if new and not self.allow_new_entries:
            raise RuntimeError(
                explain("allow_new_entries=False: a model may ask only for what is declared", f"{new}")
            )
        if self.tune_new_entries:
            self.hyperparameters.merge(new)

    # --- Reading ---

    def get_trial(self, trial_id: str) -> Trial:
        """The trial with this id."""
        return self.trials[trial_id]

    def numbers_of(self, trial_id: str) -> tuple[int, int]:
        """The place of a trial in the search, from 0, and how often it has been run before."""
        place = list(self.trials).index(trial_id) if trial_id in self.trials else 0
        return place, self._run_times.get(trial_id, 0)

    @synchronized
    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Completed trials, best first; then others, if there are too few."""
        sign = -1.0 if self.objective.direction == "max" else 1.0
        done = [t for t in self.trials.values() if t.status == TrialStatus.COMPLETED and t.score is not None]
        done.sort(key=lambda trial: sign * (trial.score or 0.0))
        if len(done) < num_trials:
            done += [trial for trial in self.trials.values() if trial not in done]
        return done[:num_trials]

    def remaining_trials(self) -> int | None:
        """How many trials are left; None without an end."""
        return self.max_trials - len(self.trials) if self.max_trials else None

    # --- Saving, in Keras Tuner's files ---

    def _set_project_dir(self, directory: Any, project_name: str) -> None:
        self._folder = Path(directory) / project_name

    def _save_trial(self, trial: Trial) -> None:
        if self._folder is not None:
            trial.save(self._folder / f"trial_{trial.trial_id}" / "trial.json")

    def get_state(self) -> dict[str, Any]:
        """Everything but the trials, which have files of their own."""
        return {
            "ongoing_trials": {tuner: trial.trial_id for tuner, trial in self.ongoing_trials.items()},
            "hyperparameters": self.hyperparameters.get_config(),
            "start_order": self.start_order,
            "end_order": self.end_order,
            "run_times": self._run_times,
            "retry_queue": self._retry_queue,
            "seed": self.seed,
            "seed_state": self.seed,
            "tried_so_far": [],
            "id_to_hash": {},
            "display": {"search_start": None, "trial_start": {}, "trial_number": {}},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` gave, here or in Keras Tuner."""
        self.hyperparameters = HyperParameters.from_config(state["hyperparameters"])
        self.start_order = [t for t in state.get("start_order", []) if t in self.trials]
        self.end_order = [t for t in state.get("end_order", []) if t in self.trials]
        self._run_times = dict(state.get("run_times", {}))
        self.seed = state.get("seed", self.seed)
        # What was running when it was saved is to be run again.
        unfinished = [*state.get("retry_queue", []), *state.get("ongoing_trials", {}).values()]
        self._retry_queue = [trial_id for trial_id in dict.fromkeys(unfinished) if trial_id in self.trials]
        self.ongoing_trials = {}

    @synchronized
    def save(self, path: str | Path | None = None) -> None:
        """Write oracle.json."""
        if path is not None or self._folder is not None:
            save_json(path or self._oracle_file(), self.get_state())

    @synchronized
    def reload(self, path: str | Path | None = None) -> None:
        """Read oracle.json and all trials; a folder that Keras Tuner wrote will do."""
        file = Path(path) if path is not None else self._oracle_file()
        for trial_file in sorted(file.parent.glob("trial_*/trial.json")):
            trial = Trial.load(trial_file)
            self.trials[trial.trial_id] = trial
        state = load_json(file)
        try:
            self.set_state(state)
        except (KeyError, TypeError) as error:
            fix = "Take another project_name, or overwrite=True"
            raise RunError(
                explain("oracle.json must be a tuning folder's", f"{file} ({error})", fix)
            ) from error

    def _oracle_file(self) -> Path:
        assert self._folder is not None
        return self._folder / "oracle.json"

    def _compute_values_hash(self, values: dict[str, Any]) -> str:
        text = "".join(f"{key}={values[key]}" for key in sorted(values))
        return hashlib.sha256(text.encode()).hexdigest()[:32]
