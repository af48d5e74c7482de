import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import BASELINES, baseline_forecasts


def plain(name, values, origin, step, season):
    """Each baseline written as its definition, one value at a time."""
    known = list(values[: origin + 1])
    if name == "naive":
        return known[-1]
    if name == "drift":
        return known[-1] + step * (known[-1] - known[0]) / max(len(known) - 1, 1)
    if name == "mean":
        return sum(known) / len(known)
    row = origin + step
    while row > origin:
        row -= season
    return values[max(row, 0)]


SIMPLE = [row.name for row in BASELINES.values() if row.function is not None]


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize(("horizon", "season"), [(1, 4), (3, 4), (10, 4), (5, 2)])
def test_against_the_definition(name, horizon, season):
    values = np.random.default_rng(5).normal(size=40)
    origins = np.array([0, 1, 7, 20, 39])
    got = baseline_forecasts(values, origins, horizon=horizon, season=season)[name]
    wanted = [[plain(name, values, o, k, season) for k in range(1, horizon + 1)] for o in origins]
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_no_baseline_sees_rows_after_its_origin():
    values = np.random.default_rng(6).normal(size=30)
    changed = values.copy()
    changed[21:] = 1e6
    origins = np.arange(5, 21)
    before = baseline_forecasts(values, origins, horizon=6, season=5)
    after = baseline_forecasts(changed, origins, horizon=6, season=5)
    for name in SIMPLE:
        np.testing.assert_array_equal(before[name], after[name])


def test_without_a_season_no_seasonal_baseline():
    assert "seasonal_naive" not in baseline_forecasts([1.0, 2.0], [1])
    assert list(baseline_forecasts([1.0, 2.0], [1], season=2)) == ["naive", "seasonal_naive", "drift", "mean"]


@pytest.mark.parametrize("origins", [[], [-1], [2], [[0]]])
def test_origins_outside_the_series(origins):
    with pytest.raises(DataError, match="origins"):
        baseline_forecasts([1.0, 2.0], origins)
