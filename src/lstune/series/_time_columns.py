"""Which columns hold the time, and their cells as timestamps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lstune.errors import DataError, explain
from lstune.series._numbers import MISSING
from lstune.series._rows import counted
from lstune.series._times import Times, from_parts, half_days, looks_like_time, parse_times

__all__ = ["TIME_NAMES", "bare", "cells_of", "check_times", "find_times", "read_times"]

TIME_NAMES = (
    "timestamp", "time_stamp", "ts", "datetime", "date_time", "date", "time", "ds", "day", "month", "week",
    "period", "quarter", "year", "index", "datum", "fecha", "unix", "epoch", "unix_time", "unix_timestamp",
    "utc_timestamp", "observation_date", "zeit",
    "zeitpunkt", "zeitstempel",
)  # fmt: skip
# A column of one of these names that cannot be read is a mistake to tell, not one column among others.
_SURE_TIME_NAMES = ("timestamp", "datetime", "date_time", "date", "ds", "datum", "fecha")
_DATE_NAMES = ("date", "dteday", "ds", "datum", "fecha", "day")
_HOUR_NAMES = ("hour", "hr", "stunde", "hour_ending")
_CLOCK_NAMES = ("time", "uhrzeit", "zeit", "time_of_day")
# The parts of a time in a column each, and short names that say so only together.
_PARTS = {
    "year": ("year", "yr", "yyyy", "jahr"),
    "month": ("month", "mo", "mon", "mm", "monat"),
    "day": ("day", "dy", "dd", "tag"),
    "hour": ("hour", "hr", "hh", "stunde"),
    "minute": ("minute",),
}
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
_FOOTER = 5  # rows below a table at most
_NO_NAME, _NAMELESS = re.compile(r"column_\d+"), 3
_WITH_CLOCK = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[T, ]+\d{1,2}:\d\d.*")
_ZONE_NAME = re.compile(r"\d:\d\d\S* ?([A-Z]{2,5})$")
_YEAR = re.compile(r"(?<!\d)(?<!^-)(\d{4})(?=\D|$|\d{4}$)")

Where = Callable[[Any], str]


def bare(name: str) -> str:
    """A column's name without the ways of writing it: " Date-Time" -> "date_time"."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def cells_of(frame: pd.DataFrame, column: str) -> Any:
    """A column as an array: numbers stay numbers, missing becomes None."""
    cells = frame[column]
    if cells.dtype.kind in "iufb" and isinstance(cells.dtype, np.dtype):
        return cells.to_numpy()
    return cells.astype(object).where(cells.notna(), None).to_numpy(dtype=object)


def find_times(
    frame: pd.DataFrame, days: bool | None, target: str | None, where: Where
) -> tuple[tuple[str, ...], Times | None]:
    """The time columns and their stamps, ((), None) if the rows are not dated.

    There may be fewer stamps than rows: what lies below the table is left out.
    """
    broken: list[tuple[tuple[str, ...], Any, Times]] = []
    for named in _candidates(frame):
        sure = bare(named[0]) in TIME_NAMES
        serial = bare(named[0]) in _SURE_TIME_NAMES
        cells, times = read_times(frame, named, days, numbers=sure, serial=serial)
        if times.readable == 1 or (sure and times.readable >= 0.5) or serial:
            check_times(named, cells, times, where)
            _check_clock(frame.iloc[: len(times.stamps)], named, times, target, where)
            return named, times
        if _is_meant(cells, times, sure):
            broken.append((named, cells, times))
    for named, cells, times in broken:
        check_times(named, cells, times, where)
    return _nameless_numbers(frame, days, target)


