"""Intervals for rows beyond the horizon: how forecasts that were fed back erred on the validation rows."""

from __future__ import annotations

from collections.abc import Callable

from lstune.evaluation import Intervals, choose_intervals, local_scale
from lstune.forecaster import Forecaster
from lstune.series import Series, feed_back, scored_origins, truth_after

__all__ = ["intervals_beyond"]

# Rows that are looked ahead at least, if the validation rows are long enough.
_ROWS = 30
# Origins, spread evenly over the validation rows: what lies between two near ones says little more.
_ORIGINS = 48
_FEWEST = 20
# With fewer seconds left they are not worth their time.
_LEAST_SECONDS = 8.0
# Nor are they worth more than this part of what is left.
_SHARE = 0.1


def intervals_beyond(
    forecaster: Forecaster, series: Series, rows: range, left: float, price: Callable[[int], float]
) -> Intervals | None:
    """Intervals for the rows 1 to S after an origin, S a multiple of the horizon of at least twice it.

    `forecaster` must not have been fitted on `rows`; its forecasts are fed back as `Forecaster.predict` does.
    price: seconds that forecasts from so many origins take. None where the rows are too few, or too little
    of the budget is `left`, in seconds.
    """
    horizon = forecaster.horizon
    blocks = max(2, -(-_ROWS // horizon))
    origins = scored_origins(series, rows, blocks * horizon)
    while len(origins) < _FEWEST and blocks > 2:
        blocks -= 1
        origins = scored_origins(series, rows, blocks * horizon)
    if len(origins) < _FEWEST or left < _LEAST_SECONDS:
        return None
    origins = origins[:: -(-len(origins) // _ORIGINS)]
    steps = blocks * horizon
    needed = max(forecaster.rows_needed, series.season + 1)
    if int(origins[0]) + 1 < needed or price(len(origins) * blocks) > _SHARE * left:
        return None
    found = feed_back(series, origins, steps, horizon, needed, forecaster.forecast_after)
    actual = truth_after(series, origins, steps)
    return choose_intervals(actual - found, local_scale(series.values, origins, series.observed))
