"""The regular step behind sorted timestamps: days, working days, months, hours, or any fixed length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Grid", "count_steps", "infer_grid", "step_name"]

I64 = npt.NDArray[np.int64]
_SECOND = 1_000_000  # everything here counts microseconds
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86400 * _SECOND
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# A timestamp may be this share of a step away from its place on the grid and still be counted there.
_JITTER = 0.25
# Steps that people and machines choose, in microseconds; jittered timestamps are taken to mean one of them.
_NICE = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 20, 30)),
    *(n * _MINUTE for n in (1, 2, 3, 5, 6, 10, 12, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12)),
    *(n * _DAY for n in (1, 7)),
)


@dataclass(frozen=True)
class Grid:
    """stamps: where each row belongs, (T,).  positions: its step number, (T,), increasing from 0.
    freq: pandas alias.  closed: steps without a row are closed days, not missing ones.  notes: for the user.
    """

    stamps: pd.DatetimeIndex
    positions: I64
    freq: str
    closed: bool = False
    notes: tuple[str, ...] = ()


def count_steps(count: int, freq: str) -> str:
    """A number of steps in words: (3, "h") -> "3 hours", (3, "15min") -> "3 steps of 15 minutes"."""
    name = step_name(freq) if freq else "row"
    if name[0].isdigit():
        return f"{count} step{'s' if count != 1 else ''} of {name}"
    return f"{count} {name}{'s' if count != 1 else ''}"


def step_name(freq: str) -> str:
    """A frequency in words: "D" -> "day", "15min" -> "15 minutes"."""
    words = {"D": "day", "B": "working day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}
    words.update(MS="month", ME="month", QS="quarter", QE="quarter", YS="year", YE="year", W="week")
    head = freq.split("-")[0]
    digits = "".join(char for char in head if char.isdigit())
    word = words.get(head[len(digits) :], head)
    return f"{digits} {word}s" if digits else word


def infer_grid(stamps: pd.DatetimeIndex) -> Grid | None:
    """The grid behind sorted timestamps without repeats, or None when their steps follow no rule."""
    micro = stamps.to_numpy().astype("datetime64[us]").astype(np.int64)
    steps = np.diff(micro)
    if not len(steps):
        return None
    lengths, counts = np.unique(steps, return_counts=True)
    usual = int(lengths[np.argmax(counts)])
    if not usual:  # below a microsecond
        return None
    # Months and years differ in their days; 28 days and a gap of 56 are no months.
    if np.median(steps) >= 27.5 * _DAY and (steps % lengths[0]).any():
        return _month_grid(stamps)
    if usual == _DAY and (grid := _working_day_grid(stamps)) is not None:
        return grid
    if counts.max() >= len(steps) / 2:
        grid = _fixed_grid(stamps, micro, usual)
        if grid is not None:
            return grid
    middle = float(np.median(steps))
    nearest = min(_NICE, key=lambda nice: abs(nice - middle))
    return _fixed_grid(stamps, micro, nearest) if abs(nearest - middle) <= 0.1 * nearest else None


def _fixed_grid(stamps: pd.DatetimeIndex, micro: I64, step: int) -> Grid | None:
    """Steps of one length; None if a timestamp is off the grid or two share a place."""
    exact = (micro - micro[0]) / step
    positions = np.round(exact).astype(np.int64)
    notes: tuple[str, ...] = ()
    if not np.array_equal(positions * step, micro - micro[0]):
        # Sensors report a little late; the grid begins at the round time nearest to the first row.
        origin = round(micro[0] / step) * step
        exact = (micro - origin) / step
        positions = np.round(exact).astype(np.int64)
        if np.abs(exact - positions).max() > _JITTER or (np.diff(positions) < 1).any():
            return None
        snapped = (origin + positions * step).astype("datetime64[us]")
        stamps = pd.DatetimeIndex(snapped)
        positions = positions - positions[0]
        notes = (f"Timestamps were moved to the nearest full {step_name(_alias(step, stamps))}",)
    return Grid(stamps, positions, _alias(step, stamps), notes=notes)


def _alias(step: int, stamps: pd.DatetimeIndex) -> str:
    if step == 7 * _DAY and (stamps == stamps.normalize()).all():
        return f"W-{_WEEKDAYS[stamps[0].day_of_week]}"
    for unit, alias in ((_DAY, "D"), (_HOUR, "h"), (_MINUTE, "min"), (_SECOND, "s"), (1000, "ms"), (1, "us")):
        if step % unit == 0:
            return alias if step == unit else f"{step // unit}{alias}"
    raise AssertionError("every whole number of microseconds is a multiple of one")


def _working_day_grid(stamps: pd.DatetimeIndex) -> Grid | None:
    """Monday to Friday, if (nearly) no row falls on a weekend although several weekends are spanned."""
    weekend = stamps.day_of_week >= 5
    if len(stamps) < 8 or weekend.mean() > 0.02:
        return None
    days = stamps.to_numpy().astype("datetime64[D]")
    positions = np.busday_count(days[0], days)
    # Rare weekend sessions take a place of their own between Friday and Monday.
    positions = positions + np.cumsum(weekend)
    if (np.diff(positions) < 1).any():
        return None
    return Grid(stamps, positions - positions[0], "B", closed=True)


def _month_grid(stamps: pd.DatetimeIndex) -> Grid | None:
    """Months, quarters or years, stamped at their first or last day, or else moved to the first."""
    month = (stamps.year * 12 + stamps.month - 1).to_numpy().astype(np.int64)
    steps = np.diff(month)
    if (steps < 1).any():
        return None
    lengths, counts = np.unique(steps, return_counts=True)
    base = int(lengths[np.argmax(counts)])
    if (steps % base).any():
        base = int(np.gcd.reduce(steps))
    name = _MONTHS[stamps[0].month - 1]
    ends = bool((stamps == stamps + pd.offsets.MonthEnd(0)).all())
    kind = "E" if ends else "S"
    freq = {1: f"M{kind}", 3: f"Q{kind}-{name}", 12: f"Y{kind}-{name}"}.get(base, f"{base}M{kind}")
    notes: tuple[str, ...] = ()
    if not ends and not (stamps.day == 1).all():
        stamps = pd.DatetimeIndex(stamps.to_numpy().astype("datetime64[M]").astype("datetime64[us]"))
        notes = (f"Timestamps were moved to the first day of their {step_name(freq)}",)
    return Grid(stamps, (month - month[0]) // base, freq, notes=notes)
