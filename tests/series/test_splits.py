"""Splits: fractions, rolling origins, and series that are too short."""

from __future__ import annotations

import pandas as pd
import pytest

from lstune.errors import DataError, UserError
from lstune.series import Fold, Series, Split, split_series


def test_one_fold_is_cut_70_15_15():
    split = split_series(3000, max_lookback=60)
    assert split == Split((Fold(range(2100), range(2100, 2550)),), range(2550, 3000))
    assert split.development == range(2550)
    series = Series(pd.RangeIndex(3000), range(3000))
    assert split_series(series, max_lookback=60) == split


@pytest.mark.parametrize("folds", [1, 2, 3, 5])
@pytest.mark.parametrize("horizon", [1, 24])
def test_folds_roll_their_origin_up_to_the_test_tail(folds, horizon):
    split = split_series(2000, folds=folds, max_lookback=50, horizon=horizon)
    assert len(split.folds) == folds
    assert split.folds[-1].validation.stop == split.test.start
    assert split.test == range(1700, 2000)
    for fold in split.folds:
        assert fold.train.start == 0
        assert fold.train.stop == fold.validation.start
        assert len(fold.train) >= 50 + horizon + 19
    for earlier, later in zip(split.folds, split.folds[1:], strict=False):
        assert earlier.validation.stop == later.validation.start
        assert len(earlier.validation) == len(later.validation)
    assert len(split.folds[0].train) >= 0.3 * 1700


def test_a_short_tail_still_holds_some_windows_of_the_horizon():
    split = split_series(200, max_lookback=10, horizon=24, test_fraction=0.05, validation_fraction=0.05)
    assert len(split.test) == 28
    assert len(split.folds[0].validation) == 28


def test_too_short_tells_what_would_fit():
    with pytest.raises(
        DataError, match=r"too short: 70 rows are left.*lookback of 60.*needs at least 80.*at most 50"
    ):
        split_series(100, max_lookback=60)
    assert split_series(100, max_lookback=50).folds[0].train == range(70)
    with pytest.raises(DataError, match="Give more rows"):
        split_series(30, max_lookback=1, horizon=20)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"test_fraction": 0.0}, "test_fraction must lie between 0 and 1"),
        ({"validation_fraction": 1.5}, "validation_fraction must lie between 0 and 1"),
        ({"test_fraction": 0.5, "validation_fraction": 0.45}, "at least a tenth"),
        ({"folds": 0}, "folds must be a whole number"),
        ({"horizon": 1.5}, "horizon must be a whole number"),
    ],
)
def test_settings_out_of_range(settings, match):
    with pytest.raises(UserError, match=match):
        split_series(1000, **{"max_lookback": 10, **settings})
