"""Timestamps written by people, and numbers that count time since 1970."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Times", "looks_like_time", "parse_times"]

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_TIME_LIKE = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}([-/.]\d{{1,2}})?([T ].*)?|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}([T ,].*)?"
    rf"|\d{{4}}-?Q[1-4]|\d{{1,2}}[- ]({_MONTHS})[a-z]*[- ]\d{{2,4}}.*|({_MONTHS})[a-z]*[- ,.]+\d.*"
    r"|\d{1,2}:\d{2}(:\d{2})?",
    re.IGNORECASE,
)
_TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_NAMED = (
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%b-%Y",
    "%b %Y",
    "%B %Y",
    "%d-%b-%y",
)
_ZONE = re.compile(r"(\d:\d.*?)(Z|[+-]\d\d(?::?\d\d)?)$")
_DAYS_NOTE = "Midnights of a time zone were taken as the days of that zone"
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(.*)")


@dataclass(frozen=True)
class Times:
    """stamps: DatetimeIndex without zone, NaT where unreadable.  notes: how they were read, if by choice."""

    stamps: pd.DatetimeIndex
    notes: tuple[str, ...] = ()

    @property
    def readable(self) -> float:
        """Share of rows that could be read."""
        return float(np.mean(~np.isnat(self.stamps.to_numpy()))) if len(self.stamps) else 0.0


def looks_like_time(cell: str) -> bool:
    """Whether the cell is written like a date or a time of day (plain numbers are not)."""
    return bool(_TIME_LIKE.fullmatch(cell.strip()))


def parse_times(cells: Any, *, numbers: bool = True, days: bool | None = None) -> Times:
    """Timestamps from dates, texts or numbers.

    numbers: whether plain numbers may be years (1500 to 2500), dates such as 20240131 or 202401, or seconds,
    milliseconds, microseconds or nanoseconds since 1970.
    days: whether zoned timestamps, all at midnight, are days of their zone; None finds it out, from two rows
    on. Other zoned timestamps are converted to UTC.
    Day and month of "03/04/2021" are told apart by all rows together.
    """
    if isinstance(cells, (pd.DatetimeIndex, pd.PeriodIndex)) or _is_dated(cells):
        return _from_dates(cells, days)
    array = np.asarray(cells, dtype=object)
    if all(isinstance(cell, (int, float, np.integer, np.floating)) for cell in array[:50]) and len(array):
        try:
            return _from_numbers(array.astype(np.float64)) if numbers else _none(len(array))
        except (TypeError, ValueError):
            return _none(len(array))
    texts = np.array(
        ["" if cell is None or cell != cell else str(cell).strip() for cell in array], dtype=object
    )
    if any(" 24:0" in text for text in texts):
        return _from_hour_endings(texts)
    filled = [text for text in texts if text]
    if not filled:
        return _none(len(texts))
    if all(re.fullmatch(r"\d+(\.\d+)?", text) for text in filled[:50]):
        if not numbers:
            return _none(len(texts))
        try:
            return _from_numbers(np.array([float(text) if text else np.nan for text in texts]))
        except ValueError:
            return _none(len(texts))
    return _from_texts(texts, days)


def _from_hour_endings(texts: npt.NDArray[np.object_]) -> Times:
    """The hour that ends a day, written 24:00, is 00:00 of the next day."""
    late = np.array([bool(re.search(r" 24:00(:00)?$", text)) for text in texts])
    times = _from_texts(np.array([re.sub(r" 24:00", " 00:00", text) for text in texts], dtype=object))
    return Times(times.stamps + pd.to_timedelta(late.astype(np.int64), unit="D"), times.notes)


def _is_dated(cells: Any) -> bool:
    dtype = getattr(cells, "dtype", None)
    return isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)) or (
        isinstance(dtype, np.dtype) and dtype.kind == "M"
    )


def _none(rows: int) -> Times:
    return Times(pd.DatetimeIndex([pd.NaT] * rows))


def _from_dates(cells: Any, days: bool | None = None) -> Times:
    index = pd.Index(cells)
    if isinstance(index, pd.PeriodIndex):
        return Times(index.to_timestamp())
    stamps = pd.DatetimeIndex(index)
    if stamps.tz is not None:
        local = stamps.tz_localize(None)
        if _are_days(local, days):
            return Times(local, (_DAYS_NOTE,))
        return Times(
            stamps.tz_convert("UTC").tz_localize(None), ("Timestamps with a time zone were converted to UTC",)
        )
    return Times(stamps)


def _are_days(local: pd.DatetimeIndex, days: bool | None) -> bool:
    """Whether stamps as the clocks of their zone show them are days: in UTC they would be others' hours."""
    known = local.dropna()
    return days is not False and len(known) >= (1 if days else 2) and bool((known == known.normalize()).all())


