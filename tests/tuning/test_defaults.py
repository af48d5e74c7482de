import numpy as np
import pytest

from lstune.errors import SpaceError
from lstune.search.space import Float, Int, Space, default_setting, sample_setting, snap_setting
from lstune.tuning.defaults import (
    Nature,
    build_space,
    default_space,
    first_settings,
    is_multiplicative,
    largest_lookback,
    parse_override,
)
from lstune.tuning.settings import HYPERPARAMETERS, recipe

NATURES = [
    Nature(60),
    Nature(100, season=12, positive=True),
    Nature(2100, season=7, positive=True),
    Nature(2100, season=24, positive=True, horizon=24),
    Nature(2500, season=365),
    Nature(2100, positive=True, multiplicative=True),
    Nature(50_000, season=168, dated=False),
    Nature(2100, positive=True, features=2),
]


@pytest.mark.parametrize("nature", NATURES, ids=str)
def test_every_default_setting_can_be_trained(nature):
    space = default_space(nature)
    rng = np.random.default_rng(0)
    for setting in [default_setting(space)] + [sample_setting(space, rng) for _ in range(30)]:
        got = recipe(setting)
        got.model(1, nature.horizon)
        assert got.lookback + nature.horizon < nature.rows / 2


@pytest.mark.parametrize("nature", NATURES, ids=str)
def test_first_settings_are_settings_of_the_space(nature):
    space = default_space(nature)
    settings = first_settings(space)
    assert 1 <= len(settings) <= 4
    filled = [snap_setting(space, setting) for setting in settings]
    _, first = build_space(None, nature)
    assert first == [setting for i, setting in enumerate(filled) if setting not in filled[:i]]


def test_a_fixed_transform_leaves_one_first_setting():
    space = default_space(NATURES[2]).replace({"transform": "relative"})
    assert first_settings(space) == [{}]


def test_the_space_depends_on_the_series():
    assert "log_difference" in default_space(Nature(2000, positive=True))["transform"].options
    assert "log_difference" not in default_space(Nature(2000))["transform"].options
    assert "seasonal_difference" not in default_space(Nature(2000))["transform"].options
    assert default_space(Nature(2000, dated=False))["calendar"].size == 1
    assert default_space(Nature(100))["units"].high < default_space(Nature(50_000))["units"].high
    assert "feature_inputs" not in default_space(Nature(2000))


def test_with_features_some_of_the_first_settings_do_without():
    space, first = build_space(None, Nature(2000, positive=True, features=3))
    assert space["feature_inputs"].options == ("all", "none")
    assert {setting["feature_inputs"] for setting in first} == {"all", "none"}
    _, alone = build_space(None, Nature(1400, positive=True, multiplicative=True, features=3))
    assert [setting["feature_inputs"] for setting in alone] == ["all"]


def test_how_far_ahead_known_features_are_shown_is_searched():
    assert "known_leads" not in default_space(Nature(2000, horizon=24, features=3))
    assert "known_leads" not in default_space(Nature(2000, horizon=1, features=3, known=3))
    space, first = build_space(None, Nature(2000, positive=True, horizon=24, features=3, known=3))
    assert space["known_leads"].options == ("all", "few")
    assert [setting["known_leads"] for setting in first[:2]] == ["all", "few"]
    assert space["feature_inputs"].options == ("all", "none")
    both, first = build_space(None, Nature(2000, positive=True, horizon=24, features=3, known=2))
    assert both["feature_inputs"].options == ("all", "known", "none")
    assert {setting["feature_inputs"] for setting in first} == {"all", "known", "none"}
    far, first = build_space(None, Nature(2000, positive=True, horizon=168, features=3, known=3))
    assert far["known_leads"].size == 1
    assert {setting["known_leads"] for setting in first} == {"few"}


