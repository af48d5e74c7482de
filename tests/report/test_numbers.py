import numpy as np
import pytest

from lstune.report.numbers import (
    autocorrelation,
    best_so_far,
    expected_optimism,
    histogram,
    rounded,
    thin,
)


def test_thinning_keeps_ends_and_extremes():
    values = np.sin(np.arange(10_000) / 50)
    values[4321] = 9.0
    values[77] = -9.0
    rows = thin(values, 400)
    assert len(rows) <= 402
    assert {0, 77, 4321, 9999} <= set(rows.tolist())
    assert np.all(np.diff(rows) > 0)


def test_a_short_line_is_not_thinned():
    np.testing.assert_array_equal(thin([3.0, 1.0, 2.0], 10), [0, 1, 2])


def test_the_histogram_holds_every_value():
    values = np.random.default_rng(0).normal(size=1000)
    edges, counts = histogram(values)
    assert sum(counts) == 1000
    assert len(edges) == len(counts) + 1
    assert 15 <= len(counts) <= 60
    assert histogram([2.0, 2.0]) == ([1.5, 2.5], [2])


def test_autocorrelation_is_the_plain_formula():
    values = np.cumsum(np.random.default_rng(1).normal(size=200))
    gap = values - values.mean()
    plain = [sum(gap[t] * gap[t - k] for t in range(k, 200)) / sum(gap**2) for k in (1, 2, 3)]
    assert autocorrelation(values, 3) == pytest.approx(plain, rel=1e-3)
    assert autocorrelation([1.0, 1.0, 1.0], 5) == []
    assert len(autocorrelation([1.0, 2.0, 4.0], 40)) == 1


def test_best_so_far():
    assert best_so_far([None, 3.0, float("nan"), 2.0, 5.0]) == [None, 3.0, 3.0, 2.0, 2.0]


def test_optimism_is_what_equal_settings_show_by_chance():
    # 40 settings of the same true error 1, each with its own noise of standard error 0.1: the better half of
    # them is all that is known of the spread, so the estimate stays below the truth and above a third of it.
    rng = np.random.default_rng(2)
    found, truth = [], []
    for _ in range(200):
        values = 1.0 + 0.1 * rng.normal(size=40)
        losses = 1.0 + 1.0 * rng.normal(size=100)
        found.append(expected_optimism(losses, values))
        truth.append(1.0 - values.min())
    assert np.mean(truth) / 3 < np.mean(found) < np.mean(truth)


def test_optimism_needs_some_trials():
    assert expected_optimism([1.0, 2.0, 3.0], [1.0, 2.0]) is None


def test_rounding_keeps_significant_digits():
    assert rounded([123456.789, 0.000123456789]) == [123457.0, 0.000123457]
