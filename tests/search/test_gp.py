import numpy as np
import pytest
from scipy.special import log_ndtr

from lstune.search.encoding import Encoding
from lstune.search.records import TrialRecord, TrialState
from lstune.search.samplers._fidelity import full_values, rung_points
from lstune.search.samplers.gp import model as gp
from lstune.search.samplers.gp.acquisition import best_rows, log_expected_improvement, log_h
from lstune.search.samplers.gp.descent import minimise_in_box
from lstune.search.samplers.gp.sampler import _checkpoint, _subset, flatten_tail
from lstune.search.space import Float, Space, canonical_key, sample_setting
from lstune.search.testing import mixed_space


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def data(rng):
    """Forty rows of five columns, the third a category of three."""
    rows = rng.random((40, 5))
    rows[:, 2] = rng.integers(0, 3, 40)
    categorical = np.array([False, False, True, False, False])
    values = np.sin(4 * rows[:, 0]) + rows[:, 1] ** 2 + (rows[:, 2] == 1)
    return rows, (values - values.mean()) / values.std(), categorical


def test_encoding_snap_and_decode_agree_with_settings(rng):
    space = mixed_space()
    encoding = Encoding(space)
    for _ in range(200):
        setting = sample_setting(space, rng)
        row = encoding.encode(setting)
        decoded = encoding.decode(row)
        assert decoded["lr"] == pytest.approx(setting["lr"], rel=1e-12)  # through a logarithm and back
        assert canonical_key(decoded | {"lr": 0.0}) == canonical_key(setting | {"lr": 0.0})
        again = encoding.snap(encoding.to_points(row[None]))[0]
        np.testing.assert_allclose(again, row, atol=1e-12)
    points = rng.random((200, len(encoding.names)))
    for row in encoding.snap(points):
        np.testing.assert_allclose(encoding.encode(encoding.decode(row)), row, atol=1e-12)


def test_the_kernel_is_positive_definite_and_its_slope_right(data):
    rows, _, categorical = data
    squared = gp.Distances(rows, np.full(5, 2.0), categorical)(rows)
    deltas = gp.pair_deltas(rows, categorical)
    above = np.triu_indices(len(rows), 1)
    np.testing.assert_allclose(squared[above], np.full(5, 2.0) @ deltas, atol=1e-12)
    np.testing.assert_allclose(squared, squared.T, atol=1e-12)
    kernel = gp.matern(squared)
    assert np.linalg.eigvalsh(kernel).min() > 0
    at = np.linspace(0.01, 5, 50)
    difference = (gp.matern(at + 1e-6) - gp.matern(at - 1e-6)) / 2e-6
    value, slope = gp.matern_with_slope(at)
    np.testing.assert_allclose(value, gp.matern(at), rtol=1e-14)
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_the_gradient_of_the_fit_is_the_derivative(data, rng):
    rows, values, categorical = data
    likelihood = gp.Likelihood(gp.pair_deltas(rows, categorical), values)
    theta = gp.default_theta(5) + 0.3 * rng.standard_normal(7)
    _, gradient = likelihood(theta)
    for k, unit in enumerate(np.eye(7)):
        up, down = likelihood(theta + 1e-5 * unit)[0], likelihood(theta - 1e-5 * unit)[0]
        assert gradient[k] == pytest.approx((up - down) / 2e-5, abs=1e-5)


def test_the_fit_finds_which_columns_matter(data):
    rows, values, categorical = data
    hyper = gp.fit(rows, values, categorical)
    assert hyper.weights[:3].min() > 2 * hyper.weights[3:].max()
    assert hyper.noise < 0.05
    warm = gp.fit(rows, values, categorical, start=hyper.to_theta())
    np.testing.assert_allclose(warm.to_theta(), hyper.to_theta(), atol=0.3)


