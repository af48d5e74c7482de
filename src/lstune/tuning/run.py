"""The front door: `tune` a series, `load` a run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstune.errors import RunError, UserError, explain, nearest
from lstune.forecaster import Forecaster, load_forecaster
from lstune.search import Space
from lstune.series import Series, format_reading, read_series, with_season_of
from lstune.tuning.clock import parse_duration
from lstune.tuning.folder import RunFolder, default_folder
from lstune.tuning.options import TuneOptions
from lstune.tuning.progress import Progress, Silent
from lstune.tuning.work import Work

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Run", "load", "open_series", "tune"]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and result.json's content."""

    path: Path
    result: dict[str, Any]

    @cached_property
    def forecaster(self) -> Forecaster:
        """The saved forecaster, fitted on all rows."""
        return load_forecaster(RunFolder(self.path).model)

    def predict(self, steps: int | None = None, data: Any = None, known: Any = None) -> pd.DataFrame:
        """Forecast coming rows; see `Forecaster.predict`."""
        return self.forecaster.predict(steps, data, known)

    @property
    def verdict(self) -> str:
        """What the model is worth, in one sentence."""
        return str(self.result["verdict"]["text"])

    @property
    def trials(self) -> pd.DataFrame:
        """trials.csv as a DataFrame. Raises RunError if it is missing or damaged."""
        import pandas as pd

        path = RunFolder(self.path).trials
        try:
            table = pd.read_csv(path)
            table["trial"], table["state"]  # whatever it is, pandas makes a table of it
        except (OSError, LookupError, ValueError) as error:  # pandas' own are ValueErrors
            raise RunError(explain("trials.csv is missing or damaged", f"{path}: {error}")) from error
        return table

    def _repr_html_(self) -> str:
        from lstune.report import short_html

        return short_html(self.result, self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.verdict})"


def load(path: str | Path) -> Run:
    """Open the folder of a finished run. Raises RunError if it is none."""
    folder = RunFolder(path)
    return Run(folder.path, folder.read_json("result"))


def tune(
    data: Any,
    *,
    target: str | None = None,
    timestamp: str | None = None,
    features: Sequence[str] | str = (),
    known: Sequence[str] | str = (),
    reading: Mapping[str, Any] | None = None,
    horizon: int = 1,
    method: str = "tpe",
    scheduler: str | None = None,
    trials: int | None = None,
    budget: float | str | None = None,
    test_fraction: float = 0.15,
    validation_fraction: float = 0.15,
    folds: int = 1,
    seed: int = 0,
    space: Space | Mapping[str, Any] | str | Path | None = None,
    workers: int | None = None,
    ensemble: bool = True,
    storage: str | None = None,
    study: str | None = None,
    trial_timeout: float | str | None = None,
    baselines: str = "auto",
    large_grid: bool = False,
    out: str | Path | None = None,
    progress: Progress | None = None,
    started: float | None = None,
) -> Run:
    """Find a good LSTM for a series, say what it is worth, and forecast.

    Arguments:
        data: path (CSV, Parquet), DataFrame, pandas Series, array, Series, or the name of a shipped dataset.
        target, timestamp, features, known: columns, as `read_series` takes them; reading: its other options
            ({"freq": "h", "missing": ["?"]}), which newer rows for the forecaster are read with too.
        horizon: rows forecast at once.
        method: sampler and scheduler by one name ("tpe", "random", ...); `scheduler` replaces the latter.
        trials, budget: where the search ends; a budget ("60s", "10m", seconds) covers everything from start
            to written result. 60 s if neither is given, but for "grid" and "manual", which end by themselves.
        test_fraction, validation_fraction: shares of the rows for the test tail and for validation.
        folds: rolling origins for validation; the search sees the last fold, the finalists all.
        space: changes to the default search space: a mapping of names to values, lists or parameters, or a
            TOML or JSON file of it; a Space is taken as it is.
        workers: trials at once; one for each core if None.
        ensemble: whether several settings and the naive forecast may be mixed.
        storage: SQLAlchemy URL of a database for the study (or a journal file's path), in place of a file in
            the folder.  study: its name there, the folder's if None. Runs on the same data that give the same
            name share the study: each sees the trials of all, and `trials` counts over all.
        trial_timeout: the longest that a trial may take between two rungs; a longer one counts as failed.
        baselines: "auto" compares with AutoTheta, AutoETS and AutoARIMA too where statsforecast is installed
            and the budget is 30 s or more, "simple" never does; or some of auto_theta, auto_ets, auto_arima.
        large_grid: whether method "grid" may take more than 10,000 settings.
        out: the run's folder, which must not hold a run yet; runs/NAME-DATE-TIME if None.
        progress: a display.  started: when the budget's clock began (`time.monotonic()`), now if None.

    Returns the Run. Raises UserError for what the caller can mend, StudyError if no trial succeeded. Ctrl-C
    ends the search and finishes with what was found; a second one aborts.
    """
    began = time.monotonic() if started is None else started
    if study is not None and storage is None:
        raise UserError(explain("A study with a name is kept in a storage", study, "Give --storage too"))
    options = TuneOptions(
        horizon=horizon,
        method=method,
        scheduler=scheduler,
        trials=trials,
        budget=None if budget is None else parse_duration(budget),
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        folds=folds,
        seed=seed,
        workers=workers,
        ensemble=ensemble,
        storage=storage,
        study=study,
        trial_timeout=None if trial_timeout is None else parse_duration(trial_timeout, "A trial timeout"),
        baselines=baselines,
        large_grid=large_grid,
    )
    shown = progress or Silent()
    try:
        columns = {"target": target, "timestamp": timestamp, "features": features, "known": known}
        columns |= reading or {}
        series = open_series(data, options.training_share, **columns)
        folder = RunFolder(out) if out is not None else default_folder(series.name)
        source = str(data) if isinstance(data, (str, Path)) else None
        Work(series, options, space, columns, shown, began, source).run(folder)
        return load(folder.path)
    finally:
        shown.close()


def open_series(data: Any, training_share: float, **reading: Any) -> Series:
    """A Series from whatever `tune` takes; a name that is no file is looked up among the shipped datasets.

    Its season, unless given or the data a Series, is what the first `training_share` of its rows tell.
    """
    series = _open(data, **reading)
    if isinstance(data, Series) or reading.get("season") is not None:
        return series
    return with_season_of(series, training_share)


def _open(data: Any, **reading: Any) -> Series:
    if isinstance(data, Series) and (given := format_reading(reading)):
        raise UserError(
            explain("A Series is read already", ", ".join(given), "Give these options to read_series")
        )
    if isinstance(data, str) and not os.path.exists(os.path.expanduser(data)):
        from lstune import datasets

        if data in datasets.list_datasets():
            chosen = {key: value for key, value in reading.items() if value not in (None, "", ())}
            return datasets.load(data, **chosen)
        if "/" not in data and "." not in data:
            raise UserError(
                explain(
                    "The series must be a file or the name of a shipped dataset",
                    data,
                    nearest(data, datasets.list_datasets())
                    or f"Give a path, or one of: {', '.join(datasets.list_datasets())}",
                )
            )
    return read_series(data, **reading)
