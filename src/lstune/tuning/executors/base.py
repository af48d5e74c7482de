"""What an executor is given and what it gives back: the same for threads now and processes or Ray later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Board", "Execute", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a piece of a trial (one job) ended.

    `status` is "reached" (its last epoch or early stopping), "pruned" (the scheduler said stop), "diverged",
    "failed" (an exception; `reason` holds it) or "interrupted" (time or user). `value` is the best score so
    far, None if there is none.
    """

    status: str
    value: float | None
    epochs: int
    reason: str | None = None
    seconds: float = 0.0


class Board(Protocol):
    """Gives out jobs and takes in results. Every method is called under the executor's single lock."""

    def ask(self) -> Any | None:
        """The next job; None when there is nothing to give now."""

    @property
    def exhausted(self) -> bool:
        """Whether `ask` will never give a job again, whatever is reported."""

    @property
    def elsewhere(self) -> bool:
        """Whether other processes have work under way whose end may give this one something to do."""

    def report(self, job: Any, epoch: int, value: float) -> bool:
        """Take one epoch's score; True stops the trial."""

    def tell(self, job: Any, outcome: Outcome) -> None:
        """Take the end of a job."""


class Execute(Protocol):
    """Run jobs until the board is exhausted or `stop` is set; the shape of every executor."""

    def __call__(
        self,
        board: Board,
        run: Callable[[Any, Callable[[int, float], bool]], Outcome],
        *,
        workers: int,
        should_stop: Callable[[], bool],
        halt: Callable[[], None],
        tick: Callable[[], None],
    ) -> bool:
        """Return whether the user interrupted (Ctrl-C).

        `run(job, report)` does one job. `should_stop()` is asked about ten times a second; when it is true,
        `halt()` must make every running job end soon. `tick()` is called as often, for displays.
        """
