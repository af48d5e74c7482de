"""After the search: from its trials to the mixture, the forecasters, the test tail and the written result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from lstune.evaluation import choose_intervals, local_scale
from lstune.files import write_whole
from lstune.forecaster import Forecaster, save_forecaster
from lstune.search import TrialRecord
from lstune.tuning.beyond import intervals_beyond
from lstune.tuning.finish import (
    CANDIDATES,
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
from lstune.tuning.folder import RunFolder
from lstune.tuning.limits import times_scored
from lstune.tuning.objective import Objective
from lstune.tuning.plan import Plan
from lstune.tuning.progress import Progress
from lstune.tuning.record import write_predictions
from lstune.tuning.reserve import Reserve
from lstune.tuning.result import Scored, build_result, score_test

__all__ = ["Ending", "Statistical"]

# Takes the seconds of the budget to keep; gives forecasts of the test tail by name, and notes on any missing.
Statistical = Callable[[float], tuple[dict[str, Any], list[str]]]


class Ending:
    """What comes after a run's search; its steps are methods in the order of `run`.

    `objective` is that of the search, `trials` all that it gave, `reserve` the time that was kept for this.
    """

    def __init__(
        self,
        plan: Plan,
        objective: Objective,
        trials: list[TrialRecord],
        reserve: Reserve,
        reading: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.objective = objective
        self.trials = trials
        self.reserve = reserve
        self.budget = reserve.budget
        self.reading = reading
        self.progress = progress

    def run(self, folder: RunFolder, statistical: Statistical, searched: float, interrupted: bool) -> None:
        """Everything up to the written result, in `folder`.

        statistical: what gives the fitted baselines. searched: the seconds that the search took. interrupted:
        whether the user ended it.
        """
        mixture = self._choose()
        tested, fitted, keep = self._train(mixture)
        self.progress.stage("Scoring the test tail")
        baselines, notes = statistical(keep)
        for note in notes:
            self.progress.note(note)
        scored = score_test(tested, self.plan.series, self.plan.split, baselines, mixture.reason)
        if mixture.reason == OUT_OF_TIME:
            self.progress.note(f"This is a simple forecast alone: {OUT_OF_TIME}. Give a larger --budget.")
        self._write(folder, mixture, scored, fitted, list(baselines), searched, interrupted)

    def _choose(self) -> Mixture:
        """The mixture of the finalists, trained to their ends, with other seeds and on the earlier folds."""
        left = self.budget.left() * self.reserve.FINALISTS
        # What follows trains again, without touching what a resumed search must find as it left it.
        objective = self.objective = self.objective.after_search(
            time.monotonic() + left if left < math.inf else None
        )
        self.progress.stage("Training the finalists to the end")
        plan, workers = self.plan, self.plan.options.threads
        fitting = [trial for trial in self.trials if self.reserve.fits(trial, self.budget.left())]
        chosen = finalists(fitting, CANDIDATES)
        complete_finalists(objective, chosen[: plan.members], workers)
        candidates = load_candidates(objective, chosen, workers)
        if not candidates:
            return without_networks(*plan.mixable(plan.all_origins()))
        if plan.sampler != "manual":
            best = try_seeds(objective, candidates[:RESEEDED], 1, workers)
            candidates = [*best, *candidates[RESEEDED:]]
        origins = plan.fold_origins()
        if len(plan.split.folds) > 1:
            earlier = [objective.on_fold(fold) for fold in plan.split.folds[:-1]]
            everywhere = try_folds(earlier, candidates[:RESEEDED], workers)
            if everywhere:
                candidates, origins = everywhere, plan.all_origins()
            else:
                self.progress.note("No time was left for the earlier folds: the last one decides.")
        most = self.reserve.most_members(trials_of(candidates, self.trials), self.budget.left())
        baselines, actual = plan.mixable(origins)
        mixture = choose_mixture(
            candidates,
            baselines,
            actual,
            horizon=plan.options.horizon,
            tried=len(self.trials),
            ensemble=plan.members > 1,
            most=most,
        )
        return replace(mixture, strategies=by_strategy(candidates, actual))

    def _train(self, mixture: Mixture) -> tuple[Forecaster, Forecaster, float]:
        """The forecaster that meets the test tail, the one for the coming rows, and the time for both."""
        self.progress.stage("Training on more rows")
        plan, series, reserve = self.plan, self.plan.series, self.reserve
        objective = self.objective.after_search(None)
        origins = plan.all_origins()[-len(mixture.actual) :]  # of the last fold alone where time was short
        scale = local_scale(series.values, origins, series.observed)
        intervals = choose_intervals(mixture.actual - mixture.forecasts, scale)
        members = as_members(mixture)
        assemble = partial(
            as_forecaster, series, mixture, intervals, horizon=plan.options.horizon, reading=self.reading
        )
        mixed = trials_of(mixture.candidates, self.trials)
        price = partial(reserve.forecasts, mixed)
        validation = plan.split.folds[-1].validation
        beyond = intervals_beyond(assemble(members), series, validation, self.budget.left(), price)
        repeats = reserve.repeats(mixed, self.budget.left())
        keep = reserve.FIXED * 0.7 + repeats * price(len(plan.split.test))
        made = []
        for rows, share in ((plan.split.development, 0.5), (range(len(series)), 1.0)):
            left = self.budget.left() - keep
            limit = time.monotonic() + max(0.0, share * left) if self.budget.seconds is not None else None
            members = retrain(
                series,
                rows,
                mixture,
                objective,
                fallback=members,
                repeats=repeats,
                workers=plan.options.threads,
                stop=objective.stop,
                deadline=limit,
            )
            made.append(replace(assemble(members), beyond=beyond))
            members = first_of_each(members, mixture)
        return made[0], made[1], keep

    def _write(
        self,
        folder: RunFolder,
        mixture: Mixture,
        scored: Scored,
        forecaster: Forecaster,
        statistical: list[str],
        searched: float,
        interrupted: bool,
    ) -> None:
        self.progress.stage("Writing")
        plan = self.plan
        save_forecaster(forecaster, folder.model)
        write_whole(folder.forecast, forecaster.predict().to_csv())
        spent = self.budget.spent()
        result = build_result(
            series=plan.series,
            split=plan.split,
            options=plan.options,
            trials=self.trials,
            seconds={"search": searched, "refit": spent - searched, "total": spent},
            best=self._best_setting(mixture),
            scored=scored,
            forecaster=forecaster,
            interrupted=interrupted,
            mixture=mixture,
            times=times_scored(folder) + 1,
        )
        # Interrupted until the folder is whole, so that a run killed before that can be resumed.
        folder.write_json("result", {**result, "interrupted": True})
        write_predictions(
            folder.predictions,
            plan.series,
            plan.split,
            mixture.forecasts[-len(plan.fold_origins()) :],
            scored.origins,
            scored.forecasts,
            scored.bands,
            {name: scored.baselines[name] for name in statistical},
        )
        self._report(folder)
        result["seconds"]["total"] = self.budget.spent()
        folder.write_json("result", result)

    def _best_setting(self, mixture: Mixture) -> dict[str, Any]:
        if mixture.candidates:
            return mixture.candidates[0].setting
        best = next(iter([*finalists(self.trials, 1), *self.trials]), None)
        return {} if best is None else best.params

    def _report(self, folder: RunFolder) -> None:
        from lstune.report import write_report

        try:
            write_report(folder.path)
        except Exception as error:  # a page that cannot be drawn must not cost the run
            self.progress.note(f"The report could not be written: {error}")
