"""What a scheduler decides: how far a new trial trains, which paused trial goes on, which running one stops.

A scheduler holds its settings and nothing else; every decision is a function of the trial records. So a
study rebuilt from storage, or shared by several processes, decides as the first one would.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstune.search.records import TrialRecord

__all__ = ["NewTrial", "Promotion", "Scheduler", "rung_epochs"]


@dataclass(frozen=True)
class NewTrial:
    """Start a new trial and train it to `stop_epoch`."""

    stop_epoch: int
    bracket: int = 0


@dataclass(frozen=True)
class Promotion:
    """Go on with trial `number`, from `start_epoch` to `stop_epoch`."""

    number: int
    start_epoch: int
    stop_epoch: int


class Scheduler(ABC):
    """Base of all schedulers; frozen settings, no state."""

    @abstractmethod
    def next(self, trials: Sequence[TrialRecord], may_start: bool) -> NewTrial | Promotion | None:
        """The next piece of work, given every trial so far (numbers 0, 1, ...).

        `may_start` says whether a new trial is allowed. None: nothing until another trial reports, or for
        good if none is running.
        """

    @abstractmethod
    def stops_at(self, trial: TrialRecord) -> int | None:
        """The end of the trial's next rung after `trial.epochs`; None if it has reached its last."""

    @abstractmethod
    def should_stop(
        self, trial: TrialRecord, curve: Mapping[int, float], trials: Sequence[TrialRecord]
    ) -> bool:
        """Whether a running trial with these reported values (epoch -> value) is to end now."""


def rung_epochs(max_epochs: int, min_epochs: int, factor: float) -> tuple[int, ...]:
    """Ends of the rungs: max_epochs / factor**k rounded up, ascending, the last one max_epochs.

    Rungs end where Keras Tuner's Hyperband has them (`_get_epochs`), as long as the exact quotient is at
    least `min_epochs`; quotients that round up to the same number make one rung.
    """
    rungs: list[int] = []
    quotient = float(max_epochs)
    k = 0
    while quotient >= min_epochs:
        rungs.append(math.ceil(max_epochs / factor**k))
        quotient /= factor
        k += 1
    return tuple(sorted(set(rungs))) or (max_epochs,)
