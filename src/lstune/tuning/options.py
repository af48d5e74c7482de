"""What the caller asked of a run."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from lstune.engine import available_cores
from lstune.errors import UserError, explain
from lstune.search.params import make_plain
from lstune.search.samplers import method_parts
from lstune.search.schedulers import check_scheduler
from lstune.search.urls import hide_password

__all__ = ["DEFAULT_BUDGET", "TuneOptions"]

DEFAULT_BUDGET = 60.0  # seconds, when neither trials nor budget are given
_MOST_WORKERS = 1024  # each is a thread with its own arrays


@dataclass(frozen=True)
class TuneOptions:
    """How to search and what to forecast.

    horizon: H, rows forecast at once.  method: a name of `lstune.search.METHODS`.  scheduler: None takes the
    method's own.  trials: most trials, None for no limit.  budget: seconds from start to written result, None
    for no limit (60 s when trials is None too).  test_fraction, validation_fraction: shares of the rows.
    folds: rolling origins; the search sees the last fold, finalists all.
    workers: trials at once, None for one on each core.  ensemble: whether several settings may be mixed.
    storage: an SQLAlchemy URL (or a journal file's path) for a study that runs may share, None for a journal
    file in the run's folder.  study: its name there.
    large_grid: whether a grid may have any number of settings.
    trial_timeout: seconds that one piece of a trial may take.  baselines: "auto", "simple", or names of
    statistical ones, see `lstune.evaluation.wanted_statistical`.
    """

    horizon: int = 1
    method: str = "tpe"
    scheduler: str | None = None
    trials: int | None = None
    budget: float | None = None
    test_fraction: float = 0.15
    validation_fraction: float = 0.15
    folds: int = 1
    seed: int = 0
    workers: int | None = None
    ensemble: bool = True
    storage: str | None = field(default=None, repr=False)  # may hold a password
    study: str | None = None
    large_grid: bool = False
    trial_timeout: float | None = None
    baselines: str = "auto"

    def __post_init__(self) -> None:
        make_plain(self)
        method_parts(self.method)
        if self.scheduler is not None:
            check_scheduler(self.scheduler)
        for name, least in (("horizon", 1), ("trials", 1), ("workers", 1), ("folds", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is None and name in ("trials", "workers"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(explain(f"{name} must be a whole number of {least} or more", value))
        if self.workers is not None and self.workers > _MOST_WORKERS:
            raise UserError(explain(f"workers must be at most {_MOST_WORKERS}", self.workers))
        for name in ("budget", "trial_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not _is_between(seconds, float("inf")):
                raise UserError(explain(f"{name} must be a number of seconds above zero", seconds))
        for name in ("test_fraction", "validation_fraction"):
            share = getattr(self, name)
            if not _is_between(share, 1.0):
                raise UserError(explain(f"{name} must lie between 0 and 1", share, "0.15 is a good start"))
        for name in ("ensemble", "large_grid"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(explain(f"{name} must be True or False", getattr(self, name)))
        if isinstance(self.storage, os.PathLike):
            object.__setattr__(self, "storage", os.fspath(self.storage))
        for name in ("baselines", "storage", "study"):
            text = getattr(self, name)
            if text is None and name != "baselines":
                continue
            if not isinstance(text, str) or not text.strip() or "\0" in text:
                raise UserError(explain(f"{name} must be text, and not empty", repr(text)))

    @property
    def limit(self) -> float | None:
        """The budget in force: 60 s when nothing else would ever end the search."""
        if self.budget is None and self.trials is None and self.method not in ("manual", "grid"):
            return DEFAULT_BUDGET
        return self.budget

    @property
    def training_share(self) -> float:
        """The share of the rows before every validation row; folds leave a third of what is no test."""
        before = 1.0 - self.test_fraction
        left = before - self.folds * self.validation_fraction
        return max(0.0, left if self.folds == 1 else max(left, before / 3))

    @property
    def threads(self) -> int:
        """The number of trials at once."""
        return self.workers or available_cores()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without a password; `TuneOptions(**data)` reads it back."""
        storage = None if self.storage is None else hide_password(self.storage)
        return {**asdict(self), "storage": storage}


def _is_between(value: Any, high: float) -> bool:
    """Whether it is a number above 0 and below `high`."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < high
