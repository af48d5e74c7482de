"""A delimited text file of any common dialect -> a table of text cells."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import DataError, explain
from lstune.series._numbers import MISSING, looks_like_number
from lstune.series._rows import counted
from lstune.series._times import looks_like_time

__all__ = ["TextTable", "decode", "read_text_table"]

_DELIMITERS = (";", "\t", "|", ",", " ")
_SAMPLE_LINES = 60
_WIDE = 50  # cells of one or two rows that are rather columns


@dataclass(frozen=True)
class TextTable:
    """Cells as text, the delimiter found, the line that each row begins in, notes for the user."""

    frame: pd.DataFrame
    delimiter: str
    lines: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()


def decompress(path: Path) -> bytes:
    """The file's bytes, unpacked if they are gzip, bzip2, xz or a zip of one file (told by content)."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if re.match(r"[a-z][a-z0-9]+:/", str(path)):
            fix = "Download it first, and name the file"
            raise DataError(
                explain("A file on this machine is needed, not an address", str(path), fix)
            ) from None
        raise DataError(explain("The file does not exist", str(path), _similar_files(path))) from None
    except IsADirectoryError:
        raise DataError(explain("A file is needed, not a folder", str(path), "Name the file in it")) from None
    except OSError as error:
        raise DataError(explain("The file cannot be read", f"{path}: {error.strerror or error}")) from error
    try:
        if raw[:2] == b"\x1f\x8b":
            return gzip.decompress(raw)
        if raw[:3] == b"BZh":
            return bz2.decompress(raw)
        if raw[:6] == b"\xfd7zXZ\x00":
            return lzma.decompress(raw)
        if raw[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
                if len(names) != 1 or "[Content_Types].xml" in names:
                    raise DataError(
                        explain(
                            "A zip archive must hold exactly one CSV file (an Excel workbook is none)",
                            f"{path.name} with {len(names)} files",
                            "Unpack it, or save the sheet as CSV",
                        )
                    )
                return archive.read(names[0])
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(
            explain(f"{path.name} is compressed but damaged", str(error), "Fetch it again")
        ) from error
    return raw


def _similar_files(path: Path) -> str | None:
    import difflib

    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"The folder {path.parent} does not exist either"
    close = difflib.get_close_matches(path.name, names, 3, 0.6)
    return f"Perhaps {' or '.join(close)} is meant" if close else "Check the path"


# How files begin that are no CSV. Headers may begin with "<" or "[" too: <DATE>,<CLOSE> and [date],[close].
_FOREIGN = (
    (rb"%PDF", "a PDF document", "Save its table as CSV"),
    (rb"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it with unzstd, or compress it as .gz"),
    (rb"\xd0\xcf\x11\xe0", "an Excel workbook", "Save the sheet as CSV"),
    (rb"\x89HDF", "an HDF5 file", "Read it with pandas.read_hdf and save it as CSV or Parquet"),
    (rb"SQLite format 3", "an SQLite database", "Save its table as CSV"),
    (rb"ARROW1|FEA1", "a Feather file", "Save it as Parquet or CSV"),
    (rb"(?s).{257}ustar", "a tar archive", "Unpack it and name the CSV file"),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|table|head|svg)",
        "a web page or XML",
        "Save the table as CSV",
    ),
    (
        rb"(\xef\xbb\xbf)?\s*(\[\s*[\[{]|\{\s*\")",
        "JSON",
        "Read it with pandas.read_json and save it as CSV or Parquet",
    ),
)


