"""ASHA: asynchronous successive halving."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstune.search.records import TrialRecord, TrialState
from lstune.search.schedulers._base import NewTrial, Promotion, Scheduler, rung_epochs

__all__ = ["AshaScheduler"]


@dataclass(frozen=True)
class AshaScheduler(Scheduler):
    """Asynchronous successive halving of the promotion type (Li et al. 2020, arXiv:1810.05934, Algorithm 2).

    A trial pauses at the end of each rung. Whenever there is room, the highest rung with a trial in its top
    1/factor that has not been promoted sends it on; otherwise a new trial starts in the lowest rung. Once
    no new trial may start, the share is rounded up, so that a small study still trains its best to the end.
    Diverged and failed trials count as the worst of their rung. A trial that ended by itself before its
    rung (early stopping) has nothing left to train: it stands in every higher rung it earns without a job.
    """

    max_epochs: int
    min_epochs: int = 1
    factor: float = 3

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which rungs end, ascending."""
        return rung_epochs(self.max_epochs, self.min_epochs, self.factor)

    def next(self, trials: Sequence[TrialRecord], may_start: bool) -> NewTrial | Promotion | None:
        """A promotion from the highest rung that has one, else a new trial while one is allowed."""
        rungs = self.rungs
        members = _rung_members(trials, rungs, self.factor, not may_start)
        for k in reversed(range(len(rungs) - 1)):
            for value, trial in _top(members[k], self.factor, not may_start):
                if trial.state is TrialState.PAUSED and trial.epochs == rungs[k] and math.isfinite(value):
                    return Promotion(trial.number, rungs[k], rungs[k + 1])
        return NewTrial(rungs[0]) if may_start else None

    def stops_at(self, trial: TrialRecord) -> int | None:
        """The first rung after the epochs done."""
        return next((epoch for epoch in self.rungs if epoch > trial.epochs), None)

    def should_stop(
        self, trial: TrialRecord, curve: Mapping[int, float], trials: Sequence[TrialRecord]
    ) -> bool:
        """Never inside a rung: trials pause at its end."""
        return False


Member = tuple[float, TrialRecord]


def _top(members: Sequence[Member], factor: float, round_up: bool) -> list[Member]:
    """The best 1/factor of a rung; ties go to the older trial."""
    ranked = sorted(members, key=lambda m: (m[0], m[1].number))
    share = len(ranked) / factor
    return ranked[: math.ceil(share) if round_up else int(share)]


def _rung_members(
    trials: Sequence[TrialRecord], rungs: tuple[int, ...], factor: float, round_up: bool
) -> list[list[tuple[float, TrialRecord]]]:
    """For every rung the trials that finished it with their value there (infinity for failures)."""
    members: list[list[Member]] = [[] for _ in rungs]
    place = {epoch: k for k, epoch in enumerate(rungs)}
    ended: list[list[Member]] = [
        [] for _ in rungs
    ]  # trials that stopped by themselves on the way to this rung
    for trial in trials:
        for epoch, value in trial.rungs:
            if epoch in place:
                members[place[epoch]].append((value, trial))
        if trial.state.is_failure or (trial.state is TrialState.PRUNED and trial.job[1] > trial.epochs):
            if trial.job[1] in place:
                members[place[trial.job[1]]].append((math.inf, trial))
        elif trial.state is TrialState.COMPLETE and trial.value is not None and trial.epochs not in place:
            ended[place.get(trial.job[1], len(rungs) - 1)].append((trial.value, trial))
    for k in range(len(rungs)):
        # What ended early counts in its rung, and climbs on as soon as it is in the top of it.
        members[k].extend(ended[k])
        if k + 1 < len(rungs):
            best = {trial.number for _, trial in _top(members[k], factor, round_up)}
            ended[k + 1].extend(m for m in ended[k] if m[1].number in best)
    return members
