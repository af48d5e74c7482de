"""What is done to the target before scaling, and how a forecast gets back to original units.

Letters: y the target in original units, o a forecast origin (a window's last row), h = 1..H, m the season.
Targets are always relative to the origin, not to the step before (y[o+h] - y[o], not y[o+h] - y[o+h-1]), so
that inverting needs the known y[o] alone and errors do not add up along the horizon.

| name | input at row t | target at origin o, step h |
|---|---|---|
| level | y[t] | y[o+h] |
| difference | y[t] - y[t-1] | y[o+h] - y[o] |
| log_difference | log(y[t] / y[t-1]) | log(y[o+h] / y[o]) |
| relative | y[t] / y[o] - 1 | y[o+h] / y[o] - 1 |
| seasonal_difference | y[t] - y[t-m] | y[o+h] - the last known value of the same season |
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, UserError, explain

__all__ = [
    "TRANSFORMS",
    "allowed_transforms",
    "check_transform",
    "invert_targets",
    "target_base",
    "target_rows",
    "transform_offset",
    "transform_targets",
    "transform_values",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
TRANSFORMS = ("level", "difference", "log_difference", "relative", "seasonal_difference")
_POSITIVE_ONLY = ("log_difference", "relative")
# exp(50) is a rise by 21 powers of ten: finite, visibly absurd, and never an overflow for values below 1e280.
_MAX_LOG_CHANGE = 50.0


def allowed_transforms(values: F64, season: int = 1) -> tuple[str, ...]:
    """The transforms possible for these values: ratios and logarithms need all of them above zero, a seasonal
    difference a season above 1 and more rows than two seasons."""
    positive = bool(len(values)) and float(np.min(values)) > 0.0
    seasonal = season > 1 and len(values) > 2 * season
    return tuple(
        name
        for name in TRANSFORMS
        if (positive or name not in _POSITIVE_ONLY) and (seasonal or name != "seasonal_difference")
    )


def check_transform(name: str, values: F64, season: int) -> None:
    """Raise UserError for an unknown transform, DataError for one that these values do not allow."""
    if name not in TRANSFORMS:
        raise UserError(explain(f"transform must be one of {', '.join(TRANSFORMS)}", name))
    if name in _POSITIVE_ONLY and len(values) and float(np.min(values)) <= 0.0:
        row = int(np.argmin(values))
        raise DataError(
            explain(
                f"The transform '{name}' needs values above zero",
                f"{values[row]:g} at row {row}, and {int((values <= 0).sum())} such rows in all",
                "Use the transform 'level' or 'difference'",
            )
        )
    if name == "seasonal_difference" and not 1 < season < len(values):
        raise DataError(
            explain(
                "The transform 'seasonal_difference' needs a season above 1 and more rows than one season",
                f"season {season}, {len(values)} rows",
                "Use the transform 'difference', or give the season",
            )
        )


def transform_offset(name: str, season: int) -> int:
    """Rows at the beginning for which the transformed value does not exist."""
    return {"difference": 1, "log_difference": 1, "seasonal_difference": season}.get(name, 0)


def transform_values(name: str, y: F64, season: int) -> F64:
    """The input column: (T,) -> (T,), zero in the first `transform_offset` rows, causal in every row.

    "relative" depends on the window's origin; its rows are made in windows.py, and y itself is given here.
    """
    if name in ("level", "relative"):
        return y
    out = np.zeros_like(y)
    if name == "difference":
        np.subtract(y[1:], y[:-1], out=out[1:])
    elif name == "log_difference":
        log = np.log(y)
        np.subtract(log[1:], log[:-1], out=out[1:])
    else:
        np.subtract(y[season:], y[:-season], out=out[season:])
    return out


def target_rows(origins: I64, horizon: int) -> I64:
    """(N, H) row numbers of the targets: o+1 .. o+H."""
    return origins[:, None] + np.arange(1, horizon + 1)


def target_base(name: str, y: F64, origins: I64, horizon: int, season: int) -> F64:
    """(N, H) values that targets are relative to; all are known at the origin. Zero for "level"."""
    if name == "level":
        return np.zeros((len(origins), horizon))
    if name == "seasonal_difference":
        steps = np.arange(1, horizon + 1)
        back = season * ((steps + season - 1) // season)
        return y[np.maximum(origins[:, None] + steps - back, 0)]
    return np.repeat(y[origins][:, None], horizon, axis=1)


def transform_targets(name: str, actual: F64, base: F64) -> F64:
    """Targets (N, H) from the values in original units and their base."""
    if name == "level":
        return actual
    if name == "log_difference":
        return np.log(actual / base)
    if name == "relative":
        return actual / base - 1.0
    return actual - base


def invert_targets(name: str, transformed: F64, base: F64) -> F64:
    """Back to original units; a log change is clamped so that no forecast overflows."""
    if name == "level":
        return transformed
    if name == "log_difference":
        return base * np.exp(np.clip(transformed, -_MAX_LOG_CHANGE, _MAX_LOG_CHANGE))
    if name == "relative":
        return base * (1.0 + transformed)
    return base + transformed
