"""What a run will do, settled before it begins: space, cut in time, method, and the rows it is scored on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.evaluation import baseline_forecasts, measure
from lstune.forecaster import MIXABLE
from lstune.search import Space, method_parts
from lstune.series import (
    Series,
    Split,
    allowed_transforms,
    coming_note,
    known_note,
    scored_origins,
    split_series,
    truth_after,
)
from lstune.tuning.defaults import Nature, build_space, grid_note, is_multiplicative, largest_lookback
from lstune.tuning.finish import MEMBERS
from lstune.tuning.options import TuneOptions
from lstune.tuning.settings import HYPERPARAMETERS, parse_lags

__all__ = ["Plan"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Plan:
    """What the options make of a series.

    `changes` are the caller's to the default space, see `build_space`; `first` are the settings tried first.
    Raises UserError for what does not fit together.
    """

    def __init__(self, series: Series, options: TuneOptions, changes: Any) -> None:
        self.series = series
        self.options = options
        self.changes = changes
        self.space, self.first = self._space()
        self.split = self._split()
        self.sampler, scheduler = method_parts(options.method)
        # A single setting has no rivals to be halved against.
        self.scheduler = options.scheduler or ("none" if self.sampler == "manual" else scheduler)

    def _space(self) -> tuple[Space, list[dict[str, Any]]]:
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
        return build_space(self.changes, nature)

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
        season = self.series.season
        transforms = self.space["transform"].values() if "transform" in self.space else []
        difference = season if "seasonal_difference" in transforms else 1
        values = self.space["lags"].values() if "lags" in self.space else []
        longest_lag = max((lag for value in values for lag in parse_lags(value, season)), default=1)
        return difference + longest_lag - 1

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial of the space may train."""
        if "epochs" not in self.space:
            return int(HYPERPARAMETERS["epochs"].default)
        param = self.space["epochs"]
        return int(getattr(param, "high", None) or max(param.values()))  # type: ignore[type-var, arg-type]

    @property
    def members(self) -> int:
        """How many settings the mixture may hold."""
        return MEMBERS if self.options.ensemble and self.sampler != "manual" else 1

    def notes(self) -> list[str]:
        """What to tell before the run begins. Raises SpaceError for a grid of too many settings."""
        series, options = self.series, self.options
        grid = grid_note(self.space, options.large_grid) if self.sampler == "grid" else None
        about = (known_note(series), coming_note(series, options.horizon), grid)
        return [*series.notes, *(note for note in about if note)]

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

    # ---- the validation rows -------------------------------------------------------------------------

    def fold_origins(self, fold: int = -1) -> I64:
        """The origins (V,) of the forecasts of one fold's validation rows; the search sees the last fold."""
        return scored_origins(self.series, self.split.folds[fold].validation, self.options.horizon)

    def all_origins(self) -> I64:
        """Those of every fold, in the order of time."""
        return np.concatenate([self.fold_origins(fold) for fold in range(len(self.split.folds))])

    def mixable(self, origins: I64) -> tuple[dict[str, F64], F64]:
        """The baselines that may be mixed in, and the truth, (V, H) each, after the origins (V,)."""
        horizon, series = self.options.horizon, self.series
        found = baseline_forecasts(series.values, origins, horizon=horizon, season=series.season)
        usable = {name: forecast for name, forecast in found.items() if name in MIXABLE}
        return usable, truth_after(series, origins, horizon)

    def validation_naive(self) -> float:
        """The naive forecast's mean absolute error on the validation rows that the search is scored on."""
        baselines, actual = self.mixable(self.fold_origins())
        return measure("mae", actual, baselines["naive"])