def _from_numbers(numbers: npt.NDArray[np.float64]) -> Times:
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return _none(len(numbers))
    low, high = known.min(), known.max()
    whole = bool((known == np.floor(known)).all())
    if whole and low >= 1500 and high <= 2500:
        return _formatted(numbers, "%Y", "Numbers were read as years")
    if whole and low >= 150001 and high <= 250012 and (known % 100 >= 1).all() and (known % 100 <= 12).all():
        return _formatted(numbers, "%Y%m", "Numbers were read as year and month")
    if whole and low >= 15000101 and high <= 25001231 and _are_dates(known):
        return _formatted(numbers, "%Y%m%d", "Numbers were read as year, month and day")
    for unit, scale in (("seconds", 1.0), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        # 1980 to 2100: earlier counts are as likely plain row numbers.
        if low >= 3.2e8 * scale and high <= 4.1e9 * scale:
            stamps = np.full(len(numbers), np.datetime64("NaT", "us"))
            inside = np.isfinite(numbers)
            micro = np.round(numbers[inside] * (1e6 / scale)).astype(np.int64)
            stamps[inside] = micro.astype("datetime64[us]")
            return Times(pd.DatetimeIndex(stamps), (f"Numbers were read as {unit} since 1970 (UTC)",))
    return _none(len(numbers))


def _are_dates(numbers: npt.NDArray[np.float64]) -> bool:
    month, day = numbers // 100 % 100, numbers % 100
    return bool((month >= 1).all() and (month <= 12).all() and (day >= 1).all() and (day <= 31).all())


def _formatted(numbers: npt.NDArray[np.float64], form: str, note: str) -> Times:
    texts = ["" if not np.isfinite(number) else str(int(number)) for number in numbers]
    return Times(pd.DatetimeIndex(pd.to_datetime(texts, format=form, errors="coerce")), (note,))


def _from_texts(texts: npt.NDArray[np.object_], days: bool | None = None) -> Times:
    filled = np.array([bool(text) for text in texts])
    sample = next(text for text in texts if text)
    found = re.fullmatch(r"(\d{4})-?Q([1-4])", sample, re.IGNORECASE)
    if found:
        joined = [
            re.sub(r"(?i)^(\d{4})-?Q([1-4])$", lambda m: f"{m[1]}-{int(m[2]) * 3 - 2:02d}-01", t)
            for t in texts
        ]
        return Times(_to_dates(joined, "%Y-%m-%d"))
    if _NUMERIC.fullmatch(sample):
        return _from_numeric_dates(texts, filled)
    if re.match(r"\d{4}[-/.]\d", sample):
        return _from_iso(texts, days)
    tidy = np.array([re.sub(r"\s+", " ", text) for text in texts], dtype=object)
    for form in _NAMED:
        for clock in _TIMES_OF_DAY:
            stamps = _to_dates(tidy[filled][:20], form + clock)
            if not stamps.isna().any():
                return Times(_to_dates(tidy, form + clock))
    return _none(len(texts))


def _to_dates(texts: Any, form: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(pd.Index(texts, dtype=object), format=form, errors="coerce"))


def _from_iso(texts: npt.NDArray[np.object_], days: bool | None) -> Times:
    """Year first: ISO 8601 and its relatives with slashes or points, with or without time and zone."""
    if re.match(r"\d{4}[/.]", next(text for text in texts if text)):
        texts = np.array(
            [re.sub(r"^(\d{4})[/.](\d{1,2})(?:[/.](\d{1,2}))?", _dashed, t) for t in texts], dtype=object
        )
    elif any(re.match(r"\d{4}-\d(-|$)|\d{4}-\d\d-\d($|[T ])", text) for text in texts[:50]):
        texts = np.array(
            [re.sub(r"^(\d{4})-(\d{1,2})(?:-(\d{1,2}))?", _dashed, t) for t in texts], dtype=object
        )
    index = pd.Index(list(texts), dtype=object)
    if any(map(_ZONE.search, texts)):
        walls = [_ZONE.sub(r"\1", text) for text in texts]  # offsets change with summer time
        local = pd.DatetimeIndex(pd.to_datetime(pd.Index(walls), format="ISO8601", errors="coerce"))
        if _are_days(local, days) and not all(text.endswith("Z") for text in texts if text):
            return Times(local, (_DAYS_NOTE,))
        return _from_dates(pd.to_datetime(index, format="ISO8601", errors="coerce", utc=True))
    return _from_dates(pd.to_datetime(index, format="ISO8601", errors="coerce"))


def _dashed(found: re.Match[str]) -> str:
    return f"{found[1]}-{int(found[2]):02d}" + (f"-{int(found[3]):02d}" if found[3] else "")


def _from_numeric_dates(texts: npt.NDArray[np.object_], filled: npt.NDArray[np.bool_]) -> Times:
    """Dates such as 03/04/2021: which part is the day is decided by all rows, or else by regular order."""
    parts = [_NUMERIC.fullmatch(text) for text in texts]
    known = [part for part in parts if part]
    separator = known[0][2]
    first = np.array([int(part[1]) for part in known])
    second = np.array([int(part[3]) for part in known])
    year = "%Y" if len(known[0][4]) == 4 else "%y"
    tidy = np.array([re.sub(r"[T,]\s*|\s+", " ", text).strip() for text in texts], dtype=object)

    def read(day_first: bool) -> pd.DatetimeIndex:
        form = separator.join(("%d", "%m", year) if day_first else ("%m", "%d", year))
        for clock in _TIMES_OF_DAY:
            if not _to_dates(tidy[filled][:20], form + clock).isna().any():
                return _to_dates(tidy, form + clock)
        return _none(len(texts)).stamps

    if first.max() > 12 or second.max() > 12:
        return Times(read(bool(first.max() > 12)))
    by_day, by_month = read(True), read(False)
    order = [_irregularity(stamps) for stamps in (by_day, by_month)]
    day_first = order[0] < order[1] or (order[0] == order[1] and separator == ".")
    kind = "day before month" if day_first else "month before day"
    return Times(by_day if day_first else by_month, (f"Dates such as {texts[0]} were read with the {kind}",))


def _irregularity(stamps: pd.DatetimeIndex) -> tuple[int, float]:
    """(steps back in time, longest step by the middle one): small when the reading makes sense."""
    steps = np.diff(stamps.dropna().to_numpy().astype("datetime64[s]").astype(np.int64))
    if not len(steps):
        return 0, 1.0
    if np.median(steps) < 0:
        steps = -steps  # newest first
    return int((steps < 0).sum()), float(steps.max() / max(np.median(steps), 1))