def _nameless_numbers(
    frame: pd.DataFrame, days: bool | None, target: str | None
) -> tuple[tuple[str, ...], Times | None]:
    """A column of a file without header that holds dates as long numbers; ((), None) if none does.

    Without a name to tell, numbers of other lengths must rise or fall all the way.
    """
    for column in frame.columns[:_NAMELESS]:
        first = str(frame[column].iloc[0]).strip()
        if column == target or not _NO_NAME.fullmatch(column) or not re.fullmatch(r"\d{8,19}", first):
            continue
        times = read_times(frame, (column,), days, serial=False)[1]
        steps = np.diff(times.stamps.to_numpy()).astype(np.int64)
        if times.readable == 1 and (len(first) == 8 or (steps >= 0).all() or (steps <= 0).all()):
            return (column,), times
    return (), None


def _is_meant(cells: Any, times: Times, sure: bool) -> bool:
    """Whether a column that cannot be read as it stands must be the time, so that equal steps were wrong."""
    if getattr(cells, "dtype", None) is not None and cells.dtype.kind in "iufb":
        return False
    texts = _texts(cells)
    filled = [text for text in texts if text]
    if len(filled) < 0.8 * len(texts):
        return False
    if times.readable >= 0.5:
        return True
    dated = (
        _WITH_CLOCK.fullmatch(text) or (sure and looks_like_time(text) and not re.match(r"\d+:", text))
        for text in filled
    )
    return sum(map(bool, dated)) >= 0.8 * len(filled)


def _texts(cells: Any) -> list[str]:
    """Cells as texts, those that mean missing empty."""
    texts = ("" if cell is None or cell is pd.NA or cell != cell else str(cell).strip() for cell in cells)
    return ["" if text.lower() in MISSING else text for text in texts]


def read_times(
    frame: pd.DataFrame,
    columns: Sequence[str],
    days: bool | None,
    *,
    numbers: bool = True,
    serial: bool = True,
) -> tuple[Any, Times]:
    """Cells and stamps of one time column, or of several: date and time of day; year, month, day, hour.

    The stamps leave out rows at the end that hold words in place of a time, such as "Total".
    """
    cells, times = _read_times(frame, columns, days, numbers, serial)
    return cells, _without_footer(cells, times)


def _without_footer(cells: Any, times: Times) -> Times:
    unreadable = np.isnat(times.stamps.to_numpy())
    rows = int(np.argmin(unreadable[::-1]))
    if not 1 <= rows <= _FOOTER or unreadable[:-rows].any():
        return times
    texts = _texts(np.asarray(cells, dtype=object)[-rows:])
    if not all(re.match(r"[#*]|\D+$", text) for text in texts):
        return times
    last = "row" if rows == 1 else f"{rows} rows"
    note = f"The last {last} ({', '.join(map(repr, texts))} in place of a time), below the table, passed over"
    return Times(times.stamps[:-rows], (*times.notes, note))


def _read_times(
    frame: pd.DataFrame, columns: Sequence[str], days: bool | None, numbers: bool, serial: bool
) -> tuple[Any, Times]:
    if len(columns) == 1:
        column = frame[columns[0]]
        dated = column.dtype.kind == "M" or "period" in str(column.dtype)
        cells = column if dated else cells_of(frame, columns[0])
        return cells, parse_times(cells, numbers=numbers, days=days, serial=serial)
    texts = [_texts(frame[column]) for column in columns]
    parts = {
        _PART_OF.get(bare(column), bare(column)): text for column, text in zip(columns, texts, strict=True)
    }
    if {"year", "month"} <= parts.keys():
        joined = np.array(["-".join(row) for row in zip(*texts, strict=True)], dtype=object)
        other = next((column for column in columns if bare(column) not in _PART_OF), None)
        clock = parts.get("hour") or (_texts(frame[other]) if other is not None else [])
        if any(":" in text for text in clock):
            whole = [text + ":00" * (text.count(":") == 1) for text in _clock_texts(clock)]
            hours = pd.to_timedelta(pd.Series(whole), errors="coerce")
            parts["hour"] = list(hours / pd.Timedelta(hours=1))
        elif clock:
            parts["hour"] = clock
        units = {f"{part}s": parts[part] for part in _PARTS if part in parts}
        return joined, from_parts(**units)
    texts[0] = _without_midnight(texts[0])
    first = next((text for text in texts[0] if text), "")
    if looks_like_time(first) or re.fullmatch(r"\d{8}", first):  # a month's name is followed by a year
        texts[1] = _clock_texts(frame[columns[1]])
    cells = np.array([" ".join(row).strip() for row in zip(*texts, strict=True)], dtype=object)
    return cells, parse_times(cells, days=days)


