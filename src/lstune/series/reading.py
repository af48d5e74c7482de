"""Options of `read_series` as text: from a command line, and back to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstune.errors import UserError, explain, nearest

__all__ = ["READ_OPTIONS", "REPEATS", "ReadOption", "check_reading", "format_reading", "parse_reading"]

_WORDS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "bar": "|", "dot": "."}
_YES = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True)
class ReadOption:
    """A row of `READ_OPTIONS`: what the option means, which values it takes, how its text is read.

    `parse` returns None for a text that is no value.
    """

    name: str
    help: str
    values: str
    parse: Callable[[str], Any]


def _text(text: str) -> str | None:
    return text or None


def _texts(text: str) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) or None


def _whole(least: int) -> Callable[[str], int | None]:
    return lambda text: int(text) if text.isdecimal() and int(text) >= least else None


def _one_of(values: Sequence[str]) -> Callable[[str], str | None]:
    return lambda text: text if text in values else None


def _character(text: str) -> str | None:
    text = _WORDS.get(text.lower(), text)
    return text if len(text) == 1 else None


def _decimal(text: str) -> str | None:
    text = _WORDS.get(text.lower(), text)
    return text if text in (".", ",") else None


def _yes(text: str) -> bool | None:
    return _YES.get(text.lower())


REPEATS = ("auto", "mean", "sum", "first", "last", "error")

READ_OPTIONS: dict[str, ReadOption] = {
    row.name: row
    for row in (
        ReadOption(
            "freq", "step to average the rows onto", "a pandas frequency such as D, h or 15min", _text
        ),
        ReadOption("repeats", "rows of equal timestamp", f"one of {', '.join(REPEATS)}", _one_of(REPEATS)),
        ReadOption(
            "max_gap", "longest gap that is filled, in steps", "a whole number of 0 or more", _whole(0)
        ),
        ReadOption("season", "rows in a season", "a whole number of 1 or more", _whole(1)),
        ReadOption("series_id", "which series of a long table", "its name in the id column", _text),
        ReadOption("id_column", "the column that names the series", "a column's name", _text),
        ReadOption("missing", "texts that mean missing", 'texts with commas between, such as "?,x"', _texts),
        ReadOption("delimiter", "between the columns", "one character, tab or space", _character),
        ReadOption("decimal", "the decimal mark", '"." or ","', _decimal),
        ReadOption("days", "whether midnights of a time zone are days of that zone", "yes or no", _yes),
        ReadOption("header", "whether the first row names the columns", "yes or no", _yes),
    )
}


def parse_reading(texts: Sequence[str]) -> dict[str, Any]:
    """Options for `read_series` from texts like "freq=h". Raises UserError, listing what is allowed."""
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not mark:
            raise UserError(explain("An option of reading is NAME=VALUE", text, "For example freq=h"))
        if name not in READ_OPTIONS:
            meant = nearest(name, READ_OPTIONS)
            raise UserError(explain(f"Options of reading are {', '.join(READ_OPTIONS)}", name, meant))
        if name in found:
            raise UserError(explain(f"The option of reading {name} is given twice", text, "Give it once"))
        # A blank may be the value, of the delimiter.
        found[name] = _parsed(name, value if value == " " else value.strip(), value)
    return found


def check_reading(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same options as values of Python: each checked, and the command line's words understood.

    Names that are no option of reading are left as they are. Raises UserError.
    """
    found = dict(given)
    for name, value in given.items():
        if name not in READ_OPTIONS or value is None:
            continue
        if name == "missing" and not isinstance(value, str):
            found[name] = tuple(str(text) for text in (value if isinstance(value, Iterable) else [value]))
        elif name != "missing" or value:
            # pandas' offsets go by their alias, truth by the words for it.
            text = getattr(value, "freqstr", str(value))
            found[name] = _parsed(name, {"True": "yes", "False": "no"}.get(text, text), value)
    return found


def _parsed(name: str, text: str, received: Any) -> Any:
    option = READ_OPTIONS[name]
    parsed = option.parse(text)
    if parsed is None:
        raise UserError(explain(f"{name} ({option.help}) is {option.values}", received))
    return parsed


def format_reading(reading: Mapping[str, Any]) -> list[str]:
    """The texts that `parse_reading` reads back; names that are no option of reading are left out."""
    back = {value: word for word, value in _WORDS.items() if word in ("tab", "space")}
    texts = []
    for name, value in reading.items():
        if name not in READ_OPTIONS or value is None or value == () or value == []:
            continue
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        elif isinstance(value, (list, tuple)):
            shown = ",".join(map(str, value))
        else:
            shown = back.get(str(value), str(value))
        texts.append(f"{name}={shown}")
    return texts