def test_every_hyperparameter_of_the_field_is_in_the_space():
    space = default_space(Nature(2000, season=7, positive=True))
    wanted = "units layers activation dropout batch_size epochs optimizer learning_rate lookback"
    assert {*wanted.split(), "transform", "supervision", "stride"} <= set(space)
    assert set(space) <= set(HYPERPARAMETERS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("units=32", {"type": "fixed", "value": 32}),
        ("learning_rate=0.001..0.1", {"type": "float", "low": 0.001, "high": 0.1, "log": True}),
        ("learning_rate=1..2", {"type": "float", "low": 1, "high": 2, "log": True}),
        ("units=16..64", {"type": "int", "low": 16, "high": 64, "log": True}),
        ("dropout=0..0.5", {"type": "float", "low": 0, "high": 0.5, "log": False}),
        ("clipnorm=1..5", {"type": "float", "low": 1, "high": 5, "log": False}),
        ("patience=5..20:log", {"type": "int", "low": 5, "high": 20, "log": True}),
        ("transform=level,difference", ["level", "difference"]),
        ("stride=lookback/2", {"type": "fixed", "value": "lookback/2"}),
        (" units = 8, 16 ", [8, 16]),
    ],
)
def test_overrides(text, value):
    name, change = parse_override(text)
    assert change == value
    assert isinstance(default_space(NATURES[2]).replace({name: change}), Space)


def test_a_range_is_of_the_kind_that_the_default_space_has():
    for name, param in default_space(NATURES[2]).items():
        if isinstance(param, (Float, Int)):
            _, change = parse_override(f"{name}={param.low:g}..{param.high:g}")
            assert (change["type"], change["log"]) == (type(param).__name__.lower(), param.log), name


@pytest.mark.parametrize("text", ["units", "=3", "units=", "unit=3", "units=a..b", "units=1..2:lin"])
def test_bad_overrides(text):
    with pytest.raises(SpaceError, match="Received"):
        parse_override(text)


def test_largest_lookback():
    space = default_space(NATURES[2])
    assert largest_lookback(space) == space["lookback"].high
    assert largest_lookback(space.replace({"lookback": [5, 90, 20]})) == 90
    assert largest_lookback(space.replace({"lookback": 7})) == 7
    with pytest.raises(SpaceError, match="whole numbers"):
        largest_lookback(space.replace({"lookback": ["long"]}))


def test_prices_are_told_from_demand():
    rng = np.random.default_rng(0)
    price = 100 * np.exp(np.cumsum(rng.normal(0.002, 0.02, 2000)))
    demand = 100 + 30 * np.sin(np.arange(2000) / 4) + rng.normal(size=2000)
    assert is_multiplicative(price)
    assert not is_multiplicative(demand)
    assert not is_multiplicative(price - price.min() - 1)
    assert not is_multiplicative(price[:20])
    assert not is_multiplicative(np.ones(100))
    assert default_space(Nature(1400, positive=True, multiplicative=True))["transform"].options == (
        "log_difference",
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("units", 0),
        ("units", "abc"),
        ("units", [8, 0]),
        ("units", {"type": "int", "low": 0, "high": 8}),
        ("units", {"type": "float", "low": 1.5, "high": 8}),
        ("activation", ["tanh", "zzz"]),
        ("transform", ["level", "zzz"]),
        ("scaler", "zzz"),
        ("dropout", -1),
        ("dropout", [0.0, 1.0]),
        ("recurrent_dropout", 1.5),
        ("clipnorm", -1),
        ("lags", ["none", "0"]),
        ("stride", "lookback*2"),
        ("loss", ["mae", "mape"]),
        ("patience", -2),
        ("lookback", [8, "long"]),
    ],
)
def test_values_that_cannot_be_trained_are_refused_with_the_space(name, change):
    received = change[-1] if isinstance(change, list) else change
    with pytest.raises(SpaceError) as caught:
        build_space({name: change}, NATURES[2])
    assert isinstance(received, dict) or str(received) in str(caught.value)


def test_every_default_and_option_may_be_asked_for():
    for nature in NATURES:
        build_space(None, nature)
    for name, row in HYPERPARAMETERS.items():
        build_space({name: list(row.options or (row.default,))}, NATURES[2])
    build_space(
        {"transform": "relative", "supervision": "last", "clipnorm": [0, 1], "patience": 0}, NATURES[2]
    )
