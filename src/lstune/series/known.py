"""Features whose coming values are known beforehand: what to say about them, new values for coming rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lstune.errors import DataError, UserError, explain
from lstune.series._rows import counted
from lstune.series.data import Series, future_timestamps
from lstune.series.hours import joined, told_times
from lstune.series.newer import continued, in_days
from lstune.series.read import read_rows

__all__ = ["coming_note", "known_note", "with_known"]

# Options of reading that say where columns and rows stand, and nothing about the target.
_SHARED = ("timestamp", "series_id", "id_column", "missing", "delimiter", "decimal", "header", "days")


def _names(series: Series) -> str:
    return ", ".join(f"'{name}'" for name in series.known_names)


def known_note(series: Series) -> str | None:
    """What every score of a series with such features rests on; None for one without."""
    if not series.known_names:
        return None
    return (
        f"Scores take {_names(series)} of coming rows as known: the columns must hold what was known then, "
        "such as the weather forecast, not the weather"
    )


def coming_note(series: Series, steps: int) -> str | None:
    """What to say where fewer than the `steps` coming rows tell what is known beforehand; None if all do."""
    rows = len(series.ahead)
    if not series.known_names or rows >= steps:
        return None
    reach = f"for {rows} of the {steps} coming rows" if rows else f"for none of the {steps} coming rows"
    return f"{_names(series)} given {reach}: after the last row given its values are kept"


def with_known(series: Series, source: Any, reading: Mapping[str, Any]) -> Series:
    """The series with the features known beforehand of the rows after it, read from `source`.

    source: file or DataFrame with their columns and the timestamps; without timestamps its first row is the
    one after the series' last. Rows count up to the first that is absent or lacks a value; where closed times
    are skipped, what is absent is closed. reading: how the series was read.
    Raises UserError for a series without such features, DataError for rows that do not follow it.
    """
    names = series.known_names
    if not names:
        raise UserError(
            explain(
                "No feature of this series is known beforehand",
                f"features {', '.join(series.feature_names) or 'none'}",
                "Name those columns when tuning: known='...' (--known)",
            )
        )
    options = {key: reading[key] for key in _SHARED if reading.get(key) is not None}
    options.setdefault("days", in_days(series))
    options["freq"] = series.freq if series.has_timestamps and series.regular else None
    rows, cleaning = read_rows(source, target=names[0], features=names[1:], **options)
    lacking = np.isnan(rows.values) | np.isnan(rows.features).any(axis=1)
    if not series.has_timestamps:
        count = int(np.argmax(lacking)) if lacking.any() else len(lacking)
        if not count:
            raise DataError(explain(f"The first coming row must have a value of {_names(series)}", "none"))
        return replace(series, ahead=np.column_stack([rows.values, rows.features])[:count])
    coming = future_timestamps(series, 1)[0]
    rule = f"What is known beforehand must begin with the row to be forecast first, {coming}"
    fix = "Give those rows with their timestamps"
    if rows.stamps is None:
        raise DataError(explain(rule, "rows without timestamps", fix))
    whole = replace(rows, values=np.where(lacking, np.nan, rows.values))
    received = f"{rows.stamps.min()} to {rows.stamps.max()}"
    lacking &= np.asarray(rows.stamps > series.timestamps[-1])
    if lacking.any():
        received += f"; {counted(int(lacking.sum()), 'row')} without a value of {_names(series)}"
    if lacking.all():
        raise DataError(explain(rule, received, fix))
    given = continued(_alone(series), whole, cleaning)
    first = int(given.timestamps.searchsorted(series.timestamps[-1], side="right"))
    stamps, ahead = given.timestamps[first:], np.column_stack([given.values, given.features])[first:]
    counts = given.observed[first:]
    if series.regular:
        counts = counts & (stamps[:1] == coming)
        counts = np.logical_and.accumulate(counts)
    else:
        if lacking.any():  # what is absent is closed; a row that lacks a value is not
            counts = counts & (stamps < rows.stamps[lacking].min())
        stamps, ahead = stamps[counts], ahead[counts]
        counts = told_times(joined(series.earlier, series.timestamps), series.freq, stamps)
    if not counts.any():
        raise DataError(explain(rule, received, fix))
    return replace(series, ahead=ahead[counts], coming=None if series.regular else stamps[counts])


def _alone(series: Series) -> Series:
    """The features known beforehand as a series of their own, the first as its target."""
    known = series.known[: len(series)]
    return replace(
        series,
        values=known[:, 0],
        features=known[:, 1:],
        target=series.known_names[0],
        feature_names=series.known_names[1:],
        known_names=(),
        ahead=np.empty((0, 0)),
        coming=None,
        seasonal=False,
    )
