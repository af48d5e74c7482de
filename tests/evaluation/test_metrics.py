import math

import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import METRICS, mase_scale, measure

TRUTH = [3.0, -1.0, 0.0, 4.0]
FORECAST = [2.0, -1.5, 1.0, 4.0]

# name, extras, plain value computed by hand from the formula of the row's paper
BY_HAND = [
    ("mae", {}, (1 + 0.5 + 1 + 0) / 4),
    ("rmse", {}, math.sqrt((1 + 0.25 + 1 + 0) / 4)),
    ("mase", {"scale": 2.0}, 0.625 / 2.0),
    ("smape", {}, 100 * (2 * 1 / 5 + 2 * 0.5 / 2.5 + 2 * 1 / 1 + 0) / 4),
    ("pinball", {"quantile": 0.9}, (0.9 * 1 + 0.9 * 0.5 + 0.1 * 1 + 0) / 4),
    ("coverage", {"upper": [3.0, -1.0, 2.0, 5.0]}, 3 / 4),
    ("directional_accuracy", {"previous": [2.5, -2.0, 0.0, 4.5]}, 2 / 3),
]


@pytest.mark.parametrize(("name", "extra", "expected"), BY_HAND, ids=[row[0] for row in BY_HAND])
def test_value_by_hand(name, extra, expected):
    assert measure(name, TRUTH, FORECAST, **extra) == pytest.approx(expected, rel=1e-12)


def test_mape_by_hand():
    assert measure("mape", [2.0, -4.0], [1.0, -5.0]) == pytest.approx(100 * (0.5 + 0.25) / 2)


def test_every_metric_has_a_hand_computed_value():
    assert {row[0] for row in BY_HAND} | {"mape"} == set(METRICS)


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_a_perfect_forecast_has_the_best_value(row):
    truth = np.array([[1.0, 2.0], [4.0, 3.0]])
    extra = {"scale": 1.0, "quantile": 0.3, "upper": truth, "previous": [[0.0], [5.0]]}
    best = {"lower": 0.0, "higher": 1.0, "nominal": 1.0}[row.direction]
    assert measure(row.name, truth, truth, **{key: extra[key] for key in row.needs}) == best


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_shapes_that_differ_are_refused(row):
    extra = {"scale": 1.0, "quantile": 0.3, "upper": [1.0, 2.0], "previous": [1.0, 2.0]}
    with pytest.raises(DataError, match="same shape"):
        measure(row.name, [1.0, 2.0], [1.0], **{key: extra[key] for key in row.needs})
    with pytest.raises(DataError, match="at least one"):
        measure(row.name, [], [], **{key: extra[key] for key in row.needs})


@pytest.mark.parametrize("row", METRICS.values(), ids=lambda row: row.name)
def test_each_row_names_its_rule_for_zero_and_its_paper(row):
    assert row.zero
    assert row.paper.endswith(")")


# metric, truth, forecast, extras, value at the zero that its rule speaks of
ZEROS = [
    ("mase", [1.0], [2.0], {"scale": 0.0}, math.nan),
    ("smape", [0.0, 1.0], [0.0, 1.0], {}, 0.0),
    ("smape", [0.0], [3.0], {}, 200.0),
    ("mape", [0.0, 1.0], [1.0, 1.0], {}, math.nan),
    ("directional_accuracy", [1.0], [2.0], {"previous": [1.0]}, math.nan),
    ("directional_accuracy", [2.0], [1.0], {"previous": [1.0]}, 0.5),
]


@pytest.mark.parametrize(("name", "truth", "forecast", "extra", "expected"), ZEROS)
def test_rule_for_zero(name, truth, forecast, extra, expected):
    value = measure(name, truth, forecast, **extra)
    assert value == expected or (math.isnan(value) and math.isnan(expected))


def test_unknown_metric_and_wrong_extras():
    with pytest.raises(DataError, match="one of mae, rmse"):
        measure("r2", [1.0], [1.0])
    with pytest.raises(DataError, match="needs scale"):
        measure("mase", [1.0], [1.0])
    with pytest.raises(DataError, match="needs nothing more"):
        measure("mae", [1.0], [1.0], scale=1.0)


def test_mase_scale_is_the_seasonal_naive_error_in_training():
    rows = [1.0, 5.0, 2.0, 7.0, 2.0]
    assert mase_scale(rows) == pytest.approx((4 + 3 + 5 + 5) / 4)
    assert mase_scale(rows, season=2) == pytest.approx((1 + 2 + 0) / 3)
    assert mase_scale(rows, season=99) == mase_scale(rows)
    seen = [True, True, False, True, True]
    assert mase_scale(rows, observed=seen) == pytest.approx((4 + 5) / 2)
    assert mase_scale(rows, season=2, observed=seen) == pytest.approx(2)
    assert math.isnan(mase_scale(rows, observed=[True, False, True, False, True]))
    with pytest.raises(DataError):
        mase_scale([1.0])


def test_mase_of_the_naive_forecast_in_training_is_one():
    rows = np.random.default_rng(3).normal(size=50).cumsum()
    assert measure("mase", rows[1:], rows[:-1], scale=mase_scale(rows)) == pytest.approx(1.0)
