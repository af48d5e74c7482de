"""Which columns hold the time, the target and the features; their cells as timestamps and numbers."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import DataError, UserError, explain, nearest
from lstune.series._numbers import MISSING, Numbers, find_mark, parse_numbers
from lstune.series._rows import RawRows
from lstune.series._time_columns import TIME_NAMES, bare, cells_of, check_times, find_times, read_times
from lstune.series._times import Times

__all__ = ["ReadOptions", "Table", "names_of", "select"]

_TARGET_NAMES = ("y", "target", "value")
_ID_NAMES = ("unique_id", "series_id", "item_id")


@dataclass(frozen=True)
class ReadOptions:
    """How to read a source; everything left at None is found out.

    target: the column to forecast.  timestamp: its time column, or two ("date,time").
    features: further columns as inputs, or "all" for every other numeric column.
    known: columns that are features whose coming values are known beforehand.
    series_id: which series of a long table (unique_id, ds, y).  id_column: the column that names them.
    delimiter, decimal ("." or ","), header: the dialect of a text file.  missing: texts that mean missing.
    days: whether midnights of a time zone are days of that zone.
    """

    target: str | None = None
    timestamp: str | None = None
    features: tuple[str, ...] | str = ()
    known: tuple[str, ...] = ()
    series_id: str | None = None
    id_column: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    days: bool | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UserError(explain("delimiter must be one character", self.delimiter))
        if self.decimal not in (None, ".", ","):
            raise UserError(explain('decimal must be "." or ","', self.decimal))

    @property
    def named_features(self) -> tuple[str, ...]:
        """Features and those known beforehand, each once, without what "all" stands for."""
        features = () if self.features == "all" else tuple(self.features)
        return tuple(dict.fromkeys((*features, *self.known)))


@dataclass(frozen=True)
class Table:
    """A table of raw cells and the words for its places in the source."""

    frame: pd.DataFrame
    name: str
    where: Callable[[Sequence[int] | npt.NDArray[np.int64]], str]
    comma_file: bool = True
    notes: tuple[str, ...] = ()
    mark: Callable[[], str | None] = lambda: None  # the decimal mark that the columns prove


def names_of(names: Sequence[str] | str) -> tuple[str, ...]:
    """Column names from a list, or from one text with commas."""
    if isinstance(names, str):
        return tuple(part.strip() for part in names.split(",") if part.strip())
    if not isinstance(names, Iterable):
        return (str(names),)
    return tuple(str(name) for name in names)


def select(table: Table, options: ReadOptions) -> RawRows:
    """Choose the columns and turn them into timestamps and numbers. DataError for what cannot be."""
    table = _one_series(table, options)
    frame = table.frame
    if not len(frame):
        raise DataError(explain("The source holds no rows", table.name))
    time_column, times = _find_times(table, options)
    if times is not None and len(times.stamps) < len(frame):
        frame = frame.iloc[: len(times.stamps)]
        table = replace(table, frame=frame)
    used = set(names_of(time_column or ""))
    id_column = options.id_column or next((name for name in _ID_NAMES if name in frame.columns), None)
    rest = [column for column in frame.columns if column not in used and column != id_column]
    table = replace(table, mark=functools.cache(lambda: find_mark(cells_of(frame, name) for name in rest)))
    target = _find_target(table, rest, options)
    names = _find_features(table, rest, target, options)
    read = {column: _numbers_of(table, column, options) for column in (target, *names)}
    for column, numbers in read.items():
        _check_numbers(table, column, numbers)
    notes = list(table.notes)
    for numbers in read.values():
        notes += [note for note in numbers.notes if note not in notes]
    notes += (
        list(times.notes)
        if times is not None
        else ["No timestamp column was found: rows count as equal steps"]
    )
    return RawRows(
        stamps=None if times is None else times.stamps,
        values=read[target].values,
        features=np.column_stack([read[name].values for name in names])
        if names
        else np.empty((len(frame), 0)),
        target=target,
        feature_names=names,
        known_names=tuple(dict.fromkeys(options.known)),
        where=table.where,
        name=table.name,
        notes=tuple(notes),
    )


def _one_series(table: Table, options: ReadOptions) -> Table:
    """Of a long table with an id column, the rows of one series."""
    frame = table.frame
    column = options.id_column or next((name for name in _ID_NAMES if name in frame.columns), None)
    if column is None:
        if options.series_id is not None:
            raise DataError(
                explain(
                    f"series_id needs a column that names the series ({', '.join(_ID_NAMES)})",
                    f"columns {', '.join(frame.columns)}",
                    "Say which one with id_column",
                )
            )
        return table
    if column not in frame.columns:
        raise DataError(_no_column(column, "id", list(frame.columns), table.name))
    ids = frame[column].astype(str)
    names = list(dict.fromkeys(ids))
    if options.series_id is None:
        if len(names) == 1:
            return table
        raise DataError(
            explain(
                f"The table holds {len(names)} series; one must be chosen",
                f"{column}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}",
                f"Choose one: read_series(..., series_id='{names[0]}'); "
                f"on the command line --read series_id={names[0]}",
            )
        )
    wanted = str(options.series_id)
    if wanted not in names:
        raise DataError(
            explain(
                f"No series is called '{wanted}' in the column '{column}'",
                f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}",
                nearest(wanted, names) or "Choose one of these",
            )
        )
    keep = np.flatnonzero((ids == wanted).to_numpy())
    where = table.where
    return replace(
        table,
        frame=frame.iloc[keep].reset_index(drop=True),
        where=lambda rows: where(keep[np.asarray(rows, dtype=np.int64)]),
        name=wanted,
    )


def _no_column(name: str, role: str, columns: Sequence[str], table: str) -> str:
    shown = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
    found = f"columns {shown}" if columns else "no further column"
    return explain(f"There is no {role} column '{name}' in {table}", found, nearest(name, columns))


def _find_times(table: Table, options: ReadOptions) -> tuple[str | None, Times | None]:
    """The time column and its stamps, (None, None) if the rows are not dated."""
    columns = list(table.frame.columns)
    if options.timestamp is None:
        named, found = find_times(table.frame, options.days, options.target, table.where)
        return ",".join(named) or None, found
    named = names_of(options.timestamp) if options.timestamp not in columns else (options.timestamp,)
    for column in named:
        if column not in columns:
            raise DataError(_no_column(column, "timestamp", columns, table.name))
    cells, times = read_times(table.frame, named, options.days)
    check_times(named, cells, times, table.where)
    return ",".join(named), times


def _find_target(table: Table, rest: list[str], options: ReadOptions) -> str:
    frame = table.frame
    if options.target is not None:
        if options.target in frame.columns:
            return options.target
        same = [column for column in rest if bare(column) == bare(options.target)]
        if len(same) == 1:
            return same[0]
        raise DataError(_no_column(options.target, "target", rest or list(frame.columns), table.name))
    others = [column for column in rest if column not in options.named_features]
    numeric = [column for column in others if _is_numeric(table, column, options)]
    counters = [
        column for column in numeric if bare(column) in TIME_NAMES and _counts_up(table, column, options)
    ]
    numeric = [column for column in numeric if column not in counters] or numeric
    if len(numeric) == 1:
        return numeric[0]
    if not numeric:
        raise DataError(
            explain(
                "No column holds numbers that could be forecast",
                f"columns {', '.join(frame.columns)} in {table.name}{_texts_in(table, others)}",
                "Check the file's delimiter and decimal mark, take units off the numbers, or name the target",
            )
        )
    named = [column for column in numeric if bare(column) in _TARGET_NAMES]
    if len(named) == 1:
        return named[0]
    fix = next((column for column in numeric if bare(column) == "close"), numeric[0])
    raise DataError(
        explain(
            f"{len(numeric)} columns could be the target; one must be named",
            ", ".join(numeric[:12]) + (", ..." if len(numeric) > 12 else ""),
            f"For example target='{fix}' (--target {fix} on the command line)",
        )
    )


def _texts_in(table: Table, columns: list[str]) -> str:
    """Two cells of the column that looks most like numbers, for a message."""
    best, most = "", -1
    for column in columns:
        cells = [str(cell).strip() for cell in cells_of(table.frame.iloc[:2000], column) if cell is not None]
        cells = [cell for cell in dict.fromkeys(cells) if cell.lower() not in MISSING]
        digits = sum(bool(re.search(r"\d", cell)) for cell in cells)
        if cells and digits > most:
            best, most = f"; '{column}' holds {' and '.join(map(repr, cells[:2]))}", digits
    return best


def _counts_up(table: Table, column: str, options: ReadOptions) -> bool:
    """Whether a column only counts the rows or the time that has passed."""
    return bool((np.diff(_numbers_of(table, column, options).values) > 0).all())


def _is_numeric(table: Table, column: str, options: ReadOptions) -> bool:
    """Whether most of the column's filled cells are numbers."""
    sample = replace(table, frame=table.frame.iloc[:2000])
    numbers = _numbers_of(sample, column, options)
    good = int(np.isfinite(numbers.values).sum()) + len(numbers.infinite)
    return good > 0 and good >= len(numbers.bad)


