"""Numbers written by people: decimal comma or point, thousands marks, currency and percent signs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MISSING", "Numbers", "looks_like_number", "parse_numbers"]

# Lower case; compared after stripping.
_MISSING_WORDS = "na n/a #n/a nan -nan <na> null none nil nat missing #value! #ref! #div/0!"
_MISSING_MARKS = ("", "#n/a n/a", "-", "--", "---", "?", ".", "..", "...", "…")
MISSING = frozenset((*_MISSING_MARKS, *_MISSING_WORDS.split()))
_TRUE, _FALSE = ("true", "yes"), ("false", "no")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)", re.IGNORECASE)
_DIGITS = r"[\d.,' \u00a0\u202f]*"
_LOOSE = re.compile(rf"[+-]?[$€£¥]?\s?{_DIGITS}\d{_DIGITS}([eE][+-]?\d+)?\s?[$€£¥%]?")
_BLANKS = re.compile(r"(?<=\d)[ '\u00a0\u202f](?=\d{3}(?!\d))")
_SIGNS = re.compile(r"[$€£¥%]")
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_DOT_GROUPS = re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}")
_COMMA_DECIMAL = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+([eE][+-]?\d+)?|[+-]?,\d+")


@dataclass(frozen=True)
class Numbers:
    """values: (R,) float64, NaN where missing or unreadable.  bad: rows with text, with the text.
    infinite: rows that say infinity.  notes: how numbers were read, if not plainly.
    """

    values: npt.NDArray[np.float64]
    bad: dict[int, str]
    infinite: list[int]
    notes: tuple[str, ...] = ()


def looks_like_number(cell: str) -> bool:
    """Whether the cell could be a number in some locale."""
    cell = cell.strip().replace("−", "-")
    return bool(_LOOSE.fullmatch(cell) or _INFINITE.fullmatch(cell))


def parse_numbers(
    cells: Any, *, decimal: str | None = None, comma_file: bool = True, missing: frozenset[str] = frozenset()
) -> Numbers:
    """Numbers from an array of text (or of Python objects).

    decimal: "." or ",", or None to find out.  comma_file: whether commas separate the file's fields, in which
    case a lone "1,234" (it must have been quoted) is one thousand and not a decimal.
    missing: further texts that mean missing, in lower case.
    """
    cells = np.asarray(cells, dtype=object)
    if decimal != "," and not missing:
        try:  # a column of plain numbers, by far the most common, at a tenth of the time
            plain_values = cells.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
        else:
            infinite_rows = np.flatnonzero(np.isinf(plain_values))
            plain_values[infinite_rows] = np.nan
            return Numbers(plain_values, {}, infinite_rows.tolist())
    values = np.full(len(cells), np.nan)
    texts: dict[int, str] = {}
    infinite: list[int] = []
    for row, cell in enumerate(cells):
        if isinstance(cell, str):
            text = cell.strip()
            if decimal != "," and _PLAIN.fullmatch(text) and text.lower() not in missing:
                values[row] = float(text)
            elif text.lower() not in MISSING and text.lower() not in missing:
                texts[row] = text
        elif cell is not None and cell == cell:  # not NaN
            try:
                values[row] = float(cell)
            except (TypeError, ValueError):
                texts[row] = str(cell)
                continue
            if np.isinf(values[row]):
                infinite.append(row)
                values[row] = np.nan
    notes: tuple[str, ...] = ()
    bad: dict[int, str] = {}
    if texts:
        plain = int(np.isfinite(values).sum())
        notes = _parse_texts(texts, values, cells, bad, infinite, decimal, comma_file, plain)
    return Numbers(values, bad, infinite, notes)


def _parse_texts(
    texts: dict[int, str],
    values: npt.NDArray[np.float64],
    cells: Any,
    bad: dict[int, str],
    infinite: list[int],
    decimal: str | None,
    comma_file: bool,
    plain: int,
) -> tuple[str, ...]:
    """Read what is not a plain number, into `values`, `bad` and `infinite`; returns notes."""
    signs = {mark for text in texts.values() for mark in "$€£¥%" if mark in text}
    cleaned = {
        row: _BLANKS.sub("", _SIGNS.sub("", text.replace("−", "-")).strip()) for row, text in texts.items()
    }
    whole = re.compile(r"[+-]?\d+")
    comma = decimal == "," or (
        decimal is None
        and _comma_is_decimal(list(cleaned.values()), _dotted(cells, plain, len(texts)), comma_file)
    )
    if comma and decimal is None and plain:
        # The file's plain "1.234" are thousands too: read them again under the mark found.
        for row, cell in enumerate(cells):
            if isinstance(cell, str) and row not in texts and np.isfinite(values[row]) and "." in cell:
                cleaned[row] = cell.strip()
    grouped = False
    for row, text in cleaned.items():
        lowered = text.lower()
        if _INFINITE.fullmatch(text):
            infinite.append(row)
            continue
        if lowered in _TRUE or lowered in _FALSE:
            values[row] = float(lowered in _TRUE)
            continue
        number = text
        if comma and (_COMMA_DECIMAL.fullmatch(text) or whole.fullmatch(text) or _is_dot_grouped(text)):
            number = text.replace(".", "").replace(",", ".")
        elif not comma and (_COMMA_GROUPS.fullmatch(text) or _DOT_GROUPS.fullmatch(text)):
            grouped = True
            number = text.replace(",", "") if "," in text else text.replace(".", "")
        if _PLAIN.fullmatch(number):
            values[row] = float(number)
        else:
            values[row] = np.nan
            bad[row] = str(cells[row]).strip()
    notes = []
    if comma and decimal is None:
        notes.append("The comma was read as the decimal mark (say decimal='.' if it is not)")
    if grouped:
        notes.append("Thousands marks were removed")
    if signs and not bad:
        notes.append(f"The signs {' '.join(sorted(signs))} were removed from numbers")
    return tuple(notes)


def _is_dot_grouped(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", text))


def _dotted(cells: Any, plain: int, other: int) -> list[str]:
    """The plain numbers that hold a point, which tell what a comma beside them cannot be."""
    if not plain:
        return []
    return [
        cell.strip()
        for cell in cells
        if isinstance(cell, str) and "." in cell and _PLAIN.fullmatch(cell.strip())
    ]


def _comma_is_decimal(texts: list[str], dotted: list[str], comma_file: bool) -> bool:
    """Decide what a comma means from all cells that are not plain numbers."""
    with_comma = [
        text for text in texts if "," in text and re.fullmatch(r"[+-]?[\d.,]+([eE][+-]?\d+)?", text)
    ]
    if not with_comma:
        return False
    if any("." in text for text in with_comma):
        both = [text for text in with_comma if "." in text]
        return sum(text.rfind(",") > text.rfind(".") for text in both) > len(both) / 2
    if dotted and not all(_is_dot_grouped(text) for text in dotted):
        return False  # "1.5" elsewhere: the point is the decimal mark
    if any(text.count(",") > 1 for text in with_comma):
        return False
    grouped = all(_COMMA_GROUPS.fullmatch(text) for text in with_comma)
    return not grouped or not comma_file