def decode(raw: bytes, name: str) -> str:
    """Text from bytes: UTF-8 with or without mark, UTF-16, UTF-32, else Windows-1252 (more than Latin-1).

    Raises DataError for what is no text, or not a table.
    """
    for start, what, fix in _FOREIGN:
        if re.match(start, raw[:300]):
            raise DataError(explain("A CSV or Parquet file is needed", f"{name}, which is {what}", fix))
    if raw[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        return raw.decode("utf-32", errors="replace")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    head = raw[:2000]
    if b"\x00" in head:
        # UTF-16 without its mark has a zero in every other byte of plain letters.
        for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            odd, even = head[offset::2], head[1 - offset :: 2]
            if odd.count(0) > 0.8 * len(odd) and even.count(0) < 0.2 * len(even):
                return raw.decode(encoding, errors="replace")
        raise DataError(
            explain(
                "The file is not text",
                f"{name}, with zero bytes",
                "Give CSV (also .gz), Parquet or a DataFrame; save an Excel sheet as CSV first",
            )
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def read_text_table(
    text: str, name: str, delimiter: str | None = None, header: bool | None = None
) -> TextTable:
    """Find the dialect of `text` and read it into a table of text cells.

    Passed over at the top: blank lines, lines beginning with '#', Excel's 'sep=' line, prose above the table,
    rows of names and their values ("Station;5"), and further rows of names or units below the header; at the
    end lines beginning with '#'.
    Raises DataError for an empty file, for lines with more fields than names or than other lines, and for
    rows that stand as columns.
    """
    # Only these end a line: str.splitlines would cut cells at form feeds and Unicode's separators too.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    while lines and lines[-1].lstrip().startswith("#"):
        lines.pop()
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped].lstrip().startswith("#")):
        skipped += 1
    if skipped < len(lines) and (stated := re.fullmatch(r"sep=(.)", lines[skipped].strip())):
        delimiter = delimiter or stated.group(1)
        skipped += 1
    filled = [n for n in range(skipped, min(len(lines), skipped + _SAMPLE_LINES)) if lines[n].strip()]
    sample = [lines[number] for number in filled]
    if not sample:
        raise DataError(explain("The file holds no rows", name, "Check that it was written completely"))
    delimiter = delimiter or _find_delimiter(sample)
    rows, ends = _cells(sample, delimiter, name)
    after = [filled[end - 1] + 1 for end in ends]  # the line after each row, which may have several
    width = max(Counter(len(row) for row in rows[1:] or rows).items(), key=lambda item: (item[1], item[0]))[0]
    prose = next((i for i, row in enumerate(rows) if len(row) > 1), 0) if width > 1 else 0
    prose += _preamble(rows[prose:], width) if header is not False else 0
    notes = []
    if prose:  # a title above the table has no delimiter
        several = f"{prose} lines, above the table, were" if prose > 1 else "line, above the table, was"
        notes = [f"The first {several} passed over"]
        rows, after, skipped = rows[prose:], after[prose:], after[prose - 1]
    has_header = _is_header(rows) if header is None else header
    header_line = after[0]
    # With row names before the columns, as R and pandas write them, or with a delimiter behind the last.
    unnamed = has_header and len(rows[0]) == width - 1
    row_names = unnamed and any(row[-1].strip() for row in rows[1:] if len(row) == width)
    if row_names:
        _check_row_names(rows, width, header_line)
    names = _column_names(rows[0] if has_header else [], width, row_names)
    more = _further_headers(rows) if has_header else 0
    if more:
        names[0] = next((row[0].strip() for row in reversed(rows[1 : 1 + more]) if row[0].strip()), names[0])
        was = "row of names below the header was" if more == 1 else "rows of names below the header were"
        notes.append(f"{more} more {was} passed over")
    if has_header:
        skipped = after[more]
    elif width > _WIDE and len(rows) <= 2:
        raise DataError(_turned(width, len(rows), name))
    else:
        notes.append(f"The file has no header: its columns are called {', '.join(names)}")
    twice = [cell for cell, count in Counter(rows[0]).items() if count > 1 and cell] if has_header else []
    if twice:
        notes.append(f"Of columns with the same name the second is called {twice[0]}.2, and so on")
    first = has_header + more
    if first < len(rows) and any(cell.strip() for cell in rows[first][width:]):  # pandas would cut it off
        raise DataError(_uneven(width, len(rows[first]), after[first], name))
    frame = _parse("\n".join(lines[skipped:]), delimiter, names, name, skipped)
    places = _line_numbers(frame, skipped + 1, len(lines))
    if has_header and not row_names:
        _check_unnamed(frame, len(rows[0]), header_line, places, delimiter)
    return TextTable(frame, delimiter, places, tuple(notes))