def _without_midnight(texts: list[str]) -> list[str]:
    """Dates as 2021-03-01 that stand as 2021-03-01 00:00:00."""
    return [re.sub(r"[T ]00:00(:00(\.0+)?)?$", "", text) for text in texts]


def _clock_texts(cells: Any) -> list[str]:
    """Times of day as 13:00; hours may be whole numbers, or hours and minutes (1330)."""
    texts = [half_days(re.sub(r"^(\d{1,4})\.0$", r"\1", text)) for text in _texts(cells)]
    digits = [int(text) for text in texts if re.fullmatch(r"\d{1,4}", text)]
    minutes = bool(digits) and max(digits) > 24
    return [re.sub(r"^\d{1,4}$", lambda found: _clock(int(found[0]), minutes), text) for text in texts]


def _clock(number: int, minutes: bool) -> str:
    return f"{number // 100:02d}:{number % 100:02d}" if minutes else f"{number:02d}:00"


def _is_clock(cells: Any, whole: int = -1) -> bool:
    """Whether the cells are times of day, or whole hours; or else most are whole numbers up to `whole`."""
    texts = [text for text in _texts(cells) if text]
    if whole >= 0:
        good = [re.fullmatch(r"\d{1,2}(\.0)?", text) and float(text) <= whole for text in texts]
        return bool(texts) and sum(map(bool, good)) >= 0.8 * len(texts)  # a typing error is named later
    found = [
        re.match(r"(\d{1,2}):(\d\d)(:\d\d(\.\d+)?)?( ?[AaPp]\.? ?[Mm]\.?)?$", text)
        for text in _clock_texts(texts)
    ]
    return bool(found) and all(part and int(part[1]) <= 24 and int(part[2]) < 60 for part in found)


def _check_clock(
    frame: pd.DataFrame, named: tuple[str, ...], times: Times, target: str | None, where: Where
) -> None:
    """DataError where dates repeat because the time of day stands in a column that was not taken for it."""
    stamps = times.stamps
    if len(stamps) < 20 or stamps.nunique() > 0.6 * len(stamps) or not (stamps == stamps.normalize()).all():
        return
    for column in frame.columns:
        if column in named or column == target or not _is_clock(frame[column].iloc[:200]):
            continue
        texts = _clock_texts(frame[column])
        hours = pd.Series(texts).str.extract(r"^(\d+):")[0].astype(float).to_numpy()
        steady = np.isin(np.diff(hours), (0, 1, -1, 23, -23)).mean() > 0.95
        pairs = pd.Series(list(zip(stamps, texts, strict=True)))
        if pairs.nunique() < 0.99 * len(pairs) or not (steady or ":" in _texts(frame[column].iloc[:1])[0]):
            continue
        alone = ",".join(named)
        row = int(np.argmax(pd.Index(stamps).duplicated()))
        raise DataError(
            explain(
                f"The column '{alone}' holds each day several times; '{column}' may be the time of day",
                f"{stamps[row]:%Y-%m-%d}, {_texts(frame[column].iloc[row : row + 1])[0]} in {where([row])}",
                f"Name both: read_series(..., timestamp='{alone},{column}'), on the command line --timestamp "
                f"'{alone},{column}'; or the days alone, to join their rows: --timestamp {alone}",
            )
        )


