"""Read a series from CSV, Parquet, a DataFrame or an array, finding out what is not told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import DataError, UserError, explain, missing_extra
from lstune.series._csv import decode, decompress, read_text_table
from lstune.series._rows import RawRows
from lstune.series.clean import CleanOptions, clean
from lstune.series.columns import ReadOptions, Table, names_of, select
from lstune.series.data import Series
from lstune.series.reading import check_reading

__all__ = ["read_rows", "read_series"]

_CLEANING = ("repeats", "max_gap", "season", "check")


def read_series(
    source: Any,
    *,
    target: str | None = None,
    timestamp: str | None = None,
    features: Sequence[str] | str = (),
    known: Sequence[str] | str = (),
    freq: str | None = None,
    name: str | None = None,
    clean_options: CleanOptions | None = None,
    **options: Any,
) -> Series:
    """Read a path (CSV, also compressed; Parquet), DataFrame, pandas Series, mapping or array into a Series.

    target: column to forecast; without it the only numeric column, or one named y, target or value.
    timestamp: time column; without it, found by type and name. Without any, rows are taken in their order.
    features: further input columns, or "all".
    known: features whose coming values are known beforehand (holidays, promotions, a weather forecast); those
    for the rows to be forecast stand in rows at the end of the source, with the target left empty.
    freq: step to average the rows onto, such as "h" or "D".
    clean_options: how repeats and gaps are treated; its fields may be given here too (repeats, max_gap,
    season, check), as may those of ReadOptions (series_id, delimiter, decimal, header, missing, ...).
    Raises DataError naming the rows at fault and what to do.
    """
    if isinstance(source, Series):
        return source
    rows, cleaning = read_rows(
        source,
        target=target,
        timestamp=timestamp,
        features=features,
        known=known,
        freq=freq,
        name=name,
        clean_options=clean_options,
        **options,
    )
    return clean(rows, cleaning)


def read_rows(
    source: Any,
    *,
    features: Sequence[str] | str = (),
    known: Sequence[str] | str = (),
    freq: str | None = None,
    name: str | None = None,
    clean_options: CleanOptions | None = None,
    **options: Any,
) -> tuple[RawRows, CleanOptions]:
    """The rows as they stand in the source, and how they are to be cleaned; as `read_series` takes them."""
    if freq is not None:
        options["freq"] = freq
    options = check_reading(options)
    cleaning: dict[str, Any] = {key: options.pop(key) for key in (*_CLEANING, "freq") if key in options}
    for key in ("target", "timestamp"):  # names of columns may be numbers
        given = options.get(key)
        if given is not None:  # a text is kept as it is: the name itself may hold commas
            options[key] = given.strip() if isinstance(given, str) else ",".join(names_of(given))
    clean_options = replace(clean_options or CleanOptions(), **cleaning)
    wanted: tuple[str, ...] | str = "all" if features == "all" else names_of(features)
    try:
        read_options = ReadOptions(features=wanted, known=names_of(known), **options)
    except TypeError as error:
        names = [*ReadOptions.__dataclass_fields__, *_CLEANING, "freq", "name"]
        raise UserError(
            explain(f"{error}".split("__init__() ")[-1], fix=f"Known: {', '.join(names)}")
        ) from None
    table = _load(source, read_options, name)
    return select(table, read_options), clean_options


def _load(source: Any, options: ReadOptions, name: str | None) -> Table:
    if isinstance(source, str) and not source.strip():
        raise DataError(explain("A path, DataFrame or array is needed", "an empty text", "Name the file"))
    if isinstance(source, (str, Path)):
        # Path.expanduser raises for a user that is not there.
        return _load_file(Path(os.path.expanduser(source)), options, name)
    if hasattr(source, "to_pandas") and not isinstance(source, (pd.DataFrame, pd.Series)):
        source = source.to_pandas()
    if isinstance(source, pd.Series):
        source = source.to_frame(source.name if source.name is not None else "value")
    elif isinstance(source, Mapping):
        source = pd.DataFrame({key: pd.Series(_column(key, value)) for key, value in source.items()})
    elif not isinstance(source, pd.DataFrame):
        if isinstance(source, np.ma.MaskedArray):
            source = np.where(np.ma.getmaskarray(source), np.nan, np.asarray(source, dtype=np.float64))
        array = np.asarray(source)
        if array.ndim != 1 or array.dtype.kind not in "iufbO":
            raise DataError(
                explain(
                    "A series must be a path, a DataFrame, a pandas Series or one-dimensional numbers",
                    f"{type(source).__name__} of shape {array.shape}",
                    "Put several columns into a DataFrame and name the target",
                )
            )
        source = pd.DataFrame({"value": array})
    frame = _without_levels(source)
    # A nameless index of whole numbers is what filtering leaves behind; others are columns in disguise.
    if frame.index.name is not None or frame.index.dtype.kind not in "iuf":
        label = str(frame.index.name or "index")
        frame = frame.reset_index(names=label) if label not in frame.columns else frame.reset_index(drop=True)
    if isinstance(frame.columns, pd.MultiIndex):  # as yfinance gives: one ticker on a second level
        frame = frame.set_axis(_flat_names(frame.columns), axis=1)
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    if frame.columns.duplicated().any():
        twice = ", ".join(dict.fromkeys(frame.columns[frame.columns.duplicated()]))
        raise DataError(explain("Column names must be unique", twice, "Rename or drop the columns"))
    return Table(frame, name or "series", _rows)


def _column(name: Any, values: Any) -> list[Any]:
    if np.ndim(values) != 1 or isinstance(values, str):
        raise DataError(explain("Each column of a mapping must be a list of values", f"{name}: {values!r}"))
    return list(values)


def _without_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """An index of several levels, such as unique_id and ds, becomes columns."""
    if frame.index.nlevels == 1:
        return frame
    given = [name for name in frame.index.names if name in frame.columns]
    return frame.reset_index(level=given, drop=True) if given else frame.reset_index()


def _flat_names(columns: pd.MultiIndex) -> list[str]:
    """Names without the levels that are the same everywhere."""
    kept = [level for level in range(columns.nlevels) if len(set(columns.get_level_values(level)) - {""}) > 1]
    return [" ".join(str(name[level]) for level in kept or [0] if name[level] != "") for name in columns]


def _load_file(path: Path, options: ReadOptions, name: str | None) -> Table:
    name = name or path.name.split(".")[0] or str(path)
    raw = decompress(path)
    if raw[:4] == b"PAR1":
        return Table(_read_parquet(path), name, _rows)
    table = read_text_table(decode(raw, path.name), path.name, options.delimiter, options.header)
    frame = table.frame
    blank = _blank_rows(frame)
    lines = table.lines[~blank]
    frame = frame[~blank].reset_index(drop=True)

    def where(rows: Any) -> str:
        return _places("line", lines[np.asarray(rows)])

    return Table(frame, name, where, table.delimiter == ",", table.notes)


def _blank_rows(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """(R,) which rows of text hold nothing; most are told by their first cell."""
    blank = np.ones(len(frame), bool)
    for column in frame:
        rows = np.flatnonzero(blank)
        cells = frame[column].to_numpy(dtype=object)[rows]
        blank[rows] = [not (isinstance(cell, str) and cell.strip()) for cell in cells]
    return blank


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise missing_extra("pyarrow", "parquet", "Reading Parquet") from None
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(explain(f"{path.name} is a damaged Parquet file", str(error))) from error
    frame = _without_levels(frame)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(names=str(frame.index.name or "index"))
    return frame.set_axis([str(column) for column in frame.columns], axis=1)


def _rows(rows: Any) -> str:
    return f"{_places('row', rows)} (counted from 0)"


def _places(word: str, rows: Any) -> str:
    """ "line 5", "lines 5, 9 and 12", "lines 5, 9, 12, 13, 20 and 31 more"."""
    numbers = [int(row) for row in rows]
    if len(numbers) == 1:
        return f"{word} {numbers[0]}"
    if len(numbers) <= 5:
        return f"{word}s {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    return f"{word}s {', '.join(map(str, numbers[:5]))} and {len(numbers) - 5} more"
