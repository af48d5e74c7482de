"""BaseTuner: the loop that gets trials from an oracle and runs them, alone or in several threads."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from lstune.engine.state import StopFlag
from lstune.errors import UserError, explain
from lstune.kt.display import Display
from lstune.kt.errors import FailedTrialError, FatalError, SearchOver
from lstune.kt.hypermodel import build_model, get_hypermodel
from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.oracle import Oracle
from lstune.kt.results import best_step, metrics_of, validate_results
from lstune.kt.trial import Trial, TrialStatus, load_json, save_json
from lstune.tuning.clock import parse_duration

__all__ = ["BaseTuner", "parse_budget"]

log = logging.getLogger("lstune.kt")

# An idle worker looks again after this many seconds even if nobody woke it.
_IDLE_SECONDS = 0.5


def parse_budget(budget: str | float | None) -> float | None:
    """Seconds for "90s", "10m", "1h30m" or a number of seconds. Raises ValueError for all else."""
    try:
        return None if budget is None else parse_duration(budget)
    except UserError as error:
        raise ValueError(str(error)) from None


class BaseTuner:
    """Base of all tuners: subclass it and write `run_trial(trial, ...)`.

    oracle: decides what to try.  hypermodel: a function build(hp) or a kt.HyperModel; None if `run_trial`
    does without.  directory, project_name: the folder of the search. A search found there goes on unless
    `overwrite`; a folder that Keras Tuner wrote will do too.  tuner_id: names the file of its own
    state there.
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        directory: Any = None,
        project_name: str | None = None,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("logger", None)
        tuner_id = kwargs.pop("tuner_id", None)
        if kwargs:
            raise ValueError(
                explain(f"{type(self).__name__} does not know these arguments", ", ".join(kwargs))
            )
        if not isinstance(oracle, Oracle):
            raise ValueError(explain("oracle must be a kt.Oracle", oracle))
        if "KERASTUNER_ORACLE_IP" in os.environ:
            # Each process would search for itself, all of them in one folder.
            rule = "Several machines cannot share a search through a chief, as they can with Keras Tuner"
            fix = (
                "Unset the KERASTUNER_ variables to search on this machine alone, with workers= trials at a "
                "time; or use keras_tuner"
            )
            raise RuntimeError(
                explain(rule, f"KERASTUNER_ORACLE_IP={os.environ['KERASTUNER_ORACLE_IP']}", fix)
            )
        self.oracle = oracle
        self.hypermodel = get_hypermodel(hypermodel)
        self.directory = "." if directory is None else directory
        self.project_name = project_name or "untitled_project"
        self.tuner_id = str(tuner_id or os.environ.get("KERASTUNER_TUNER_ID") or "tuner0")
        self.deadline: float | None = None
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self.stop_flag = StopFlag()
        self._display = Display(oracle)
        oracle._set_project_dir(self.directory, self.project_name)
        if overwrite and Path(self.project_dir).exists():
            shutil.rmtree(self.project_dir)
        Path(self.project_dir).mkdir(parents=True, exist_ok=True)
        # By its name alone a search would be lost that another tuner_id began.
        if oracle._oracle_file().exists():
            print(f"Reloading Tuner from {self._tuner_file()}")
            self.reload()
        else:
            self._explore_space()

    # --- The space ---

    def _explore_space(self) -> None:
        """Build until every condition that a model declares has held once: then all of the space is known."""
        if self.hypermodel is None:
            return
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        self.oracle.update_space(hp)
        waiting: list[Any] = []
        met: list[Any] = []
        hp = self.oracle.get_space()
        while True:
            self._build_to_explore(hp)
            self.oracle.update_space(hp)
            met += [scope for scope in hp.active_scopes if scope not in met]
            waiting = [scope for scope in [*waiting, *hp.inactive_scopes] if scope not in met]
            if not waiting:
                return
            scope = waiting.pop(0)
            # A condition that this does not bring about can never hold; it is not waited for again.
            met.append(scope)
            hp = self.oracle.get_space()
            for condition in scope:
                hp.values[condition.name] = condition.values[0]
            hp.ensure_active_values()

    def _build_to_explore(self, hp: HyperParameters) -> None:
        assert self.hypermodel is not None
        build_model(self.hypermodel, hp)

    # --- The search ---

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Run trials until the oracle has no more; arguments go to `run_trial`.

        budget: a time such as "10m", after which the search ends (lstune's own).  workers: trials at a time
        (lstune's own).  verbose: 0 prints nothing.
        """
        seconds = parse_budget(fit_kwargs.pop("budget", None))
        self.deadline = None if seconds is None else time.monotonic() + seconds
        workers = self._workers(fit_kwargs.pop("workers", None))
        verbose = fit_kwargs.get("verbose", 1)
        self.oracle.verbose = self._display.verbose = 1 if verbose == "auto" else verbose
        self._failure, self.stop_flag = None, StopFlag()
        self.on_search_begin()
        # A search that is cut off in its first trial goes on with the same seed.
        self.save()
        if workers == 1:
            self._work(self.tuner_id, fit_args, fit_kwargs)
        else:
            names = [self.tuner_id, *(f"{self.tuner_id}-{n}" for n in range(1, workers))]
            threads = [
                threading.Thread(target=self._work, args=(name, fit_args, fit_kwargs), name=name)
                for name in names
            ]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    thread.join()
            except KeyboardInterrupt:
                self._fail(KeyboardInterrupt())
                for thread in threads:
                    thread.join()
        if self._failure is not None:
            raise self._failure
        self.on_search_end()

    def _begin_work(self) -> None:
        """In each thread, before its first trial."""

    def _workers(self, asked: int | None) -> int:
        return 1 if asked is None else max(1, int(asked))

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self.stop_flag.set()
            self._changed.notify_all()

    def _over(self) -> bool:
        return self._failure is not None or (self.deadline is not None and time.monotonic() >= self.deadline)

    def _work(self, tuner_id: str, fit_args: tuple[Any, ...], fit_kwargs: dict[str, Any]) -> None:
        try:
            self._begin_work()
            while not self._over():
                self.pre_create_trial()
                with self._changed:
                    trial = self.oracle.create_trial(tuner_id)
                    if trial.status == TrialStatus.IDLE:
                        self._changed.wait(_IDLE_SECONDS)
                        continue
                if trial.status == TrialStatus.STOPPED:
                    return
                self._display.on_trial_begin(trial)
                self.on_trial_begin(trial)
                try:
                    self._run(trial, fit_args, fit_kwargs)
                except SearchOver:
                    # The trial stays unfinished and is taken up again when the search goes on.
                    self.oracle.save()
                    return
                with self._changed:
                    self.on_trial_end(trial)
                    self._changed.notify_all()
                self._display.on_trial_end(self.oracle.trials[trial.trial_id])
        except BaseException as error:
            # In a thread it would be lost; `search` raises it.
            self._fail(error)

    def _run(self, trial: Trial, fit_args: tuple[Any, ...], fit_kwargs: dict[str, Any]) -> None:
        try:
            results = self.run_trial(trial, *fit_args, **dict(fit_kwargs))
            if not self.oracle.get_trial(trial.trial_id).metrics.exists(self.oracle.objective.name):
                validate_results(results, self.oracle.objective, "run_trial()")
                metrics = metrics_of(results, self.oracle.objective)
                self.oracle.update_trial(
                    trial.trial_id, metrics, step=best_step(results, self.oracle.objective)
                )
            trial.status = TrialStatus.COMPLETED
        except (FatalError, SearchOver):
            raise
        except Exception as error:
            failed = isinstance(error, FailedTrialError)
            trial.status = TrialStatus.FAILED if failed else TrialStatus.INVALID
            trial.message = traceback.format_exc()
            log.warning("trial %s failed: %s", trial.trial_id, error)

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """Evaluate `trial.hyperparameters`: a number, a dictionary, a History, or a list of these."""
        raise NotImplementedError

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """For subclasses that keep models."""
        raise NotImplementedError

    def load_model(self, trial: Trial) -> Any:
        """The trained model of a trial."""
        raise NotImplementedError

    # --- For subclasses to act on ---

    def pre_create_trial(self) -> None:
        """Before the oracle is asked."""

    def on_trial_begin(self, trial: Trial) -> None:
        """Before a trial."""

    def on_trial_end(self, trial: Trial) -> None:
        """After a trial: gives it back to the oracle and saves."""
        self.oracle.end_trial(trial)
        self.save()

    def on_search_begin(self) -> None:
        """Before the search."""

    def on_search_end(self) -> None:
        """After the search."""

    # --- Results ---

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """The trained models of the best trials, best first."""
        return [self.load_model(trial) for trial in self.oracle.get_best_trials(num_models)]

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The hyperparameters of the best trials, best first."""
        return [trial.hyperparameters for trial in self.oracle.get_best_trials(num_trials)]

    def get_best_step(self, num_trials: int = 1) -> list[int | None]:
        """The epochs, from 0, at which the best trials were best."""
        return [trial.best_step for trial in self.oracle.get_best_trials(num_trials)]

    def search_space_summary(self, extended: bool = False) -> None:
        """Print the space."""
        space = self.oracle.get_space().space
        print("Search space summary")
        print(f"Default search space size: {len(space)}")
        for hp in space:
            config = hp.get_config()
            print(f"{config.pop('name')} ({type(hp).__name__})")
            print(config)

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, with who trained them."""
        print("Results summary")
        print(f"Results in {self.project_dir}")
        print(f"Showing {num_trials} best trials")
        print(self.oracle.objective)
        for trial in self.oracle.get_best_trials(num_trials):
            print()
            trial.summary()

    @property
    def remaining_trials(self) -> int | None:
        """How many trials are left; None without an end."""
        return self.oracle.remaining_trials()

    # --- Files ---

    @property
    def project_dir(self) -> str:
        """The folder of the search."""
        return str(Path(self.directory) / self.project_name)

    def get_trial_dir(self, trial_id: str) -> str:
        """The folder of a trial."""
        folder = Path(self.project_dir) / f"trial_{trial_id}"
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _tuner_file(self) -> Path:
        return Path(self.project_dir) / f"{self.tuner_id}.json"

    def get_state(self) -> dict[str, Any]:
        """What a subclass wants kept."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` gave."""

    def save(self) -> None:
        """Write the search's state to its folder."""
        self.oracle.save()
        save_json(self._tuner_file(), self.get_state())

    def reload(self) -> None:
        """Read the search's state from its folder."""
        self.oracle.reload()
        if self._tuner_file().exists():
            self.set_state(load_json(self._tuner_file()))