def _candidates(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    """Columns that may hold the time, the likeliest first."""
    by_name = {bare(column): column for column in frame.columns}
    day, clock = next((by_name[name] for name in _DATE_NAMES if name in by_name), None), _clock_column(frame)
    if day is not None and any(":" in text for text in _without_midnight(_texts(frame[day].iloc[:200]))):
        day = None  # it holds its time of day itself
    found: list[tuple[str, ...]] = []
    if day is not None and clock is not None and frame[day].dtype.kind == "M":
        found.append((day, clock))
    found += [(column,) for column in frame.columns if frame[column].dtype.kind == "M"]
    found += [(column,) for column in frame.columns if "period" in str(frame[column].dtype)]
    parts = _part_columns(frame, by_name)
    if "day" in parts and "hour" not in parts and clock is not None:
        parts["hour"] = clock
    in_parts = tuple(parts.values())
    if "year" in by_name and "month" in by_name:
        found.append(in_parts)
    if day is not None and clock is not None:
        found.append((day, clock))
    found += [(by_name[name],) for name in TIME_NAMES if name in by_name]
    for column in frame.columns:
        if frame[column].dtype.kind not in "iufbM":
            cells = [text for text in _texts(frame[column].iloc[:200]) if text][:20]
            if cells and sum(map(looks_like_time, cells)) >= 0.8 * len(cells):
                found.append((column,))
    if "year" in parts and "month" in parts:
        found.append(in_parts)
    return list(dict.fromkeys(found))


def _part_columns(frame: pd.DataFrame, by_name: dict[str, str]) -> dict[str, str]:
    """Columns named like the parts of a time, from the year down to the first that is absent or is none."""
    found: dict[str, str] = {}
    for part, names in _PARTS.items():
        column = next((by_name[name] for name in names if name in by_name), None)
        if column is None or not (part in ("year", "month") or _is_clock(frame[column].iloc[:200], 59)):
            break
        found[part] = column
    return found


def _clock_column(frame: pd.DataFrame) -> str | None:
    """A column named like hours or a time of day that holds some."""
    for names in (_HOUR_NAMES, _CLOCK_NAMES):
        for column in frame.columns:
            if re.sub(r"_?[(\[].*", "", bare(column)) not in names:
                continue
            cells = _texts(frame[column].iloc[:200])
            # Whole numbers named "time" may count rows.
            sure = names is _HOUR_NAMES or all(":" in text for text in cells if text)
            if sure and _is_clock(cells):
                return str(column)
    return None


def check_times(named: Sequence[str], cells: Any, times: Times, where: Where) -> None:
    """DataError, naming the rows, for cells that cannot be read."""
    unreadable = np.flatnonzero(np.isnat(times.stamps.to_numpy()))
    if not len(unreadable):
        return
    column = ",".join(named)
    cells = np.asarray(cells, dtype=object)
    texts = [str(cells[row]).strip() for row in unreadable[:100]]
    shown = ", ".join(repr(cells[row]) for row in unreadable[:3])
    everything = len(unreadable) == len(cells)
    rule = f"{counted(len(unreadable), 'timestamp')} in the column '{column}' cannot be read"
    fix = "Mend or remove those rows; dates like 2024-01-31 are always understood"
    zones = [found[1] for text in texts if (found := _ZONE_NAME.search(text))]
    years = [int(found[1]) for text in texts if (found := _YEAR.search(text))]
    if years and all(year <= 1677 or year >= 2262 for year in years):
        rule = f"The column '{column}' holds timestamps outside of the years 1678 to 2261"
        fix = "pandas holds no others: leave those rows out, or count the years from another beginning"
    elif zones:
        fix = f"'{zones[0]}' names no one time zone: write its hours, like 2024-01-31 12:00:00+02:00"
    elif everything:
        rule = f"The column '{column}' does not hold timestamps"
        fix = "Write dates like 2024-01-31, or name the column that holds the time (timestamp)"
    raise DataError(explain(rule, f"{shown} in {where(unreadable)}", fix))
