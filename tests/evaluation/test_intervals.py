import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import Intervals, conformal


def test_ranks_by_hand():
    # 9 residuals: ceil(10 * 0.8) = the 8th smallest; ceil(10 * 0.95) = 10 > 9, so the largest.
    residuals = np.array([[3, -1, 4, -1.5, 9, 2, -6, 5, 8]], dtype=float).T
    got = conformal(residuals)
    assert got.half_widths.tolist() == [[8.0], [9.0]]


def test_each_step_has_its_own_width():
    noise = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 2.0, 4.0]
    widths = conformal(noise).half_widths
    assert np.all(np.diff(widths, axis=1) > 0)
    assert np.all(widths[0] < widths[1])


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_coverage_on_fresh_rows(level):
    source = np.random.default_rng(1)
    rates = []
    for _ in range(200):
        got = conformal(source.standard_t(4, size=(99, 1)), levels=(level,))
        low, high = got.around(np.zeros((200, 1)))[level]
        fresh = source.standard_t(4, size=(200, 1))
        rates.append(np.mean((fresh >= low) & (fresh <= high)))
    # The guarantee is on average: between level and level + 1 / (N + 1). Six standard errors of tolerance.
    assert level - 0.02 < np.mean(rates) < level + 0.03


def test_around_and_round_trip():
    intervals = conformal(np.random.default_rng(2).normal(size=(40, 2)))
    assert Intervals.from_dict(intervals.to_dict()).to_dict() == intervals.to_dict()
    low, high = intervals.around([10.0, 20.0])[0.95]
    np.testing.assert_allclose((low + high) / 2, [10.0, 20.0])
    with pytest.raises(DataError, match="2 steps"):
        intervals.around([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "residuals", [np.zeros((0, 2)), np.zeros(5), np.array([[np.nan]]), np.array([[np.inf]])]
)
def test_bad_residuals(residuals):
    with pytest.raises(DataError, match="finite"):
        conformal(residuals)


def test_bad_levels():
    with pytest.raises(DataError, match="between 0 and 1"):
        conformal(np.zeros((3, 1)), levels=(95.0,))
