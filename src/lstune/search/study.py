"""The search core: ask for work, report epochs, tell results.

It holds no clock, file, thread or lock of its own: time comes in as `now`, storage as an object, and a
caller with threads holds one lock around each call. Which work comes next depends on the space, the seed
and the trials so far, and on nothing else; so a study loaded from storage goes on as the uninterrupted one
would have.

A life of three calls::

    job = study.ask()                       # Job(number=0, params={...}, start_epoch=0, stop_epoch=3)
    study.report(0, 1, 0.81)                # False: go on
    study.tell(0, 0.42)                     # the rung is done; the trial is PAUSED, or COMPLETE at its last
    rung
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lstune.errors import ConfigError, StudyError, explain
from lstune.search.dedupe import fresh_neighbour
from lstune.search.params import plain
from lstune.search.records import Job, TrialRecord, TrialState
from lstune.search.samplers import Context, Suggestion, make_sampler
from lstune.search.schedulers import NewTrial, Promotion, make_scheduler
from lstune.search.space import Space, canonical_key, check_setting

if TYPE_CHECKING:
    from lstune.search.storage import Store

__all__ = ["Study", "TrialLost"]

# How often a sampler is asked again when its suggestion has been tried before.
_ATTEMPTS = 2
_SPEC_VERSION = 1


class TrialLost(StudyError):
    """Another process has taken the trial over, for this one was silent too long: its result goes."""


class Study:
    """A search over `space`; lower values are better.

    `sampler` and `scheduler` are names (see `SAMPLERS` and `SCHEDULERS`), `iterations` Hyperband's
    repetitions (None: no end), `settings` come before anything that the sampler suggests, `n_trials` bounds
    the number of different trials (promotions are free). `storage` is an open `Store` or None for memory
    only. Where several processes share the study, `worker` is this one's name in the trials that it has
    under way, and `context` (JSON) what they must agree on besides, such as the data's fingerprint.

    Raises ConfigError or SpaceError for arguments that make no study.
    """

    def __init__(
        self,
        space: Space,
        *,
        sampler: str = "tpe",
        scheduler: str = "asha",
        max_epochs: int,
        min_epochs: int = 1,
        factor: float = 3,
        iterations: int | None = 1,
        seed: int = 0,
        n_trials: int | None = None,
        settings: Sequence[Mapping[str, Any]] = (),
        sampler_options: Mapping[str, Any] | None = None,
        storage: Store | None = None,
        worker: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        seed, n_trials = plain(seed), plain(n_trials)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigError(explain("The seed must be a whole number of 0 or more", seed))
        if n_trials is not None and n_trials < 1:
            raise ConfigError(explain("The number of trials must be 1 or more", n_trials))
        self.space = space
        self.seed = seed
        self.n_trials = n_trials
        self.max_epochs = max_epochs
        self.spec: dict[str, Any] = {
            "version": _SPEC_VERSION,
            "space": space.to_dict(),
            "sampler": sampler,
            "scheduler": scheduler,
            "max_epochs": max_epochs,
            "min_epochs": min_epochs,
            "factor": factor,
            "iterations": iterations,
            "seed": seed,
            "n_trials": n_trials,
            "settings": [check_setting(space, setting) for setting in settings],
            "sampler_options": dict(sampler_options or {}),
            "context": dict(context or {}),
        }
        self._settings: list[dict[str, Any]] = self.spec["settings"]
        self._sampler = make_sampler(sampler, **self.spec["sampler_options"])
        self._scheduler = make_scheduler(
            scheduler, max_epochs=max_epochs, min_epochs=min_epochs, factor=factor, iterations=iterations
        )
        self._records: list[TrialRecord] = []
        self._curves: dict[int, dict[int, float]] = {}
        self._taken: set[str] = set()
        self._tells = 0
        self._sampler_done = False
        self.worker = worker
        self._to_resume: list[tuple[int, str | None]] = []
        self._space_size = space.size
        self._store = storage
        if storage is not None:
            storage.write_spec(self.spec)

    @classmethod
    def load(
        cls,
        storage: Store,
        *,
        n_trials: int | None = None,
        resume: bool = True,
        worker: str | None = None,
    ) -> Study:
        """The study in `storage`, as it was.

        With `resume` the trials that were running are given out again by `ask`, from their last told epoch:
        right for the one owner of a study after a crash. With a `worker`'s name, only those that it had are
        given out; without `resume` none, for they belong to other processes. `n_trials` replaces the old
        limit if given. Raises StudyError if there is none.
        """
        spec = storage.read_spec()
        if spec is None:
            raise StudyError(explain("The storage holds no study", storage.describe()))
        study = cls(
            Space.from_dict(spec["space"], strict=False),
            sampler=spec["sampler"],
            scheduler=spec["scheduler"],
            max_epochs=spec["max_epochs"],
            min_epochs=spec["min_epochs"],
            factor=spec["factor"],
            iterations=spec["iterations"],
            seed=spec["seed"],
            n_trials=spec["n_trials"] if n_trials is None else n_trials,
            settings=spec["settings"],
            sampler_options=spec["sampler_options"],
            worker=worker,
            context=spec.get("context"),
        )
        study._store = storage
        study._sync()
        if resume:
            for trial in study._records:
                if trial.state is TrialState.RUNNING and worker in (None, trial.worker):
                    study._to_resume.append((trial.number, trial.worker))
        return study

    # ---- the three calls -------------------------------------------------------------------------

    def ask(self, now: float | None = None) -> Job | None:
        """The next piece of work; None if there is none now (`exhausted` says whether for good)."""
        with self._alone():
            self._sync()
            while self._to_resume:
                number, owner = self._to_resume.pop(0)
                trial = self._records[number]
                # Unless another process was quicker to take it over, or its worker was not dead after all.
                if trial.state is TrialState.RUNNING and trial.worker == owner:
                    if trial.worker != self.worker:
                        self._put(replace(trial, worker=self.worker))
                    return Job(trial.number, dict(trial.params), trial.epochs, trial.job[1])
            work = self._scheduler.next(self._records, self._may_start())
            if isinstance(work, NewTrial):
                job = self._start(work, now)
                if job is not None:
                    return job
                # The sampler has no more; what is paused may still be promoted.
                self._sampler_done = True
                work = self._scheduler.next(self._records, self._may_start())
            if not isinstance(work, Promotion):
                return None
            piece = (work.start_epoch, work.stop_epoch)
            trial = replace(
                self._records[work.number], state=TrialState.RUNNING, job=piece, worker=self.worker
            )
            self._put(trial)
            return Job(trial.number, dict(trial.params), *piece)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Note a running trial's value after `epoch` epochs; True: stop it now and tell it as PRUNED.

        A non-finite value also gives True: tell the trial as DIVERGED. Reports are kept in memory until the
        trial is told.
        """
        if self.worker is not None and self._lost(number):
            return True  # so that the training ends; `tell` says why
        trial = self._running(number)
        if not math.isfinite(value):
            return True
        curve = self._curves.setdefault(number, dict(trial.curve))
        curve[int(epoch)] = float(value)
        return self._scheduler.should_stop(trial, curve, self._records)

    def tell(
        self,
        number: int,
        value: float | None = None,
        *,
        state: TrialState = TrialState.COMPLETE,
        epochs: int | None = None,
        reason: str | None = None,
        now: float | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> TrialRecord:
        """End the piece of work that trial `number` was given.

        `epochs` is how many the trial has trained in all; by default it reached its job's stop_epoch. Fewer
        with state COMPLETE mean that it ended by itself (early stopping) and is never promoted. A value
        that is missing or not finite turns COMPLETE into DIVERGED. Returns the trial's new record; raises
        StudyError if it is not running, TrialLost if another process has taken it over.
        """
        with self._alone():
            if self._store is not None and self._store.shared:
                self._sync()
                if self._lost(number):
                    self._curves.pop(number, None)
                    raise TrialLost(explain("A trial is told by the process that has it", number))
            reported = self._curves.get(number, {})
            told = _ended(self._running(number), reported, value, TrialState(state), epochs, reason)
            told = replace(
                told,
                order=self._tells,
                finished=told.finished if now is None else now,
                attrs={**told.attrs, **(attrs or {})},
            )
            early = told.epochs < told.job[1]
            if told.state is TrialState.COMPLETE and not early and self._scheduler.stops_at(told) is not None:
                told = replace(told, state=TrialState.PAUSED)
            self._put(told)
        # Only now: if storage fails, nothing is lost and tell may be called again.
        self._curves.pop(number, None)
        return told

    def take_over(self, number: int) -> None:
        """Let `ask` give the running trial `number` out again, here: its worker elsewhere is known dead."""
        trial = (number, self._running(number).worker)
        if trial not in self._to_resume:
            self._to_resume.append(trial)

    # ---- what is known ---------------------------------------------------------------------------

    @property
    def trials(self) -> list[TrialRecord]:
        """Every trial so far, by number; running ones with the values reported up to now."""
        return [
            replace(t, curve=dict(self._curves[t.number])) if t.number in self._curves else t
            for t in self._records
        ]

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the lowest value; ties go to more epochs, then to the older trial."""
        usable = [t for t in self._records if t.has_value]
        return min(usable, key=lambda t: (t.value, -t.epochs, t.number), default=None)

    @property
    def exhausted(self) -> bool:
        """Whether `ask` will never again give work: nothing is running, to be promoted or to be started."""
        if self._to_resume or any(t.state is TrialState.RUNNING for t in self._records):
            return False
        return self._scheduler.next(self._records, self._may_start()) is None

    # ---- inside ----------------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[None]:
        """Alone among the processes that share the study."""
        return self._store.lock() if self._store is not None else nullcontext()

    def _lost(self, number: int) -> bool:
        """Whether another process has the trial now, or has told it."""
        if not 0 <= number < len(self._records):
            return False
        trial = self._records[number]
        return trial.worker != self.worker or (
            self.worker is not None and trial.state is not TrialState.RUNNING
        )

    def _may_start(self) -> bool:
        if self.n_trials is not None and len(self._records) >= self.n_trials:
            return False
        if self._space_size is not None and len(self._taken) >= self._space_size:
            return False
        return not self._sampler_done or len(self._records) < len(self._settings)

    def _start(self, work: NewTrial, now: float | None) -> Job | None:
        number = len(self._records)
        suggestion = self._suggest(number)
        if suggestion is None:
            return None
        piece = (0, work.stop_epoch)
        setting = suggestion.setting
        self._put(
            TrialRecord(
                number,
                setting,
                job=piece,
                bracket=work.bracket,
                started=now,
                memo=suggestion.memo,
                worker=self.worker,
            )
        )
        return Job(number, dict(setting), *piece)

    def _suggest(self, number: int) -> Suggestion | None:
        if number < len(self._settings):
            return Suggestion(dict(self._settings[number]))
        suggestion = None
        for attempt in range(_ATTEMPTS):
            context = Context(
                self.space, self.seed, number, tuple(self._records), self.max_epochs, attempt, self._taken
            )
            suggestion = self._sampler.suggest(context)
            if suggestion is None or canonical_key(suggestion.setting) not in self._taken:
                return suggestion
        assert suggestion is not None
        setting = fresh_neighbour(self.space, suggestion.setting, self._taken, context.rng())
        return None if setting is None else Suggestion(setting, suggestion.memo)

    def _running(self, number: int) -> TrialRecord:
        if not 0 <= number < len(self._records):
            raise StudyError(explain("There is no trial of that number", number))
        trial = self._records[number]
        if trial.state is not TrialState.RUNNING:
            raise StudyError(
                explain("Only a running trial can be reported or told", f"{number}, {trial.state.value}")
            )
        return trial

    def _put(self, record: TrialRecord) -> None:
        if self._store is not None:
            self._store.write(record)
        self._note(record)

    def _note(self, record: TrialRecord) -> None:
        if record.number < len(self._records):
            self._records[record.number] = record
        else:
            self._records.append(record)
            self._taken.add(canonical_key(record.params))
        self._tells = max(self._tells, record.order + 1)

    def _sync(self) -> None:
        if self._store is not None:
            for record in self._store.changed():
                self._note(record)


def _ended(
    trial: TrialRecord,
    reported: Mapping[int, float],
    value: float | None,
    state: TrialState,
    epochs: int | None,
    reason: str | None,
) -> TrialRecord:
    """The trial after its piece of work has ended like this, see `Study.tell`; `reported` are its values."""
    if state in (TrialState.RUNNING, TrialState.PAUSED):
        raise StudyError(explain("A trial is told complete, pruned, diverged or failed", state.value))
    finite = float(value) if value is not None and math.isfinite(value) else None
    if state is TrialState.COMPLETE and finite is None:
        state, reason = TrialState.DIVERGED, reason or f"the value is {value}"
    curve, rungs = {**trial.curve, **reported}, trial.rungs
    if epochs is None:
        epochs = trial.job[1] if state is TrialState.COMPLETE else max([trial.epochs, *curve])
    if state is TrialState.COMPLETE and finite is not None:
        rungs = (*rungs, (int(epochs), finite))
    if state is TrialState.PRUNED and finite is None:
        finite = min(curve.values(), default=None)
    shown = None if state.is_failure else finite
    return replace(
        trial, state=state, value=shown, epochs=int(epochs), curve=curve, rungs=rungs, reason=reason
    )
