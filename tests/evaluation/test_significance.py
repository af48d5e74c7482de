import math

import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import diebold_mariano, encompassing, skill_interval

FIRST = [abs(math.sin(k * k)) for k in range(60)]
SECOND = [1.3 * abs(math.sin(3 * k * k + 1)) for k in range(60)]

# Computed apart from this package: the cosine transforms as sums in plain Python, Student's t from
# scipy.stats, and the interval's bounds by bisection for the ratio at which the test just rejects.
KNOWN = [
    (1, -2.5011801267690625, 0.04645400879956329, (0.005238918927516822, 0.38609250318386457)),
    (8, -2.564337400044028, 0.050380461065347056, (-0.0005926148117687546, 0.389323699209544)),
]


@pytest.mark.parametrize(("horizon", "statistic", "p_value", "interval"), KNOWN)
def test_known_values(horizon, statistic, p_value, interval):
    result = diebold_mariano(FIRST, SECOND, horizon=horizon)
    assert result.statistic == pytest.approx(statistic, rel=1e-10)
    assert result.p_value == pytest.approx(p_value, rel=1e-8)
    swapped = diebold_mariano(SECOND, FIRST, horizon=horizon)
    assert swapped.statistic == pytest.approx(-statistic)
    assert swapped.p_value == pytest.approx(p_value)
    assert skill_interval(FIRST, SECOND, horizon=horizon) == pytest.approx(interval, abs=1e-10)


def test_losses_that_do_not_differ():
    same = [0.5, 1.0, 2.0]
    assert diebold_mariano(same, same) == diebold_mariano(same, same, horizon=2)
    assert diebold_mariano(same, same).p_value == 1.0
    always_better = diebold_mariano([0.5, 1.0, 2.0], [1.5, 2.0, 3.0])
    assert (always_better.statistic, always_better.p_value) == (-math.inf, 0.0)


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


def test_a_negative_variance_estimate_falls_back_to_bartlett():
    # Errors that swing from side to side: the first autocovariance takes away more than there is.
    actual = np.array([1.0, -1.2, 1.1, -0.9, 1.0, -1.0, 1.1, -0.8])[:, None]
    found = encompassing(actual, np.zeros((8, 1)), np.ones((8, 1)), horizon=2)
    assert math.isfinite(found.statistic)
    assert found.statistic != 0.0


def test_bad_forecasts_for_encompassing():
    with pytest.raises(DataError):
        encompassing([1.0, 2.0], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(DataError):
        encompassing(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((4, 1)))


def autocorrelated(rng, phi, rows):
    """Losses of `rows` errors, each phi of the one before and noise."""
    errors = rng.normal(size=rows + 50)
    for t in range(1, len(errors)):
        errors[t] += phi * errors[t - 1]
    return np.abs(errors[50:])


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_equal_forecasts_are_rarely_called_different(phi):
    # 400 repetitions at 5 %, with errors that lean on each other too, where the textbook variance would tell
    # a third of them apart: six standard deviations are 6.5 points.
    rng = np.random.default_rng(11)
    rejected = sum(
        diebold_mariano(autocorrelated(rng, phi, 120), autocorrelated(rng, phi, 120)).p_value < 0.05
        for _ in range(400)
    )
    assert 0 < rejected / 400 < 0.13


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_interval_covers_the_skill_about_as_often_as_it_says(phi):
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(400):
        low, high = skill_interval(0.8 * autocorrelated(rng, phi, 200), autocorrelated(rng, phi, 200))
        hits += low <= 0.2 <= high
    assert 0.88 < hits / 400 <= 1.0  # 95 % wanted; the margin is about six standard deviations


def test_interval_and_p_never_contradict_each_other():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(200):
        own, base = 0.8 * autocorrelated(rng, 0.5, 90), autocorrelated(rng, 0.5, 90)
        low, high = skill_interval(own, base, horizon=3)
        assert low < 1 - own.sum() / base.sum() < high
        significant = diebold_mariano(own, base, horizon=3).p_value < 0.05
        assert significant == (not low <= 0.0 <= high)
        seen.add(significant)
    assert seen == {False, True}


def test_interval_without_a_baseline_error():
    assert all(map(math.isnan, skill_interval([1.0, 2.0], [0.0, 0.0])))


def test_interval_of_hardly_more_origins_than_the_horizon_says_nothing():
    rng = np.random.default_rng(0)
    first, second = rng.random(22), rng.random(22) + 0.1
    assert all(math.isnan(bound) for bound in skill_interval(first, second, horizon=24))
    assert all(math.isnan(bound) for bound in skill_interval(first, second, horizon=11))
    low, high = skill_interval(first, second, horizon=4)
    assert low < high
