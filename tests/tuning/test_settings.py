import pytest

from lstune.errors import ConfigError, SpaceError
from lstune.tuning.settings import HYPERPARAMETERS, recipe


def test_an_empty_setting_takes_every_default():
    got = recipe({})
    assert got.units == HYPERPARAMETERS["units"].default
    assert got.train.optimizer.name == "adam"
    assert got.train.supervision == got.supervision == "every"
    assert got.model(3, 2).returns_sequence
    assert (got.model(3, 2).input_size, got.model(3, 2).output_size) == (3, 2)


@pytest.mark.parametrize(
    ("stride", "supervision", "rows"),
    [
        (5, "every", 5),
        ("lookback/4", "every", 10),
        ("lookback/100", "every", 1),
        ("lookback/4", "last", 10),
        ("3", "last", 3),
    ],
)
def test_stride(stride, supervision, rows):
    assert recipe({"lookback": 40, "stride": stride, "supervision": supervision}).stride == rows


def test_last_step_supervision_gives_no_sequence():
    assert not recipe({"supervision": "last", "layers": 2}).model(1, 1).returns_sequence


def test_decay_is_a_function_of_the_epoch():
    got = recipe({"learning_rate": 0.01, "epochs": 10})
    rates = [got.schedule(epoch) for epoch in range(10)]
    assert rates[0] == pytest.approx(0.01)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    flat = recipe({"learning_rate": 0.01, "decay": "none"})
    assert {flat.schedule(epoch) for epoch in range(10)} == {0.01}


def test_weight_decay_is_for_adamw_only():
    assert recipe({"optimizer": "adam", "weight_decay": 0.1}).train.optimizer.decay == 0.0
    assert recipe({"optimizer": "adamw", "weight_decay": 0.1}).train.optimizer.decay == 0.1


def test_no_clip_and_no_patience():
    got = recipe({"clipnorm": 0, "patience": 0})
    assert got.train.optimizer.global_clipnorm is None
    assert got.train.patience is None


@pytest.mark.parametrize(
    "setting",
    [
        {"unit": 3},
        {"activation": "gelu"},
        {"stride": "lookback*2"},
        {"stride": 0},
        {"lookback": 0},
        {"lookback": 2.5},
        {"epochs": True},
        {"supervision": "some"},
        {"decay": "linear"},
        {"dropout": -1},
        {"dropout": "much"},
        {"recurrent_dropout": -0.1},
        {"clipnorm": -1},
        {"learning_rate": -0.01},
        {"learning_rate": "fast"},
        {"weight_decay": -1},
    ],
)
def test_bad_settings_name_the_rule(setting):
    with pytest.raises(SpaceError) as error:
        recipe(setting)
    assert "Received" in str(error.value)


def test_what_the_engine_refuses_stays_its_error():
    with pytest.raises(ConfigError, match="Dropout rate"):
        recipe({"dropout": 1.5}).model(1, 1)


@pytest.mark.parametrize(
    ("value", "season", "lags"),
    [
        ("none", 24, ()),
        ("season", 1, ()),
        ("season", 7, (7,)),
        ("season", 168, (24, 168)),
        ("168+24", 1, (24, 168)),
        (5, 1, (5,)),
    ],
)
def test_lags(value, season, lags):
    assert recipe({"lags": value}, season).lags == lags


@pytest.mark.parametrize("value", ["week", "0", "-3", "1+x"])
def test_bad_lags(value):
    with pytest.raises(SpaceError, match="lags"):
        recipe({"lags": value})
