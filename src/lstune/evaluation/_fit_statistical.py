"""The process that fits statistical models.

    python -m lstune.evaluation._fit_statistical FOLDER LIMIT NAMES...

Reads FOLDER/task.npz; writes the forecasts of each model to NAME.npy as soon as they are there, or why there
are none to NAME.txt.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lstune.evaluation._filters import arima_forecasts, ets_forecasts, theta_forecasts
from lstune.evaluation.statistical import fitted_rows

__all__ = ["fit_forecasts", "main"]


def fit_forecasts(name: str, values: Any, origins: Any, horizon: int, season: int) -> Any:
    """Forecasts (N, H) of one model at origins (N,), fitted on the values (T,) up to the first of them."""
    from statsforecast.models import AutoARIMA, AutoETS, AutoTheta

    rows = fitted_rows(name, int(origins[0]) + 1)
    y, at = values[rows.start :], origins - rows.start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "auto_ets":
            fitted = AutoETS(season_length=season).fit(y[: len(rows)])
            return ets_forecasts(fitted.model_, y, at, horizon)
        if name == "auto_theta":
            fitted = AutoTheta(season_length=season).fit(y[: len(rows)])
            return theta_forecasts(fitted.model_, y, at, horizon)
        # Approximate while searching for the orders, exact for the chosen ones, as R does on long series.
        fitted = AutoARIMA(season_length=season, approximation=True).fit(y[: len(rows)])
        return arima_forecasts(fitted.model_, y, at, horizon)


def _end_in(seconds: float) -> None:
    """End this process after so many seconds, even from within compiled code."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    else:
        timer = threading.Timer(seconds, os._exit, (1,))
        timer.daemon = True
        timer.start()


def main(arguments: list[str]) -> None:
    """Fit what is asked for."""
    folder, limit, *names = arguments
    _end_in(float(limit))
    with np.load(Path(folder) / "task.npz", allow_pickle=False) as task:
        values, origins = task["values"], task["origins"]
        horizon, season = int(task["horizon"]), int(task["season"])
    for name in names:
        file = Path(folder) / f"{name}.npy"
        try:
            forecasts = fit_forecasts(name, values, origins, horizon, season)
        except Exception as error:  # one model that cannot be fitted must not cost the others
            file.with_suffix(".txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
            continue
        half = file.with_suffix(".part.npy")
        np.save(half, np.asarray(forecasts, dtype=np.float64))
        os.replace(half, file)


if __name__ == "__main__":
    main(sys.argv[1:])
