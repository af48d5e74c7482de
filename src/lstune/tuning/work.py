"""The steps of a run, from the series to the written result."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from lstune._version import __version__
from lstune.engine import StopFlag
from lstune.evaluation import baseline_forecasts, choose_intervals, local_scale, measure
from lstune.files import write_whole
from lstune.forecaster import MIXABLE, Forecaster, save_forecaster
from lstune.search import Space, TrialRecord, method_parts
from lstune.series import (
    Series,
    Split,
    allowed_transforms,
    coming_note,
    known_note,
    save_series,
    scored_origins,
    split_series,
    truth_after,
)
from lstune.tuning.beyond import intervals_beyond
from lstune.tuning.board import StudyBoard, Watch, check_any_success
from lstune.tuning.clock import Budget, Every, format_seconds
from lstune.tuning.defaults import (
    Nature,
    build_space,
    grid_note,
    is_multiplicative,
    largest_lookback,
)
from lstune.tuning.executors import EXECUTORS
from lstune.tuning.finish import (
    CANDIDATES,
    MEMBERS,
    OUT_OF_TIME,
    RESEEDED,
    Mixture,
    as_forecaster,
    as_members,
    by_strategy,
    choose_mixture,
    complete_finalists,
    finalists,
    first_of_each,
    load_candidates,
    retrain,
    trials_of,
    try_folds,
    try_seeds,
    without_networks,
)
from lstune.tuning.folder import SETTINGS_SCHEMA, RunFolder, disk_errors
from lstune.tuning.limits import drop_limits, take_limits, times_scored
from lstune.tuning.objective import Objective
from lstune.tuning.options import TuneOptions
from lstune.tuning.progress import Progress
from lstune.tuning.record import changed_names, package_versions, write_predictions
from lstune.tuning.reserve import NoReserve, Reserve
from lstune.tuning.result import Scored, build_result, score_test
from lstune.tuning.settings import HYPERPARAMETERS, parse_lags
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
        self.changes = space
        self.options = options
        self.reading = reading
        self.progress = progress
        self.budget = Budget(options.limit, began)
        self.statistical = statistical_baselines(options)
        self.space, self.first = self._space(space)
        self.split = self._split()
        sampler, scheduler = method_parts(options.method)
        # A single setting has no rivals to be halved against.
        self.sampler = sampler
        self.scheduler = options.scheduler or ("none" if sampler == "manual" else scheduler)

    def run(self, folder: RunFolder) -> None:
        """Everything from the search to the written result, in `folder`."""
        grid = [grid_note(self.space, self.options.large_grid)] if self.sampler == "grid" else []
        known = [known_note(self.series), coming_note(self.series, self.options.horizon)]
        for note in [*self.series.notes, *filter(None, known), *grid]:
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
        fitting = fitted_beside(self.statistical, self.series, self.split, self.options, self.budget)
        with fitting as statistical:
            self._search_and_finish(folder, search, used, statistical)

    def _search_and_finish(
        self,
        folder: RunFolder,
        search: Search,
        used: float,
        statistical: Callable[[float], tuple[dict[str, Any], list[str]]],
    ) -> None:
        self._warm_up()
        objective, study = self._objective(search), search.study
        self.budget = replace(self.budget, started=self.budget.started - used / self.options.threads)
        board = StudyBoard(study, folder, self.space.order, workers=search.workers)
        reserve = Reserve(
            self.split,
            self.max_epochs,
            self._members(),
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
        left = self.budget.left() * reserve.FINALISTS
        objective = objective.after_search(time.monotonic() + left if left < math.inf else None)
        mixture = self._finalists(objective, trials, reserve)
        objective = objective.after_search(None)
        tested, fitted, keep = self._train(objective, trials, reserve, mixture)
        self.progress.stage("Scoring the test tail")
        baselines, notes = statistical(keep)
        for note in notes:
            self.progress.note(note)
        scored = score_test(tested, self.series, self.split, baselines, mixture.reason)
        if mixture.reason == OUT_OF_TIME:
            self.progress.note(f"This is a simple forecast alone: {OUT_OF_TIME}. Give a larger --budget.")
        self._write(folder, trials, searched, mixture, scored, fitted, interrupted)
        # What may still be promoted, or go on, in a resumed search, and the best; the rest is only weight.
        search.forget({trial.number for trial in finalists(trials, CANDIDATES)})

    def search_alone(self, folder: RunFolder, watch: Watch) -> tuple[list[TrialRecord], bool]:
        """The search and nothing after it, begun or gone on with in `folder`, which the caller has to itself.

        The budget is for the search alone. Returns the trials, and whether the user ended it; states of
        trials are kept only then.
        """
        search = self._open(folder)
        objective = self._objective(search)
        board = StudyBoard(search.study, folder, self.space.order, watch, search.workers)
        # One that goes on may have spent all its time before.
        interrupted = self.budget.left() > 0 and self._search(objective, board, NoReserve())
        trials = board.close()
        if not interrupted:
            objective.states.keep(set())
        return trials, interrupted

    # ---- before the search ---------------------------------------------------------------------------

    def _space(self, changes: Any) -> tuple[Space, list[dict[str, Any]]]:
        options, series = self.options, self.series
        share = 1.0 - options.test_fraction - options.validation_fraction
        unseen = max(1, int(len(series) * options.training_share))
        nature = Nature(
            rows=max(1, int(len(series) * share)),
            season=series.season if series.seasonal else 1,
            positive="log_difference" in allowed_transforms(series.values),
            multiplicative=is_multiplicative(series.values[:unseen]),
            horizon=options.horizon,
            dated=series.has_timestamps,
            features=len(series.feature_names),
            known=len(series.known_names),
        )
        return build_space(changes, nature)

    def _split(self) -> Split:
        options = self.options
        # Differences and lags need rows before the first window.
        longest = largest_lookback(self.space) + self._rows_before()
        return split_series(
            self.series,
            test_fraction=options.test_fraction,
            validation_fraction=options.validation_fraction,
            folds=options.folds,
            max_lookback=longest,
            horizon=options.horizon,
        )

    def _rows_before(self) -> int:
        transforms = self.space["transform"].values() if "transform" in self.space else []
        rows = self.series.season if "seasonal_difference" in transforms else 1
        lags = self.space["lags"].values() if "lags" in self.space else []
        return (
            rows
            + max((max(parse_lags(value, self.series.season), default=1) for value in lags), default=1)
            - 1
        )

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial of the space may train."""
        if "epochs" not in self.space:
            return int(HYPERPARAMETERS["epochs"].default)
        param = self.space["epochs"]
        return int(getattr(param, "high", None) or max(param.values()))  # type: ignore[type-var, arg-type]

    def _members(self) -> int:
        return MEMBERS if self.options.ensemble and self.sampler != "manual" else 1

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
            "space": self.space.to_dict(),
            "changed": changed_names(self.changes),
            "versions": package_versions(),
        }

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
            self.split.folds[-1],
            horizon=self.options.horizon,
            seed=self.options.seed,
            states=search.states,
            stop=StopFlag(),
            timeout=self.options.trial_timeout,
        )

    def study_settings(self) -> dict[str, Any]:
        """The arguments of the run's Study, but for storage and limit."""
        grid = self.sampler == "grid"
        return {
            "space": self.space,
            "sampler": self.sampler,
            "scheduler": self.scheduler,
            "max_epochs": self.max_epochs,
            "min_epochs": min(self.max_epochs, 5),
            # Hyperband's brackets begin anew as long as time or trials are left.
            "iterations": None,
            "seed": self.options.seed,
            "sampler_options": {"limit": None} if grid and self.options.large_grid else {},
            "settings": [] if grid else self.first[: 1 if self.sampler == "manual" else None],
        }

    def _open(self, folder: RunFolder, fresh: bool = False) -> Search:
        return open_search(
            folder,
            self.options,
            self.study_settings(),
            worker=self.worker,
            context=agreed(self.series, self.options),
            fresh=fresh,
        )

    # ---- the search ----------------------------------------------------------------------------------

    def _search(self, objective: Objective, board: StudyBoard, reserve: Reserve | NoReserve) -> bool:
        """Run trials until time, trials or patience end; whether the user ended them."""
        naive = self.validation_naive()
        keep, due = 3.0, Every(0.5)

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

    def validation_naive(self) -> float:
        """The naive forecast's mean absolute error on the validation rows that the search is scored on."""
        last = self.split.folds[-1].validation
        baselines, actual = self._validation_rows(scored_origins(self.series, last, self.options.horizon))
        return measure("mae", actual, baselines["naive"])

    def _validation_rows(self, origins: Any) -> tuple[dict[str, Any], Any]:
        """The baselines that may be mixed in, and the truth, (V, H) each, after the origins (V,)."""
        horizon, series = self.options.horizon, self.series
        found = baseline_forecasts(series.values, origins, horizon=horizon, season=series.season)
        mixable = {name: forecast for name, forecast in found.items() if name in MIXABLE}
        return mixable, truth_after(series, origins, horizon)

    def _all_origins(self) -> Any:
        """The origins of every fold's validation rows, in the order of time."""
        horizon = self.options.horizon
        return np.concatenate([scored_origins(self.series, f.validation, horizon) for f in self.split.folds])

    # ---- after the search ----------------------------------------------------------------------------

    def _finalists(self, objective: Objective, trials: list[TrialRecord], reserve: Reserve) -> Mixture:
        self.progress.stage("Training the finalists to the end")
        workers = self.options.threads
        chosen = finalists([trial for trial in trials if reserve.fits(trial, self.budget.left())], CANDIDATES)
        complete_finalists(objective, chosen[: self._members()], workers)
        candidates = load_candidates(objective, chosen, workers)
        if not candidates:
            return without_networks(*self._validation_rows(self._all_origins()))
        if self.sampler != "manual":
            best = try_seeds(objective, candidates[:RESEEDED], 1, workers)
            candidates = [*best, *candidates[RESEEDED:]]
        origins = objective.validation_origins()
        if len(self.split.folds) > 1:
            earlier = [objective.on_fold(fold) for fold in self.split.folds[:-1]]
            everywhere = try_folds(earlier, candidates[:RESEEDED], workers)
            if everywhere:
                candidates, origins = everywhere, self._all_origins()
            else:
                self.progress.note("No time was left for the earlier folds: the last one decides.")
        most = reserve.most_members(trials_of(candidates, trials), self.budget.left())
        baselines, actual = self._validation_rows(origins)
        mixture = choose_mixture(
            candidates,
            baselines,
            actual,
            horizon=self.options.horizon,
            tried=len(trials),
            ensemble=self._members() > 1,
            most=most,
        )
        return replace(mixture, strategies=by_strategy(candidates, actual))

    def _train(
        self, objective: Objective, trials: list[TrialRecord], reserve: Reserve, mixture: Mixture
    ) -> tuple[Forecaster, Forecaster, float]:
        """The forecaster that meets the test tail, the one for the coming rows, and the time for both."""
        self.progress.stage("Training on more rows")
        origins = self._all_origins()[-len(mixture.actual) :]  # of the last fold alone where time was short
        scale = local_scale(self.series.values, origins, self.series.observed)
        intervals = choose_intervals(mixture.actual - mixture.forecasts, scale)
        members = as_members(mixture)
        assemble = partial(
            as_forecaster, self.series, mixture, intervals, horizon=self.options.horizon, reading=self.reading
        )
        searched = assemble(members)
        rows = self.split.folds[-1].validation
        mixed = trials_of(mixture.candidates, trials)
        price = partial(reserve.forecasts, mixed)
        beyond = intervals_beyond(searched, self.series, rows, self.budget.left(), price)
        repeats = reserve.repeats(mixed, self.budget.left())
        keep = Reserve.FIXED * 0.7 + repeats * price(len(self.split.test))
        made = []
        for rows, share in ((self.split.development, 0.5), (range(len(self.series)), 1.0)):
            left = self.budget.left() - keep
            limit = time.monotonic() + max(0.0, share * left) if self.budget.seconds is not None else None
            members = retrain(
                self.series,
                rows,
                mixture,
                objective,
                fallback=members,
                repeats=repeats,
                workers=self.options.threads,
                stop=objective.stop,
                deadline=limit,
            )
            made.append(replace(assemble(members), beyond=beyond))
            members = first_of_each(members, mixture)
        return made[0], made[1], keep

    def _write(
        self,
        folder: RunFolder,
        trials: list[TrialRecord],
        searched: float,
        mixture: Mixture,
        scored: Scored,
        forecaster: Forecaster,
        interrupted: bool,
    ) -> None:
        self.progress.stage("Writing")
        save_forecaster(forecaster, folder.model)
        write_whole(folder.forecast, forecaster.predict().to_csv())
        best = next(iter([*mixture.candidates, *finalists(trials, 1), *trials]), None)
        result = build_result(
            series=self.series,
            split=self.split,
            options=self.options,
            trials=trials,
            seconds={"search": searched, "refit": (spent := self.budget.spent()) - searched, "total": spent},
            best=getattr(best, "setting", None) or getattr(best, "params", {}),
            scored=scored,
            forecaster=forecaster,
            interrupted=interrupted,
            mixture=mixture,
            times=times_scored(folder) + 1,
        )
        # Interrupted until the folder is whole, so that a run killed before that can be resumed.
        folder.write_json("result", {**result, "interrupted": True})
        last = self.split.folds[-1]
        write_predictions(
            folder.predictions,
            self.series,
            self.split,
            mixture.forecasts[-len(scored_origins(self.series, last.validation, self.options.horizon)) :],
            scored.origins,
            scored.forecasts,
            scored.bands,
            {name: scored.baselines[name] for name in self.statistical if name in scored.baselines},
        )
        self._report(folder)
        result["seconds"]["total"] = self.budget.spent()
        folder.write_json("result", result)

    def _report(self, folder: RunFolder) -> None:
        from lstune.report import write_report

        try:
            write_report(folder.path)
        except Exception as error:  # a page that cannot be drawn must not cost the run
            self.progress.note(f"The report could not be written: {error}")
