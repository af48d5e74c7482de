"""Fitted ETS, ARIMA and Theta models carried forward over new rows, with forecasts made at every one of them.

A fitted model is the plain dictionary that statsforecast keeps in `model_`; its parameters stay as they were
fitted, its states take in one row after the other. So a forecast made at row o has seen the rows 0..o and
nothing later, and all origins together cost one pass. The tests compare each filter with statsforecast.
Values (T,) begin with the n rows that the model was fitted on; origins (N,) lie at n - 1 or later; forecasts
are (N, H).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["arima_forecasts", "ets_forecasts", "theta_forecasts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def ets_forecasts(model: Mapping[str, Any], values: F64, origins: I64, horizon: int) -> F64:
    """Exponential smoothing: Hyndman, Koehler, Ord & Snyder (2008), table 2.2, without multiplicative trends.

    The point forecasts of additive and multiplicative errors follow the same recursion.
    """
    _, trend, season, damped = model["components"]
    alpha, beta, gamma, phi = (float(value) for value in model["par"][:4])
    phi = phi if damped == "D" else 1.0
    last = np.asarray(model["states"], dtype=np.float64)[-1]
    level, slope = float(last[0]), float(last[1]) if trend != "N" else 0.0
    period = int(model["m"])
    # The newest season comes first; the last one belongs to the row to be forecast.
    seasons = list(last[1 + (trend != "N") :][:period]) if season != "N" else []
    known = len(model["fitted"])
    steps = np.cumsum(phi ** np.arange(1, horizon + 1)) if trend != "N" else np.zeros(horizon)
    turn = [period - 1 - (step % period) for step in range(horizon)]

    def ahead() -> F64:
        line = level + slope * steps
        if season == "N":
            return line
        wave = np.array([seasons[place] for place in turn])
        return line + wave if season == "A" else line * wave

    found = {known - 1: ahead()}
    for row in range(known, int(origins.max()) + 1):
        y, start, drift = float(values[row]), level + phi * slope, phi * slope
        old = seasons[-1] if seasons else 0.0
        plain = y if season == "N" else y - old if season == "A" else y / old
        before, level = level, start + alpha * (plain - start)
        if trend != "N":
            slope = drift + (beta / alpha) * (level - before - drift)
        if seasons:
            wave = y - start if season == "A" else y / start
            seasons = [old + gamma * (wave - old), *seasons[:-1]]
        found[row] = ahead()
    return np.array([found[int(origin)] for origin in origins])


def arima_forecasts(model: Mapping[str, Any], values: F64, origins: I64, horizon: int) -> F64:
    """Seasonal ARIMA as one difference equation: Box, Jenkins & Reinsel (1994), sections 5.1 and 9.1.

    The residuals of the fitted rows start the moving average; from there on this is the Kalman filter in its
    steady state, which a model fitted on many rows has reached.
    """
    p, q, sp, sq, period, d, sd = (int(value) for value in model["arma"])
    coef = {name: float(value) for name, value in model["coef"].items()}
    ar = _product(
        _polynomial([-coef[f"ar{i}"] for i in range(1, p + 1)]),
        _polynomial([-coef[f"sar{i}"] for i in range(1, sp + 1)], period),
        *[_polynomial([-1.0])] * d,
        *[_polynomial([-1.0], period)] * sd,
    )[1:]  # without the leading 1
    ma = _product(
        _polynomial([coef[f"ma{i}"] for i in range(1, q + 1)]),
        _polynomial([coef[f"sma{i}"] for i in range(1, sq + 1)], period),
    )[1:]
    known, time = len(model["x"]), np.arange(1, len(values) + horizon + 1)
    mean = coef.get("intercept", 0.0) + coef.get("drift", 0.0) * time  # (T + H,)
    wide = max(len(ar), len(ma))
    z = np.concatenate([np.zeros(wide), values - mean[: len(values)]])  # z[wide + row] belongs to a row
    e = np.concatenate([np.zeros(wide), np.asarray(model["residuals"], dtype=np.float64)])
    e = np.concatenate([e, np.zeros(len(z) - len(e))])
    for row in range(known + wide, int(origins.max()) + 1 + wide):
        past = -ar @ z[row - len(ar) : row][::-1] + ma @ e[row - len(ma) : row][::-1]
        e[row] = z[row] - past
    back = np.arange(wide)
    lagged = z[origins[:, None] + wide - back]  # (N, wide), the newest first
    shocks = e[origins[:, None] + wide - back]
    forecasts = np.empty((len(origins), horizon))
    for step in range(horizon):
        forecasts[:, step] = lagged[:, : len(ar)] @ -ar + shocks[:, : len(ma)] @ ma
        lagged = np.hstack([forecasts[:, step : step + 1], lagged[:, :-1]])
        shocks = np.hstack([np.zeros((len(origins), 1)), shocks[:, :-1]])
    return forecasts + mean[origins[:, None] + np.arange(1, horizon + 1)]


def _polynomial(coefficients: list[float], spacing: int = 1) -> F64:
    """1 + c1 B^s + c2 B^2s + ... as its coefficients."""
    whole = np.zeros(len(coefficients) * spacing + 1)
    whole[0] = 1.0
    whole[spacing::spacing] = coefficients
    return whole


def _product(*factors: F64) -> F64:
    whole = np.ones(1)
    for factor in factors:
        whole = np.convolve(whole, factor)
    return whole


def theta_forecasts(model: Mapping[str, Any], values: F64, origins: I64, horizon: int) -> F64:
    """The Theta models of Fiorucci et al. (2016), equations 9 to 14; a season keeps its fitted indices."""
    states = np.asarray(model["states"], dtype=np.float64)  # columns: level, mean, A, B, forecast
    known = len(states)
    alpha, theta = float(model["par"]["alpha"]), float(model["par"]["theta"])
    dynamic = model["modeltype"] in ("DSTM", "DOTM")
    level, mean, a, b, _ = states[-1]
    wave = np.zeros(len(values) + horizon)
    times = model.get("decomposition_type") == "multiplicative"
    if model.get("decompose", False):
        indices = np.asarray(model["seas_forecast"]["mean"], dtype=np.float64)
        # The first index belongs to the first row after the fitted ones.
        wave = indices[(np.arange(len(wave)) - known) % len(indices)]
    plain = values - wave[: len(values)] if not times else values / wave[: len(values)]
    found = {known - 1: (level, mean, a, b)}
    for row in range(known, int(origins.max()) + 1):
        level, mean, a, b = _theta_step(plain[row], row, level, mean, a, b, alpha, dynamic)
        found[row] = level, mean, a, b
    kept = np.array([found[int(origin)] for origin in origins])  # (N, 4)
    level, mean, a, b = kept.T
    forecasts = np.empty((len(origins), horizon))
    for step in range(horizon):
        coming = origins + 1 + step
        decay = (1.0 - alpha) ** coming
        line = a * decay + b * (1.0 - decay * (1.0 - alpha)) / alpha
        forecasts[:, step] = level + (1.0 - 1.0 / theta) * line
        level, mean, a, b = _theta_step(forecasts[:, step], coming, level, mean, a, b, alpha, dynamic)
    ahead = wave[origins[:, None] + np.arange(1, horizon + 1)]
    return forecasts * ahead if times else forecasts + ahead


def _theta_step(
    y: Any, row: Any, level: Any, mean: Any, a: Any, b: Any, alpha: float, dynamic: bool
) -> tuple[Any, Any, Any, Any]:
    level = alpha * y + (1.0 - alpha) * level
    if dynamic:
        slope = ((row - 1) * b + 6.0 * (y - mean) / (row + 1)) / (row + 2)
        mean = (row * mean + y) / (row + 1)
        a, b = mean - slope * (row + 2) / 2.0, slope
    return level, mean, a, b
