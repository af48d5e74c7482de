"""The median stopping rule."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstune.search.records import TrialRecord, TrialState
from lstune.search.schedulers._base import NewTrial, Promotion, Scheduler

__all__ = ["MedianScheduler"]


@dataclass(frozen=True)
class MedianScheduler(Scheduler):
    """Stop a trial whose best value so far is worse than the median of the others' at the same epoch.

    Golovin et al. 2017 (Google Vizier), section 3.2.2, with best values in place of running averages: a
    validation loss falls steeply at first, so that an average mostly tells how a trial began. The rule
    waits for `startup_trials` finished trials and for `min_epochs`.
    """

    max_epochs: int
    min_epochs: int = 1
    startup_trials: int = 5

    def next(self, trials: Sequence[TrialRecord], may_start: bool) -> NewTrial | Promotion | None:
        """A new trial while one is allowed."""
        return NewTrial(self.max_epochs) if may_start else None

    def stops_at(self, trial: TrialRecord) -> int | None:
        """`max_epochs`."""
        return None if trial.epochs >= self.max_epochs else self.max_epochs

    def should_stop(
        self, trial: TrialRecord, curve: Mapping[int, float], trials: Sequence[TrialRecord]
    ) -> bool:
        """Whether the trial's best value is worse than the median of finished trials' bests by then."""
        epoch = max(curve, default=0)
        if epoch < self.min_epochs or epoch >= self.max_epochs:
            return False
        others = []
        for other in trials:
            if other.number != trial.number and other.state in (TrialState.COMPLETE, TrialState.PRUNED):
                seen = [v for e, v in other.curve.items() if e <= epoch]
                # A pruned trial that never reached this epoch was worse than the median before it.
                if seen and (other.state is TrialState.COMPLETE or max(other.curve) >= epoch):
                    others.append(min(seen))
        return len(others) >= self.startup_trials and min(curve.values()) > statistics.median(others)
