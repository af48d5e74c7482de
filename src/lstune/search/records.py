"""What a study remembers: jobs, trial states and trial records. Plain frozen data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Job", "TrialRecord", "TrialState"]


class TrialState(str, Enum):
    """Where a trial stands.

    PAUSED trials have finished a rung and may be promoted; the last four are final. DIVERGED (a non-finite
    loss) and FAILED (an error, a time limit) carry no value.
    """

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the trial."""
        return self not in (TrialState.RUNNING, TrialState.PAUSED)

    @property
    def is_failure(self) -> bool:
        """Whether the trial ended without a usable value."""
        return self in (TrialState.DIVERGED, TrialState.FAILED)


@dataclass(frozen=True)
class Job:
    """Train trial `number` from `start_epoch` to `stop_epoch` (total epochs); the caller keeps its state."""

    number: int
    params: dict[str, Any]
    start_epoch: int
    stop_epoch: int


@dataclass(frozen=True)
class TrialRecord:
    """One trial as far as the study knows it.

    `value` is the value told last (lower is better; finite or None), after `epochs` epochs. `curve` maps
    reported epochs to values. `rungs` lists (epoch, value) at which the trial was told. `job` is the
    (start, stop) of the piece under way. `bracket` counts Hyperband's brackets through all iterations.
    `order` is the place of the last tell among all tells of the study: samplers that learn step by step go
    by it. `started` and `finished` are what the caller passed as `now`, `attrs` what else it wants kept,
    `memo` what the sampler wants to find again. `worker` names the process that has or had the trial under
    way, where several work on the study.
    """

    number: int
    params: dict[str, Any]
    state: TrialState = TrialState.RUNNING
    value: float | None = None
    epochs: int = 0
    curve: dict[int, float] = field(default_factory=dict)
    rungs: tuple[tuple[int, float], ...] = ()
    job: tuple[int, int] = (0, 0)
    bracket: int = 0
    order: int = -1
    reason: str | None = None
    started: float | None = None
    finished: float | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict)
    worker: str | None = None

    @property
    def has_value(self) -> bool:
        """Whether there is a finite value to compare by."""
        return self.value is not None and math.isfinite(self.value) and not self.state.is_failure
