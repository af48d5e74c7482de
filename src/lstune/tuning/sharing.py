"""A run's study: opened in its folder, or in a storage that several runs work on at once.

Each run that shares a study is a worker with a folder of its own. What the workers have in common are the
trials and the training states; every one ends with its own result, chosen from all trials.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstune.errors import StudyError, UserError, explain
from lstune.search import Study
from lstune.search.blobs import FolderBlobs
from lstune.search.storage import Store, open_storage
from lstune.search.urls import hides_password, without_password
from lstune.search.workers import Workers
from lstune.series import Series
from lstune.tuning.folder import RunFolder
from lstune.tuning.options import TuneOptions
from lstune.tuning.states import StateStore

__all__ = ["VARIABLE", "Search", "agreed", "open_search", "storage_again"]

# Where a resumed run finds the URL with the password that its folder does not keep.
VARIABLE = "LSTUNE_STORAGE"
# Parts of a study's settings that all of its workers must have alike, and how a user names them.
_COMMON = {
    "space": "--space or --set",
    "sampler": "--method",
    "scheduler": "--scheduler",
    "max_epochs": "epochs",
    "seed": "--seed",
}


@dataclass(frozen=True)
class Search:
    """An open study, the training states of its trials, and its workers (None if there is only this one)."""

    study: Study
    states: StateStore
    workers: Workers | None

    def forget(self, best: set[int]) -> None:
        """After the run: drop training states that nothing will go on from or choose again."""
        ended = {trial.number for trial in self.study.trials if trial.state.is_final} - best
        if self.workers is None:
            self.states.keep({trial.number for trial in self.study.trials} - ended)
        elif not self.workers.others():  # they may want to load what is there
            for number in sorted(ended):
                self.states.drop(number)


def open_search(
    folder: RunFolder,
    options: TuneOptions,
    settings: Mapping[str, Any],
    *,
    worker: str,
    context: Mapping[str, Any],
    fresh: bool,
) -> Search:
    """The run's study, begun, joined or gone on with.

    settings: the arguments of a new Study.  worker: this run's name among the workers.  context: what they
    must agree on besides, see `agreed`.  fresh: whether the run begins now; else it was cut off or is to
    search longer.

    Raises StudyError if a fresh run meets a study that it was not told to join (`options.study`), one that
    was begun otherwise than it would do it, or if an older run's study is not there.
    """
    shared = options.storage is not None
    name = options.study or folder.path.resolve().name
    store = open_storage(options.storage or folder.journal, study=name, shared=shared)
    with store.lock():  # two workers that come at once must not both begin the study
        spec = store.read_spec()
        if spec is None:
            if not fresh and folder.has_trials():
                raise StudyError(_gone(store) if shared else _removed(folder))
            own: dict[str, Any] = {"worker": worker, "context": context} if shared else {}
            study = Study(**settings, n_trials=options.trials, storage=store, **own)
        else:
            if fresh and options.study is None:
                raise StudyError(_taken(store))
            if shared and not folder.has_trials():
                _check_alike(store, spec, Study(**settings).spec, context)
            study = Study.load(store, worker=worker if shared else None)
            if options.trials is not None or not shared:
                study.n_trials = options.trials
    if not shared:
        return Search(study, StateStore(FolderBlobs(folder.states)), None)
    workers = Workers(store, worker)
    workers.beat()
    return Search(study, StateStore(store.blobs()), workers)


def agreed(series: Series, options: TuneOptions) -> dict[str, Any]:
    """What makes a trial's error comparable, besides its setting: the rows and how they are cut."""
    return {
        "data": series.fingerprint,
        "horizon": options.horizon,
        "test_fraction": options.test_fraction,
        "validation_fraction": options.validation_fraction,
        "folds": options.folds,
    }


def storage_again(kept: str | None, given: str | None) -> str | None:
    """The storage to resume with: the one given, else the kept one with its password from the environment.

    Where `LSTUNE_STORAGE` is not set either, the driver is left to find one (`~/.pgpass`).
    """
    if given is not None:
        if kept is None:
            raise UserError(explain("This run's study is in its folder", given, "Leave --storage out"))
        return given
    if kept is None or not hides_password(kept):
        return kept
    return os.environ.get(VARIABLE) or without_password(kept)


def _check_alike(
    store: Store, there: Mapping[str, Any], here: Mapping[str, Any], context: Mapping[str, Any]
) -> None:
    """Raise StudyError naming what differs between a study and the run that wants to join it."""
    pairs = [(f"{key} ({how})", there[key], _plain(here[key])) for key, how in _COMMON.items()]
    known = there.get("context", {})
    pairs += [(key.replace("_", " "), known.get(key), value) for key, value in _plain(context).items()]
    differing = [
        f"{name}: {_short(theirs, ours)} there, {_short(ours, theirs)} here"
        for name, theirs, ours in pairs
        if theirs != ours
    ]
    if differing:
        raise StudyError(
            explain(
                f"All workers of a study must have the same data, space, folds and seed; the study "
                f"'{store.study_name}' in {store.describe()} was begun otherwise",
                "; ".join(differing),
                "Give the options that it was begun with, or another --study",
            )
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _short(value: Any, other: Any) -> str:
    """A value for people; of two mappings only what differs, of a fingerprint its beginning."""
    if isinstance(value, dict) and isinstance(other, dict):
        names = [name for name in {**value, **other} if value.get(name) != other.get(name)]
        return ", ".join(f"{name} {json.dumps(value.get(name))}" for name in names) or "another order"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:8]}..."


def _taken(store: Store) -> str:
    return explain(
        "The storage holds a study of this name already",
        f"{store.study_name} in {store.describe()}",
        f"Join it with --study {store.study_name}, or choose another name with --study",
    )


def _removed(folder: RunFolder) -> str:
    return explain(
        "The run's study is gone from its folder", str(folder.journal), "Start again with another --out"
    )


def _gone(store: Store) -> str:
    return explain(
        "The storage does not hold this run's study",
        f"{store.study_name} in {store.describe()}",
        f"Give the storage that the run was begun with (--storage or {VARIABLE})",
    )
