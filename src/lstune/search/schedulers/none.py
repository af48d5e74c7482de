"""No scheduler: every trial trains to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstune.search.records import TrialRecord
from lstune.search.schedulers._base import NewTrial, Promotion, Scheduler

__all__ = ["NoScheduler"]


@dataclass(frozen=True)
class NoScheduler(Scheduler):
    """Every trial trains to `max_epochs` in one piece."""

    max_epochs: int

    def next(self, trials: Sequence[TrialRecord], may_start: bool) -> NewTrial | Promotion | None:
        """A new trial while one is allowed."""
        return NewTrial(self.max_epochs) if may_start else None

    def stops_at(self, trial: TrialRecord) -> int | None:
        """`max_epochs`."""
        return None if trial.epochs >= self.max_epochs else self.max_epochs

    def should_stop(
        self, trial: TrialRecord, curve: Mapping[int, float], trials: Sequence[TrialRecord]
    ) -> bool:
        """Never."""
        return False