def _cells(sample: list[str], delimiter: str, name: str) -> tuple[list[list[str]], list[int]]:
    """The rows of some lines, and for each how many of the lines are read after it."""
    reader = csv.reader(sample, delimiter=delimiter, skipinitialspace=True)
    rows, ends = [], []
    try:
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
    except csv.Error as error:
        raise DataError(explain(f"{name} cannot be read as delimited text", str(error))) from error
    return rows, ends


def _preamble(rows: list[list[str]], width: int) -> int:
    """How many rows above the header hold something else, such as names and their values ("Station;5")."""
    if len(rows[0]) == width and any(_names_values(rows, column) for column in range(width)):
        return 0
    for count in range(1, len(rows) - 1):
        cells = [cell.strip() for cell in rows[count]]
        names = list(map(_is_name, cells))
        if len(cells) != width or sum(names) < 2 or sum(names) < sum(map(bool, cells)):
            continue
        # Names all the way from the first row are a header of several rows.
        if not any(_is_value(cell) for row in rows[:count] for cell in row) and len(rows[0]) == width:
            continue
        for column in range(width):
            above = [row[column].strip() for row in rows[:count] if len(row) > column]
            if _names_values(rows[count:], column) and not any(map(_is_value, above)):
                return count
    return 0


def _line_numbers(frame: pd.DataFrame, first: int, last: int) -> npt.NDArray[np.int64]:
    """The line that each row begins in; cells in quotes may hold newlines."""
    numbers = first + np.arange(len(frame), dtype=np.int64)
    if not len(frame) or numbers[-1] >= last:
        return numbers
    breaks = sum(frame[name].fillna("").str.count("\n").to_numpy(np.int64) for name in frame)
    return numbers + np.concatenate([[0], np.cumsum(breaks)[:-1]])


def _check_unnamed(
    frame: pd.DataFrame, named: int, header_line: int, places: npt.NDArray[np.int64], delimiter: str
) -> None:
    """Raise DataError where columns without a name are more than delimiters behind the last."""
    filled = frame.iloc[:, named:].fillna("").apply(lambda column: column.str.strip() != "").any(axis=1)
    if not filled.any():
        return
    row = int(np.flatnonzero(filled)[0])
    cells = [cell for cell in frame.iloc[row] if isinstance(cell, str)]
    raise DataError(_too_wide(named, header_line, cells, int(places[row]), delimiter))


def _turned(width: int, rows: int, name: str) -> str:
    return explain(
        "A file must have a row for each time",
        f"{counted(rows, 'row')} of {width} cells in {name}",
        "Turn it: pandas.read_csv(path, header=None).T.to_csv('turned.csv', index=False)",
    )


def _too_wide(named: int, header_line: int, cells: list[str], line: int, delimiter: str) -> str:
    return explain(
        "Every line must have as many cells as the header has names",
        f"{counted(named, 'name')} in line {header_line}, but lines of {len(cells)} cells "
        f"such as line {line}: {', '.join(cells)}",
        "Numbers with a decimal comma need quotes, or another delimiter between the columns"
        if delimiter == ","
        else "Give every column a name",
    )


# Names that a first column of times has, as it stands in a file.
_TIME_NAME = re.compile(
    r"(?i)\ufeff?(date|time|day|month|week|year|ds|datum|fecha|period|(date)?_?(time|stamp)+)"
)


def _further_headers(rows: list[list[str]]) -> int:
    """Rows below the header that still hold names or units (a ticker, "Date", degrees), three at most."""
    for count in range(min(4, len(rows) - 1)):
        cells = [cell.strip() for cell in rows[1 + count] if cell.strip()]
        if any(map(_is_value, cells)):
            return count
    return 0


def _find_delimiter(sample: list[str]) -> str:
    """The delimiter that cuts most lines into the same number of fields, more than one.

    Semicolon, tab and bar are asked before the comma, which may be a decimal mark; the blank, which dates and
    thousands hold, comes last.
    """
    best, best_share = "", 0.0
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(
                len(row) for row in csv.reader(sample, delimiter=delimiter, skipinitialspace=True) if row
            )
        except csv.Error:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        share = count / sum(widths.values())
        if width > 1 and share > best_share + 0.05:
            best, best_share = delimiter, share
    if best == "," and _is_one_decimal_column(sample):
        return "\t"
    return best or ","


