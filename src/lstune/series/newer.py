"""Rows that go on from a series which is known already: read as that series was, however few they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.series._rows import CleanOptions, RawRows, counted
from lstune.series.clean import clean
from lstune.series.data import Series, future_timestamps, take_rows
from lstune.series.hours import joined, latest
from lstune.series.read import read_rows

__all__ = ["apart_note", "continued", "filled_note", "in_days", "read_newer"]

F64 = npt.NDArray[np.float64]
_EMPTY = " left empty in newer rows: the last value is kept"


def read_newer(history: Series, source: Any, reading: Mapping[str, Any]) -> Series:
    """The series that ends with the rows of `source`, which stand in place of those of `history`.

    source: what `read_series` takes, or a Series; rows of the history before its first one are put before it.
    reading: how the history was read. A gap between them is filled or cut as any other. Where the rows say
    nothing of what is known beforehand, what the history says of the rows after them still holds.
    Raises DataError for rows that cannot be read.
    """
    cleaned = isinstance(source, Series)
    rows, options = (
        (_raw(source), CleanOptions())
        if cleaned
        else read_rows(source, **{"days": in_days(history), **reading})
    )
    names = rows.feature_names, rows.known_names
    if (
        rows.stamps is None
        or not history.has_timestamps
        or names != (history.feature_names, history.known_names)
    ):
        given = source if cleaned else clean(rows, replace(options, check=False))
        return replace(given, season=history.season)
    if cleaned and rows.stamps[0] <= history.timestamps[0]:  # nothing to put before it
        series = replace(source, season=history.season)
    else:
        series = continued(history, rows, options)
    told = source if cleaned else series
    ahead, coming = (told.ahead, told.coming) if len(told.ahead) else _ahead(history, series)
    return replace(series, ahead=ahead, coming=coming)


def in_days(history: Series) -> bool:
    """Whether a dated series is stamped at midnights, so that newer ones of a time zone are days too."""
    stamps = history.timestamps
    return history.has_timestamps and bool((stamps == stamps.normalize()).all())


def apart_note(history: Series, newer: Series) -> str | None:
    """What to say of newer rows that `read_newer` did not join to the history; None if it did."""
    if not (history.has_timestamps and newer.has_timestamps and _apart(history, newer)):
        return None
    return (
        f"The rows from {newer.timestamps[0]} on count alone: the gap behind {history.timestamps[-1]} is too "
        "long to fill"
    )


def filled_note(history: Series, newer: Series) -> str | None:
    """What to say of rows behind the history that were filled; None if none was."""
    if not (history.has_timestamps and newer.has_timestamps):
        return None
    notes = [note for note in newer.notes if note.endswith(_EMPTY)]
    later = take_rows(newer, _count_until(newer, history.timestamps[-1]))
    filled = later.timestamps[~later.observed]
    if len(filled):
        which = f", the first at {filled[0]}" if len(filled) > 1 else f", at {filled[0]}"
        rows = counted(len(filled), "row")
        notes.insert(0, f"{rows} without a value of '{newer.target}' filled from the past{which}")
    return ". ".join(notes) or None


def _apart(history: Series, newer: Series) -> bool:
    """Whether a gap lies between the history and the newer rows."""
    first = newer.timestamps[0]
    return bool(first > history.timestamps[-1] and first != future_timestamps(history, 1)[0])


def continued(history: Series, rows: RawRows, options: CleanOptions) -> Series:
    """Raw rows with the rows of a dated `history` before them, cleaned as one.

    A few rows alone would not tell their step, nor a weekend or a night from a gap.
    """
    assert rows.stamps is not None
    count = int(history.timestamps.searchsorted(rows.stamps.min()))
    head = take_rows(history, 0, count)

    def where(index: Any) -> str:
        inside = [int(row) - count for row in index if row >= count]
        return rows.where(inside) if inside else "the rows before them"

    if not history.regular:
        options = replace(options, closed=True)
    both = replace(
        rows,
        stamps=head.timestamps.as_unit("us").append(rows.stamps.as_unit("us")),
        values=np.concatenate([head.values, rows.values]),
        features=np.concatenate([head.features, rows.features]),
        where=where,
    )
    season = history.season if history.seasonal else 1
    series = clean(both, replace(options, check=False, season=season))
    series = replace(series, season=history.season, seasonal=history.seasonal)
    if not count:
        return _with_told(history, rows, series, options)
    if series.timestamps[0] > head.timestamps[-1]:  # cut at a gap: of the history only the open hours count
        stamps = latest(joined(head.earlier, head.timestamps))
        weeks = (series.timestamps[0] - stamps[-1]) // pd.Timedelta(weeks=1)
        return series if series.regular else replace(series, earlier=stamps + pd.Timedelta(weeks=weeks))
    new = take_rows(series, _count_until(series, head.timestamps[-1]))
    new = _with_told(history, rows, new, options)
    return replace(
        new,
        timestamps=head.timestamps.as_unit("us").append(new.timestamps),
        values=np.concatenate([head.values, new.values]),
        features=np.concatenate([head.features, new.features]),
        observed=np.concatenate([head.observed, new.observed]),
        earlier=head.earlier,
    )


def _with_told(history: Series, rows: RawRows, new: Series, options: CleanOptions) -> Series:
    """The new rows, with what the history was told of them beforehand where they are absent or lack a value.

    Empty cells behind the history of which it was told nothing are noted: they repeat the last value.
    """
    assert rows.stamps is not None
    names, known = new.feature_names, history.known_columns
    if not (names and len(new)) or (np.isfinite(rows.features).all() and new.observed.all()):
        return new
    used = np.isfinite(rows.values) | new.regular  # where hours are closed, rows without a target are none
    cells = pd.DataFrame(np.isfinite(rows.features[used]), index=rows.stamps[used].as_unit("us"))
    if options.freq is not None:
        cells = cells.astype(float).resample(new.freq).max().dropna() > 0
    # Rows may come a little late; those beyond the ends are not among the new ones.
    step = pd.tseries.frequencies.to_offset(new.freq)
    stamps = new.timestamps.as_unit("us")
    grid = (stamps[:1] - step).append([stamps, stamps[-1:] + step])
    place = grid.get_indexer(cells.index, method="nearest")
    given, present = np.zeros((len(grid), len(names)), bool), np.zeros(len(grid), bool)
    np.logical_or.at(given, place, cells.to_numpy())
    present[place] = True
    told = joined(history.timestamps, future_timestamps(history, len(history.ahead)))
    row = told.get_indexer(new.timestamps)
    empty = ~given[1:-1]
    features, from_told = new.features.copy(), np.zeros_like(empty)
    from_told[:, known] = empty[:, known] & (row >= 0)[:, None]
    features[:, known] = np.where(from_told[:, known], history.known[row], features[:, known])
    late = present[1:-1] & np.asarray(new.timestamps > history.timestamps[-1])
    counts = (empty & ~from_told & late[:, None]).sum(axis=0)
    notes = [
        f"{counted(int(count), 'cell')} of '{name}'{_EMPTY}"
        for name, count in zip(names, counts, strict=True)
        if count
    ]
    return replace(new, features=features, notes=(*new.notes, *notes))


def _raw(series: Series) -> RawRows:
    """A series as rows that are still to be cleaned."""
    return RawRows(
        stamps=series.timestamps if series.has_timestamps else None,
        values=series.values,
        features=series.features,
        target=series.target,
        feature_names=series.feature_names,
        known_names=series.known_names,
        where=lambda index: f"rows {', '.join(map(str, index))}",
        name=series.name,
    )


def _ahead(history: Series, newer: Series) -> tuple[F64, pd.DatetimeIndex | None]:
    """(A, K) what the history knows beforehand of the rows after the newer ones, and their timestamps."""
    last = newer.timestamps[-1]
    told = take_rows(history, 0, _count_until(history, last))
    if told.coming is not None:
        gone = int(told.coming.searchsorted(last, side="right"))
        return told.ahead[gone:], told.coming[gone:]
    if _apart(history, newer):
        return told.ahead[:0], None
    return told.ahead[len(newer) - _count_until(newer, history.timestamps[-1]) :], None


def _count_until(series: Series, stamp: Any) -> int:
    """How many rows of a dated series lie no later than `stamp`."""
    return int(series.timestamps.searchsorted(stamp, side="right"))