def test_the_posterior_is_the_plain_formula(data, rng):
    rows, values, categorical = data
    hyper = gp.Hyper(np.array([3.0, 2.0, 1.0, 0.1, 0.1]), 1.3, 0.01)
    posterior = gp.Posterior(hyper, rows, values, categorical)
    queries = rng.random((6, 5))
    queries[:, 2] = rng.integers(0, 3, 6)

    def kernel(queries):  # by the definition, a pair and a column at a time
        gap = queries[:, None, :] - rows[None, :, :]
        gap[:, :, categorical] = gap[:, :, categorical] != 0
        return 1.3 * gp.matern((gap**2 * hyper.weights).sum(axis=2))

    k, cross = kernel(rows) + 0.01 * np.eye(40), kernel(queries)
    mean, variance = posterior.predict(queries)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(k, values), atol=1e-6)
    np.testing.assert_allclose(
        variance, 1.3 - np.sum(cross * np.linalg.solve(k, cross.T).T, axis=1), atol=1e-6
    )
    again, again_variance, mean_slope, variance_slope = posterior.predict_with_gradient(queries)
    np.testing.assert_allclose(again, mean, atol=1e-9)
    np.testing.assert_allclose(again_variance, variance, atol=1e-9)
    for d in range(5):
        step = np.zeros(5) if d == 2 else np.eye(5)[d] * 1e-5
        up, down = posterior.predict(queries + step), posterior.predict(queries - step)
        np.testing.assert_allclose(mean_slope[:, d], (up[0] - down[0]) / 2e-5, atol=1e-5)
        np.testing.assert_allclose(variance_slope[:, d], (up[1] - down[1]) / 2e-5, atol=1e-5)


def test_a_category_unseen_so_far_differs_from_all_others(data):
    rows, _, categorical = data
    hyper = gp.Hyper(np.array([3.0, 2.0, 1.0, 0.1, 0.1]), 1.3, 0.01)
    known = rows[rows[:, 2] < 2]
    query = rows[:1].copy()
    query[:, 2] = 7
    squared = gp.Distances(known, hyper.weights, categorical)(query)
    numeric = ~categorical
    plain = ((query - known)[:, numeric] ** 2) @ hyper.weights[numeric] + 1.0
    np.testing.assert_allclose(squared[0], plain, atol=1e-12)


def test_pending_rows_keep_the_mean_and_shrink_the_variance(data, rng):
    rows, values, categorical = data
    hyper = gp.fit(rows, values, categorical)
    waiting = rng.random((3, 5))
    waiting[:, 2] = 1
    before = gp.Posterior(hyper, rows, values, categorical)
    after = gp.Posterior(hyper, rows, values, categorical, waiting)
    np.testing.assert_allclose(after.predict(waiting)[0], before.predict(waiting)[0], atol=1e-3)
    assert (after.predict(waiting)[1] < 0.5 * before.predict(waiting)[1]).all()


def test_repeated_rows_do_not_break_the_factorisation():
    rows = np.full((30, 2), 0.5)
    hyper = gp.Hyper(np.ones(2), 1.0, 1e-6)
    posterior = gp.Posterior(hyper, rows, np.linspace(-1, 1, 30), np.zeros(2, dtype=bool))
    mean, variance = posterior.predict(np.array([[0.5, 0.5], [0.1, 0.9]]))
    assert np.isfinite(mean).all()
    assert (variance > 0).all()


def test_log_h_is_accurate_everywhere():
    z = np.array([-5.0, -1.0001, -0.9999, 0.0, 2.0, 30.0])
    plain = np.log(np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) + z * np.exp(log_ndtr(z)))
    np.testing.assert_allclose(log_h(z), plain, rtol=1e-8)
    # far below: h(z) ~ phi(z) / z**2 (1 - 3 / z**2)
    far = np.array([-40.0, -1e3, -9.9e3, -1.1e4, -1e8])
    expected = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(-far) + np.log1p(-3 / far**2)
    np.testing.assert_allclose(log_h(far), expected, rtol=1e-6)
    grid = np.linspace(-50, 5, 20_001)
    assert (np.diff(log_h(grid)) > 0).all()


def test_log_ei_equals_sampled_improvement(rng):
    mean, variance, best = np.array([0.3, -0.2]), np.array([0.25, 0.04]), 0.1
    draws = mean[:, None] + np.sqrt(variance)[:, None] * rng.standard_normal((2, 400_000))
    sampled = np.maximum(best - draws, 0).mean(axis=1)
    # 400,000 draws: a relative standard error below 0.3 %
    np.testing.assert_allclose(np.exp(log_expected_improvement(mean, variance, best)), sampled, rtol=0.02)


def test_the_acquisition_is_maximised_as_by_a_fine_grid(rng):
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    rows = rng.random((15, 2))
    values = np.sin(5 * rows[:, 0]) * np.cos(3 * rows[:, 1])
    values = (values - values.mean()) / values.std()
    nothing = np.zeros(2, dtype=bool)
    posterior = gp.Posterior(gp.fit(rows, values, nothing), rows, values, nothing)
    best = float(posterior.mean(rows).min())
    found = best_rows(posterior, Encoding(space), best, rows[:4], rng, fidelity=False)[:1]
    axis = np.linspace(0, 1, 201)
    grid = np.array([[a, b] for a in axis for b in axis])
    top = log_expected_improvement(*posterior.predict(grid), best).max()
    assert log_expected_improvement(*posterior.predict(found), best)[0] > top - 0.01


