"""Measures of forecast error: one row of a table for each, with its rule for zeros and its source.

`truth` and `forecast` have the same shape, (N,) or (N, H), and are in original units. An undefined
value is NaN (each row of the table says when), never an error and never a large number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain

__all__ = ["METRICS", "Metric", "mase_scale", "measure"]

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


def _pair(truth: Any, forecast: Any) -> tuple[F64, F64]:
    a = np.asarray(truth, dtype=np.float64)
    b = np.asarray(forecast, dtype=np.float64)
    if a.shape != b.shape or a.size == 0:
        raise DataError(
            explain(
                "truth and forecast must have the same shape and at least one value",
                f"shapes {a.shape} and {b.shape}",
            )
        )
    return a, b


def _mae(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    return float(np.abs(a - b).mean())


def _rmse(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    return float(np.sqrt(np.square(a - b).mean()))


def mase_scale(training: Any, season: int = 1) -> float:
    """The scale of MASE: mean absolute error of the seasonal naive forecast inside the training rows.

    `training` has the shape (T,). With fewer than `season + 1` rows, the season is taken as 1.
    Source: Hyndman & Koehler (2006), section 3.
    """
    values = np.asarray(training, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise DataError(explain("The scale of MASE needs at least two training rows", values.shape))
    lag = season if 1 <= season < len(values) else 1
    return float(np.abs(values[lag:] - values[:-lag]).mean())


def _mase(truth: Any, forecast: Any, *, scale: float) -> float:
    return _mae(truth, forecast) / scale if scale > 0 else float("nan")


def _smape(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    size = np.abs(a) + np.abs(b)
    share = np.divide(2.0 * np.abs(a - b), size, out=np.zeros_like(size), where=size > 0)
    return float(100.0 * share.mean())


def _mape(truth: Any, forecast: Any) -> float:
    a, b = _pair(truth, forecast)
    if np.any(a == 0):
        return float("nan")
    return float(100.0 * np.abs((a - b) / a).mean())


def _pinball(truth: Any, forecast: Any, *, quantile: float) -> float:
    a, b = _pair(truth, forecast)
    gap = a - b
    return float(np.maximum(quantile * gap, (quantile - 1.0) * gap).mean())


def _coverage(truth: Any, forecast: Any, *, upper: Any) -> float:
    a, low = _pair(truth, forecast)
    _, high = _pair(truth, upper)
    return float(((a >= low) & (a <= high)).mean())


def _directional(truth: Any, forecast: Any, *, previous: Any) -> float:
    a, b = _pair(truth, forecast)
    last = np.broadcast_to(np.asarray(previous, dtype=np.float64), a.shape)
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
