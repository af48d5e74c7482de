"""Simple forecasts that a model has to beat, made for the same rows from the same knowledge.

A forecast made at origin o knows the rows 0..o and forecasts the rows o+1..o+H. With H = 1 this is the
one-step forecast from true lags. Values have the shape (T,), origins (N,), forecasts (N, H).
Sources: Hyndman & Athanasopoulos (2021), Forecasting: Principles and Practice, section 5.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain

__all__ = ["BASELINES", "Baseline", "baseline_forecasts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Baseline:
    """A row of `BASELINES`.

    `function(values, origins, horizon, season)` returns (N, H). `seasonal` rows are left out when the
    series has no season. `extra` names the optional install that the row needs; None needs nothing. Rows
    without a function are fitted in a process of their own, see `statistical.py`.
    """

    name: str
    label: str
    function: Callable[[F64, I64, int, int], F64] | None
    seasonal: bool = False
    extra: str | None = None


def _naive(values: F64, origins: I64, horizon: int, season: int) -> F64:
    return np.repeat(values[origins][:, None], horizon, axis=1)


def _seasonal_naive(values: F64, origins: I64, horizon: int, season: int) -> F64:
    step = np.arange(1, horizon + 1)  # (H,)
    whole_seasons = (step - 1) // season + 1
    rows = origins[:, None] + step - whole_seasons * season  # the last known row of the same phase
    return values[np.maximum(rows, 0)]


def _drift(values: F64, origins: I64, horizon: int, season: int) -> F64:
    slope = (values[origins] - values[0]) / np.maximum(origins, 1)
    return values[origins][:, None] + slope[:, None] * np.arange(1, horizon + 1)


def _mean(values: F64, origins: I64, horizon: int, season: int) -> F64:
    so_far = np.cumsum(values)[origins] / (origins + 1)
    return np.repeat(so_far[:, None], horizon, axis=1)


BASELINES: dict[str, Baseline] = {
    row.name: row
    for row in (
        Baseline("naive", "naive", _naive),
        Baseline("seasonal_naive", "seasonal naive", _seasonal_naive, seasonal=True),
        Baseline("drift", "drift", _drift),
        Baseline("mean", "mean", _mean),
        Baseline("auto_theta", "AutoTheta", None, extra="stats"),
        Baseline("auto_ets", "AutoETS", None, extra="stats"),
        Baseline("auto_arima", "AutoARIMA", None, extra="stats"),
    )
}


def baseline_forecasts(values: Any, origins: Any, *, horizon: int = 1, season: int = 1) -> dict[str, F64]:
    """Every simple baseline's forecast (N, H) at each origin, by name, in the table's order.

    `season` of 1 or less means no season: seasonal rows are then left out. An origin earlier than a whole
    season has no row of the same phase and uses the first row instead.
    Raises DataError when an origin lies outside the values.
    """
    series = np.asarray(values, dtype=np.float64)
    at = np.asarray(origins, dtype=np.int64)
    if at.ndim != 1 or len(at) == 0 or at.min() < 0 or at.max() >= len(series):
        raise DataError(
            explain("Forecast origins must be rows of the series", f"{at!r} of {len(series)} rows")
        )
    return {
        row.name: row.function(series, at, horizon, season)
        for row in BASELINES.values()
        if row.function is not None and (season > 1 or not row.seasonal)
    }
