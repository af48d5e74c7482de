"""A cleaned series: timestamps on a regular grid, one target, optional feature columns."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import DataError, explain
from lstune.files import DAMAGED, replacing
from lstune.series.hours import coming_times, joined, latest, stepped

__all__ = [
    "Series",
    "append_rows",
    "future_timestamps",
    "load_series",
    "next_timestamps",
    "save_series",
    "series_frame",
    "take_rows",
]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """T rows of one series, sorted, without missing values.

    timestamps: DatetimeIndex (without time zone) or RangeIndex, strictly increasing, T long.
    values: (T,) float64, the target in original units.  features: (T, F) float64.
    known_names: those of the F features whose coming values are known beforehand (holidays, promotions, a
    weather forecast), K in number.  ahead: (A, K) float64, their values in the rows after the last one.
    freq: pandas alias of the step ("D", "B", "h", "MS", "15min"); "" when rows carry no timestamps.
    season: rows in a season, at least 1.  seasonal: whether the data's autocorrelation confirms that season.
    observed: (T,) bool, False where cleaning filled a missing target: such rows serve as inputs only.
    regular: False when closed times (holidays, nights) are skipped: a row is a step, whatever its distance.
    notes: what cleaning did, one plain sentence each.
    coming: (A,) the timestamps of the rows `ahead` where closed times are skipped, else None.
    earlier: timestamps before the first row that tell the open hours, too, where closed times are skipped.
    """

    timestamps: Any
    values: F64
    target: str = "value"
    features: F64 = field(default_factory=lambda: np.empty((0, 0)))
    feature_names: tuple[str, ...] = ()
    known_names: tuple[str, ...] = ()
    ahead: F64 = field(default_factory=lambda: np.empty((0, 0)))
    freq: str = ""
    season: int = 1
    seasonal: bool = False
    observed: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    regular: bool = True
    notes: tuple[str, ...] = ()
    name: str = "series"
    coming: pd.DatetimeIndex | None = None
    earlier: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([], dtype="datetime64[us]"))

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        features = np.array(self.features, dtype=np.float64)
        observed = np.array(self.observed, dtype=bool)
        rows = len(values)
        if features.size == 0 and not self.feature_names:
            features = np.empty((rows, 0))
        if observed.size == 0:
            observed = np.ones(rows, bool)
        ahead = np.array(self.ahead, dtype=np.float64)
        if ahead.size == 0:
            ahead = np.empty((0, len(self.known_names)))
        shapes = (values.shape, features.shape, observed.shape, len(self.timestamps))
        if shapes != ((rows,), (rows, len(self.feature_names)), (rows,), rows):
            raise DataError(
                explain("timestamps, values, features and observed must have one entry for each row", shapes)
            )
        if ahead.shape != (len(ahead), len(self.known_names)):
            raise DataError(explain("ahead must have a column for each of known_names", ahead.shape))
        if self.coming is not None and len(self.coming) != len(ahead):
            received = f"{len(self.coming)} timestamps for {len(ahead)} rows"
            raise DataError(explain("coming must have a timestamp for each row of ahead", received))
        if unknown := [name for name in self.known_names if name not in self.feature_names]:
            raise DataError(explain("known_names must be among feature_names", ", ".join(unknown)))
        if not all(np.isfinite(array).all() for array in (values, features, ahead)):
            raise DataError(
                explain(
                    "A Series holds finite numbers only",
                    fix="Make it with read_series, which fills or names missing values",
                )
            )
        arrays = {"values": values, "features": features, "observed": observed, "ahead": ahead}
        for key, value in arrays.items():
            value.flags.writeable = False
            object.__setattr__(self, key, value)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        if not len(self):
            return f"Series({self.name!r}, 0 rows)"
        span = f"{self.timestamps[0]} to {self.timestamps[-1]}"
        return f"Series({self.name!r}, target={self.target!r}, {len(self)} rows, {span}, freq={self.freq!r})"

    @property
    def has_timestamps(self) -> bool:
        """Whether rows are dated, rather than only counted."""
        return isinstance(self.timestamps, pd.DatetimeIndex)

    @property
    def known_columns(self) -> list[int]:
        """Which of the F feature columns are known beforehand, in the order of `known_names`."""
        return [self.feature_names.index(name) for name in self.known_names]

    @property
    def past_columns(self) -> list[int]:
        """The other feature columns, of which only the past is known."""
        return [i for i, name in enumerate(self.feature_names) if name not in self.known_names]

    @cached_property
    def known(self) -> F64:
        """(T + A, K) the features known beforehand, in the rows after the last one too."""
        return np.concatenate([self.features[:, self.known_columns], self.ahead])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the timestamps, values and features: equal data give an equal fingerprint."""
        digest = hashlib.sha256()
        about: list[Any] = [self.target, list(self.feature_names), self.freq]
        about += [list(self.known_names)] if self.known_names else []
        digest.update(json.dumps(about).encode())
        digest.update(np.ascontiguousarray(_stamp_numbers(self.timestamps), dtype="<i8").tobytes())
        for array in (self.values, self.features, self.ahead):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()


def _stamp_numbers(timestamps: Any) -> npt.NDArray[np.int64]:
    """Timestamps as whole microseconds (or row numbers), whatever resolution pandas holds them in."""
    if isinstance(timestamps, pd.DatetimeIndex):
        return timestamps.to_numpy().astype("datetime64[us]").astype(np.int64)
    return np.asarray(timestamps, dtype=np.int64)


