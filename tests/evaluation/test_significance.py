import math

import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import diebold_mariano, encompassing, skill_interval

# Losses with statistic and p computed apart from this package: the sums of Harvey, Leybourne & Newbold
# (1997) written out in plain Python and Student's t from scipy.stats.
KNOWN = [
    (
        1,
        [0.0, 0.3, 0.27, 0.89, 0.45, 0.99, 0.06, 1.34, 0.49, 0.62, 0.49, 0.36],
        [0.11, 0.93, 0.03, 0.7, 1.34, 0.46, 1.9, 1.29, 1.84, 0.24, 1.27, 0.27],
        -1.5928623814899732,
        0.139498115078356,
    ),
    (
        3,
        [0.16, 0.19, 2.52, 0.54, 0.05, 0.11, 1.53, 0.48, 0.98, 0.81, 1.06, 0.81],
        [0.03, 0.88, 0.58, 0.11, 0.11, 0.06, 1.23, 0.08, 1.36, 1.55, 0.86, 0.12],
        1.8187257662920326,
        0.09625636716640945,
    ),
]


@pytest.mark.parametrize(("horizon", "first", "second", "statistic", "p_value"), KNOWN)
def test_known_values(horizon, first, second, statistic, p_value):
    result = diebold_mariano(first, second, horizon=horizon)
    assert result.statistic == pytest.approx(statistic, rel=1e-10)
    assert result.p_value == pytest.approx(p_value, rel=1e-8)
    swapped = diebold_mariano(second, first, horizon=horizon)
    assert swapped.statistic == pytest.approx(-statistic)
    assert swapped.p_value == pytest.approx(p_value)


def test_one_step_equals_the_one_sample_t_test():
    # With horizon 1 the corrected statistic is exactly Student's one-sample t on the differences.
    from scipy import stats

    rng = np.random.default_rng(2)
    a, b = rng.gamma(2.0, size=25), rng.gamma(2.1, size=25)
    reference = stats.ttest_1samp(a - b, 0.0)
    result = diebold_mariano(a, b)
    assert result.statistic == pytest.approx(reference.statistic)
    assert result.p_value == pytest.approx(reference.pvalue)


def test_losses_that_do_not_differ():
    same = [0.5, 1.0, 2.0]
    assert diebold_mariano(same, same) == diebold_mariano(same, same, horizon=2)
    assert diebold_mariano(same, same).p_value == 1.0
    always_better = diebold_mariano([0.5, 1.0, 2.0], [1.5, 2.0, 3.0])
    assert (always_better.statistic, always_better.p_value) == (-math.inf, 0.0)


def test_a_negative_variance_estimate_falls_back_to_bartlett():
    gap = np.array([1.0, -1.2, 1.1, -0.9, 1.0, -1.0, 1.1, -0.8])
    result = diebold_mariano(gap + 3.0, np.full(8, 3.0), horizon=2)
    assert math.isfinite(result.statistic)
    assert 0.0 < result.p_value <= 1.0


def test_too_few_origins_for_the_horizon_say_nothing():
    assert diebold_mariano([1.0, 2.0, 5.0], [0.0, 4.0, 1.0], horizon=4).p_value == 1.0


@pytest.mark.parametrize(
    ("first", "second"), [([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0]), ([[1.0, 2.0]], [[1.0, 2.0]])]
)
def test_bad_losses(first, second):
    with pytest.raises(DataError):
        diebold_mariano(first, second)


# ---- encompassing --------------------------------------------------------------------------------------


def test_the_weight_and_its_t_are_those_of_a_regression_through_the_origin():
    # With horizon 1: White's (1980) t of least squares without a constant, from statsmodels.
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(5)
    actual, first = rng.normal(size=(2, 40, 1))
    second = first + 0.4 * (actual - first) + rng.normal(size=(40, 1))
    fit = sm.OLS((actual - first)[:, 0], (second - first)[:, 0]).fit(cov_type="HC0")
    found = encompassing(actual, first, second)
    assert found.weight == pytest.approx(fit.params[0])
    assert found.statistic == pytest.approx(fit.tvalues[0] * math.sqrt(39 / 40))


def test_overlapping_errors_are_no_more_evidence():
    # Each origin four times over: four times the rows, the same knowledge.
    rng = np.random.default_rng(6)
    actual, first = rng.normal(size=(2, 300, 1))
    second = first + 0.2 * (actual - first) + 0.5 * rng.normal(size=(300, 1))
    once = encompassing(actual, first, second)
    again = [np.repeat(part, 4, axis=0) for part in (actual, first, second)]
    naively = encompassing(*again).statistic
    fairly = encompassing(*again, horizon=4).statistic
    assert encompassing(*again).weight == pytest.approx(once.weight)
    assert naively == pytest.approx(2 * once.statistic, rel=0.01)
    assert fairly < 0.8 * naively


def test_a_forecast_that_knows_all_or_nothing_new():
    rng = np.random.default_rng(7)
    actual, first = rng.normal(size=(2, 50, 2))
    whole = encompassing(actual, first, actual)
    assert (whole.weight, whole.statistic) == (pytest.approx(1.0), math.inf)
    same = encompassing(actual, first, first)
    assert (same.weight, same.statistic) == (0.0, 0.0)
    away = encompassing(actual, first, 2 * first - actual)
    assert away.weight == pytest.approx(-1.0)
    assert away.statistic < 0
    assert encompassing(actual[:6], first[:6], actual[:6] + 0.1, horizon=3).statistic == 0.0


def test_bad_forecasts_for_encompassing():
    with pytest.raises(DataError):
        encompassing([1.0, 2.0], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(DataError):
        encompassing(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((4, 1)))


def test_equal_forecasts_are_rarely_called_different():
    # 400 repetitions at 5 %: six standard deviations are 6.5 points, so a false alarm is about 1 in 1e9.
    rng = np.random.default_rng(11)
    rejected = sum(
        diebold_mariano(np.abs(rng.normal(size=60)), np.abs(rng.normal(size=60))).p_value < 0.05
        for _ in range(400)
    )
    assert 0 < rejected / 400 < 0.115


def test_interval_covers_the_skill_about_as_often_as_it_says():
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(150):
        base = np.abs(rng.normal(size=200))
        own = 0.8 * np.abs(rng.normal(size=200))
        low, high = skill_interval(own, base, rng=rng, resamples=300)
        hits += low <= 0.2 <= high
    assert 0.86 < hits / 150 <= 1.0  # 95 % wanted; the margin is about five standard deviations


def test_interval_is_reproducible_and_ordered():
    rng = np.random.default_rng(1)
    own, base = rng.gamma(2, size=100), rng.gamma(3, size=100)
    first = skill_interval(own, base, rng=np.random.default_rng(0))
    assert first == skill_interval(own, base, rng=np.random.default_rng(0))
    assert first[0] < 1 - own.sum() / base.sum() < first[1]


def test_interval_without_a_baseline_error():
    assert all(map(math.isnan, skill_interval([1.0, 2.0], [0.0, 0.0], rng=np.random.default_rng(0))))


def test_interval_of_hardly_more_origins_than_the_horizon_says_nothing():
    """One block, wherever it begins, has the same sum."""
    rng = np.random.default_rng(0)
    first, second = rng.random(22), rng.random(22) + 0.1
    assert all(math.isnan(bound) for bound in skill_interval(first, second, rng=rng, horizon=24))
    assert all(math.isnan(bound) for bound in skill_interval(first, second, rng=rng, horizon=11))
    low, high = skill_interval(first, second, rng=rng, horizon=4)
    assert low < high
