"""Optuna's samplers behind our interface.

The sampler is shown a study that exists in memory only and holds our records as Optuna trials: finished
ones as COMPLETE, paused and pruned ones as PRUNED after so many epochs, failures as PRUNED without any
value, and the others as RUNNING. (FAIL would be the name for a failure, but TPE leaves those out of its
model and then suggests diverging settings for ever; a trial pruned before its first value is to it the
worst there is.) So it neither reads nor writes the storage, and depends on nothing but the records and its
seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from lstune.search.convert import to_distributions
from lstune.search.records import TrialRecord, TrialState
from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.space import Space, is_active, snap_setting

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["OptunaBackedSampler", "frozen_trial", "quiet"]

_EPOCH_ZERO = datetime(2000, 1, 1, tzinfo=timezone.utc)


def _mute_notes() -> None:
    """Mute Optuna's notes on the arguments of TPE that are experimental, for the whole process.

    `warnings.catch_warnings` knows no threads: another thread that leaves its own would bring them back.
    """
    warnings.filterwarnings(
        "ignore", "Argument ``(group|multivariate|constant_liar)``", optuna.exceptions.ExperimentalWarning
    )


_mute_notes()


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log lines below a warning and its notes on experimental arguments."""
    _mute_notes()  # again, where somebody has reset the filters since
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def frozen_trial(
    record: TrialRecord, distributions: dict[str, BaseDistribution], max_epochs: int
) -> FrozenTrial:
    """A record as a sampler of Optuna is to see it."""
    state, value = OptunaState.RUNNING, None
    if record.state is TrialState.COMPLETE and record.has_value:
        state, value = OptunaState.COMPLETE, record.value
    elif record.has_value:  # paused, pruned, or running on towards the next rung
        state, value = OptunaState.PRUNED, record.value
    elif record.state is not TrialState.RUNNING:
        state = OptunaState.PRUNED
    finished = state is not OptunaState.RUNNING
    return FrozenTrial(
        number=record.number,
        trial_id=record.number,
        state=state,
        value=value,
        datetime_start=_EPOCH_ZERO,
        datetime_complete=_EPOCH_ZERO if finished else None,
        params=dict(record.params),
        distributions={name: distributions[name] for name in record.params},
        user_attrs={},
        system_attrs={},
        intermediate_values={} if value is None else {record.epochs: value},
    )


class _View(optuna.study.Study):
    """A study whose trials are given; Optuna's `_FilteredStudy` for Hyperband works the same way."""

    def __init__(self) -> None:
        storage = _Storage()
        name = optuna.create_study(storage=storage, direction="minimize").study_name
        super().__init__(study_name=name, storage=storage)
        self.shown: list[FrozenTrial] = []

    def get_trials(
        self, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        return [t for t in self.shown if states is None or t.state in states]

    def _get_trials(
        self, deepcopy: bool = True, states: Container[OptunaState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return self.get_trials(deepcopy, states)


class _Storage(optuna.storages.InMemoryStorage):
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Samplers leave notes for other processes here; ours learn from the records instead."""


class OptunaBackedSampler(Sampler):
    """A fresh Optuna sampler for every suggestion, seeded from the study's seed and the trial's number."""

    def __init__(self, factory: Callable[[int], BaseSampler]) -> None:
        self._factory = factory
        self._view: _View | None = None
        self._distributions: dict[str, BaseDistribution] = {}
        self._frozen: dict[int, tuple[TrialRecord, FrozenTrial]] = {}

    def suggest(self, context: Context) -> Suggestion:
        """A setting from Optuna, conditions respected."""
        with quiet():
            if self._view is None:
                self._view = _View()
                self._distributions = to_distributions(context.space)
            self._view.shown = [self._as_frozen(record, context.max_epochs) for record in context.trials]
            sampler = self._factory(context.int_seed())
            self._view.sampler = sampler
            return Suggestion(
                _sample(sampler, self._view, context.space, self._distributions, context.number)
            )

    def _as_frozen(self, record: TrialRecord, max_epochs: int) -> FrozenTrial:
        known = self._frozen.get(record.number)
        if known is None or known[0] is not record:
            known = (record, frozen_trial(record, self._distributions, max_epochs))
            self._frozen[record.number] = known
        return known[1]


def _sample(
    sampler: BaseSampler,
    study: optuna.study.Study,
    space: Space,
    distributions: dict[str, BaseDistribution],
    number: int,
) -> dict[str, Any]:
    """What `optuna.Trial` does, parents before children, so that conditions are known in time."""
    trial = FrozenTrial(
        number=number,
        trial_id=number,
        state=OptunaState.RUNNING,
        value=None,
        datetime_start=_EPOCH_ZERO,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
    sampler.before_trial(study, trial)
    relative_space = sampler.infer_relative_search_space(study, trial)
    relative = sampler.sample_relative(study, trial, relative_space)
    out: dict[str, Any] = {}
    for name in space.order:
        if not is_active(space[name], out):
            continue
        distribution = distributions[name]
        if distribution.single():
            out[name] = space[name].values()[0]
        elif name in relative and distribution._contains(distribution.to_internal_repr(relative[name])):
            out[name] = relative[name]
        else:
            out[name] = sampler.sample_independent(study, trial, name, distribution)
        trial.params[name] = out[name]
        trial.distributions[name] = distribution
    return snap_setting(space, out)
