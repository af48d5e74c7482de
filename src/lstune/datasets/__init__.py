"""Small real series that come with the package; SOURCES.md beside them tells their origin and licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstune.errors import DataError, explain

if TYPE_CHECKING:
    from lstune.series.data import Series

__all__ = ["Dataset", "describe", "list_datasets", "load", "path_of"]


@dataclass(frozen=True)
class Dataset:
    """A series in the package: what it is, the column forecast unless another is named, and its licence."""

    name: str
    title: str
    rows: int
    step: str
    target: str
    columns: tuple[str, ...]
    licence: str


_CC0 = "CC0 (table), MIT (package it was taken from)"
_PRICES = ("open", "high", "low", "close", "volume")
_DATASETS = {
    row.name: row
    for row in (
        Dataset(
            "amzn",
            "Amazon share price in USD, 1997-05-15 to 2020-07-31",
            5842,
            "working day",
            "close",
            _PRICES,
            _CC0,
        ),
        Dataset(
            "btc",
            "Bitcoin price in USD, 2020-01-01 to 2021-10-27",
            666,
            "day",
            "close",
            _PRICES,
            _CC0,
        ),
        Dataset(
            "delhi",
            "Mean temperature in Delhi in degrees Celsius, 2013 to 2016",
            1462,
            "day",
            "meantemp",
            ("meantemp", "humidity", "wind_speed", "meanpressure"),
            _CC0,
        ),
        Dataset(
            "sunspots",
            "Sunspot number, 1700 to 2008",
            309,
            "year",
            "sunspots",
            ("sunspots",),
            "public domain",
        ),
        Dataset(
            "co2",
            "Carbon dioxide in the air over Mauna Loa in ppm, 1958 to 2001",
            2284,
            "week",
            "co2",
            ("co2",),
            "public domain",
        ),
    )
}


def list_datasets() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(_DATASETS)


def describe(name: str) -> Dataset:
    """What is known about the series called `name`; DataError for an unknown name."""
    if name not in _DATASETS:
        raise DataError(
            explain("No series of that name comes with lstune", name, f"Known: {', '.join(_DATASETS)}")
        )
    return _DATASETS[name]


def path_of(name: str) -> Path:
    """The file of the series called `name` (gzipped CSV)."""
    return Path(__file__).parent / f"{describe(name).name}.csv.gz"


def load(name: str, *, target: str | None = None, **options: Any) -> Series:
    """The series called `name`, cleaned; `options` are those of `lstune.series.read_series`."""
    from lstune.series.read import read_series

    about = describe(name)
    return read_series(path_of(name), target=target or about.target, name=name, **options)
