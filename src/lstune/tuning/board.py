"""The study as executors see it: jobs out, outcomes in, trials.csv and the display kept current."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from lstune.errors import StudyError, explain
from lstune.search import Job, Study, TrialRecord, TrialState
from lstune.tuning.executors import Outcome
from lstune.tuning.folder import RunFolder
from lstune.tuning.progress import Snapshot

__all__ = ["StudyBoard", "check_any_success"]

_STATES = {
    "reached": TrialState.COMPLETE,
    "early": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.DIVERGED,
    "failed": TrialState.FAILED,
}


class StudyBoard:
    """Implements `Board`; the executor's lock guards every call.

    `trials` are the study's records as of the last ask or tell: reading them needs no lock.
    """

    def __init__(self, study: Study, folder: RunFolder, names: tuple[str, ...]) -> None:
        self.study = study
        self.folder = folder
        self.names = names
        self.trials: tuple[TrialRecord, ...] = tuple(study.trials)
        self._standing = (0, 0, 0, study.best)

    def ask(self) -> Job | None:
        """The study's next job."""
        job = self.study.ask(now=time.time())
        self._stand()
        return job

    @property
    def exhausted(self) -> bool:
        """Whether the study has no more work for good."""
        return self.study.exhausted

    @property
    def has_value(self) -> bool:
        """Whether any trial has a validation error yet."""
        return any(trial.value is not None or trial.curve for trial in self.trials)

    def report(self, job: Job, epoch: int, value: float) -> bool:
        """Note an epoch's error."""
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
                reason = f"cut off after {epochs} epochs"
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
    """Raise StudyError, naming the commonest reason, when no trial has a value."""
    if any(trial.has_value for trial in trials):
        return
    reasons = Counter(trial.reason or trial.state.value for trial in trials if trial.state.is_failure)
    if not reasons:
        raise StudyError(
            explain(
                "The search ended before a first trial had trained one epoch",
                f"{len(trials)} trials begun",
                "Give a larger budget, or fewer units and a shorter lookback",
            )
        )
    reason, count = reasons.most_common(1)[0]
    raise StudyError(
        explain(
            f"Every trial failed; the commonest reason ({count} of {len(trials)} trials): {reason}",
            fix="Use a smaller learning_rate or narrower ranges (--set, --space), and look into trials.csv",
        )
    )
