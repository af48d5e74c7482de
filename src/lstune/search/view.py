"""A study as people should see it in Optuna's dashboard: a storage that shows and does not change.

What is stored serves going on exactly: a trial that waits at a rung is RUNNING to Optuna and has no value
yet, so that with ASHA most plots of the dashboard would be empty, and its buttons would spoil the study. Here
such a trial is PRUNED with the value it has, the whole curve is shown, and only the dashboard's own notes are
written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from lstune.errors import StudyError, explain
from lstune.search.records import TrialRecord, TrialState
from lstune.search.storage import Store

__all__ = ["StudyView", "shown_trial"]

# Optuna's name for the key; its dashboard labels axes and columns by it.
_METRICS = "study:metric_names"
_DIGITS = 5


def shown_trial(record: TrialRecord, stored: FrozenTrial, ended: bool) -> FrozenTrial:
    """The trial `stored` with what `record` knows of it; `ended`: whether running trials were cut off."""
    cut = ended and record.state is TrialState.RUNNING
    waits = record.state is TrialState.PAUSED
    value = record.value
    if value is None and not record.state.is_failure:
        value = min(record.curve.values(), default=None)
    states = {TrialState.COMPLETE: OptunaState.COMPLETE, TrialState.RUNNING: OptunaState.RUNNING}
    state = states.get(record.state, OptunaState.FAIL if record.state.is_failure else OptunaState.PRUNED)
    if cut:
        state = OptunaState.PRUNED
    attrs: dict[str, Any] = {"epochs trained": max([record.epochs, *record.curve])}
    if "seconds" in record.attrs:
        attrs["seconds"] = round(float(record.attrs["seconds"]), 2)
    if waits:
        attrs["ended"] = "at a rung" if ended else "waits at a rung for its promotion"
    elif cut:
        attrs["ended"] = "cut off with the search"
    elif record.state is not TrialState.RUNNING and record.state is not TrialState.COMPLETE:
        attrs["ended"] = record.reason or record.state.value
    started = _time(record.started) or stored.datetime_start
    finished = None if state is OptunaState.RUNNING else _time(record.finished) or started
    # What cannot vary would only stand in the way in every list of parameters.
    searched = {name: options for name, options in stored.distributions.items() if not options.single()}
    shown = {epoch: _short(error) for epoch, error in sorted({**record.curve, **dict(record.rungs)}.items())}
    return FrozenTrial(
        number=stored.number,
        trial_id=stored._trial_id,
        state=state,
        value=None if state in (OptunaState.FAIL, OptunaState.RUNNING) or value is None else _short(value),
        datetime_start=started,
        datetime_complete=finished,
        params={name: _short(record.params[name]) for name in searched},
        distributions=searched,
        user_attrs=attrs,
        # What goes on exactly is of no use to people; the dashboard's own notes are.
        system_attrs={key: v for key, v in stored.system_attrs.items() if key.startswith("dashboard")},
        intermediate_values=shown,
    )


def _time(stamp: float | None) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(stamp, timezone.utc)


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


class StudyView(BaseStorage):
    """One study of a storage, to look at.

    metric: the name of the value.  about: what is told of the study, by name.  ended: says whether nobody
    works on the study any more.
    """

    def __init__(
        self, store: Store, *, metric: str, about: Mapping[str, Any], ended: Callable[[], bool]
    ) -> None:
        self._store = store
        self._base = store.optuna_storage
        self._number = self._base.get_study_id_from_name(store.study_name)
        self._metric = metric
        self._about = dict(about)
        self._ended = ended

    @property
    def study_id(self) -> int:
        """The study's number in the storage."""
        return self._number

    # ---- what is shown ---------------------------------------------------------------------------------

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        """The study's trials, as people should see them."""
        ended = self._ended()
        stored = self._base.get_all_trials(study_id, deepcopy=False)
        shown = [shown_trial(self._store.record_of(trial), trial, ended) for trial in stored]
        return [trial for trial in shown if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One of them."""
        trial = self._base.get_trial(trial_id)
        return shown_trial(self._store.record_of(trial), trial, self._ended())

    def get_all_studies(self) -> list[FrozenStudy]:
        """The one study: others in the storage are not lstune's business."""
        return [
            FrozenStudy(
                study_name=self._store.study_name,
                direction=StudyDirection.MINIMIZE,
                user_attrs=self.get_study_user_attrs(self._number),
                system_attrs=self.get_study_system_attrs(self._number),
                study_id=self._number,
            )
        ]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """What is told of the study."""
        return copy.deepcopy(self._about)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The value's name, and the dashboard's notes."""
        kept = self._base.get_study_system_attrs(study_id)
        notes = {key: value for key, value in kept.items() if key.startswith("dashboard")}
        return {_METRICS: [self._metric], **notes}

    def get_study_id_from_name(self, study_name: str) -> int:
        """As stored."""
        return self._base.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """As stored."""
        return self._base.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Errors are minimised."""
        return [StudyDirection.MINIMIZE]

    # ---- what may be written: notes alone --------------------------------------------------------------

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep one of the dashboard's notes."""
        self._check(key)
        self._base.set_study_system_attr(study_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep one of the dashboard's notes on a trial."""
        self._check(key)
        self._base.set_trial_system_attr(trial_id, key, value)

    def _check(self, key: str) -> None:
        if not key.startswith("dashboard"):
            raise self._refusal()

    def _refusal(self) -> StudyError:
        return StudyError(explain("The dashboard of lstune shows a study and does not change it"))

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Refused, as all that follows."""
        raise self._refusal()

    def delete_study(self, study_id: int) -> None:
        """Refused."""
        raise self._refusal()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Refused."""
        raise self._refusal()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Refused."""
        raise self._refusal()

    def set_trial_param(self, trial_id: int, *args: Any) -> None:
        """Refused."""
        raise self._refusal()

    def set_trial_state_values(self, trial_id: int, *args: Any, **kwargs: Any) -> bool:
        """Refused."""
        raise self._refusal()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Refused."""
        raise self._refusal()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Refused."""
        raise self._refusal()
