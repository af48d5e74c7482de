import numpy as np
import pytest

from lstune.errors import DataError
from lstune.evaluation import baseline_forecasts, judge


def test_clear_skill_names_the_best_baseline_and_the_figures():
    noise = np.random.default_rng(4)
    truth = noise.normal(size=400)
    forecast = truth + 0.3 * noise.normal(size=400)
    verdict = judge(
        truth,
        forecast,
        {"naive": truth + 2 * noise.normal(size=400), "seasonal_naive": truth + noise.normal(size=400)},
    )
    assert verdict.has_skill
    assert verdict.baseline == "seasonal_naive"
    assert verdict.interval[0] < verdict.skill < verdict.interval[1]
    shown = f"beats seasonal naive by {100 * verdict.skill:.0f} % (95 % interval "
    assert verdict.text.startswith(shown)
    assert verdict.text.endswith("p < 0.001)")


def test_a_sure_and_tiny_gain_is_not_called_zero():
    noise = np.random.default_rng(4)
    base = 1.0 + noise.random(400)
    verdict = judge(np.zeros(400), base * (1.0 - 3e-4 - 2e-4 * noise.random(400)), {"naive": base})
    assert verdict.text == "beats naive by 0.040 % (95 % interval 0.040 to 0.041, p < 0.001)"


def test_no_skill_sends_to_the_baseline():
    noise = np.random.default_rng(5)
    truth = noise.normal(size=200)
    verdict = judge(truth, truth + 1.3 * noise.normal(size=200), {"naive": truth + noise.normal(size=200)})
    assert not verdict.has_skill
    assert verdict.text.startswith("no skill over naive: use the naive forecast (")
    assert "worse" in verdict.text


def test_better_by_chance_is_no_skill():
    noise = np.random.default_rng(6)
    truth = noise.normal(size=30)
    verdict = judge(truth, truth + 0.97 * noise.normal(size=30), {"naive": truth + noise.normal(size=30)})
    assert verdict.skill > 0
    assert verdict.p_value > 0.05
    assert "no skill over naive: use the naive forecast" in verdict.text
    assert "better" in verdict.text


@pytest.mark.parametrize(
    ("forecast", "baseline", "words"),
    [
        ([2.0, 3.0, 5.0], [2.0, 3.0, 5.0], "the errors are the same"),
        ([2.0, 3.0, 5.0], [1.0, 2.0, 3.0], "it is without error here"),
    ],
)
def test_degenerate_cases(forecast, baseline, words):
    verdict = judge([1.0, 2.0, 3.0], forecast, {"naive": baseline})
    assert not verdict.has_skill
    assert words in verdict.text


def test_one_row_is_never_skill():
    assert not judge([[1.0]], [[1.0]], {"naive": [[5.0]]}).has_skill


def test_bad_input():
    with pytest.raises(DataError, match="at least one baseline"):
        judge([1.0], [1.0], {})
    with pytest.raises(DataError, match="shape"):
        judge([1.0, 2.0], [1.0], {"naive": [1.0, 2.0]})


@pytest.mark.parametrize("horizon", [1, 4])
def test_random_walks_have_no_skill(horizon):
    # A forecast with noise of its own on a random walk: skill would be a false alarm (2.5 % at most).
    source = np.random.default_rng(8)
    alarms = 0
    for _ in range(200):
        walk = source.normal(size=150).cumsum()
        origins = np.arange(50, 150 - horizon)
        truth = np.stack([walk[origins + k] for k in range(1, horizon + 1)], axis=1)
        baselines = baseline_forecasts(walk, origins, horizon=horizon)
        model = baselines["naive"] + 0.05 * source.normal(size=truth.shape)
        alarms += judge(truth, model, baselines, horizon=horizon).has_skill
    assert alarms / 200 < 0.08


def test_a_seasonal_forecast_of_a_seasonal_series_has_skill():
    source = np.random.default_rng(9)
    found = 0
    for _ in range(50):
        clean = np.sin(np.arange(300) * 2 * np.pi / 12)
        series = clean + 0.3 * source.normal(size=300)
        origins = np.arange(150, 299)
        baselines = baseline_forecasts(series, origins, season=12)
        found += judge(series[origins + 1][:, None], clean[origins + 1][:, None], baselines).has_skill
    assert found >= 48


def test_too_few_origins_and_forecasts_that_are_not_finite_are_said():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(8, 6))
    good, bad = truth + 0.1, truth + 1.0
    verdict = judge(truth, good, {"naive": bad}, horizon=6)
    assert not verdict.has_skill
    assert verdict.text.endswith("(the LSTM was 90 % better, which may be chance: too few rows to test)")
    good[2, 1] = np.inf
    verdict = judge(truth, good, {"naive": bad}, horizon=6)
    assert verdict.text == "no skill over naive: use the naive forecast (the LSTM's is not finite)"
