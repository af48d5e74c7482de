import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import Intervals, choose_intervals, conformal, local_scale


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


def changing(rows=2000, seed=0):
    """A random walk whose steps are calm and wild by turns, and its naive errors."""
    source = np.random.default_rng(seed)
    calm = np.where(np.arange(rows) // 150 % 2 == 0, 1.0, 6.0)
    steps = calm * source.normal(size=rows)
    values = 100 + steps.cumsum()
    origins = np.arange(100, rows - 1)
    return values, origins, steps[origins + 1][:, None]


def test_local_scale_by_the_plain_formula():
    values = np.random.default_rng(0).normal(size=60).cumsum()
    steps = np.abs(np.diff(values))
    for origin in (1, 2, 30, 59):
        weights = 0.5 ** (np.arange(origin)[::-1] / 24.0)
        plain = (weights * steps[:origin]).sum() / weights.sum()
        assert local_scale(values, [origin])[0] == pytest.approx(plain)


def test_local_scale_knows_no_later_row_and_is_above_zero():
    values, origins, _ = changing(300)
    changed = values.copy()
    changed[200:] = 0
    early = origins[origins < 200]
    np.testing.assert_array_equal(local_scale(values, early), local_scale(changed, early))
    assert (local_scale(np.r_[np.zeros(50), 1.0, np.ones(500)], [0, 10, 540]) > 0).all()
    assert (local_scale(np.ones(20), [5]) == 1).all()


def test_changing_volatility_is_followed():
    values, origins, errors = changing()
    scale = local_scale(values, origins)
    half = len(origins) // 2
    got = choose_intervals(errors[:half], scale[:half])
    assert got.adaptive
    wild = origins[half:] // 150 % 2 == 1
    low, high = got.around(np.zeros((len(origins) - half, 1)), scale[half:])[0.8]
    inside = (errors[half:] >= low) & (errors[half:] <= high)
    # The scale lags behind each turn, so coverage is a little off on either side; fixed widths are far off.
    assert 0.6 < inside[wild].mean() < 0.95
    assert 0.6 < inside[~wild].mean() < 0.95
    plain = conformal(errors[:half]).half_widths[0, 0]
    assert (np.abs(errors[half:][~wild]) <= plain).mean() > 0.97  # what a fixed width does in calm times
    assert Intervals.from_dict(got.to_dict()).adaptive


def test_steady_errors_keep_fixed_widths():
    errors = np.random.default_rng(3).normal(size=(600, 1))
    scale = np.random.default_rng(4).uniform(0.5, 2.0, size=600)  # has nothing to do with the errors
    assert not choose_intervals(errors, scale).adaptive
    assert not choose_intervals(errors[:12], scale[:12]).adaptive


def test_adaptive_intervals_need_a_scale():
    got = Intervals((0.8,), np.array([[2.0, 3.0]]), adaptive=True)
    with pytest.raises(DataError, match="local scale"):
        got.around([0.0, 0.0])
    low, high = got.around([0.0, 0.0], 10.0)[0.8]
    assert low.tolist() == [-20.0, -30.0]
    low, high = got.around(np.zeros((2, 2)), [1.0, 2.0])[0.8]
    assert high.tolist() == [[2.0, 3.0], [4.0, 6.0]]


def test_a_filled_gap_is_no_calm():
    rng = np.random.default_rng(3)
    values = rng.normal(size=200).cumsum()
    observed = np.ones(200, bool)
    before = local_scale(values[:150], [149])[0]
    values[150:170], observed[150:170] = values[149], False
    assert local_scale(values, [149, 160, 169, 170], observed) == pytest.approx([before] * 4)
    assert local_scale(values, [169])[0] < 0.7 * before  # each filled row taken for a step of nothing