def _find_features(table: Table, rest: list[str], target: str, options: ReadOptions) -> tuple[str, ...]:
    wanted = options.named_features
    for column in wanted:
        if column not in table.frame.columns:
            raise DataError(
                _no_column(column, "feature", [name for name in rest if name != target], table.name)
            )
        if column == target:
            raise DataError(
                explain(
                    f"'{column}' is the target; its past is an input anyway",
                    f"features {', '.join(wanted)}",
                    "Leave it out of the features",
                )
            )
    if options.features == "all":
        others = [column for column in rest if column != target]
        return tuple(name for name in others if name in wanted or _is_numeric(table, name, options))
    return wanted


def _numbers_of(table: Table, column: str, options: ReadOptions) -> Numbers:
    return parse_numbers(
        cells_of(table.frame, column),
        decimal=options.decimal,
        comma_file=table.comma_file,
        missing=frozenset(text.strip().lower() for text in options.missing),
        mark=table.mark,
    )


def _check_numbers(table: Table, column: str, numbers: Numbers) -> None:
    if numbers.bad:
        rows = list(numbers.bad)
        texts = list(dict.fromkeys(numbers.bad.values()))
        shown = ", ".join(repr(text) for text in texts[:3]) + (", ..." if len(texts) > 3 else "")
        raise DataError(
            explain(
                f"The column '{column}' must hold numbers, but {len(rows)} of its {len(numbers.values)} rows "
                f"{'holds' if len(rows) == 1 else 'hold'} text",
                f"{shown} in {table.where(rows)}",
                "Name another column, or turn its categories into numbers (one column of 0 and 1 for each)"
                if len(rows) > 0.5 * len(numbers.values)
                else _mending(texts),
            )
        )
    if numbers.infinite:
        raise DataError(
            explain(
                f"The column '{column}' holds infinite values",
                table.where(numbers.infinite),
                "Replace them by numbers, or leave the cells empty so that they count as missing",
            )
        )


def _mending(texts: list[str]) -> str:
    """What to do about texts among numbers; one that holds digits is a number that is not understood."""
    word = next((text for text in texts if not re.search(r"\d", text)), None)
    if word is None:
        return "Mend those rows, for example to numbers like -1234.5, or leave the cells empty"
    # The command line parts texts at commas, and a shell has its own ideas of <, * and the like.
    command = "" if "," in word else f" with --read {shlex.quote('missing=' + word)} on the command line and"
    return f"Say that the text means missing,{command} with missing=({word!r},) in Python, or mend those rows"