def _dated(numbers: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(numbers.astype("datetime64[us]"))


def next_timestamps(timestamps: Any, freq: str) -> Any:
    """For each timestamp the one that is a step of `freq` later (whatever the following row is)."""
    if not isinstance(timestamps, pd.DatetimeIndex):
        return pd.RangeIndex(timestamps[0] + 1, timestamps[-1] + 2) if len(timestamps) else timestamps
    return timestamps + pd.tseries.frequencies.to_offset(freq)


def future_timestamps(series: Series, steps: int) -> Any:
    """The `steps` timestamps after the series' last row.

    Where closed times are skipped, those are the rows told to come, and after them the times of the week at
    which there was a row of late.
    """
    last = series.timestamps[-1]
    if not series.has_timestamps:
        return pd.RangeIndex(int(last) + 1, int(last) + 1 + steps)
    if series.regular:
        return stepped(last, series.freq, steps)
    told = joined(None if series.coming is None else series.coming[:steps])
    if len(told) == steps:
        return told
    so_far = joined(series.earlier, series.timestamps, told)
    return joined(told, coming_times(so_far, series.freq, steps - len(told)))


def take_rows(series: Series, start: int | None = None, stop: int | None = None) -> Series:
    """The rows `start:stop` (as in a slice, so `take_rows(s, -3000)` is the last 3000) as a Series.

    Of the rows behind them only the features known beforehand stay, as what lies `ahead`.
    """
    rows = slice(start, stop)
    first, behind, _ = rows.indices(len(series))
    ahead, coming, earlier = series.known[behind:], None, series.earlier
    if not series.regular:
        earlier = latest(joined(earlier, series.timestamps[:first]))
        told = joined(series.timestamps, series.coming)[behind:]
        coming = told if series.known_names and len(told) == len(ahead) else None
    return replace(
        series,
        timestamps=series.timestamps[rows],
        values=series.values[rows],
        features=series.features[rows],
        observed=series.observed[rows],
        ahead=ahead,
        coming=coming,
        earlier=earlier,
    )


def append_rows(series: Series, values: Any, features: Any = None) -> Series:
    """The series followed by new target values.

    values: (M,).  features: (M, F), or None to take what is known beforehand from `ahead` and to repeat the
    last row of the others and beyond it.
    """
    values = np.atleast_1d(np.asarray(values, dtype=np.float64))
    rows = len(values)
    if features is None:
        features = np.repeat(series.features[-1:], rows, axis=0)
        coming = np.arange(len(series), len(series) + rows)
        features[:, series.known_columns] = series.known[np.minimum(coming, len(series.known) - 1)]
    stamps = future_timestamps(series, rows)
    if series.has_timestamps:
        timestamps: Any = series.timestamps.append(stamps)
    else:
        timestamps = pd.RangeIndex(series.timestamps[0], stamps[-1] + 1) if rows else series.timestamps
    return replace(
        series,
        timestamps=timestamps,
        values=np.concatenate([series.values, values]),
        features=np.concatenate([series.features, np.asarray(features, dtype=np.float64)]),
        observed=np.concatenate([series.observed, np.ones(rows, bool)]),
        ahead=series.ahead[rows:],
        coming=None if series.coming is None else series.coming[rows:],
    )


def series_frame(series: Series) -> pd.DataFrame:
    """A DataFrame with the target and the features, indexed by timestamp."""
    columns = {series.target: series.values}
    columns.update({name: series.features[:, i] for i, name in enumerate(series.feature_names)})
    return pd.DataFrame(columns, index=series.timestamps.rename("timestamp"))


def save_series(series: Series, path: str | Path) -> None:
    """Write the series to an .npz file, whole or not at all (plain arrays and one JSON text; no pickles)."""
    about = {key: getattr(series, key) for key in ("target", "freq", "season", "seasonal", "regular", "name")}
    about.update(
        schema=1,
        feature_names=list(series.feature_names),
        notes=list(series.notes),
        dated=series.has_timestamps,
    )
    arrays = {key: getattr(series, key) for key in ("values", "features", "observed")}
    if series.known_names:
        about["known_names"], arrays["ahead"] = list(series.known_names), series.ahead
    for key in ("coming", "earlier"):
        if (stamps := getattr(series, key)) is not None and len(stamps):
            arrays[key] = _stamp_numbers(stamps)
    with replacing(path) as file:
        np.savez_compressed(
            file,
            about=np.array(json.dumps(about)),
            timestamps=_stamp_numbers(series.timestamps),
            **arrays,
        )


def load_series(path: str | Path) -> Series:
    """Read what `save_series` wrote. Raises DataError if it cannot be."""
    try:
        with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            names = ["timestamps", "values", "features", "observed"]
            names += ["ahead"] if about.get("known_names") else []
            arrays = {key: file[key] for key in names}
            stamped: dict[str, Any] = {key: _dated(file[key]) for key in ("coming", "earlier") if key in file}
        stamps = arrays.pop("timestamps")
        if about.pop("dated"):
            timestamps: Any = _dated(stamps)
        else:
            timestamps = pd.RangeIndex(stamps[0], stamps[-1] + 1) if len(stamps) else pd.RangeIndex(0)
        about.pop("schema")
        for key in ("feature_names", "known_names", "notes"):
            about[key] = tuple(about.get(key, ()))
        return Series(timestamps=timestamps, **arrays, **stamped, **about)
    except DAMAGED as error:
        raise DataError(
            explain(f"{path} is not a saved series", str(error), "Read the original file with read_series")
        ) from error
