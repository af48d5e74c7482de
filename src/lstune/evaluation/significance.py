"""Is the difference between two forecasts more than chance?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain

__all__ = ["DieboldMariano", "Encompassing", "diebold_mariano", "encompassing", "skill_interval"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DieboldMariano:
    """`statistic` is negative when the first forecast has the smaller loss; `p_value` is two-sided."""

    statistic: float
    p_value: float


def _losses(first: Any, second: Any) -> tuple[F64, F64]:
    a = np.asarray(first, dtype=np.float64)
    b = np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise DataError(
            explain(
                "Losses must be two columns of the same length, at least 2", f"shapes {a.shape} and {b.shape}"
            )
        )
    return a, b


def diebold_mariano(first: Any, second: Any, *, horizon: int = 1) -> DieboldMariano:
    """Test equal accuracy of two forecasts by their losses (N,) at successive origins.

    Statistic of Diebold & Mariano (1995) with autocovariances up to `horizon - 1`, corrected for small
    samples and compared with Student's t as in Harvey, Leybourne & Newbold (1997), equations 8 and 9.
    Where that variance estimate is not positive, Bartlett's weights are used (it can be negative for
    horizon > 1). Losses that never differ give a statistic of 0 and p = 1. With no more origins than twice
    the horizon, nothing can be said: p = 1.
    """
    a, b = _losses(first, second)
    gap = a - b
    n = len(gap)
    mean = float(gap.mean())
    if not np.any(gap != mean):  # a constant difference has no variance to compare with
        sure = mean != 0.0
        return DieboldMariano(math.copysign(math.inf, mean) if sure else 0.0, 0.0 if sure else 1.0)
    correction = _small_sample(n, horizon)
    if correction <= 0:
        return DieboldMariano(0.0, 1.0)
    statistic = mean / math.sqrt(_long_run_variance(gap - mean, horizon) / n) * correction
    return DieboldMariano(statistic, _two_sided_t(statistic, n - 1))


@dataclass(frozen=True)
class Encompassing:
    """How much of a second forecast belongs into a mix with a first: its best weight, and the weight's t."""

    weight: float
    statistic: float


def encompassing(actual: Any, first: Any, second: Any, *, horizon: int = 1) -> Encompassing:
    """Whether `second` knows something that `first` does not; arrays (N, H) at successive origins.

    The weight w of the mix first + w (second - first) with the least squared error (Bates & Granger 1969;
    Granger & Ramanathan 1984), and its t, positive where the second helps: the encompassing test of Harvey,
    Leybourne & Newbold (1998) in its regression form. Errors of `horizon` rows overlap, so the variance is
    that of `diebold_mariano`, and so is the correction for small samples. Forecasts may differ in little and
    still be told apart: two errors that have most in common hide that from a comparison of their sizes.
    Weight and t are 0 where the forecasts are equal or the origins no more than twice the horizon. Targets of
    NaN do not count; every origin has one that is known.
    """
    truth, base, other = (np.asarray(part, dtype=np.float64) for part in (actual, first, second))
    if not truth.shape == base.shape == other.shape or truth.ndim != 2 or len(truth) < 2:
        raise DataError(
            explain(
                "Forecasts and truth must have one shape (origins, steps), with 2 origins or more",
                f"shapes {truth.shape}, {base.shape} and {other.shape}",
            )
        )
    step, error = np.where(np.isnan(truth), np.nan, other - base), truth - base
    n, size = len(step), float(np.nanmean(np.square(step)))
    correction = _small_sample(n, horizon)
    if size == 0 or correction <= 0:
        return Encompassing(0.0, 0.0)
    weight = float(np.nanmean(step * error)) / size
    moments = np.nanmean(step * (error - weight * step), axis=1)
    variance = _long_run_variance(moments, horizon)
    if variance <= 0:  # the second explains all: only rounding is left
        return Encompassing(weight, math.copysign(math.inf, weight))
    return Encompassing(weight, weight * size / math.sqrt(variance / n) * correction)


def _small_sample(n: int, horizon: int) -> float:
    """The factor of Harvey, Leybourne & Newbold (1997), equation 8; 0 where n is too small to judge."""
    square = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    return math.sqrt(square) if n > 2 * horizon and square > 0 else 0.0


def _long_run_variance(centred: F64, horizon: int) -> float:
    """Variance of the mean of (N,) times N, with autocovariances up to `horizon - 1`."""
    n = len(centred)
    covariance = np.array([float(centred[lag:] @ centred[: n - lag]) / n for lag in range(horizon)])
    variance = float(covariance[0] + 2.0 * covariance[1:].sum())
    if variance <= 0:
        weights = 1.0 - np.arange(1, horizon) / horizon
        variance = float(covariance[0] + 2.0 * (weights * covariance[1:]).sum())
    return variance


def _two_sided_t(statistic: float, degrees: int) -> float:
    # The incomplete beta function avoids importing scipy.stats, which takes half a second.
    from scipy.special import betainc

    return float(betainc(degrees / 2.0, 0.5, degrees / (degrees + statistic**2)))


def skill_interval(
    model: Any,
    baseline: Any,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    horizon: int = 1,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Interval of the skill 1 - sum(model) / sum(baseline) over losses (N,) at successive origins.

    Circular block bootstrap (Politis & Romano 1992), percentile interval; blocks of max(horizon, N^(1/3))
    origins keep neighbouring errors together. NaN bounds where the baseline is without error, and with no
    more origins than twice the horizon: two blocks say nothing of how much they differ.
    """
    a, b = _losses(model, baseline)
    n = len(a)
    if b.sum() <= 0 or n <= 2 * horizon:
        return math.nan, math.nan
    block = min(n, max(horizon, round(n ** (1 / 3)), 1))
    count = -(-n // block)
    starts = rng.integers(0, n, size=(resamples, count))

    def block_sums(losses: F64) -> F64:
        running = np.concatenate([[0.0], np.cumsum(np.concatenate([losses, losses[:block]]))])
        return running[starts + block] - running[starts]

    top, bottom = block_sums(a).sum(axis=1), block_sums(b).sum(axis=1)
    skill = 1.0 - np.divide(top, bottom, out=np.full(resamples, np.nan), where=bottom > 0)
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(skill, [tail, 1.0 - tail])
    return float(low), float(high)
