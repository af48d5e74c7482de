"""From a raw table of rows to a Series on a regular grid; whatever is changed is told in `Series.notes`.

Order: sort -> repeated timestamps -> step -> long gaps -> short gaps and missing values -> checks.
Everything filled is filled from the past (see gaps.py). Filled targets are marked in `Series.observed`: they
serve as inputs and are never scored. A window is not trained on if most of the rows that it forecasts were
filled; filled ones among the targets of the others (a horizon above 1, supervision "every") are trained on.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import DataError, UserError, explain
from lstune.series._rows import CleanOptions, RawRows, counted
from lstune.series.data import Series
from lstune.series.frequency import Grid, infer_grid, step_name
from lstune.series.gaps import MIN_ROWS, fill

__all__ = ["clean"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# Conflicting repeats up to this share of the rows are averaged unasked: clocks set back in autumn are 0.01 %.
_FEW = 0.01
_LARGEST = 1e100
_OLD_NAMES = {
    "H": "h", "BH": "bh", "T": "min", "S": "s", "L": "ms", "U": "us", "M": "ME", "BM": "BME", "Q": "QE",
    "BQ": "BQE", "A": "YE", "Y": "YE", "BA": "BYE", "BY": "BYE", "AS": "YS", "BAS": "BYS", "d": "D", "b": "B",
    "w": "W",
}  # fmt: skip
# What measuring stations write for "no value".
_SENTINELS = (-99.0, -99.9, -99.99, -999.0, -999.9, -9999.0, -99999.0, 9999.0, 99999.0)


def clean(raw: RawRows, options: CleanOptions | None = None) -> Series:
    """Clean raw rows into a Series. Raises DataError, naming the rows and the way out, for what cannot be."""
    options = options or CleanOptions()
    raw = replace(raw, order=np.arange(len(raw.values), dtype=np.int64))
    _check_values(raw, options)
    raw = raw.noted(*_suspicions(raw))
    if raw.stamps is None:
        grid = Grid(pd.DatetimeIndex([]), np.arange(len(raw.values)), "", closed=False)
        series = fill(raw, grid, options)
    else:
        raw = _merge_repeats(_sort(raw), options.repeats)
        raw, grid = _find_grid(raw, options.freq)
        series = fill(raw, grid, options)
    _check_series(series, raw, options)
    return series


def _check_values(raw: RawRows, options: CleanOptions) -> None:
    known = np.isfinite(raw.values)
    if not known.any():
        raise DataError(
            explain(
                f"The target column '{raw.target}' holds no number",
                f"{len(known)} rows, all empty",
                "Name another target",
            )
        )
    if np.abs(raw.values[known]).max() > _LARGEST:
        huge = np.flatnonzero(known & (np.abs(np.where(known, raw.values, 0.0)) > _LARGEST))
        raise DataError(
            explain(
                f"The column '{raw.target}' holds values too large to compute with",
                f"{raw.values[huge[0]]:g} in {raw.place(huge)}",
                "Mend those cells, or leave them empty so that they count as missing",
            )
        )
    if options.check and known.sum() < MIN_ROWS:
        raise DataError(_short(raw, int(known.sum())))


def _suspicions(raw: RawRows) -> tuple[str, ...]:
    """Notes on values that probably mean "missing" and were not declared so."""
    notes = []
    columns = [
        ("", raw.values),
        *((f" of '{n}'", raw.features[:, i]) for i, n in enumerate(raw.feature_names)),
    ]
    for name, values in columns:
        known = values[np.isfinite(values)]
        others = known[~np.isin(known, _SENTINELS)]
        for value in _SENTINELS:
            if (count := int((known == value).sum())) and len(others) and _stands_out(value, others):
                notes.append(
                    f"The value {value:g}{name} occurs {counted(count, 'time')}, far from all others: "
                    f"if it means missing, say so with --read missing={value:g} or, in Python, "
                    f"missing=('{value:g}',)"
                )
    return tuple(notes)


def _stands_out(value: float, others: F64) -> bool:
    """Whether a value lies far from all others, or below zero by more than any of them lies above."""
    if value < 0 <= others.min() and -value > others.max():
        return True
    return bool(abs(value - np.median(others)) > 5 * max(np.ptp(others), 1e-12))


def _short(raw: RawRows, rows: int) -> str:
    return explain(
        f"A series needs at least {MIN_ROWS} rows to be learnt from, and some hundreds to be learnt well",
        f"{counted(rows, 'row')} of '{raw.target}' in {raw.name}",
        "Give more rows, or a finer step",
    )


def _sort(raw: RawRows) -> RawRows:
    assert raw.stamps is not None
    numbers = raw.stamps.asi8
    if (np.diff(numbers) >= 0).all():
        return raw
    backwards = bool((np.diff(numbers) <= 0).all())
    rows = raw.take(np.argsort(numbers, kind="stable"))
    return rows.noted(
        "Rows came newest first and were turned round" if backwards else "Rows were sorted by time"
    )


def _merge_repeats(raw: RawRows, rule: str) -> RawRows:
    """Rows of equal timestamp become one."""
    assert raw.stamps is not None
    numbers = raw.stamps.asi8
    new = np.concatenate([[True], np.diff(numbers) != 0])
    if new.all():
        return raw
    group = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    repeated = np.flatnonzero(~new)
    values = raw.values
    differ = ~((values[repeated] == values[first[group[repeated]]]) | np.isnan(values[repeated]))
    conflicts = np.unique(group[repeated[differ]])
    many = differ.sum() > max(1, _FEW * len(first))
    if rule == "error" or (rule == "auto" and many):
        example = np.flatnonzero(group == (conflicts[0] if len(conflicts) else group[repeated[0]]))
        raise DataError(
            explain(
                f"Each timestamp must occur once, but {counted(len(repeated), 'row')} would come twice"
                + (f", {int(differ.sum())} with another value of '{raw.target}'" if len(conflicts) else ""),
                f"{raw.place(example)} at {raw.stamps[example[0]]}: "
                + ", ".join(f"{value:g}" for value in values[example][:4]),
                "If the file holds several series, select one: read_series(..., series_id=...); else say how "
                "to join the rows: read_series(..., repeats='mean'), or 'sum', 'first', 'last'; on the "
                "command line --read series_id=NAME, --read repeats=mean",
            )
        )
    how = "mean" if rule == "auto" else rule
    columns = np.column_stack([values, raw.features])
    joined = _join(columns, group, first, how)
    out = replace(raw.take(first), values=joined[:, 0], features=joined[:, 1:])
    if not len(conflicts):
        return out.noted(
            counted(len(repeated), "repeated timestamp")
            + " with the same value of the target: each counts once"
            + (f", with the {how} of its features" if raw.feature_names else "")
        )
    return out.noted(
        f"{counted(len(repeated), 'repeated timestamp')}, {int(differ.sum())} with another value: "
        f"the {how} is used"
    )


def _join(columns: F64, group: I64, first: I64, how: str) -> F64:
    if how == "first":
        return columns[first]
    if how == "last":
        return columns[np.concatenate([first[1:], [len(columns)]]) - 1]
    known = np.isfinite(columns)
    sums = np.add.reduceat(np.where(known, columns, 0.0), first, axis=0)
    counts = np.add.reduceat(known.astype(np.float64), first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
        out = np.where(counts > 0, sums, np.nan) if how == "sum" else means
    # A single row keeps its exact value, which a sum divided by one does too; equal rows must as well.
    same = np.maximum.reduceat(columns, first, axis=0) == np.minimum.reduceat(columns, first, axis=0)
    return (
        columns[first] * 1.0
        if how == "mean" and same.all()
        else np.where(same & (how == "mean"), columns[first], out)
    )


def _find_grid(raw: RawRows, freq: str | None) -> tuple[RawRows, Grid]:
    """The step of the rows; with `freq`, rows are averaged onto that step first if they are not on it."""
    assert raw.stamps is not None
    grid = infer_grid(raw.stamps)
    freq = _modern(freq)
    if freq is not None and (grid is None or grid.freq != freq):
        return _resample(raw, freq)
    if grid is None:
        raise DataError(_irregular(raw))
    return replace(raw.noted(*grid.notes), stamps=grid.stamps), grid


def _modern(freq: str | None) -> str | None:
    """A frequency's name of today for one of yesterday, which pandas warns of: "H", "2M", "A-DEC"."""
    parts = re.fullmatch(r"(\d*)([A-Za-z]+)(-[A-Z]+)?", freq or "")
    if not parts:
        return freq
    name = _OLD_NAMES.get(parts[2], parts[2])
    return f"{parts[1]}{name}{parts[3] or ''}"


