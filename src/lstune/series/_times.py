"""Timestamps written by people, and numbers that count time since 1970."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.series._numbers import MISSING

__all__ = ["Times", "from_parts", "half_days", "looks_like_time", "parse_times"]

# English, German, French, Spanish, Portuguese, Italian and Dutch, each month's long and short names.
_MONTH_NAMES = (
    "january jan januar janvier janv enero ene janeiro gennaio gen januari jänner jän",
    "february feb februar février févr fév febrero fevereiro fev febbraio februari",
    "march mar märz mär mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maio maggio mag mei",
    "june jun juni juin junio junho giugno giu",
    "july jul juli juillet juil julio julho luglio lug",
    "august aug août agosto ago augustus",
    "september sep sept septembre septiembre setembro set settembre",
    "october oct oktober okt octobre octubre outubro out ottobre ott",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dezembro dicembre",
)
_BARE = str.maketrans("äéûç", "aeuc")
_MONTHS = {
    form: month
    for month, names in enumerate(_MONTH_NAMES, 1)
    for name in names.split()
    for form in (name, name.translate(_BARE), name.replace("ä", "ae"))
}
_NAME = rf"(?P<name>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})"
_YEAR = r"(?P<year>\d{4})"
_SHORT_YEAR = r"'?(?P<year>\d{4}|\d{2})"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er)?"
_CLOCK = r"(?:[T,: ]+(?P<clock>\d{1,2}:\d\d.*))?"
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d)"
# Each way of writing a date that does not begin with year-month or consist of three numbers.
_WRITTEN = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_YEAR}(?P<month>\d\d)(?P<day>\d\d)[T ](?P<clock>\d\d:?\d\d(?::?\d\d)?(?:\.\d+)?{_OFFSET}?)",
        rf"{_YEAR}[-/: ]?Q(?P<quarter>[1-4])",
        rf"Q(?P<quarter>[1-4])[-/: ]*{_SHORT_YEAR}",
        rf"(?P<quarter>[1-4])Q[-/ ]?{_SHORT_YEAR}",
        rf"{_YEAR}-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?",
        rf"{_YEAR}[- ]?M(?P<month>\d\d?)",
        rf"(?P<month>\d\d?)[-/]{_YEAR}",
        rf"{_YEAR}[-/. ]*{_NAME}\.?(?:[-/. ]*{_DAY})?{_CLOCK}",
        rf"{_DAY}(?: de)?[-/. ]*{_NAME}\.?(?: de)?[-/., ]*{_SHORT_YEAR}{_CLOCK}",
        rf"{_NAME}\.?[-/ ]*{_DAY}(?:[-/]|, ?| ){_YEAR}{_CLOCK}",
        rf"{_NAME}\.?[-/, ]*{_DAY} (?P<clock>\d\d:\d\d:\d\d) {_YEAR}",
        rf"{_NAME}\.?(?: de)?[-/, ]*{_YEAR}",
        rf"{_NAME}\.?[-/ ]?'?(?P<year>\d\d)",  # the last: days of months are written so, too
    )
)
# Numbers of invoices are written like this, too: only a column known to hold the time is read so.
_DAY_OF_YEAR = re.compile(rf"{_YEAR}-(?P<ordinal>\d{{3}})")
_WEEKDAY = re.compile(
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?[.,]? +(?=\w)", re.IGNORECASE
)
_TIME_LIKE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ,].*)?"
    r"|\d{1,2}:\d{2}(:\d{2})?"
)
_HALF_DAY = re.compile(r"(\d{1,2})(:\d\d(?::\d\d)?) ?([ap])\.? ?m\.?(?=Z?$)", re.IGNORECASE)
_UTC = re.compile(r"(?<=[\dm.]) ?(?:UTC|GMT|Z)$", re.IGNORECASE)
_DAY_END = re.compile(rf"([T ])24:00(?=(?::00(?:\.0+)?)?{_OFFSET}?$)")
_TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %H")
_ZONE = re.compile(r"(\d:\d.*?)(Z|[+-]\d\d(?::?\d\d)?)$")
_DAYS_NOTE = "Midnights of a time zone were taken as the days of that zone"
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?:\D.*)?")
_NAT = np.datetime64("NaT", "s")
_KINDS = {
    "dmy": "the day before month",
    "mdy": "the month before day",
    "ymd": "the year first",
}


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
    cell = _WEEKDAY.sub("", " ".join(cell.split()), count=1)
    return bool(_TIME_LIKE.fullmatch(cell)) or any(form.fullmatch(half_days(cell)) for form in _WRITTEN)


def parse_times(cells: Any, *, numbers: bool = True, days: bool | None = None, serial: bool = False) -> Times:
    """Timestamps from dates, texts or numbers.

    numbers: whether plain numbers may be years (1500 to 2500), dates such as 20240131 or 202401, or seconds,
    milliseconds, microseconds or nanoseconds since 1970.  serial: whether they may be Excel's days, too.
    days: whether zoned timestamps, all at midnight, are days of their zone; None finds it out, from two rows
    on. Other zoned timestamps are converted to UTC.
    Day and month of "03/04/2021" are told apart by all rows together.
    """
    if isinstance(cells, (pd.DatetimeIndex, pd.PeriodIndex)) or _is_dated(cells):
        return _from_dates(cells, days)
    array = np.asarray(cells, dtype=object)
    if all(isinstance(cell, (int, float, np.integer, np.floating)) for cell in array[:50]) and len(array):
        try:
            return _from_numbers(array.astype(np.float64), serial) if numbers else _none(len(array))
        except (TypeError, ValueError):
            return _none(len(array))
    texts = np.array(
        ["" if cell is None or cell != cell else str(cell).strip() for cell in array], dtype=object
    )
    texts[[len(text) < 9 and text.lower() in MISSING for text in texts]] = ""
    sample = [text for text in texts if text][:50]
    if not sample:
        return _none(len(texts))
    if sum(bool(re.fullmatch(r"\d+(\.\d+)?", text)) for text in sample) >= 0.8 * len(sample):
        if not numbers:
            return _none(len(texts))
        return _from_numbers(pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(np.float64), serial)
    return _from_texts(texts, days)


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


def _from_numbers(numbers: npt.NDArray[np.float64], serial: bool) -> Times:
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
    if serial and low >= 10_000 and high <= 80_000:  # 1927 to 2119
        seconds = np.round(np.where(np.isfinite(numbers), numbers, 0.0) * 86400).astype("timedelta64[s]")
        stamps = np.where(np.isfinite(numbers), np.datetime64("1899-12-30", "s") + seconds, _NAT)
        return Times(
            pd.DatetimeIndex(stamps), ("Numbers were read as days since 1899-12-30, as Excel counts",)
        )
    if whole and (dated := _from_long_numbers(numbers)) is not None:
        return dated
    for unit, scale in (("seconds", 1.0), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        # 1980 to 2100: earlier counts are as likely plain row numbers.
        if low >= 3.2e8 * scale and high <= 4.1e9 * scale:
            stamps = np.full(len(numbers), np.datetime64("NaT", "us"))
            inside = np.isfinite(numbers)
            micro = np.round(numbers[inside] * (1e6 / scale)).astype(np.int64)
            stamps[inside] = micro.astype("datetime64[us]")
            return Times(pd.DatetimeIndex(stamps), (f"Numbers were read as {unit} since 1970 (UTC)",))
    return _none(len(numbers))


def _from_long_numbers(numbers: npt.NDArray[np.float64]) -> Times | None:
    """2021030114, 202103011430 or 20210301143000: a date and a time of day; None if the numbers are none."""
    known = numbers[np.isfinite(numbers)].astype(np.int64)
    for places, parts in ((2, "hour"), (4, "hour and minute"), (6, "hour, minute and second")):
        scale = 10**places
        # These years, which seconds since 1970 reach in 2030, keep the two apart.
        if known.min() < 19000101 * scale or known.max() >= 21010101 * scale:
            continue
        clock = [known % scale // 10 ** (places - 2 - at) % 100 for at in range(0, places, 2)]
        if (
            clock[0].max() > 24
            or any(part.max() > 59 for part in clock[1:])
            or not _are_dates(known // scale)
        ):
            return None
        days = pd.to_datetime((known // scale).astype(str), format="%Y%m%d", errors="coerce")
        since = sum(part * size for part, size in zip(clock, (3600, 60, 1), strict=False))
        stamps = np.full(len(numbers), np.datetime64("NaT", "us"))
        stamps[np.isfinite(numbers)] = days.to_numpy().astype("datetime64[us]") + since * np.timedelta64(
            10**6, "us"
        )
        return Times(pd.DatetimeIndex(stamps), (f"Numbers were read as year, month, day, {parts}",))
    return None


def from_parts(years: Any, months: Any, days: Any = 1, hours: Any = 0, minutes: Any = 0) -> Times:
    """Timestamps from columns of whole numbers; months may have names, years two digits."""
    months = [_MONTHS.get(str(cell).strip().lower(), cell) for cell in months]
    rows = len(months)
    year, month, day, hour, minute = (
        pd.to_numeric(pd.Series([part] * rows if isinstance(part, int) else list(part)), errors="coerce")
        for part in (years, months, days, hours, minutes)
    )
    short = bool(year.max() < 100)
    if short:
        year = year + np.where(year >= 69, 1900, 2000)
    good = (
        year.between(1678, 2261)
        & month.between(1, 12)
        & day.between(1, 31)
        & hour.between(0, 24)
        & minute.between(0, 59)
    )
    good &= (year % 1 == 0) & (month % 1 == 0) & (day % 1 == 0)
    stamps = np.full(rows, np.datetime64("NaT", "us"))
    if good.any():
        first = ((year[good] - 1970) * 12 + month[good] - 1).to_numpy(np.int64).astype("datetime64[M]")
        dates = first.astype("datetime64[D]") + (day[good].to_numpy(np.int64) - 1)
        clock = (hour[good] * 3600e6 + minute[good] * 60e6).round().to_numpy(np.int64)
        whole = dates.astype("datetime64[us]") + clock.astype("timedelta64[us]")
        whole[dates.astype("datetime64[M]") != first] = np.datetime64("NaT")  # the 30th of February
        stamps[good.to_numpy()] = whole
    return Times(*_not_ahead(pd.DatetimeIndex(stamps))) if short else Times(pd.DatetimeIndex(stamps))


def _are_dates(numbers: npt.NDArray[np.float64]) -> bool:
    month, day = numbers // 100 % 100, numbers % 100
    return bool((month >= 1).all() and (month <= 12).all() and (day >= 1).all() and (day <= 31).all())


def _formatted(numbers: npt.NDArray[np.float64], form: str, note: str) -> Times:
    texts = ["" if not np.isfinite(number) else str(int(number)) for number in numbers]
    return Times(pd.DatetimeIndex(pd.to_datetime(texts, format=form, errors="coerce")), (note,))


def _from_texts(texts: npt.NDArray[np.object_], days: bool | None = None) -> Times:
    whole = "\n".join(texts)  # asked once: most files have none of these, and many rows
    if re.search(r"(?i)^[a-z]|[a-y.]$|\sz$|[^\S\n][^\S\n]", whole, re.MULTILINE):
        texts = _plain(texts, whole)
    if not re.search(r"[T\s]24:00", whole):
        return _from_tidy_texts(texts, days)
    late = np.array([bool(_DAY_END.search(text)) for text in texts])
    # The hour that ends a day, written 24:00, is 00:00 of the next day.
    times = _from_tidy_texts(
        np.array([_DAY_END.sub(r"\g<1>00:00", text) for text in texts], dtype=object), days
    )
    return Times(times.stamps + pd.to_timedelta(late.astype(np.int64), unit="D"), times.notes)


def _plain(texts: npt.NDArray[np.object_], whole: str) -> npt.NDArray[np.object_]:
    """Without the name of the weekday, with a Z for UTC, hours of 24; `whole` are the texts, a line each."""
    ways: tuple[tuple[str, Callable[[str], str]], ...] = (
        (r"^\s|\s$|[^\S\n ]|  ", lambda text: " ".join(text.split())),
        (r"(?i)(?:UTC|GMT|Z)$", lambda text: _UTC.sub("Z" if ":" in text else "", text)),
        (r"(?i)^[a-z]", lambda text: _WEEKDAY.sub("", text, count=1)),
        (r"(?i)[ap]\.? ?m", half_days),
    )
    for form, tidy in ways:
        if re.search(form, whole, re.MULTILINE):
            texts = np.array([tidy(text) for text in texts], dtype=object)
    return texts


def half_days(text: str) -> str:
    """12:30AM, 1:30 p.m. -> 00:30, 13:30."""
    return _HALF_DAY.sub(_of_24, text)


def _of_24(found: re.Match[str]) -> str:
    if not 1 <= int(found[1]) <= 12:
        return found[0]
    return f"{int(found[1]) % 12 + 12 * (found[3] in 'pP'):02d}{found[2]}"


def _from_tidy_texts(texts: npt.NDArray[np.object_], days: bool | None) -> Times:
    for sample in [text for text in texts if text][:20]:
        if _NUMERIC.fullmatch(sample):
            return _from_numeric_dates(texts)
        for form in (*_WRITTEN, _DAY_OF_YEAR):
            if form.fullmatch(sample):
                return _from_written(texts, form, days)
        if re.match(r"\d{4}[-/.]\d", sample):
            return _from_iso(texts, days)
    return _none(len(texts))


def _from_written(texts: npt.NDArray[np.object_], form: re.Pattern[str], days: bool | None) -> Times:
    """Texts of one form, each turned into ISO 8601; others are left as they are."""
    parts = [form.fullmatch(text) for text in texts]
    known = [part for part in parts if part]
    if {part.groupdict().get("month") for part in known} <= set("1234") and len(known) >= 5:
        return _none(len(texts))  # quarters, written like months
    iso = [_iso(part) if part else text for part, text in zip(parts, texts, strict=True)]
    times = _from_iso(np.array(iso, dtype=object), days)
    if not any(len(part["year"]) == 2 for part in known):
        return times
    stamps, notes = _not_ahead(times.stamps)
    if form is _WRITTEN[-1] and len(known) >= 5 and (stamps.month.nunique() == 1 or _irregularity(stamps)[0]):
        return _none(len(texts))  # days of months: "Jan-21"
    return Times(stamps, (*times.notes, *notes))


def _iso(found: re.Match[str]) -> str:
    """The parts of a date as an ISO 8601 text, empty where there is no such day."""
    parts = found.groupdict()
    year, month = int(parts["year"]), int(parts.get("month") or 1)
    if len(parts["year"]) == 2:
        year += _century(year)
    if parts.get("name"):
        month = _MONTHS[parts["name"].lower()]
    elif parts.get("quarter"):
        month = 3 * int(parts["quarter"]) - 2
    elif parts.get("week"):
        try:
            return datetime.date.fromisocalendar(
                year, int(parts["week"]), int(parts["weekday"] or 1)
            ).isoformat()
        except ValueError:
            return ""
    elif parts.get("ordinal"):
        day = datetime.date(max(year, 1), 1, 1) + datetime.timedelta(int(parts["ordinal"]) - 1)
        return day.isoformat() if day.year == year else ""
    clock = re.sub(r"^(\d\d)(\d\d)(?:(\d\d))?", _colons, parts.get("clock") or "")
    return f"{year:04d}-{month:02d}-{int(parts.get('day') or 1):02d}" + (f"T{clock:0>5}" if clock else "")


def _colons(found: re.Match[str]) -> str:
    return ":".join(part for part in found.groups() if part)


def _century(year: int) -> int:
    return 1900 if year >= 69 else 2000  # as POSIX has it


def _not_ahead(stamps: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, tuple[str, ...]]:
    """Stamps of two-digit years without those of the next decades, which are of the last century.

    Rows ahead, for what is known beforehand, follow the past closely and stay where they are.
    """
    limit = pd.Timestamp.now() + pd.DateOffset(years=1)
    ahead = np.asarray(stamps > limit)
    if not ahead.any():
        return stamps, ()
    earlier = stamps - pd.DateOffset(years=100)
    past = stamps[np.asarray(stamps <= limit)]
    if len(past) and stamps[ahead].min() - past.max() < past.min() - earlier[ahead].max():
        return stamps, ()
    example = stamps[ahead].min()
    note = f"Years of two digits that lay ahead were taken back: {example:%y} is {example.year - 100}"
    return stamps.where(~ahead, earlier), (note,)


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
        first = _walls(texts[:50]).dropna()
        if (first == first.normalize()).all() and not all(text.endswith("Z") for text in texts if text):
            local = _walls(texts)
            if _are_days(local, days):
                return Times(local, (_DAYS_NOTE,))
        return _from_dates(pd.to_datetime(index, format="ISO8601", errors="coerce", utc=True))
    return _from_dates(pd.to_datetime(index, format="ISO8601", errors="coerce"))


def _walls(texts: npt.NDArray[np.object_]) -> pd.DatetimeIndex:
    """Zoned timestamps as the clocks of their zone show them; offsets change with summer time."""
    walls = [_ZONE.sub(r"\1", text) for text in texts]
    return pd.DatetimeIndex(pd.to_datetime(pd.Index(walls), format="ISO8601", errors="coerce"))


def _dashed(found: re.Match[str]) -> str:
    return f"{found[1]}-{int(found[2]):02d}" + (f"-{int(found[3]):02d}" if found[3] else "")


def _from_numeric_dates(texts: npt.NDArray[np.object_]) -> Times:
    """Dates such as 03/04/2021: which part is the day is decided by all rows, or else by regular order."""
    # Many rows of a day have its date: each counts as often as it is there, and the first one is shown.
    heads = Counter(text[:10] if len(text) > 10 and not text[10].isdigit() else text for text in texts)
    known = [part for part in map(_NUMERIC.fullmatch, heads) if part]
    separator = known[0][2]
    short = len(known[0][4]) == 2
    numbers = {
        "dmy": (1, 3),
        "mdy": (3, 1),
        **({"ymd": (4, 3)} if short else {}),
    }
    possible = {
        kind: sum(
            heads[part[0]] for part in known if 1 <= int(part[day]) <= 31 and 1 <= int(part[month]) <= 12
        )
        for kind, (day, month) in numbers.items()
    }
    kinds = [kind for kind, count in possible.items() if count == max(possible.values())]
    zoned = next(text for text in texts if _NUMERIC.fullmatch(text)).endswith("Z")
    utc = ("Timestamps with a time zone were converted to UTC",) if zoned else ()
    tidy = texts
    if re.search(r"[T,Z\t]|  ", "\n".join(texts)):
        tidy = np.array(
            [re.sub(r"[T,]\s*|\s+", " ", text.removesuffix("Z")).strip() for text in texts], dtype=object
        )
    some = tidy[tidy != ""][:20]

    def read(kind: str) -> tuple[pd.DatetimeIndex, tuple[str, ...]]:
        form = separator.join(f"%{part}" for part in (kind if short else kind.replace("y", "Y")))
        good = [np.count_nonzero(_to_dates(some, form + clock).notna()) for clock in _TIMES_OF_DAY]
        stamps = _to_dates(tidy, form + _TIMES_OF_DAY[int(np.argmax(good))])
        return _not_ahead(stamps) if short else (stamps, ())

    readings = {kind: read(kind) for kind in kinds}
    kind = kinds[0]
    if "dmy" in readings and "mdy" in readings:
        by_day, by_month = (_irregularity(readings[name][0]) for name in ("dmy", "mdy"))
        kind = "dmy" if by_day < by_month or (by_day == by_month and separator == ".") else "mdy"
    if "ymd" in readings and kind != "ymd" and _fits_better(readings["ymd"][0], readings[kind][0]):
        kind = "ymd"
    stamps, notes = readings[kind]
    order = {_irregularity(stamps) for stamps, _ in readings.values()}
    if len(kinds) > 1 and (kind == "ymd" or "mdy" in kinds or len(order) == 1):
        notes = (f"Dates such as {texts[texts != ''][0]} were read with {_KINDS[kind]}", *notes)
    return Times(stamps, (*notes, *utc))


def _fits_better(year_first: pd.DatetimeIndex, other: pd.DatetimeIndex) -> bool:
    """Whether dates with the year first make more sense than with the year last."""
    (back, ratio), (other_back, other_ratio) = _irregularity(year_first), _irregularity(other)
    if min(back, other_back) > 0.2 * len(other):  # rows in no order
        year_first, other = year_first.sort_values(), other.sort_values()
        (back, ratio), (other_back, other_ratio) = _irregularity(year_first), _irregularity(other)
    if back != other_back:
        return back < other_back
    finer = _step(year_first) < _step(other)
    if not 0.8 * other_ratio <= ratio <= 1.25 * other_ratio:
        return ratio < other_ratio and (finer or ratio < 0.2 * other_ratio)
    # Days of one month, or the same day of many years: these are first or last days, 31/12/20.
    known = other.dropna()
    if (known.is_month_start | known.is_month_end).all():
        return False
    return finer


def _step(stamps: pd.DatetimeIndex) -> float:
    return float(np.median(np.abs(np.diff(stamps.dropna().asi8)))) if len(stamps) > 1 else 0.0


def _irregularity(stamps: pd.DatetimeIndex) -> tuple[int, float]:
    """(steps back in time, longest step by the middle one): small when the reading makes sense."""
    steps = np.diff(stamps.dropna().to_numpy().astype("datetime64[s]").astype(np.int64))
    if not len(steps):
        return 0, 1.0
    if np.median(steps) < 0:
        steps = -steps  # newest first
    return int((steps < 0).sum()), float(steps.max() / max(np.median(steps), 1))
