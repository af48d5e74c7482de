"""Rows that go on from a series which is known already: read as that series was, however few they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.series._rows import CleanOptions, RawRows, counted
from lstune.series.clean import clean
from lstune.series.data import Series, future_timestamps, take_rows
from lstune.series.read import read_rows

__all__ = ["apart_note", "continued", "filled_note", "in_days", "read_newer"]

F64 = npt.NDArray[np.float64]


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
    ahead = source.ahead if cleaned else series.ahead
    return replace(series, ahead=ahead if len(ahead) else _ahead(history, series))


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
    later = take_rows(newer, _count_until(newer, history.timestamps[-1]))
    filled = later.timestamps[~later.observed]
    if not len(filled):
        return None
    which = f", the first at {filled[0]}" if len(filled) > 1 else f", at {filled[0]}"
    return f"{counted(len(filled), 'row')} without a value of '{newer.target}' filled from the past{which}"


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
    if not count or series.timestamps[0] > head.timestamps[-1]:  # cut at a gap: the history counts no more
        return series
    new = take_rows(series, _count_until(series, head.timestamps[-1]))
    features = new.features.copy()
    if history.known_names and new.regular:  # rows that are absent: what was told of them before still holds
        told = count + np.flatnonzero(~new.timestamps.isin(both.stamps))
        told = told[told < len(history.known)]
        features[(told - count)[:, None], history.known_columns] = history.known[told]
    return replace(
        series,
        timestamps=head.timestamps.as_unit("us").append(new.timestamps),
        values=np.concatenate([head.values, new.values]),
        features=np.concatenate([head.features, features]),
        observed=np.concatenate([head.observed, new.observed]),
    )


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


def _ahead(history: Series, newer: Series) -> F64:
    """(A, K) what the history knows beforehand of the rows after the newer ones."""
    if _apart(history, newer):
        return np.empty((0, len(history.known_names)))
    after = len(newer) - _count_until(newer, history.timestamps[-1])
    return history.known[_count_until(history, newer.timestamps[-1]) + after :]


def _count_until(series: Series, stamp: Any) -> int:
    """How many rows of a dated series lie no later than `stamp`."""
    return int(series.timestamps.searchsorted(stamp, side="right"))
