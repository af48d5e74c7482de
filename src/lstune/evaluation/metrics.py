"""Measures of forecast error: one row of a table for each, with its rule for zeros and its source.

`truth` and `forecast` have the same shape, (N,) or (N, H), and are in original units. Where the truth is NaN,
as in rows that were filled, nothing is scored; a forecast of NaN makes the measure NaN. An undefined value is
NaN (each row of the table says when), never an error and never a large number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain

__all__ = ["METRICS", "Metric", "losses_by_origin", "mase_scale", "measure", "step_errors"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A row of `METRICS`.

    `direction` says which values are better; "nominal" means nearest to the nominal rate. `needs` names
    the keyword arguments that `function` takes besides truth and forecast. `zero` is the rule where a
    denominator would be zero.
    """

    name: str
    direction: Literal["lower", "higher", "nominal"]
    function: Callable[..., float]
    zero: str
    paper: str
    needs: tuple[str, ...] = ()


def losses_by_origin(truth: Any, forecast: Any) -> F64:
    """Absolute errors of (N, H) or (N,) as one loss for each origin (N,), whose mean is the mean error.

    An origin some of whose targets are NaN counts by those that are known.
    """
    a, b = (np.asarray(part, dtype=np.float64) for part in (truth, forecast))
    if a.shape != b.shape or a.size == 0:
        raise DataError(explain("Forecasts must have the shape of the truth", f"{b.shape} for {a.shape}"))
    if a.ndim == 1:
        a, b = a[:, None], b[:, None]
    known = ~np.isnan(a)
    return np.where(known, np.abs(a - b), 0.0).sum(axis=1) / max(float(known.sum(axis=1).mean()), 1e-300)


def step_errors(truth: Any, forecast: Any) -> list[float]:
    """The mean absolute error at each step of forecasts (N, H)."""
    return [_mae(truth[:, step], forecast[:, step]) for step in range(truth.shape[1])]


def _pair(truth: Any, forecast: Any) -> tuple[F64, F64]:
    """Both where the truth is known, (K,)."""
    a = np.asarray(truth, dtype=np.float64)
    b = np.asarray(forecast, dtype=np.float64)
    if a.shape != b.shape or a.size == 0:
        raise DataError(
            explain(
                "truth and forecast must have the same shape and at least one value",
                f"shapes {a.shape} and {b.shape}",
            )
        )
    known = ~np.isnan(a)
    return a[known], b[known]


def _mean(values: F64) -> float:
    return float(values.mean()) if values.size else float("nan")


def _mae(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    return _mean(np.abs(a - b))


def _rmse(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    return float(np.sqrt(_mean(np.square(a - b))))


def mase_scale(training: Any, season: int = 1, observed: Any = None) -> float:
    """The scale of MASE: mean absolute error of the seasonal naive forecast inside the training rows.

    `training` has the shape (T,). With fewer than `season + 1` rows, the season is taken as 1. `observed`
    (T,) is False where a value was filled: only pairs of measured values count, NaN if there are none.
    Source: Hyndman & Koehler (2006), section 3.
    """
    values = np.asarray(training, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise DataError(explain("The scale of MASE needs at least two training rows", values.shape))
    lag = season if 1 <= season < len(values) else 1
    known = np.ones(len(values), bool) if observed is None else np.asarray(observed, dtype=bool)
    return _mean(np.abs(values[lag:] - values[:-lag])[known[lag:] & known[:-lag]])


def _mase(truth: Any, forecast: Any, *, scale: float) -> float:
    return _mae(truth, forecast) / scale if scale > 0 else float("nan")


def _smape(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    size = np.abs(a) + np.abs(b)
    share = np.divide(2.0 * np.abs(a - b), size, out=np.zeros_like(size), where=size != 0)
    return 100.0 * _mean(share)


def _mape(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    if np.any(a == 0):
        return float("nan")
    return 100.0 * _mean(np.abs((a - b) / a))


def _pinball(truth: Any, forecast: Any, *, quantile: float) -> float:
    a, b = _pair(truth, forecast)
    gap = a - b
    return _mean(np.maximum(quantile * gap, (quantile - 1.0) * gap))


def _coverage(truth: Any, forecast: Any, *, upper: Any) -> float:
    a, low = _pair(truth, forecast)
    _, high = _pair(truth, upper)
    return _mean(((a >= low) & (a <= high)).astype(np.float64))


def _directional(truth: Any, forecast: Any, *, previous: Any) -> float:
    a, b = _pair(truth, forecast)
    _, last = _pair(truth, np.broadcast_to(np.asarray(previous, dtype=np.float64), np.shape(truth)))
    moved = a != last
    if not moved.any():
        return float("nan")
    said = np.sign(b - last)[moved]
    hit = np.where(said == 0, 0.5, said == np.sign(a - last)[moved])
    return float(hit.mean())


METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric("mae", "lower", _mae, "no denominator", "Willmott & Matsuura (2005)"),
        Metric("rmse", "lower", _rmse, "no denominator", "Willmott & Matsuura (2005)"),
        Metric(
            "mase",
            "lower",
            _mase,
            "NaN if the training rows never change",
            "Hyndman & Koehler (2006)",
            ("scale",),
        ),
        Metric(
            "smape",
            "lower",
            _smape,
            "a term is 0 where truth and forecast are 0",
            "Makridakis & Hibon (2000)",
        ),
        Metric("mape", "lower", _mape, "NaN if any true value is 0", "Hyndman & Koehler (2006)"),
        Metric("pinball", "lower", _pinball, "no denominator", "Koenker & Bassett (1978)", ("quantile",)),
        Metric("coverage", "nominal", _coverage, "no denominator", "Christoffersen (1998)", ("upper",)),
        Metric(
            "directional_accuracy",
            "higher",
            _directional,
            "rows without a true change are left out (NaN if all are); a forecast of no change counts half",
            "Pesaran & Timmermann (1992)",
            ("previous",),
        ),
    )
}


def measure(name: str, truth: Any, forecast: Any, **extra: Any) -> float:
    """The metric called `name`; `extra` holds what its row lists under `needs`.

    Raises DataError for an unknown name, missing or surplus extras, or shapes that differ.
    For "coverage", `forecast` is the lower bound and `upper` the upper one.
    """
    row = METRICS.get(name)
    if row is None:
        raise DataError(explain(f"A metric must be one of {', '.join(METRICS)}", name))
    if set(extra) != set(row.needs):
        wanted = ", ".join(row.needs) or "nothing more"
        raise DataError(explain(f"The metric {name} needs {wanted}", ", ".join(sorted(extra)) or "nothing"))
    return row.function(truth, forecast, **extra)
