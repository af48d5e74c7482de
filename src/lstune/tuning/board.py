"""The study as executors see it: jobs out, outcomes in, trials.csv and the display kept current."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol

from lstune.errors import StorageError, StudyError, explain
from lstune.search import Job, Study, TrialRecord, TrialState
from lstune.search.study import TrialLost
from lstune.search.workers import Workers
from lstune.tuning.executors import Outcome
from lstune.tuning.folder import RunFolder
from lstune.tuning.progress import Snapshot

__all__ = ["StudyBoard", "Watch", "check_any_success"]

_STATES = {
    "reached": TrialState.COMPLETE,
    "early": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.DIVERGED,
    "failed": TrialState.FAILED,
}


class Watch(Protocol):
    """Looks on as trials move; called under the executor's lock."""

    def report(self, number: int, epoch: int, value: float) -> None:
        """Trial `number` has this error after `epoch` epochs."""

    def tell(self) -> None:
        """A piece of a trial has ended and will now be stored; after a crash before that it comes anew."""


class StudyBoard:
    """Implements `Board`; the executor's lock guards every call.

    `trials` are the study's records as of the last ask or tell: reading them needs no lock.
    """

    def __init__(
        self,
        study: Study,
        folder: RunFolder,
        names: tuple[str, ...],
        watch: Watch | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.study = study
        self.folder = folder
        self.names = names
        self.watch = watch
        self.workers = workers
        self.trials: tuple[TrialRecord, ...] = ()
        self._standing: tuple[int, int, int, TrialRecord | None] = (0, 0, 0, None)
        self._stand()

    def ask(self) -> Job | None:
        """The study's next job; before new ones, that of a worker elsewhere which has died."""
        if self.workers is not None:
            for trial in self._elsewhere():
                if self.workers.gone(trial.worker):
                    self.study.take_over(trial.number)
        job = self.study.ask(now=time.time())
        self._stand()
        return job

    @property
    def exhausted(self) -> bool:
        """Whether the study has no more work for good."""
        return self.study.exhausted

    @property
    def elsewhere(self) -> bool:
        """Whether other workers of the study have trials under way."""
        return self.workers is not None and bool(self._elsewhere())

    def _elsewhere(self) -> list[TrialRecord]:
        running = [trial for trial in self.trials if trial.state is TrialState.RUNNING]
        return [trial for trial in running if trial.worker != self.study.worker]

    def beat(self) -> None:
        """Let the other workers of the study know that this one lives; needs no lock."""
        if self.workers is not None:
            self.workers.beat()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the search; after it, other workers may take over what this one has left under way."""
        try:
            yield
        finally:
            done, running, failed, best = self._standing
            self._standing = (done + running, 0, failed, best)  # what is under way has been cut off
            if self.workers is not None:
                with suppress(StorageError, OSError):  # broken storage has been told already
                    self.workers.end()

    @property
    def has_value(self) -> bool:
        """Whether any trial has a validation error yet."""
        return any(trial.value is not None or trial.curve for trial in self.trials)

    def report(self, job: Job, epoch: int, value: float) -> bool:
        """Note an epoch's error."""
        if self.watch is not None:
            self.watch.report(job.number, epoch, value)
        if not self.has_value:
            self.trials = tuple(self.study.trials)
        return self.study.report(job.number, epoch, value)

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Note the end of a job and bring trials.csv up to date."""
        if outcome.status == "interrupted":
            # Not told: to the study it is still running, and goes on from its saved state after a `resume`.
            self._stand()
            return
        state = _STATES[outcome.status]
        if outcome.value is None and state is TrialState.COMPLETE:
            state = TrialState.FAILED
        seconds = self.study.trials[job.number].attrs.get("seconds", 0.0) + outcome.seconds
        ended_early = outcome.status != "reached"
        if self.watch is not None:
            self.watch.tell()
        # A process that was silent too long has lost the trial to another one, which trains it just the same.
        with suppress(TrialLost):
            self.study.tell(
                job.number,
                outcome.value,
                state=state,
                epochs=outcome.epochs if ended_early else job.stop_epoch,
                reason=outcome.reason,
                now=time.time(),
                attrs={"seconds": round(seconds, 4)},
            )
        self._stand()
        self.folder.write_trials(self.trials, self.names)

    def _stand(self) -> None:
        self.trials = tuple(self.study.trials)
        states = Counter(trial.state for trial in self.trials)
        running = states[TrialState.RUNNING]
        failed = states[TrialState.DIVERGED] + states[TrialState.FAILED]
        self._standing = (sum(states.values()) - running, running, failed, self.study.best)

    def close(self) -> list[TrialRecord]:
        """After the search: every trial, those cut off as pruned with their best value; in trials.csv too."""
        closed = []
        for trial in self.study.trials:
            if trial.state is TrialState.RUNNING:
                best = min(trial.curve.values(), default=None)
                epochs = max([trial.epochs, *trial.curve])
                mine = self.workers is None or trial.worker == self.study.worker
                reason = f"cut off after {epochs} epochs" if mine else "under way in another run"
                trial = replace(trial, state=TrialState.PRUNED, value=best, epochs=epochs, reason=reason)
            closed.append(trial)
        self.folder.write_trials(closed, self.names)
        return closed

    def snapshot(self, naive: float, clock: Callable[[], tuple[float, float | None]]) -> Snapshot:
        """The search as of the last ask or tell; needs no lock."""
        done, running, failed, best = self._standing
        seconds, left = clock()
        return Snapshot(
            seconds=seconds,
            left=left,
            trials=done,
            limit=self.study.n_trials,
            running=running,
            failed=failed,
            best=best.value if best is not None else None,
            naive=naive,
            best_setting=dict(best.params) if best is not None else {},
        )


def check_any_success(trials: list[TrialRecord]) -> None:
    """Raise StudyError, naming the commonest reason, when trials failed and none has a value."""
    if any(trial.has_value for trial in trials):
        return
    reasons = Counter(trial.reason or trial.state.value for trial in trials if trial.state.is_failure)
    if not reasons:
        return  # time ended first
    reason, count = reasons.most_common(1)[0]
    raise StudyError(
        explain(
            f"Every trial failed; the commonest reason ({count} of {len(trials)} trials): {reason}",
            fix="Use a smaller learning_rate or narrower ranges (--set, --space), and look into trials.csv",
        )
    )
