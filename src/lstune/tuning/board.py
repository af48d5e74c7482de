"""The study as executors see it: jobs out, outcomes in, trials.csv and the display kept current."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

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
    "interrupted": TrialState.PRUNED,
    "diverged": TrialState.DIVERGED,
    "failed": TrialState.FAILED,
}


class StudyBoard:
    """Implements `Board`; the executor's lock guards every call."""

    def __init__(self, study: Study, folder: RunFolder, names: tuple[str, ...]) -> None:
        self.study = study
        self.folder = folder
        self.names = names
        self.seconds: dict[int, float] = {}
        self.trained: dict[int, int] = {}
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

    def report(self, job: Job, epoch: int, value: float) -> bool:
        """Note an epoch's error."""
        return self.study.report(job.number, epoch, value)

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Note the end of a job and bring trials.csv up to date."""
        state = _STATES[outcome.status]
        if outcome.value is None and state is TrialState.COMPLETE:
            state = TrialState.FAILED
        self.seconds[job.number] = self.seconds.get(job.number, 0.0) + outcome.seconds
        self.trained[job.number] = outcome.epochs
        ended_early = outcome.status != "reached"
        self.study.tell(
            job.number,
            outcome.value,
            state=state,
            epochs=outcome.epochs if ended_early else job.stop_epoch,
            reason=outcome.reason or ("the search ended" if outcome.status == "interrupted" else None),
            now=time.time(),
        )
        self.folder.write_trials(self.study.trials, self.names, self.seconds)
        self._stand()

    def _stand(self) -> None:
        states = Counter(trial.state for trial in self.study.trials)
        running = states[TrialState.RUNNING]
        failed = states[TrialState.DIVERGED] + states[TrialState.FAILED]
        self._standing = (sum(states.values()) - running, running, failed, self.study.best)

    def epoch_seconds(self, number: int) -> float:
        """Measured seconds of one of the trial's epochs."""
        return self.seconds.get(number, 0.0) / max(1, self.trained.get(number, 1))

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
