"""What a run tells while it goes on; how it is shown is the caller's matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Progress", "Silent", "Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """The search at a moment.

    Errors are mean absolute errors on the validation rows in original units; `best` is None until there is
    one. `seconds` since the start; `left` until the end, None without a limit; `limit` of trials, None too.
    """

    seconds: float
    left: float | None
    trials: int
    limit: int | None
    running: int
    failed: int
    best: float | None
    naive: float
    best_setting: dict[str, Any] = field(default_factory=dict)


class Progress:
    """Base of all displays: every method may be overridden, none has to be."""

    def note(self, text: str) -> None:
        """One sentence for the user, such as what cleaning did."""

    def stage(self, text: str) -> None:
        """A new part of the run begins."""

    def show(self, snapshot: Snapshot) -> None:
        """The search has moved on; called about ten times a second."""

    def close(self) -> None:
        """The run has ended, well or not."""


class Silent(Progress):
    """Shows nothing."""
