"""Calendar features: where a timestamp lies in the day, the week and the year, as numbers within [-1, 1].

They need no fitting. The row for time t holds the calendar of the step after t: the date of a forecast's
first target is known beforehand, so this is no leak, and it tells the model which hour or weekday it is asked
about. The step after t is t plus the series' step, never the next row's timestamp, which lies in the future.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import UserError, explain
from lstune.series.data import Series, next_timestamps

__all__ = ["CALENDAR_FEATURES", "calendar_features", "calendar_names"]

# name -> columns it gives
CALENDAR_FEATURES: dict[str, tuple[str, ...]] = {
    "time_of_day": ("day_sin", "day_cos", "day_sin2", "day_cos2"),
    "day_of_week": ("week_sin", "week_cos", "weekend"),
    "day_of_year": ("year_sin", "year_cos"),
}
_DAY = pd.Timedelta(days=1)


def calendar_names(series: Series, calendar: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """The features that `calendar` means for this series: "none", "auto" or names of CALENDAR_FEATURES.

    "auto" takes those that vary from step to step: time of day for steps below a day, day of week for steps
    up to a day, day of year for steps below a year in series of three years or more; none without dates.
    """
    if isinstance(calendar, str) and calendar in ("none", "auto"):
        if calendar == "none" or not series.has_timestamps or len(series) < 2:
            return ()
        step = pd.Series(series.timestamps[:1000]).diff().median()
        names = []
        if step < _DAY:
            names.append("time_of_day")
        if step <= _DAY:
            names.append("day_of_week")
        # A model that has seen each day of the year hardly twice learns dates of past events, not the season:
        # on 125 days of hourly bike hire these columns raised the test error.
        if step < 360 * _DAY and series.timestamps[-1] - series.timestamps[0] >= 3 * 365 * _DAY:
            names.append("day_of_year")
        return tuple(names)
    chosen = (calendar,) if isinstance(calendar, str) else tuple(calendar)
    for name in chosen:
        if name not in CALENDAR_FEATURES:
            known = ", ".join(("none", "auto", *CALENDAR_FEATURES))
            raise UserError(explain(f"calendar must name features among {known}", name))
    if chosen and not series.has_timestamps:
        raise UserError(
            explain(
                "Calendar features need timestamps",
                f"calendar={calendar!r} for rows without dates",
                "Name the timestamp column, or use calendar='none'",
            )
        )
    return chosen


@lru_cache(maxsize=8)
def calendar_features(series: Series, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """(T, columns) float32; row t describes the step after t. Kept for the last few series."""
    if not names:
        return np.empty((len(series), 0), np.float32)
    stamps = next_timestamps(series.timestamps, series.freq)
    columns: list[npt.NDArray[np.float64]] = []
    for name in names:
        if name == "time_of_day":
            turn = 2 * np.pi * ((stamps - stamps.normalize()) / _DAY).to_numpy()
            columns += [np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)]
        elif name == "day_of_week":
            weekday = stamps.day_of_week.to_numpy()
            turn = 2 * np.pi * weekday / 7
            columns += [np.sin(turn), np.cos(turn), (weekday >= 5).astype(np.float64)]
        else:
            turn = 2 * np.pi * (stamps.day_of_year.to_numpy() - 1) / 365.25
            columns += [np.sin(turn), np.cos(turn)]
    out = np.stack(columns, axis=1).astype(np.float32)
    out.flags.writeable = False
    return out
