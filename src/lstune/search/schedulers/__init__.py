"""Schedulers by name: how many epochs a trial gets.

To add one: a file in this folder, a line in `SCHEDULERS`, and a factory in the contract tests.
"""

from __future__ import annotations

from collections.abc import Callable

from lstune.errors import ConfigError, explain, nearest
from lstune.search.schedulers._base import NewTrial, Promotion, Scheduler, rung_epochs
from lstune.search.schedulers.asha import AshaScheduler
from lstune.search.schedulers.hyperband import HyperbandScheduler
from lstune.search.schedulers.median import MedianScheduler
from lstune.search.schedulers.none import NoScheduler

__all__ = [
    "SCHEDULERS",
    "NewTrial",
    "Promotion",
    "Scheduler",
    "check_scheduler",
    "make_scheduler",
    "rung_epochs",
]


# Each is given max_epochs, min_epochs, factor and iterations.
SCHEDULERS: dict[str, Callable[..., Scheduler]] = {
    "none": lambda max_epochs, **_: NoScheduler(max_epochs),
    "median": lambda max_epochs, min_epochs, **_: MedianScheduler(max_epochs, min_epochs),
    "asha": lambda max_epochs, min_epochs, factor, **_: AshaScheduler(max_epochs, min_epochs, factor),
    "hyperband": HyperbandScheduler,
}


def check_scheduler(name: str) -> None:
    """Raise ConfigError unless there is a scheduler called `name`."""
    if not isinstance(name, str) or name not in SCHEDULERS:
        raise ConfigError(
            explain(f"The scheduler must be one of {', '.join(SCHEDULERS)}", name, nearest(name, SCHEDULERS))
        )


def make_scheduler(
    name: str, *, max_epochs: int, min_epochs: int = 1, factor: float = 3, iterations: int | None = 1
) -> Scheduler:
    """The scheduler called `name`. Raises ConfigError for an unknown name or epochs that make no rungs."""
    check_scheduler(name)
    if not 1 <= min_epochs <= max_epochs:
        raise ConfigError(
            explain("Epochs need 1 <= min_epochs <= max_epochs", f"min={min_epochs}, max={max_epochs}")
        )
    if factor < 2:
        raise ConfigError(explain("The reduction factor must be 2 or more", factor))
    return SCHEDULERS[name](
        max_epochs=max_epochs, min_epochs=min_epochs, factor=factor, iterations=iterations
    )
