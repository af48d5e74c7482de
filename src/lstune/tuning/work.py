"""The steps of a run, from the series to the written result."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

from lstune._version import __version__
from lstune.engine import StopFlag
from lstune.search import TrialRecord
from lstune.series import Series, save_series
from lstune.tuning.board import StudyBoard, Watch, check_any_success
from lstune.tuning.clock import Budget, Every, format_seconds
from lstune.tuning.ending import Ending, Statistical
from lstune.tuning.executors import EXECUTORS
from lstune.tuning.finish import CANDIDATES, finalists
from lstune.tuning.folder import SETTINGS_SCHEMA, RunFolder, disk_errors
from lstune.tuning.limits import drop_limits, take_limits
from lstune.tuning.objective import Objective
from lstune.tuning.options import TuneOptions
from lstune.tuning.plan import Plan
from lstune.tuning.progress import Progress
from lstune.tuning.record import changed_names, package_versions
from lstune.tuning.reserve import NoReserve, Reserve
from lstune.tuning.sharing import Search, agreed, open_search
from lstune.tuning.statistical import fitted_beside, statistical_baselines

__all__ = ["Work"]


class Work:
    """One run under way; its steps are methods in the order of `run`."""

    def __init__(
        self,
        series: Series,
        options: TuneOptions,
        space: Any,
        reading: dict[str, Any],
        progress: Progress,
        began: float,
        source: str | None = None,
    ) -> None:
        self.series = series
        self.source = source
        self.worker = uuid.uuid4().hex[:12]
        self.options = options
        self.reading = reading
        self.progress = progress
        self.budget = Budget(options.limit, began)
        self.statistical = statistical_baselines(options)
        self.plan = Plan(series, options, space)

    def run(self, folder: RunFolder) -> None:
        """Everything from the search to the written result, in `folder`."""
        for note in self.plan.notes():
            self.progress.note(note)
        folder.create()
        folder.acquire()
        try:
            with disk_errors(folder):
                # A study that cannot be joined leaves no run behind.
                search = None if self.options.storage is None else self._open(folder, fresh=True)
                save_series(self.series, folder.series)
                # Last: a folder that has settings has all that `resume` needs.
                folder.write_json("settings", self._settings(folder))
                self._go(folder, search or self._open(folder))
        finally:
            folder.release()

    def resume(self, folder: RunFolder, new_limits: bool, fresh_budget: bool) -> None:
        """Go on in the folder of a run that was cut off, or that shall search longer.

        Unless the budget is a fresh one, what the trials have used is taken off it.
        """
        folder.acquire()
        try:
            with disk_errors(folder):
                search = self._open(folder)
                used = take_limits(folder, self.options, search.study, new=new_limits, fresh=fresh_budget)
                self._go(folder, search, used)
                drop_limits(folder)
        finally:
            folder.release()

    def _go(self, folder: RunFolder, search: Search, used: float = 0.0) -> None:
        split = self.plan.split
        with fitted_beside(self.statistical, self.series, split, self.options, self.budget) as statistical:
            self._search_and_finish(folder, search, used, statistical)

    def _search_and_finish(
        self, folder: RunFolder, search: Search, used: float, statistical: Statistical
    ) -> None:
        self._warm_up()
        objective = self._objective(search)
        self.budget = replace(self.budget, started=self.budget.started - used / self.options.threads)
        board = StudyBoard(search.study, folder, self.plan.space.order, workers=search.workers)
        reserve = Reserve(
            self.plan.split,
            self.plan.max_epochs,
            self.plan.members,
            self.options.threads,
            self.budget,
            objective.pass_seconds,
        )
        self.progress.stage("Searching")
        interrupted = self._search(objective, board, reserve)
        if interrupted:
            self.progress.note("Interrupted: finishing with what was found (Ctrl-C again to abort).")
        searched = self.budget.spent()
        trials = board.close()
        check_any_success(trials)
        ending = Ending(self.plan, objective, trials, reserve, self.reading, self.progress)
        ending.run(folder, statistical, searched, interrupted)
        # What may still be promoted, or go on, in a resumed search, and the best; the rest is only weight.
        search.forget({trial.number for trial in finalists(trials, CANDIDATES)})

    def search_alone(self, folder: RunFolder, watch: Watch) -> tuple[list[TrialRecord], bool]:
        """The search and nothing after it, begun or gone on with in `folder`, which the caller has to itself.

        The budget is for the search alone. Returns the trials, and whether the user ended it; states of
        trials are kept only then.
        """
        search = self._open(folder)
        objective = self._objective(search)
        board = StudyBoard(search.study, folder, self.plan.space.order, watch, search.workers)
        # One that goes on may have spent all its time before.
        interrupted = self.budget.left() > 0 and self._search(objective, board, NoReserve())
        trials = board.close()
        if not interrupted:
            objective.states.keep(set())
        return trials, interrupted

    # ---- before the search ---------------------------------------------------------------------------

    def _settings(self, folder: RunFolder) -> dict[str, Any]:
        reading = {key: list(v) if isinstance(v, tuple) else v for key, v in self.reading.items()}
        return {
            "schema": SETTINGS_SCHEMA,
            "lstune": __version__,
            # The study keeps its name when the folder is moved.
            "options": {
                **self.options.to_dict(),
                "study": self.options.study or folder.path.resolve().name,
            },
            "worker": self.worker,
            "reading": reading,
            "series": {
                "name": self.series.name,
                "fingerprint": self.series.fingerprint,
                "source": self.source,
            },
            "notes": list(self.series.notes),
            "space": self.plan.space.to_dict(),
            "changed": changed_names(self.plan.changes),
            "versions": package_versions(),
        }

    def _open(self, folder: RunFolder, fresh: bool = False) -> Search:
        return open_search(
            folder,
            self.options,
            self.plan.study_settings(),
            worker=self.worker,
            context=agreed(self.series, self.options),
            fresh=fresh,
        )

    def _warm_up(self) -> None:
        from lstune.engine.warmup import is_compiled, prepare

        cold, began = not is_compiled(), time.monotonic()
        prepare()  # says so itself when there is something to wait for
        if cold and self.budget.seconds is not None:
            spent = format_seconds(time.monotonic() - began)
            self.progress.note(f"Compiling took {spent} of the budget; it happens once on a machine.")

    def _objective(self, search: Search) -> Objective:
        return Objective(
            self.series,
            self.plan.split.folds[-1],
            horizon=self.options.horizon,
            seed=self.options.seed,
            states=search.states,
            stop=StopFlag(),
            timeout=self.options.trial_timeout,
        )

    # ---- the search ----------------------------------------------------------------------------------

    def _search(self, objective: Objective, board: StudyBoard, reserve: Reserve | NoReserve) -> bool:
        """Run trials until time or trials end; whether the user ended them."""
        naive = self.plan.validation_naive()
        keep, due = 0.0, Every(0.5)

        def should_stop() -> bool:
            if self.budget.seconds is None:
                return False
            nonlocal keep
            if due():  # the estimate looks at all trials: not at every tick
                keep = reserve.seconds(board.trials)
            if board.has_value:
                return self.budget.left() <= keep
            # Compilation or a huge setting may have eaten the time: a first result is worth the reserve.
            return self.budget.left() <= reserve.FIXED

        def tick() -> None:
            board.beat()
            left = None if self.budget.seconds is None else self.budget.left()
            self.progress.show(board.snapshot(naive, lambda: (self.budget.spent(), left)))

        with board.working():
            interrupted = EXECUTORS["threads"](
                board,
                objective.run,
                workers=self.options.threads,
                should_stop=should_stop,
                halt=objective.stop.set,
                tick=tick,
            )
        tick()
        return interrupted
