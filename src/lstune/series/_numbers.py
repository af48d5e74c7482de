"""Numbers written by people: decimal comma or point, thousands marks, currency and percent signs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MISSING", "Numbers", "find_mark", "looks_like_number", "parse_numbers"]

F64 = npt.NDArray[np.float64]
# Lower case; compared after stripping.
_MISSING_WORDS = (
    "na n/a #n/a nan -nan <na> null none nil nat missing #value! #ref! #div/0! "
    r"n.a. n.d. (null) (na) <null> \n nodata no_data #nv -nan(ind) 1.#qnan"
)
_MISSING_MARKS = ("", "#n/a n/a", "no data", "-", "--", "---", "?", ".", "..", "...", "…", "*", ":")
MISSING = frozenset((*_MISSING_MARKS, *_MISSING_WORDS.split()))
_TRUE, _FALSE = ("true", "yes"), ("false", "no")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)", re.IGNORECASE)
_BLANK_MARKS = " '’\u00a0\u2007\u2009\u202f"
_DIGITS = rf"[\d.,{_BLANK_MARKS}]*"
_LOOSE = re.compile(rf"[+-]?[$€£¥]?\s?{_DIGITS}\d{_DIGITS}([eE][+-]?\d+)?\s?[$€£¥%]?")
_BLANKS = re.compile(rf"(?<=\d)[{_BLANK_MARKS}](?=\d{{3}}(?!\d))")
_SIGN = re.compile(r"(?:(?<=^)|(?<=^[+-]))\s?[$€£¥]\s?|\s?[$€£¥%]$")
_FORMULA = re.compile(r'="(.*)"')
_NEGATIVE = re.compile(r"\(\s?([^\s()+-].*?)\s?\)|(.*\d)\s?-")
_SUFFIX = re.compile(r"(.*\d[.,]\d+)\s?([KkMB])")
_POWERS = {"K": "e3", "k": "e3", "M": "e6", "B": "e9"}
# A group of thousands cannot begin with a zero: "0,007" proves a decimal comma.
_COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_DOT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_ANY_DOT_GROUPS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")
_COMMA_DECIMAL = re.compile(r"[+-]?([1-9]\d{0,2}(\.\d{3})+|\d+),\d+([eE][+-]?\d+)?|[+-]?,\d+")
_COMMA_SHAPE = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+,\d+|\d+(?:,\d+)?)")
_POINT_SHAPE = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?")
_SMALL = re.compile(r"[+-]?\d{1,3}")
_REMOVED = "Thousands marks were removed"
_SAY = "say --read decimal={0} or, in Python, decimal='{0}'"


@dataclass(frozen=True)
class Numbers:
    """values: (R,) float64, NaN where missing or unreadable.  bad: rows with text, with the text.
    infinite: rows that say infinity.  notes: how numbers were read, if not plainly.
    """

    values: F64
    bad: dict[int, str]
    infinite: list[int]
    notes: tuple[str, ...] = ()


def looks_like_number(cell: str) -> bool:
    """Whether the cell could be a number in some locale."""
    cell = _unwrapped(cell.strip())[0]
    return bool(_LOOSE.fullmatch(cell) or _INFINITE.fullmatch(cell))


def find_mark(columns: Iterable[Any]) -> str | None:
    """The decimal mark that columns of text prove, "," or "."; None if none does, or if they disagree."""
    marks = set()
    for cells in columns:
        marked = [_tidy(cell.strip()) for cell in cells if isinstance(cell, str) and re.search("[.,]", cell)]
        numbers = [text for text in marked if _PLAIN.fullmatch(text) or _comma_shaped(text)]
        if len(numbers) >= 0.5 * len(marked):
            marks.add(_proven_mark(numbers))
    marks.discard(None)
    return marks.pop() if len(marks) == 1 else None


def parse_numbers(
    cells: Any,
    *,
    decimal: str | None = None,
    comma_file: bool = True,
    missing: frozenset[str] = frozenset(),
    mark: Callable[[], str | None] = lambda: None,
) -> Numbers:
    """Numbers from an array of text (or of Python objects).

    decimal: "." or ",", or None to find out.  comma_file: whether commas separate the file's fields, in which
    case a lone "1,234" (it must have been quoted) is one thousand and not a decimal.
    missing: further texts that mean missing, in lower case; those that are numbers mean every way to write
    them.  mark: the decimal mark that the file's other columns prove, asked where a column proves none.
    """
    cells = np.asarray(cells, dtype=object)
    numbers, filled = None, cells
    if decimal != ",":
        numbers = _plain_numbers(cells)
    if numbers is None:
        filled = _without_missing(cells, missing)
        numbers = (_plain_numbers(filled) if decimal != "," else None) or _shaped_numbers(filled, decimal)
    if numbers is not None and decimal is None and _grouped(filled, numbers):
        found, notes = _decide([cell.strip() for cell in filled if isinstance(cell, str)], comma_file, mark)
        numbers = replace(numbers, notes=tuple(notes)) if found == "." else None
    if numbers is None or (missing and numbers.infinite):
        numbers = _parse_texts(cells, decimal, comma_file, missing, mark)
    if missing:
        texts = [text if _COMMA_GROUPS.fullmatch(text) else text.replace(",", ".") for text in missing]
        named = [float(text) for text in texts if _PLAIN.fullmatch(text)]
        numbers.values[np.isin(numbers.values, named)] = np.nan
    return numbers


def _plain_numbers(cells: Any) -> Numbers | None:
    """A column of plain numbers, by far the most common, at a tenth of the time."""
    try:
        values = cells.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    infinite = np.flatnonzero(np.isinf(values))
    values[infinite] = np.nan
    return Numbers(values, {}, infinite.tolist())


def _without_missing(cells: Any, missing: frozenset[str]) -> Any:
    """The cells, NaN where they are empty or mean missing."""
    words = MISSING | missing
    empty = pd.isna(cells)
    empty |= [isinstance(cell, str) and cell.strip().lower() in words for cell in cells]
    return np.where(empty, np.nan, cells) if empty.any() else cells


def _shaped_numbers(cells: Any, decimal: str | None) -> Numbers | None:
    """A column written throughout as 1.234,5 or 1,234.5, proven: as `_parse_texts` reads it, but faster."""
    known = np.array([cell == cell for cell in cells], dtype=bool)
    if not all(isinstance(cell, str) for cell in cells[known]):
        return None
    texts = [cell.strip() for cell in cells[known]]
    for mark, group, shape in ((",", ".", _COMMA_SHAPE), (".", ",", _POINT_SHAPE)):
        if decimal not in (None, mark) or not all(map(shape.fullmatch, texts)):
            continue
        if decimal is None and not any(_proof(text) == mark for text in texts):
            return None
        values = np.full(len(cells), np.nan)
        values[known] = np.array([text.replace(group, "").replace(",", ".") for text in texts], np.float64)
        notes: tuple[str, ...] = ()
        if decimal is None and mark == ",":
            notes = (_comma_note(),)
        elif decimal is None and any("," in text for text in texts):
            notes = (_REMOVED,)
        return Numbers(values, {}, [], notes)
    return None


def _grouped(cells: Any, numbers: Numbers) -> bool:
    """Whether the points of plain numbers could all be thousands marks ("1.462")."""
    values = numbers.values[np.isfinite(numbers.values)]
    if not len(values) or np.abs(values).max() >= 1000:
        return False
    if (np.abs(values * 1000 - np.round(values * 1000)) > 1e-6).any():
        return False
    dotted = [cell.strip() for cell in cells if isinstance(cell, str) and "." in cell]
    return bool(dotted) and all(map(_DOT_GROUPS.fullmatch, dotted))


def _unwrapped(text: str) -> tuple[str, bool]:
    """The text without an Excel formula, brackets or a minus behind it; whether one made it negative."""
    text = text.replace("−", "-")
    if formula := _FORMULA.fullmatch(text):
        text = formula[1].strip()
    bare = re.sub(r"[$€£¥%]", "", text).strip()
    if bare[:1] not in "+-" and (negative := _NEGATIVE.fullmatch(bare)):
        sign = "%" if text.endswith("%") else ""
        return f"-{negative[1] or negative[2]}{sign}", True
    return text, False


def _tidy(text: str) -> str:
    """Without signs of currency, brackets and blanks between thousands: "($1 234.50)" is -1234.50."""
    if _PLAIN.fullmatch(text):
        return text
    return _BLANKS.sub("", _SIGN.sub("", _unwrapped(text)[0]).strip())


def _parse_texts(
    cells: Any,
    decimal: str | None,
    comma_file: bool,
    missing: frozenset[str],
    mark: Callable[[], str | None],
) -> Numbers:
    """Numbers from a column that is not, or not surely, one of plain numbers."""
    values = np.full(len(cells), np.nan)
    texts: dict[int, str] = {}
    bad: dict[int, str] = {}
    infinite: list[int] = []
    for row, cell in enumerate(cells):
        if isinstance(cell, str):
            text = cell.strip()
            if (low := text.lower()) not in MISSING and low not in missing:
                texts[row] = text
        elif cell is not None and cell == cell:  # not NaN
            try:
                values[row] = float(cell)
            except (TypeError, ValueError):
                texts[row] = str(cell)
    tidied = {row: _tidy(text) for row, text in texts.items()}
    found, notes = (decimal, []) if decimal else _decide(list(tidied.values()), comma_file, mark)
    powers = False
    for row, text in tidied.items():
        low = text.lower()
        if _INFINITE.fullmatch(text):
            values[row] = np.inf
        elif low in _TRUE or low in _FALSE:
            values[row] = float(low in _TRUE)
        else:
            number, power = text, ""
            if suffix := _SUFFIX.fullmatch(text):
                number, power, powers = suffix[1], _POWERS[suffix[2]], True
            number = _pointed(number, found, strict=decimal is None)
            if _PLAIN.fullmatch(number):
                values[row] = float(number + power)
            else:
                bad[row] = texts[row]
    infinite += np.flatnonzero(np.isinf(values)).tolist()
    values[infinite] = np.nan
    if not bad:
        notes += _told(texts, powers)
    return Numbers(values, bad, infinite, tuple(notes))


def _pointed(text: str, mark: str | None, strict: bool) -> str:
    """A number under the decimal mark as Python writes it; what it cannot be stays unreadable."""
    if mark != ",":
        return text.replace(",", "") if _COMMA_GROUPS.fullmatch(text) else text
    if _COMMA_DECIMAL.fullmatch(text) or (_DOT_GROUPS if strict else _ANY_DOT_GROUPS).fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return "" if strict and "." in text else text


def _told(texts: dict[int, str], powers: bool) -> list[str]:
    """Notes on what was taken off numbers."""
    notes = []
    signs = sorted({mark for text in texts.values() for mark in "$€£¥%" if mark in text})
    if signs:
        verb = "sign {} was" if len(signs) == 1 else "signs {} were"
        notes.append(f"The {verb.format(' '.join(signs))} removed from numbers")
    if any(_unwrapped(text)[1] for text in texts.values() if text[-1:] in ")-%$€£¥"):
        notes.append("Numbers in brackets, or with a minus behind them, were read as negative")
    if powers:
        notes.append("K, M and B behind numbers were read as thousands, millions and billions")
    return notes


def _comma_shaped(text: str) -> bool:
    return bool(
        _COMMA_DECIMAL.fullmatch(text) or _COMMA_GROUPS.fullmatch(text) or _DOT_GROUPS.fullmatch(text)
    )


def _proof(text: str) -> str | None:
    """The decimal mark that a number proves: "1,5" the comma, "1.5" and "1,234,567" the point."""
    if "," not in text:
        if _DOT_GROUPS.fullmatch(text):
            return "," if text.count(".") > 1 else None
        return "." if "." in text and _PLAIN.fullmatch(text) else None
    if _COMMA_GROUPS.fullmatch(text):
        return "." if "." in text or text.count(",") > 1 else None
    return "," if _COMMA_DECIMAL.fullmatch(text) else None


def _proven_mark(texts: Iterable[str]) -> str | None:
    proofs = Counter(map(_proof, texts))
    if not proofs["."] and not proofs[","]:
        return None
    return "," if proofs[","] > proofs["."] else "."


def _decide(texts: list[str], comma_file: bool, mark: Callable[[], str | None]) -> tuple[str, list[str]]:
    """The decimal mark of a column, and notes on it."""
    texts = [match[1] if (match := _SUFFIX.fullmatch(text)) else text for text in texts]
    commas = next((text for text in texts if _COMMA_GROUPS.fullmatch(text)), None)
    dots = next((text for text in texts if _DOT_GROUPS.fullmatch(text)), None)
    any_comma = commas is not None or any("," in text and _COMMA_DECIMAL.fullmatch(text) for text in texts)
    if dots is None and not any_comma:
        return ".", []
    removed = [] if commas is None else [_REMOVED]
    if found := _proven_mark(texts) or mark():
        if found == ".":
            return ".", removed
        decimals = any(map(_COMMA_DECIMAL.fullmatch, texts))
        return ",", [_comma_note() if decimals else _groups_note("point", str(dots), ".")]
    if commas is not None:  # none of them proves anything: single groups
        if comma_file:
            alone = all(map(_COMMA_GROUPS.fullmatch, texts))  # as are decimals of three digits
            return ".", [_groups_note("comma", commas, ",")] if alone else removed
        if _fit(texts, ",") > 0:
            return ".", [_groups_note("comma", commas, ",")]
        return ",", [_comma_note()]
    fit = _fit(texts, ".")
    if fit > 0:
        return ",", [_groups_note("point", str(dots), ".")]
    # In a file with commas between its fields a German number would be quoted.
    if fit > -2 or (not comma_file and all(map(_DOT_GROUPS.fullmatch, texts))):
        note = f"The point in numbers such as {dots} was read as the decimal mark; if it groups thousands, "
        return ".", [note + _SAY.format(",")]
    return ".", []


def _comma_note() -> str:
    return "The comma was read as the decimal mark; if it is not, " + _SAY.format(".")


def _groups_note(word: str, example: str, mark: str) -> str:
    said = (
        f"The {word} in numbers such as {example} was read as a thousands mark; if it is the decimal mark, "
    )
    return said + _SAY.format(mark)


def _fit(texts: list[str], mark: str) -> float:
    """By how much (powers of ten a step) "1.462" beside "966" is likelier a thousand than a decimal.

    Either reading moves these numbers from or to their neighbours without a mark; the one that moves them
    less is likelier.  Numbers of other shapes, or none without a mark, leave the mark a decimal one: -9.
    """
    bare = [text for text in texts if mark not in text]
    shaped = all(map((_DOT_GROUPS if mark == "." else _COMMA_GROUPS).fullmatch, set(texts) - set(bare)))
    if not bare or not shaped or not all(map(_SMALL.fullmatch, bare)):
        return -9.0
    sizes = np.abs([float(text.replace(mark, ".")) for text in texts])
    marked = np.array([mark in text for text in texts])
    kept = sizes > 0
    sizes, marked = sizes[kept], marked[kept]
    turns = np.flatnonzero(marked[1:] != marked[:-1])
    # Nines alone are likelier a word for "missing".
    nines = all(re.fullmatch(r"-?99+|0", text) for text in bare)
    if not len(turns) or nines:
        return 0.0
    as_decimal = np.abs(np.diff(np.log10(sizes)))[turns].mean()
    as_group = np.abs(np.diff(np.log10(np.where(marked, sizes * 1000, sizes))))[turns].mean()
    # A single number without a mark may be an error: then it must lie near its neighbours.
    if (~marked).sum() < 2 and as_group > 0.3:
        return min(0.0, float(as_decimal - as_group))
    return float(as_decimal - as_group)
