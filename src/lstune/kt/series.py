"""A series in place of arrays, so that the lookback can be tuned like anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, explain
from lstune.kt.errors import FatalValueError
from lstune.kt.hyperparameters import HyperParameters

__all__ = ["SeriesWindows", "series_windows"]

F32 = npt.NDArray[np.float32]
Pair = tuple[F32, F32]


class SeriesWindows:
    """What `series_windows` gives: windows are cut for each trial, by its own lookback."""

    def __init__(self, values: F32, horizon: int, validation_fraction: float) -> None:
        self.values = values
        self.horizon = horizon
        self.validation_fraction = validation_fraction

    def cut(self, lookback: int, longest: int) -> tuple[Pair, Pair]:
        """((x, y), (x, y)) to train on and to validate on: x (N, lookback, C), y (N, horizon).

        The first target is row `longest`, whatever the lookback, so that all lookbacks are scored on the same
        rows. Raises FatalValueError if the series is too short.
        """
        origins = np.arange(longest, len(self.values) - self.horizon + 1)
        at = int(len(origins) * (1.0 - self.validation_fraction))
        if at < 1 or at >= len(origins):
            rule = f"A series needs rows for a lookback of {longest}, training and validation"
            raise FatalValueError(explain(rule, f"{len(self.values)} rows"))
        x = np.lib.stride_tricks.sliding_window_view(self.values, lookback, axis=0).transpose(0, 2, 1)
        y = np.lib.stride_tricks.sliding_window_view(self.values[:, 0], self.horizon)

        def pair(rows: Any) -> Pair:
            return np.ascontiguousarray(x[rows - lookback]), np.ascontiguousarray(y[rows])

        # No training target lies among the validation rows.
        return pair(origins[: max(at - self.horizon + 1, 1)]), pair(origins[at:])

    def for_trial(self, hp: HyperParameters) -> tuple[Pair, Pair]:
        """The windows for the value of `lookback` in `hp`."""
        if "lookback" not in hp.values:
            fix = 'Ask for it in build_model: hp.Int("lookback", 10, 60)'
            raise FatalValueError(
                explain("A series needs a hyperparameter named lookback", list(hp.values), fix)
            )
        lookback = int(hp.values["lookback"])
        longest = max(max(declared.values) for declared in hp.space if declared.name == "lookback")
        return self.cut(lookback, int(max(longest, lookback)))


def series_windows(values: Any, horizon: int = 1, validation_fraction: float = 0.2) -> SeriesWindows:
    """A series to give to `search` in place of x and y, with the hyperparameter `lookback` in `build_model`.

    values: (T,) or (T, C), scaled as the model shall see it; the first column is the target.
    horizon: how many rows ahead the target reaches.  validation_fraction: of the windows, the last ones.
    """
    array = np.asarray(values, np.float32)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not np.isfinite(array).all():
        raise DataError(explain("A series is a finite array of shape (T,) or (T, C)", array.shape))
    if horizon < 1 or not 0.0 < validation_fraction < 1.0:
        received = f"horizon={horizon}, validation_fraction={validation_fraction}"
        raise DataError(explain("horizon must be 1 or more and validation_fraction in (0, 1)", received))
    return SeriesWindows(array, int(horizon), float(validation_fraction))
