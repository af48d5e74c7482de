"""Forecast intervals from past errors: split conformal, for each horizon step on its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain

__all__ = ["LEVELS", "Intervals", "conformal"]

F64 = npt.NDArray[np.float64]
LEVELS = (0.8, 0.95)


@dataclass(frozen=True)
class Intervals:
    """Half-widths (levels, H) to put around a forecast, in original units."""

    levels: tuple[float, ...]
    half_widths: F64

    def around(self, forecast: Any) -> dict[float, tuple[F64, F64]]:
        """Lower and upper bounds for each level, shaped like `forecast`, whose last axis is H."""
        centre = np.asarray(forecast, dtype=np.float64)
        if centre.shape[-1] != self.half_widths.shape[1]:
            raise DataError(
                explain(f"The forecast must have {self.half_widths.shape[1]} steps", f"shape {centre.shape}")
            )
        return {
            level: (centre - width, centre + width)
            for level, width in zip(self.levels, self.half_widths, strict=True)
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {"levels": list(self.levels), "half_widths": self.half_widths.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Intervals:
        """Read what `to_dict` wrote."""
        return cls(tuple(data["levels"]), np.asarray(data["half_widths"], dtype=np.float64))


def conformal(residuals: Any, levels: tuple[float, ...] = LEVELS) -> Intervals:
    """Intervals from residuals (N, H) on rows that the model was not fitted on.

    For each step, the ceil((N + 1) * level)-th smallest absolute residual (Lei et al. 2018, split conformal;
    step by step as in Stankeviciute et al. 2021). Where N is too small for a level, the largest residual is
    taken, which then covers N / (N + 1). Coverage holds for exchangeable errors; a series whose
    volatility changes gets less or more: that is why coverage on the test tail is reported.
    """
    errors = np.abs(np.asarray(residuals, dtype=np.float64))
    if errors.ndim != 2 or errors.size == 0 or not np.isfinite(errors).all():
        raise DataError(explain("Residuals must be finite and have the shape (windows, steps)", errors.shape))
    if not all(0.0 < level < 1.0 for level in levels):
        raise DataError(explain("Interval levels must lie between 0 and 1", levels))
    ordered = np.sort(errors, axis=0)
    count = len(ordered)
    rank = [min(count, math.ceil((count + 1) * level)) - 1 for level in levels]
    return Intervals(tuple(levels), ordered[rank])
