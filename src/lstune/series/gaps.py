"""Gaps and missing values: which are filled, and how; where the series is cut instead.

Everything is filled from the past (the last value, or the one a season before), never by a line drawn to a
later value, which would carry the future into a window.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import DataError, explain
from lstune.series._rows import CleanOptions, RawRows, counted
from lstune.series.data import Series
from lstune.series.frequency import Grid, count_steps
from lstune.series.hours import told_times
from lstune.series.season import find_season, season_candidates

__all__ = ["MIN_ROWS", "fill"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
MIN_ROWS = 20
# Gaps up to this many steps repeat the last value; longer ones repeat the season before, if there is one.
_SHORT_GAP = 3
# More missing steps than this share cannot be called gaps any more.
_MAX_MISSING = 0.25
# A week of five-minute rows: beyond that, filling would outweigh what was measured around it.
_MAX_WEEK = 2016


def fill(raw: RawRows, grid: Grid, options: CleanOptions) -> Series:
    """Rows on the full grid, gaps filled from the past; cut at gaps too long to fill."""
    last = int(np.flatnonzero(np.isfinite(raw.values))[-1])
    later, steps = raw.take(slice(last + 1, None)), grid.positions[last + 1 :] - grid.positions[last]
    raw, grid = raw.take(slice(last + 1)), replace(grid, positions=grid.positions[: last + 1])
    known = np.isfinite(raw.values)
    if count := int(np.argmax(known)):
        raw = raw.noted(
            f"{counted(count, 'row')} without a value of '{raw.target}' at the beginning, left out"
        )
    rows = raw.take(known)
    positions = grid.positions[known]
    closed, notes = (True, ()) if options.closed else _closed_hours(positions, len(raw.values), grid)
    if closed and raw.known_names:
        later, more = _told(rows, later, grid.freq)
        notes += more
    ahead, ahead_notes = _known_ahead(later, None if closed else steps)
    season, seasonal = _season(rows.values, positions, grid.freq, closed, options)
    limit = (
        options.max_gap
        if options.max_gap is not None
        else _longest_fill(grid.freq, season if seasonal else 0, closed)
    )
    start, gap_notes = _after_long_gap(rows, positions, limit, options, grid)
    rows = rows.take(slice(start, None)).noted(*notes, *ahead_notes, *gap_notes)
    positions = positions[start:]
    if closed:
        stamps, values, features = rows.stamps, rows.values, rows.features
        observed = np.ones(len(values), bool)
    else:
        rows, stamps, values, features, observed = _full_grid(
            raw, rows, grid, positions, season if seasonal else 1
        )
    present = np.ones(len(values), bool)
    if not closed:
        present = _present(grid.positions - positions[0], len(values))
    features, skip, feature_notes = _fill_features(features, present, rows)
    rows = rows.noted(*feature_notes)
    if stamps is None or not len(stamps):
        stamps = pd.RangeIndex(len(values))
    elif isinstance(stamps, pd.DatetimeIndex):
        stamps = stamps.as_unit("us") if stamps.unit != "us" else stamps
    return Series(
        timestamps=stamps[skip:]
        if isinstance(stamps, pd.DatetimeIndex)
        else pd.RangeIndex(len(values) - skip),
        values=values[skip:],
        target=rows.target,
        features=features[skip:],
        feature_names=rows.feature_names,
        known_names=rows.known_names,
        ahead=ahead,
        coming=later.stamps[: len(ahead)].as_unit("us") if closed and later.stamps is not None else None,
        freq=grid.freq,
        season=season,
        seasonal=seasonal,
        observed=observed[skip:],
        regular=not closed,
        notes=rows.notes,
        name=rows.name,
    )


def _told(rows: RawRows, later: RawRows, freq: str) -> tuple[RawRows, tuple[str, ...]]:
    """Of the rows after the last target, where closed times are skipped, those that count; what to say."""
    assert rows.stamps is not None
    assert later.stamps is not None
    told = told_times(rows.stamps, freq, later.stamps)
    if told.all():
        return later, ()
    return later.take(told), (
        f"{counted(int((~told).sum()), 'row')} after the last value of '{rows.target}' at closed times, or "
        "behind a pause longer than any before, left out",
    )


def _known_ahead(later: RawRows, steps: I64 | None) -> tuple[F64, tuple[str, ...]]:
    """(A, K) the features known beforehand in the rows after the last target, and what to say of those rows.

    They count up to the first that lacks one of them or, where `steps` says how many steps each row lies
    behind the last target, up to the first that is absent.
    """
    known = later.features[:, [later.feature_names.index(name) for name in later.known_names]]
    usable = np.isfinite(known).all(axis=1) & bool(later.known_names)
    if steps is not None:
        usable &= steps == np.arange(1, len(known) + 1)
    count = len(known) if usable.all() else int(np.argmin(usable))
    notes = []
    if count:
        names = ", ".join(f"'{name}'" for name in later.known_names)
        rows = counted(count, "row")
        notes.append(
            f"{rows} after the last value of '{later.target}' tell what is known beforehand of {names}"
        )
    if left := len(known) - count:
        notes.append(f"{counted(left, 'row')} without a value of '{later.target}' at the end, left out")
    if hint := _known_hint(later):
        notes.append(hint)
    return known[:count], tuple(notes)


def _known_hint(later: RawRows) -> str | None:
    """What to do with features that stand in rows after the last target without being known beforehand."""
    names = [
        name
        for column, name in enumerate(later.feature_names)
        if name not in later.known_names and np.isfinite(later.features[:, column]).any()
    ]
    if not names:
        return None
    listed = ", ".join(f"'{name}'" for name in names)
    every = ",".join([*later.known_names, *names])
    return (
        f"{listed} {'have' if len(names) > 1 else 'has'} values after the last one of '{later.target}': what "
        f"is known beforehand can be used for the forecast (known='{every}', on the command line "
        f"--known '{every}')"
    )


def _closed_hours(positions: I64, raw_rows: int, grid: Grid) -> tuple[bool, tuple[str, ...]]:
    """Whether steps without a row are closed times rather than missing ones, and what to say about it."""
    total = int(positions[-1]) + 1 - int(positions[0])
    gaps = np.diff(positions) - 1
    gaps = gaps[gaps > 0]
    if grid.closed:
        if len(gaps):
            empty = " or value" if raw_rows > len(positions) else ""
            return True, (
                f"{counted(int(gaps.sum()), 'weekday')} without a row{empty}, taken as holidays: rows are "
                "consecutive steps",
            )
        return True, ()
    # One gap of any length, as before newer rows, says nothing of the hours: the others must.
    usual = total - (int(gaps.max()) if len(gaps) else 0)
    if not grid.freq or usual - len(positions) <= _MAX_MISSING * usual or raw_rows > len(positions) * 1.05:
        return False, ()
    _, counts = np.unique(gaps, return_counts=True)
    if counts.max() < 0.5 * len(gaps):
        return False, ()
    return True, (
        f"Only {len(positions)} of {total} steps have a row, with gaps that come back regularly (closed "
        "hours): rows are taken as consecutive steps",
    )


def _season(values: F64, positions: I64, freq: str, closed: bool, options: CleanOptions) -> tuple[int, bool]:
    if options.season is not None:
        return int(options.season), options.season > 1
    if closed:
        # With closed hours a day has fewer rows than the calendar says: the data alone can tell.
        return find_season(values, freq if freq == "B" else "")
    # Only the first half is looked at, so a far-off last timestamp must not blow up the grid here.
    half = positions - positions[0]
    inside = half < 4 * len(half)
    grid = np.full(int(half[inside][-1]) + 1, np.nan)
    grid[half[inside]] = values[inside]
    return find_season(_carry_forward(grid), freq)


def _longest_fill(freq: str, season: int, closed: bool) -> int:
    """Steps of the longest gap that is filled or closed: ten, a season, a week if a day has several rows."""
    week = max(season_candidates(freq)) if freq and freq.split("-")[0][-1] in "hns" else 0
    return max(10, season, week if closed else min(week, _MAX_WEEK))


def _carry_forward(values: F64) -> F64:
    """Missing values repeat the last known one; the first must be known."""
    index = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(index)]


def _after_long_gap(
    rows: RawRows, positions: I64, limit: int, options: CleanOptions, grid: Grid
) -> tuple[int, tuple[str, ...]]:
    """The first row after the last gap that is too long to fill, and what to say about it."""
    gaps = np.diff(positions) - 1
    long = np.flatnonzero(gaps > limit)
    while len(long):
        cut = int(long[-1]) + 1
        gap = int(gaps[cut - 1])
        before = count_steps(gap, grid.freq)
        if len(positions) - cut >= max(MIN_ROWS * 5, 0.2 * len(positions)):
            return cut, (
                f"A gap of {before} ends {_at(rows, cut)}: it is too long to fill, so only the "
                f"{len(positions) - cut} rows after it are used and the {cut} rows before it left out "
                f"(read_series(..., max_gap={gap}), on the command line --read max_gap={gap}, would fill it)",
            )
        if options.max_gap is not None or gap > 10 * limit or not options.check:
            if not options.check:
                return cut, ()
            raise DataError(
                explain(
                    f"A gap of {before} lies too near the end: only {counted(len(positions) - cut, 'row')} "
                    "after it",
                    f"{rows.place([cut])}, {_at(rows, cut)}",
                    "Check that timestamp; cut the file there, or fill the gap: "
                    f"read_series(..., max_gap={gap}); on the command line --read max_gap={gap}",
                )
            )
        long = long[:-1]  # near the end and not enormous: filling loses less than leaving out all before it
    return 0, ()


def _at(rows: RawRows, row: int) -> str:
    return f"at {rows.stamps[row]}" if rows.stamps is not None else f"at {rows.place([row])}"


def _full_grid(
    raw: RawRows, rows: RawRows, grid: Grid, positions: I64, season: int
) -> tuple[RawRows, Any, F64, F64, npt.NDArray[np.bool_]]:
    """Rows for every step from the first to the last, the target filled; features may still miss values."""
    place = positions - positions[0]
    total = int(place[-1]) + 1
    observed = np.zeros(total, bool)
    observed[place] = True
    missing = total - len(place)
    if missing > _MAX_MISSING * total:
        raise DataError(
            explain(
                f"Too many steps have no value of '{rows.target}' to call them gaps",
                f"{missing} of {count_steps(total, grid.freq)}",
                "Average onto a coarser step, as read_series(..., freq='D') or --read freq=D, or name a "
                "denser column",
            )
        )
    stamps: Any = None
    if rows.stamps is not None:
        if missing:
            stamps = pd.date_range(rows.stamps[0], periods=total, freq=grid.freq)
        else:
            stamps = rows.stamps
    values = np.full(total, np.nan)
    values[place] = rows.values
    # Rows whose target is missing still know their features.
    features = np.full((total, raw.features.shape[1]), np.nan)
    all_places = grid.positions - positions[0]
    inside = (all_places >= 0) & (all_places < total)
    features[all_places[inside]] = raw.features[inside]
    if missing:
        values, seasonal = _fill_target(values, observed, season)
        absent = total - int(inside.sum())
        kinds = [counted(absent, "absent row")] if absent else []
        kinds += [counted(missing - absent, "empty value")] if missing > absent else []
        how = f"the season before, {season} rows back" if seasonal == missing else "the last known value"
        if 0 < seasonal < missing:
            how += f" (gaps over {_SHORT_GAP} steps: the season before, {season} rows back)"
        first = _at(replace(rows, stamps=stamps), int(np.argmin(observed))) if stamps is not None else ""
        rows = rows.noted(
            f"{' and '.join(kinds)} of '{rows.target}', filled with {how}"
            + (f", the first {first}" if first else "")
            + "; not scored"
            + (", and the features repeat the last row" if absent and features.size else "")
        )
    return rows, stamps, values, features, observed


def _fill_target(values: F64, observed: npt.NDArray[np.bool_], season: int) -> tuple[F64, int]:
    """Fill from the past alone; returns the values and how many repeat the season before.

    A repeated season is moved to the level of the last known value and kept within the range seen so far.
    """
    out = _carry_forward(values)
    seasonal = 0
    if season > 1:
        edges = np.flatnonzero(np.diff(np.concatenate([[True], observed, [True]]).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start > _SHORT_GAP and start >= season:
                shift = out[start - 1] - out[start - 1 - season] if start > season else 0.0
                low, high = out[:start].min(), out[:start].max() + max(shift, 0.0)
                for row in range(start, stop):  # one by one: a long gap repeats what was just filled
                    moved = out[row - season] + (shift if row - start < season else 0.0)
                    out[row] = min(max(moved, low), high)
                seasonal += int(stop - start)
    return out, seasonal


def _present(places: I64, total: int) -> npt.NDArray[np.bool_]:
    """(total,) whether a step has a row in the source."""
    present = np.zeros(total, bool)
    present[places[(places >= 0) & (places < total)]] = True
    return present


def _fill_features(
    features: F64, present: npt.NDArray[np.bool_], rows: RawRows
) -> tuple[F64, int, tuple[str, ...]]:
    """Features repeat their last value; rows before a feature's first value are left out."""
    missing = np.isnan(features)
    if not missing.any():
        return features, 0, ()
    total = len(features)
    notes = []
    skip = 0
    for i, name in enumerate(rows.feature_names):
        count = int(missing[:, i].sum())
        if not count:
            continue
        begin = int(np.argmin(missing[:, i])) if count < total else total
        if begin > 0.2 * total or count > 0.5 * total:
            raise DataError(
                explain(
                    f"The feature '{name}' is missing too often to be filled",
                    f"{count} of {total} rows, of which the first {begin}",
                    "Leave it out of the features",
                )
            )
        skip = max(skip, begin)
        if empty := int((missing[:, i] & present).sum()):
            notes.append(
                f"{counted(empty, 'empty value')} of the feature '{name}', filled with the last known value"
            )
    out = features.copy()
    for i in range(features.shape[1]):
        begin = int(np.argmin(missing[:, i]))
        out[begin:, i] = _carry_forward(features[begin:, i])
    if skip:
        notes.append(f"The first {skip} rows, before every feature has a value, were left out")
    return out, skip, tuple(notes)
