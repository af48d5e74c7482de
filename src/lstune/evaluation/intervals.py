"""Forecast intervals from past errors: split conformal, for each horizon step on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain

__all__ = ["LEVELS", "Intervals", "choose_intervals", "conformal", "local_scale"]

F64 = npt.NDArray[np.float64]
LEVELS = (0.8, 0.95)
# Rows over which a step's weight in the local scale falls to a half: about a month of days, a day of hours.
_HALF_LIFE = 24.0


@dataclass(frozen=True)
class Intervals:
    """Half-widths (levels, H) around a forecast: in original units, or in local scales if `adaptive`."""

    levels: tuple[float, ...]
    half_widths: F64
    adaptive: bool = False

    def around(self, forecast: Any, scale: Any = None) -> dict[float, tuple[F64, F64]]:
        """Lower and upper bounds for each level, shaped like `forecast`, (N, H) or (H,).

        scale: (N,) or one number, the `local_scale` at the forecasts' origins; needed if `adaptive`.
        """
        centre = np.asarray(forecast, dtype=np.float64)
        if centre.shape[-1] != self.half_widths.shape[1]:
            raise DataError(
                explain(f"The forecast must have {self.half_widths.shape[1]} steps", f"shape {centre.shape}")
            )
        factor: Any = 1.0
        if self.adaptive:
            if scale is None:
                raise DataError(
                    explain("Adaptive intervals need the local scale at each origin", "scale=None")
                )
            factor = np.asarray(scale, dtype=np.float64)[..., None]
        return {
            level: (centre - width * factor, centre + width * factor)
            for level, width in zip(self.levels, self.half_widths, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "levels": list(self.levels),
            "half_widths": self.half_widths.tolist(),
            "adaptive": self.adaptive,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Intervals:
        """Read what `to_dict` wrote."""
        widths = np.asarray(data["half_widths"], dtype=np.float64)
        return cls(tuple(data["levels"]), widths, bool(data.get("adaptive", False)))


def conformal(residuals: Any, levels: tuple[float, ...] = LEVELS) -> Intervals:
    """Intervals from residuals (N, H) on rows that the model was not fitted on.

    For each step, the ceil((N + 1) * level)-th smallest absolute residual (Lei et al. 2018, split conformal;
    step by step as in Stankeviciute et al. 2021). Where N is too small for a level, the largest residual is
    taken, which then covers N / (N + 1). Coverage holds for exchangeable errors; a series whose
    volatility changes gets less or more: that is why coverage on the test tail is reported. Residuals of NaN,
    where a value was filled, do not count.
    """
    errors = np.abs(np.asarray(residuals, dtype=np.float64))
    if errors.ndim != 2 or errors.size == 0 or np.isinf(errors).any() or np.isnan(errors).all():
        raise DataError(explain("Residuals must be finite and have the shape (windows, steps)", errors.shape))
    if not all(0.0 < level < 1.0 for level in levels):
        raise DataError(explain("Interval levels must lie between 0 and 1", levels))
    ordered = np.sort(errors, axis=0)  # NaN comes last
    counts = np.isfinite(errors).sum(axis=0)
    steps = np.arange(errors.shape[1])
    widths = np.array([ordered[_rank(counts, level), steps] for level in levels])
    # A step of which nothing is known is no surer than the least sure of the others.
    return Intervals(tuple(levels), np.where(np.isnan(widths), np.nanmax(widths, axis=1)[:, None], widths))


def _rank(counts: npt.NDArray[np.int64], level: float) -> npt.NDArray[np.int64]:
    return np.maximum(np.minimum(counts, np.ceil((counts + 1) * level).astype(np.int64)) - 1, 0)


def local_scale(values: Any, origins: Any, observed: Any = None) -> F64:
    """How much the series (T,) has moved in a step lately, at each origin (N,); knows no later row.

    The exponentially weighted mean of absolute steps, as RiskMetrics (1996) does for squares, with weights
    that halve every 24 rows. Steps to and from rows that are not `observed` (T,) do not count: a filled gap
    is no calm. Above zero also where the series has not moved yet.
    """
    y = np.asarray(values, dtype=np.float64)
    known = np.ones(len(y), bool) if observed is None else np.asarray(observed, dtype=bool)
    steps = np.abs(np.diff(y, prepend=y[:1]))
    counted = known & np.concatenate([[False], known[:-1]])
    keep = 0.5 ** (1.0 / _HALF_LIFE)
    scale, usual = np.empty(len(y)), np.empty(len(y))
    total = mass = so_far = count = 0.0
    for row, step in enumerate(steps):
        if counted[row]:
            total, mass = keep * total + step, keep * mass + 1.0
            so_far, count = so_far + step, count + 1.0
        scale[row], usual[row] = total / max(mass, 1e-300), so_far / max(count, 1.0)
    at = np.asarray(origins, dtype=np.int64)
    # A quiet stretch is no promise: the scale never falls below a hundredth of the usual step so far.
    floor = np.where(usual[at] > 0, 0.01 * usual[at], 1.0)
    return np.maximum(scale[at], floor)


def choose_intervals(residuals: Any, scale: Any, levels: tuple[float, ...] = LEVELS) -> Intervals:
    """Plain or locally scaled conformal intervals, whichever serve better on the later half of the residuals.

    residuals: (N, H) in the order of time; scale: (N,) from `local_scale`. Both kinds are calibrated on the
    earlier half and judged on the later one by the interval score (Gneiting & Raftery 2007, equation 43),
    which punishes width and misses; the winner is calibrated on all. Scaling residuals before taking their
    quantile is the locally weighted conformal of Lei et al. (2018), section 5.2.
    """
    errors = np.asarray(residuals, dtype=np.float64)
    sizes = np.asarray(scale, dtype=np.float64)[:, None]
    half = len(errors) // 2
    plain = conformal(errors, levels)
    if half < 10:
        return plain
    first_plain, first_scaled = (
        conformal(errors[:half], levels),
        conformal(errors[:half] / sizes[:half], levels),
    )
    later, wide = np.abs(errors[half:]), sizes[half:]
    scores = [
        sum(_interval_score(later, widths * size, level) for level, widths in zip(levels, made, strict=True))
        for made, size in ((first_plain.half_widths, np.ones_like(wide)), (first_scaled.half_widths, wide))
    ]
    if scores[1] >= scores[0]:
        return plain
    scaled = conformal(errors / sizes, levels)
    return Intervals(scaled.levels, scaled.half_widths, adaptive=True)


def _interval_score(errors: F64, half_width: F64, level: float) -> float:
    missed = np.maximum(errors - half_width, 0.0)
    return float(np.nanmean(2.0 * half_width + 2.0 / (1.0 - level) * missed))
