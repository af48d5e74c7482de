"""Open hours: the times of the week at which rows come, where nights, weekends and holidays are skipped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["coming_times", "joined", "latest", "stepped", "told_times"]

I64 = npt.NDArray[np.int64]
_HOUR = 3600 * 1_000_000  # microseconds
_WEEK = 7 * 24 * _HOUR
_RECENT = 8  # weeks whose rows tell the open hours


def joined(*parts: pd.DatetimeIndex | None) -> pd.DatetimeIndex:
    """Timestamps one behind the other, in microseconds."""
    filled = [part.as_unit("us") for part in parts if part is not None and len(part)]
    return filled[0].append(filled[1:]) if filled else pd.DatetimeIndex([], dtype="datetime64[us]")


def latest(timestamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Those of the sorted timestamps that tell the open hours."""
    if not len(timestamps):
        return timestamps
    return timestamps[timestamps > timestamps[-1] - pd.Timedelta(weeks=_RECENT)]


def coming_times(timestamps: pd.DatetimeIndex, freq: str, steps: int) -> pd.DatetimeIndex:
    """The `steps` times after the last timestamp at which a row is to be expected, closed times skipped."""
    planned = None if freq == "B" else _planned(latest(timestamps), steps)
    return planned if planned is not None else stepped(timestamps[-1], freq, steps)


def stepped(last: pd.Timestamp, freq: str, steps: int) -> pd.DatetimeIndex:
    """The `steps` timestamps after `last` by the plain step."""
    offset = pd.tseries.frequencies.to_offset(freq)
    stamps = []
    for _ in range(steps):
        last = last + offset
        stamps.append(last)
    return pd.DatetimeIndex(stamps)


def told_times(timestamps: pd.DatetimeIndex, freq: str, told: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
    """(A,) which of the rows told to come at `told` count: sorted, all after the last timestamp.

    Rows at every step hold closed times, too, which do not count. Else the rows themselves say what will be
    open, as on holidays and where the clocks change; but not behind a pause twice as long as any before.
    """
    open_ = np.ones(len(told), bool)
    if not len(told):
        return open_
    planned = coming_times(timestamps, freq, len(told))
    planned = planned[planned <= told[-1]]
    step = pd.tseries.frequencies.to_offset("D" if freq == "B" else freq)
    inside = len(planned) and not told[told > planned[0]].isin(planned).all()
    if (
        (inside or told[0] == timestamps[-1] + step)
        and planned.isin(told).all()
        and (told[1:] == told[:-1] + step).all()
    ):
        open_ = np.asarray(told.isin(planned))
    stamps = joined(timestamps, told[open_]).asi8
    pauses, before = np.diff(stamps), len(timestamps) - 1
    long = before + np.flatnonzero(pauses[before:] > 2 * pauses[:before].max(initial=0))
    if before and len(long):
        open_ &= told.as_unit("us").asi8 <= stamps[long[0]]
    return open_


def _planned(timestamps: pd.DatetimeIndex, steps: int) -> pd.DatetimeIndex | None:
    """The next `steps` times of the week at which there are rows of late; None without such a plan.

    The last week tells, if it has as many rows as usual; else, with holidays in it, the last eight do.
    """
    stamps = timestamps.as_unit("us").asi8
    now = int(stamps[-1])
    weeks = (now - stamps[0]) / _WEEK
    if weeks < 1.0:
        return None
    stamps = _moved_with_the_clocks(stamps)
    usual = len(stamps) / weeks
    times, counts = np.unique(stamps % _WEEK, return_counts=True)
    times = times[counts >= 0.5 * weeks]
    # What keeps no weekly plan has its rows all over the week, each time once.
    if len(times) < 0.5 * usual:
        return None
    last = stamps[stamps > now - _WEEK]
    if len(last) >= 0.95 * usual:
        times = np.unique(last % _WEEK)
    later = int(np.searchsorted(times, now % _WEEK, side="right")) + np.arange(steps)
    turns, places = np.divmod(later, len(times))
    found = now - now % _WEEK + turns * _WEEK + times[places]
    return pd.DatetimeIndex(found.astype("datetime64[us]"))


def _moved_with_the_clocks(stamps: I64) -> I64:
    """Sorted stamps, those before the latest change of the clocks moved by its hour.

    In UTC, and where stamps follow another country's clocks, all hours move by one from one day to the next.
    The change is seen in the rows between two pauses that are as many as a week before, and all an hour off.
    """
    steps = np.diff(stamps)
    first = np.concatenate([[0], np.flatnonzero(steps > np.median(steps)) + 1])
    starts, counts = stamps[first], np.diff(np.concatenate([first, [len(stamps)]]))

    def as_a_week_before(shift: int) -> npt.NDArray[np.bool_]:
        before = np.minimum(np.searchsorted(starts, starts - _WEEK - shift), len(starts) - 1)
        return (starts[before] == starts - _WEEK - shift) & (counts[before] == counts)

    same = as_a_week_before(0)
    moved = np.where(same, 0, _HOUR * (as_a_week_before(_HOUR).astype(int) - as_a_week_before(-_HOUR)))
    changes = np.flatnonzero(moved)
    if not len(changes):
        return stamps
    shift, last = moved[changes[-1]], starts[changes[-1]]
    begin = starts[changes[(moved[changes] == shift) & (starts[changes] > last - _WEEK)][0]]
    week = (starts >= begin) & (starts < begin + _WEEK)
    if (week & (same | (moved == -shift))).any():  # some day's hours, not the clocks
        return stamps
    return np.where(stamps < begin, stamps + shift, stamps)
