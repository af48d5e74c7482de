"""Scalers: a centre and a scale for each column, fitted on the rows they are given and no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import UserError, explain

__all__ = ["SCALERS", "Scaler", "fit_scaler", "identity_scaler"]

F64 = npt.NDArray[np.float64]
SCALERS = ("standard", "robust", "minmax", "none")


@dataclass(frozen=True)
class Scaler:
    """`(x - center) / scale` for each of C columns; both of shape (C,)."""

    center: F64
    scale: F64

    def apply(self, x: F64) -> F64:
        """Scale x of shape (..., C)."""
        return (x - self.center) / self.scale

    def invert(self, x: F64) -> F64:
        """Undo `apply`."""
        return x * self.scale + self.center

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, exact when written as JSON and read again."""
        return {"center": self.center.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Scaler:
        """What `to_dict` gave."""
        return cls(np.asarray(data["center"], np.float64), np.asarray(data["scale"], np.float64))


def identity_scaler(columns: int) -> Scaler:
    """A scaler that changes nothing."""
    return Scaler(np.zeros(columns), np.ones(columns))


def fit_scaler(x: F64, kind: str) -> Scaler:
    """Fit a scaler of `kind` on x of shape (R, C); the rows given are all it ever sees.

    "standard": mean and standard deviation.  "robust": median and interquartile range / 1.349 (which is the
    standard deviation of a normal sample).  "minmax": onto [-1, 1].  A column without spread gets scale 1.
    """
    if kind not in SCALERS:
        raise UserError(explain(f"scaler must be one of {', '.join(SCALERS)}", kind))
    columns = x.shape[1]
    if kind == "none" or not len(x):
        return identity_scaler(columns)
    if kind == "standard":
        center, scale = x.mean(axis=0), x.std(axis=0)
    elif kind == "robust":
        low, center, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
        scale = (high - low) / 1.349
        # More than half of the rows equal (rain, closed hours): quartiles say nothing about the spread.
        scale = np.where(scale > 0, scale, x.std(axis=0))
    else:
        low, high = x.min(axis=0), x.max(axis=0)
        center, scale = (low + high) / 2, (high - low) / 2
    # A spread that is only rounding noise of the centre must not be blown up to unit size.
    usable = np.isfinite(scale) & (scale > 1e-12 * np.maximum(1e-300, np.abs(center)))
    return Scaler(center, np.where(usable, scale, 1.0))
