"""The process that fits statistical models.

    python -m lstune.evaluation._fit_statistical PARENT LIMIT NAMES... <TASK >ANSWERS

Reads the task, a .npz file, from stdin, and writes an answer for each model to stdout as soon as it is there.
Ends after LIMIT seconds, and soon after the process PARENT, which nobody would read an answer without.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from typing import Any

import numpy as np

from lstune.evaluation._filters import arima_forecasts, ets_forecasts, theta_forecasts
from lstune.evaluation.statistical import fitted_rows, write_answer

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


def _end_with(parent: int) -> None:
    """End this process soon after its parent, as far as the system tells of that."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() != parent:
        sys.exit(1)
    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> None:
    """Fit what is asked for."""
    parent, limit, *names = arguments
    _end_in(float(limit))
    _end_with(int(parent))
    with np.load(sys.stdin.buffer, allow_pickle=False) as task:
        values, origins = task["values"], task["origins"]
        horizon, season = int(task["horizon"]), int(task["season"])
    # What a package prints must not come between the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        for name in names:
            try:
                answer = fit_forecasts(name, values, origins, horizon, season)
            except Exception as error:  # one model that cannot be fitted must not cost the others
                answer = f"{type(error).__name__}: {error}"
            write_answer(answers, name, answer)


if __name__ == "__main__":
    main(sys.argv[1:])