def _is_one_decimal_column(sample: list[str]) -> bool:
    """One column of decimal-comma numbers ("12,5") looks like two columns; its header has no comma."""
    numbers = sample[1:] if len(sample) > 1 else sample
    return "," not in sample[0] and all(re.fullmatch(r"\s*-?\d+,\d+\s*", line) for line in numbers)


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: some cell is text above values, or no cell is a value."""
    cells = [cell.strip() for cell in rows[0]]
    named = list(map(_is_name, cells))
    if all(name or not cell for name, cell in zip(named, cells, strict=True)):
        return any(named)
    return any(_names_values(rows, column) for column in range(len(cells)))


def _names_values(rows: list[list[str]], column: int) -> bool:
    """Whether the first row's cell in this column is a name above values."""
    if not _is_name(rows[0][column].strip()):
        return False
    below = [row[column].strip() for row in rows[1:] if len(row) > column]
    below = [cell for cell in below if cell and cell.lower() not in MISSING]
    return bool(below) and all(map(_is_value, below))


def _is_name(cell: str) -> bool:
    return bool(cell) and cell.lower() not in MISSING and not _is_value(cell)


def _is_value(cell: str) -> bool:
    return looks_like_number(cell) or looks_like_time(cell)


def _check_row_names(rows: list[list[str]], width: int, line: int) -> None:
    """Raise DataError where decimal commas cut numbers in two, which would move every column by one."""
    full = [row for row in rows[1:] if len(row) == width]
    header, first = rows[0], full[0]
    timed = _TIME_NAME.fullmatch(header[0].strip()) and looks_like_time(first[0])
    names = [row[0].strip() for row in full]
    # Names of rows differ; numbers that do not are the first halves of numbers.
    halves = all(map(looks_like_number, names)) and len(set(names)) < len(names)
    if (timed and not looks_like_time(first[1])) or halves:
        raise DataError(
            explain(
                "Every line must have as many cells as the header has names",
                f"{len(header)} names in line {line}, but lines of {width} cells: {', '.join(first)}",
                "Numbers with a decimal comma need quotes, or another delimiter between the columns",
            )
        )


def _column_names(header: list[str], width: int, row_names: bool) -> list[str]:
    if not header:
        return [f"column_{i + 1}" for i in range(width)]
    names = [cell.strip().strip("\ufeff") for cell in header]
    if row_names:
        names.insert(0, "")
    names = [name or (f"column_{i + 1}" if i else "index") for i, name in enumerate(names)]
    while len(names) < width:
        names.append(f"column_{len(names) + 1}")
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[i] = f"{name}.{seen[name]}"
    return names


def _parse(body: str, delimiter: str, names: list[str], name: str, lines_before: int) -> pd.DataFrame:
    if not body.strip():
        raise DataError(
            explain("The file holds a header but no rows", name, "Check that it was written completely")
        )
    try:
        with warnings.catch_warnings():  # of empty cells behind the first row
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(body),
                sep=r"\s+" if delimiter == " " else delimiter,
                header=None,
                names=names,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                skipinitialspace=True,
                on_bad_lines="error",
            )
    except (pd.errors.ParserError, ValueError) as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found:
            expected, line, saw = (int(part) for part in found.groups())
            line = _line_of_row(body, delimiter, line)
            raise DataError(_uneven(expected, saw, line + lines_before, name)) from None
        raise DataError(explain(f"{name} cannot be read as delimited text", str(error).strip())) from error


def _line_of_row(body: str, delimiter: str, number: int) -> int:
    """The line that a row begins in; pandas counts rows, which may hold newlines between quotes."""
    reader, line = csv.reader(body.split("\n"), delimiter=delimiter, skipinitialspace=True), 0
    try:
        for _ in range(number):
            line = reader.line_num + 1
            next(reader)
    except (csv.Error, StopIteration):
        return number
    return line


def _uneven(expected: int, saw: int, line: int, name: str) -> str:
    return explain(
        f"Every line must have the same number of fields, {expected} here",
        f"{saw} fields in line {line} of {name}",
        "Mend that line; a decimal comma in a comma-separated file must be quoted",
    )
