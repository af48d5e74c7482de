"""Rows as they were read, and how they are to be cleaned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstune.errors import UserError, explain
from lstune.series.reading import REPEATS

__all__ = ["CleanOptions", "RawRows", "counted"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def counted(count: int, noun: str) -> str:
    """A number of things in words: "1 row", "5 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class RawRows:
    """Rows as read: stamps is None without dates; NaN is missing; `where` names rows of the source."""

    stamps: pd.DatetimeIndex | None
    values: F64
    features: F64
    target: str
    feature_names: tuple[str, ...]
    known_names: tuple[str, ...]
    where: Callable[[Sequence[int] | I64], str]
    name: str = "series"
    notes: tuple[str, ...] = ()
    order: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def take(self, index: Any) -> RawRows:
        """The rows at `index`, remembering where they came from."""
        return replace(
            self,
            stamps=None if self.stamps is None else self.stamps[index],
            values=self.values[index],
            features=self.features[index],
            order=self.order[index],
        )

    def noted(self, *notes: str) -> RawRows:
        """The same rows with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def place(self, index: Sequence[int] | I64) -> str:
        """Words for the places in the source of the rows at `index`."""
        return self.where(self.order[np.asarray(index, dtype=np.int64)])


@dataclass(frozen=True)
class CleanOptions:
    """repeats: what to do with rows of equal timestamp, one of REPEATS.
    max_gap: longest gap in steps that is filled; None decides by the season.
    freq: the step to use; finer rows are averaged onto it.  season: overrules the inferred one.
    check: whether a series that is constant or too short is refused (newer rows for a model may be short).
    closed: whether steps without a row are known to be closed times; else found out.
    """

    repeats: str = "auto"
    max_gap: int | None = None
    freq: str | None = None
    season: int | None = None
    check: bool = True
    closed: bool = False

    def __post_init__(self) -> None:
        if self.repeats not in REPEATS:
            raise UserError(explain(f"repeats must be one of {', '.join(REPEATS)}", self.repeats))
        if self.max_gap is not None and self.max_gap < 0:
            raise UserError(explain("max_gap must be 0 or more steps", self.max_gap))
        if self.season is not None and self.season < 1:
            raise UserError(explain("season must be 1 or more rows", self.season))