def _irregular(raw: RawRows) -> str:
    assert raw.stamps is not None
    if len(raw.stamps) < 2:
        return explain("At least two timestamps are needed to know the step", raw.place([0]))
    steps = pd.Series(raw.stamps).diff().dropna()
    usual = steps.mode().iloc[0]
    if usual < pd.Timedelta(microseconds=1):
        return explain(
            "Steps must be at least a microsecond long",
            f"{usual.value} ns between {raw.place([0, 1])}",
            "Average onto a longer step: read_series(..., freq='ms'); on the command line --read freq=ms",
        )
    odd = np.flatnonzero(steps.to_numpy() % usual.to_timedelta64() != np.timedelta64(0))
    if not len(odd):
        odd = np.flatnonzero((steps != usual).to_numpy())
    return explain(
        f"The timestamps follow no regular step; the most frequent one is {usual}, "
        f"from {steps.min()} to {steps.max()}",
        f"first irregular: {raw.place([int(odd[0]) + 1]) if len(odd) else 'none'} at "
        f"{raw.stamps[int(odd[0]) + 1] if len(odd) else raw.stamps[0]}",
        "Mend those rows, or average onto a step: read_series(..., freq='h') or freq='D'; on the command "
        "line --read freq=h",
    )


def _resample(raw: RawRows, freq: str) -> tuple[RawRows, Grid]:
    assert raw.stamps is not None
    try:
        forward = pd.tseries.frequencies.to_offset(freq).n > 0
    except ValueError:
        forward = False
    if not forward:
        raise UserError(
            explain("freq must be a pandas frequency", freq, "For example D, B, h, 15min, W-SUN, MS")
        )
    table = pd.DataFrame(np.column_stack([raw.values, raw.features]), index=raw.stamps)
    table["row"] = raw.order
    means = table.resample(freq).agg({**dict.fromkeys(table.columns[:-1], "mean"), "row": "min"})
    known = means["row"].notna().to_numpy()
    if known.sum() < 0.5 * len(known) and freq != "B":
        raise DataError(
            explain(
                f"freq='{freq}' is finer than the rows: most steps would be empty",
                f"{int(known.sum())} rows for {len(known)} steps",
                "Give a coarser step",
            )
        )
    stamps = pd.DatetimeIndex(means.index)[known]
    numbers = means.to_numpy()[known]
    rows = replace(
        raw,
        stamps=stamps,
        values=numbers[:, 0],
        features=numbers[:, 1:-1],
        order=numbers[:, -1].astype(np.int64),
    )
    if len(stamps) < len(raw.stamps):
        rows = rows.noted(
            f"{len(raw.stamps)} rows were averaged onto {len(stamps)} steps of one {step_name(freq)}"
        )
    # A step that the data only begin to fill is a noisier mean, and the forecast starts from it.
    counts = table["row"].resample(freq).count().to_numpy()[known]
    if counts[-1] <= 0.75 * np.median(counts):
        rows = rows.noted(
            f"The last step, {stamps[-1]}, averages {counted(int(counts[-1]), 'row')} where "
            f"{np.median(counts):g} are usual"
        )
    return rows, Grid(stamps, np.flatnonzero(known), freq, closed=freq == "B")


def _check_series(series: Series, raw: RawRows, options: CleanOptions) -> None:
    if not options.check:
        return
    if len(series) < MIN_ROWS:
        raise DataError(_short(raw, len(series)))
    if series.values.min() == series.values.max():
        raise DataError(
            explain(
                f"The target '{series.target}' is constant: there is nothing to forecast",
                f"{series.values[0]:g} in all {len(series)} rows",
                "Name another target column",
            )
        )
