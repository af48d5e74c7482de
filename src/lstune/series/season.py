"""The length of a season: from the calendar, chosen and confirmed by autocorrelation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.series.data import Series

__all__ = ["find_season", "season_candidates", "with_season_of"]

F64 = npt.NDArray[np.float64]
# Autocorrelation of the steps from row to row that counts as a season; by chance it is 1 / sqrt(rows).
_MIN_CORRELATION = 0.1
_MAX_FREE_SEASON = 400
# A longer season repeats the shorter one's pattern anyway: it must err less by more than chance.
_WORTH_LONGER = 0.97


def season_candidates(freq: str) -> tuple[int, ...]:
    """Seasons in rows that the calendar suggests for a frequency, the shortest first; (1,) if none."""
    head = freq.split("-")[0]
    calendar = {"B": (5,), "MS": (12,), "ME": (12,), "QS": (4,), "QE": (4,), "W": (52,), "D": (7, 365)}
    if head in calendar:
        return calendar[head]
    if not freq or head[-2:] in ("YS", "YE", "MS", "ME") or head.endswith("W"):
        return (1,)
    try:
        step = pd.Timedelta(freq if freq[0].isdigit() else f"1{freq}")
    except (TypeError, ValueError):
        return (1,)
    cycles = [pd.Timedelta(days=1), pd.Timedelta(days=7)]
    if step < pd.Timedelta(minutes=1):  # within longer steps hourly cycles are rare
        cycles = [pd.Timedelta(minutes=1), pd.Timedelta(hours=1), *cycles]
    found = tuple(
        int(cycle / step) for cycle in cycles if cycle % step == pd.Timedelta(0) and cycle / step >= 2
    )
    return found or (1,)


def with_season_of(series: Series, share: float) -> Series:
    """The series with the season that its first `share` of rows tell, where that is less than half of them.

    Reading looks at the first half, before anybody has said how many rows are for training.
    """
    if share >= 0.5:
        return series
    season, seasonal = find_season(
        series.values, series.freq if series.regular or series.freq == "B" else "", share
    )
    return replace(series, season=season, seasonal=seasonal)


def find_season(values: F64, freq: str, share: float = 0.5) -> tuple[int, bool]:
    """(season, confirmed) of values without gaps.

    Only the first `share` of the rows is looked at; the half lies before the usual validation and test parts.
    A season is confirmed when the steps from row to row are correlated with those a season earlier. Of
    several, that one is taken whose seasonal naive forecast errs least, as the baseline that models must
    beat; if none is confirmed, the calendar's first. Without timestamps the first high peak of all lags is
    taken.
    """
    half = values[: int(len(values) * share)]
    steps = np.diff(half)
    # Forecasts by a season that is hardly seen once cannot be compared with anything.
    candidates = tuple(season for season in season_candidates(freq) if 2 * season <= len(values)) or (1,)
    if not freq:
        candidates = _peaks(steps) or (1,)
    enough = max(_MIN_CORRELATION, 3 / np.sqrt(max(len(steps), 1)))
    best, least = 1, np.inf
    for season in candidates:
        if _correlation(steps, season) >= enough:
            error = float(np.abs(half[season:] - half[:-season]).mean())
            if error < _WORTH_LONGER * least:
                best, least = season, error
    return (best, True) if best > 1 else (candidates[0], False)


def _correlation(steps: F64, lag: int) -> float:
    """Correlation of the steps with those `lag` rows before; -1 if there are fewer than three seasons."""
    if lag < 2 or len(steps) < 3 * lag:
        return -1.0
    steps = steps / max(float(np.abs(steps).max()), 1e-300)  # squares of huge values must not overflow
    a, b = steps[lag:], steps[:-lag]
    spread = a.std() * b.std()
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else -1.0


def _peaks(steps: F64) -> tuple[int, ...]:
    """The lag with the highest autocorrelation among local peaks, if any is high enough to be believed."""
    steps = steps[-5000:]
    lags = np.arange(2, min(_MAX_FREE_SEASON, len(steps) // 4))
    if len(lags) < 3:
        return ()
    values = np.array([_correlation(steps, int(lag)) for lag in lags])
    inner = np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:])) + 1
    inner = inner[values[inner] >= 0.3]
    if not len(inner):
        return ()
    # Multiples of a season peak as high as itself: the first within a tenth of the best is the season.
    first = inner[values[inner] >= values[inner].max() - 0.1][0]
    return (int(lags[first]),)