def test_descent_finds_the_minima_of_box_problems(rng):
    """Rosenbrock's valley, inside the box and with the minimum outside it, from several starts at once."""
    calls = []

    def valley(points, which):
        calls.append(len(points))
        x, y = points.T
        value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        gradient = np.stack([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)], axis=1)
        return value + which, gradient  # a start's own number shows that the right one is passed

    starts = rng.uniform(-1, 2, (6, 2))
    low, high = np.array([-2.0, -2.0]), np.array([2.0, 2.0])
    found, value = minimise_in_box(valley, starts, low, high, reach=1.0, rounds=200, tolerance=1e-14)
    np.testing.assert_allclose(found, 1.0, atol=1e-5)
    np.testing.assert_allclose(value - np.arange(6), 0.0, atol=1e-9)
    assert len(calls) < 120  # that is, it learns the curvature
    high = np.array([0.5, 2.0])
    found, _ = minimise_in_box(valley, starts, low, high, reach=1.0, rounds=200, tolerance=1e-14)
    np.testing.assert_allclose(found, [[0.5, 0.25]] * 6, atol=1e-5)


def test_descent_never_ends_above_its_start_and_keeps_to_its_rounds(rng):
    calls = []

    def rough(points, which):
        calls.append(which)
        value = np.abs(points - 0.3).sum(axis=1) + 0.2 * np.sin(60 * points).sum(axis=1)
        return value, np.sign(points - 0.3) + 12 * np.cos(60 * points)

    starts = rng.random((5, 3))
    before = rough(starts, np.arange(5))[0]
    calls.clear()
    low, high = np.where(starts < 0.5, 0.0, starts), 1.0  # bounds may differ between starts
    found, value = minimise_in_box(rough, starts, low, high, reach=0.2, rounds=7, tolerance=0.0)
    assert len(calls) <= 8
    assert (value <= before).all()
    assert (found >= low).all()
    np.testing.assert_allclose(rough(found, np.arange(5))[0], value)


def test_flatten_tail_keeps_the_order_and_calms_outliers(rng):
    raw = np.concatenate([rng.normal(1, 0.1, 50), [50.0, 1e4, 1e9]])
    flat = flatten_tail(raw)
    assert (np.diff(flat[np.argsort(raw)]) >= 0).all()
    assert abs(flat.mean()) < 1e-9
    assert flat.std() == pytest.approx(1)
    assert flat.max() < 8
    assert np.isfinite(flatten_tail(np.ones(5))).all()
    # the good half stays straight
    good = np.sort(raw)[:20]
    slopes = np.diff(flatten_tail(raw)[np.argsort(raw)][:20]) / np.diff(good)
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-6)


def test_checkpoints_never_lie_ahead_and_grow():
    marks = [_checkpoint(n) for n in range(2, 2000)]
    assert all(mark <= n for n, mark in enumerate(marks, 2))
    assert marks == sorted(marks)
    assert len(set(marks)) < 160


def test_a_subset_keeps_the_best(rng):
    values = rng.random(500)
    keep = _subset(values, 90)
    assert len(keep) == len(set(keep)) == 90
    assert set(np.argsort(values)[:30]) <= set(keep)


def test_values_are_carried_to_full_epochs():
    def trial(number, *rungs, state=TrialState.PAUSED):
        return TrialRecord(number, {}, state, rungs[-1][1], rungs[-1][0], rungs=rungs, job=(0, rungs[-1][0]))

    trials = [
        trial(0, (1, 4.0), (3, 2.0), (9, 1.0), state=TrialState.COMPLETE),
        trial(1, (1, 6.0), (3, 3.0)),
        trial(2, (1, 8.0)),
        TrialRecord(3, {}, TrialState.DIVERGED),
        TrialRecord(4, {}),
    ]
    assert full_values(trials, 9) == pytest.approx({0: 1.0, 1: 1.5, 2: 2.0})
    early = TrialRecord(0, {}, TrialState.COMPLETE, 0.7, 5, rungs=((1, 4.0), (5, 0.7)), job=(1, 9))
    assert list(rung_points(early, 9)) == [(1, 4.0), (9, 0.7)]
