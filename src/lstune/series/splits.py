"""Cuts in time: training rows, validation folds with a rolling origin, and the test tail.

Ranges hold target rows. In a scored range (validation, test) a window's H targets lie inside it and its
inputs may reach back before it, which is why every lookback is scored on the same target timestamps. In a
training range inputs and targets both lie inside, since it begins with the series' first row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lstune.errors import DataError, UserError, explain
from lstune.series.data import Series

__all__ = ["Fold", "Split", "split_series"]

# Fewer training windows than this cannot say anything about an LSTM; it is a floor, not advice.
MIN_TRAINING_WINDOWS = 20
MIN_SCORED_WINDOWS = 5


@dataclass(frozen=True)
class Fold:
    """One cut: train on `train`'s rows, score the targets in `validation`'s rows. Ranges of row numbers."""

    train: range
    validation: range


@dataclass(frozen=True)
class Split:
    """K folds in the order of time (the last one ends where the test tail begins) and the test tail."""

    folds: tuple[Fold, ...]
    test: range

    @property
    def development(self) -> range:
        """All rows before the test tail: what a final model may be fitted on before it is tested."""
        return range(self.test.start)


def split_series(
    rows: int | Series,
    *,
    test_fraction: float = 0.15,
    validation_fraction: float = 0.15,
    folds: int = 1,
    max_lookback: int,
    horizon: int = 1,
) -> Split:
    """Cut a series of `rows` rows (or a Series) in time.

    The last `test_fraction` of the rows is the test tail; the `validation_fraction` before it validates. With
    K folds the origin rolls back by one validation part for each earlier fold (Tashman 2000); the parts
    shrink when they would leave less than a third of the rows before the tail for the earliest training.
    Raises DataError when the earliest training part has no room for `max_lookback` rows of input.
    """
    if isinstance(rows, Series):
        rows = len(rows)
    _check_settings(test_fraction, validation_fraction, folds, max_lookback, horizon)
    scored = horizon + MIN_SCORED_WINDOWS - 1
    training = max_lookback + horizon + MIN_TRAINING_WINDOWS - 1
    test_rows = max(math.floor(rows * test_fraction + 0.5), scored)
    validation_rows = max(math.floor(rows * validation_fraction + 0.5), scored)
    left = rows - test_rows
    if folds > 1:
        validation_rows = max(scored, min(validation_rows, (left - max(training, left // 3)) // folds))
    if left - folds * validation_rows < training:
        raise DataError(_too_short(rows, test_rows, validation_rows, folds, max_lookback, horizon))
    cuts = []
    for back in range(folds, 0, -1):
        start = left - back * validation_rows
        cuts.append(Fold(range(start), range(start, start + validation_rows)))
    return Split(tuple(cuts), range(left, rows))


def _check_settings(
    test_fraction: float, validation_fraction: float, folds: int, max_lookback: int, horizon: int
) -> None:
    for name, value in (("test_fraction", test_fraction), ("validation_fraction", validation_fraction)):
        if not 0.0 < value < 1.0:
            raise UserError(explain(f"{name} must lie between 0 and 1", value, "0.15 is a good start"))
    if test_fraction + validation_fraction >= 0.9:
        raise UserError(
            explain(
                "test_fraction and validation_fraction must leave at least a tenth of the rows for training",
                f"{test_fraction} and {validation_fraction}",
                "Use smaller fractions; 0.15 each is a good start",
            )
        )
    for name, count in (("folds", folds), ("max_lookback", max_lookback), ("horizon", horizon)):
        if not isinstance(count, int) or count < 1:
            raise UserError(explain(f"{name} must be a whole number of 1 or more", count))


def _too_short(
    rows: int, test_rows: int, validation_rows: int, folds: int, lookback: int, horizon: int
) -> str:
    before = rows - test_rows - folds * validation_rows
    longest = before - horizon - MIN_TRAINING_WINDOWS + 1
    needs = lookback + horizon + MIN_TRAINING_WINDOWS - 1
    if longest >= 1:
        fix = f"Use a lookback of at most {longest}, fewer folds or smaller fractions, or give more rows"
    else:
        fix = "Give more rows, or use a shorter horizon, fewer folds or smaller fractions"
    return explain(
        f"The series is too short: {max(before, 0)} rows are left for training after the test tail "
        f"({test_rows}) and {folds} validation part{'s' if folds > 1 else ''} of {validation_rows}, but a "
        f"lookback of {lookback} with horizon {horizon} needs at least {needs}",
        f"{rows} rows",
        fix,
    )
