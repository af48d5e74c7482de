"""Hyperparameters behave as Keras Tuner's: side by side where it is installed."""

from __future__ import annotations

import math

import pytest

from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.parameters import Boolean, Choice, Fixed, Float, HyperParameter, Int, from_entry

CASES = {
    "int": ("Int", {"min_value": 3, "max_value": 12}),
    "int step": ("Int", {"min_value": 32, "max_value": 256, "step": 32, "default": 64}),
    "int step that misses the end": ("Int", {"min_value": 6, "max_value": 13, "step": 3}),
    "int log": ("Int", {"min_value": 2, "max_value": 1000, "sampling": "log"}),
    "int log step": ("Int", {"min_value": 2, "max_value": 32, "step": 2, "sampling": "log"}),
    "int reverse_log": ("Int", {"min_value": 1, "max_value": 100, "sampling": "reverse_log"}),
    "one int": ("Int", {"min_value": 5, "max_value": 5}),
    "float": ("Float", {"min_value": -1.0, "max_value": 2.5}),
    "float step": ("Float", {"min_value": 0.0, "max_value": 1.0, "step": 0.25}),
    "float log": ("Float", {"min_value": 1e-4, "max_value": 1e-1, "sampling": "log", "default": 1e-3}),
    "float log step": ("Float", {"min_value": 0.001, "max_value": 10, "step": 10, "sampling": "log"}),
    "float reverse_log": ("Float", {"min_value": 1.0, "max_value": 50.0, "sampling": "reverse_log"}),
    "float reverse_log step": (
        "Float",
        {"min_value": 1.0, "max_value": 8.0, "step": 2.0, "sampling": "reverse_log"},
    ),
    "choice": ("Choice", {"values": ["adam", "sgd", "rmsprop"], "default": "sgd"}),
    "number choice": ("Choice", {"values": [8, 16, 64]}),
    "unordered numbers": ("Choice", {"values": [0.1, 0.01], "ordered": False}),
    "boolean": ("Boolean", {"default": True}),
    "fixed": ("Fixed", {"value": 7}),
}
PROBABILITIES = [0.0, 0.013, 0.2, 0.333, 0.5, 0.61, 0.75, 0.9, 0.9999]


def declare(hp, kind, settings, name="a"):
    return getattr(hp, kind)(name, **settings)


@pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES)
def test_values_and_configurations_are_keras_tuners(kind, settings, keras_tuner):
    mine, theirs = HyperParameters(), keras_tuner.HyperParameters()
    assert declare(mine, kind, settings) == declare(theirs, kind, settings)
    ours, other = mine.space[0], theirs.space[0]
    assert ours.get_config() == other.get_config()
    assert ours.default == other.default
    assert sorted(ours.values) == pytest.approx(sorted(other.values)) if kind != "Choice" else True
    for prob in PROBABILITIES:
        value = ours.prob_to_value(prob)
        assert value == pytest.approx(other.prob_to_value(prob)) if kind != "Choice" else True
        assert type(value) is type(other.prob_to_value(prob))
        assert ours.value_to_prob(value) == pytest.approx(other.value_to_prob(other.prob_to_value(prob)))
    assert mine.get_config() == theirs.get_config()
    assert HyperParameters.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert ours.random_sample(seed=4) == pytest.approx(other.random_sample(seed=4)) or kind == "Choice"


@pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES)
def test_every_value_is_reached_and_found_again(kind, settings):
    hp = HyperParameters()
    declare(hp, kind, settings)
    param = hp.space[0]
    for value in param.values:
        prob = param.value_to_prob(value)
        assert 0.0 <= prob < 1.0
        assert param.prob_to_value(prob) == pytest.approx(value) if kind != "Choice" else True
    entry = {"class_name": kind, "config": param.get_config()}
    assert from_entry(entry).get_config() == param.get_config()
    assert kind in repr(param)


def test_steps_of_a_tenth_are_not_lost_to_binary_fractions():
    """Keras Tuner's own count drops the last value here."""
    hp = HyperParameters()
    hp.Float("dropout", 0.1, 0.7, step=0.1)
    assert list(hp.space[0].values) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_asking_again_gives_the_current_value():
    hp = HyperParameters()
    assert hp.Int("units", 32, 256, step=32) == 32
    hp.values["units"] = 96
    assert hp.Int("units", 32, 256, step=32) == 96
    assert hp.get("units") == hp["units"] == 96
    assert len(hp.space) == 1
    assert "units" in hp
    assert "other" not in hp
    with pytest.raises(KeyError):
        hp.get("other")


def test_conditions_as_keras_tuner_has_them(keras_tuner):
    def build(hp):
        seen = [hp.Choice("model", ["a", "b"])]
        with hp.conditional_scope("model", ["a"]):
            seen.append(hp.Int("units", 1, 5, default=2))
            with hp.name_scope("inner"):
                seen.append(hp.Boolean("flag", default=True))
        with hp.conditional_scope("model", "b"):
            seen.append(hp.Int("units", 10, 50, default=20))
        seen.append(hp.Float("rate", 0, 1, parent_name="model", parent_values=["b"]))
        return seen

    def shown(hp):
        """The space with conditions counted: Keras Tuner adds module names to theirs."""
        entries = hp.get_config()["space"]
        return [
            (e["class_name"], {**e["config"], "conditions": len(e["config"]["conditions"])}) for e in entries
        ]

    for value in ("a", "b"):
        mine, theirs = HyperParameters(), keras_tuner.HyperParameters()
        for hp in (mine, theirs):
            hp.values = {"model": value}
            build(hp)
        assert build(mine) == build(theirs)
        assert mine.values == theirs.values
        assert [mine.is_active(hp) for hp in mine.space] == [theirs.is_active(hp) for hp in theirs.space]
        assert mine.is_active("units")
        assert len(mine.active_scopes) == len(theirs.active_scopes)
        assert len(mine.inactive_scopes) == len(theirs.inactive_scopes)
        assert shown(mine) == shown(theirs)
        # What Keras Tuner wrote is read, conditions and all.
        assert HyperParameters.from_config(theirs.get_config()).get_config() == mine.get_config()
    mine.values = {"model": "a"}
    with pytest.raises(ValueError, match="inactive"):
        mine.get("rate")


def test_inactive_gives_none_and_no_value():
    hp = HyperParameters()
    hp.Choice("kind", ["x", "y"])
    with hp.conditional_scope("kind", ["y"]):
        assert hp.Int("depth", 1, 3) is None
    assert hp.values == {"kind": "x"}
    hp.values["kind"] = "y"
    hp.ensure_active_values()
    assert hp.values["depth"] in (1, 2, 3)
    hp.values["kind"] = "x"
    hp.ensure_active_values()
    assert hp.values == {"kind": "x"}
    with pytest.raises(ValueError, match="declared before"), hp.conditional_scope("nothing", [1]):
        pass
    with pytest.raises(ValueError, match="its own condition"):
        hp.Int("kind", 1, 2, parent_name="kind", parent_values=["x"])


def test_copy_and_merge():
    hp = HyperParameters()
    hp.Int("units", 1, 9)
    hp.values["units"] = 7
    other = hp.copy()
    other.values["units"] = 3
    assert hp["units"] == 7
    wider = HyperParameters()
    wider.Int("units", 1, 99, default=50)
    wider.Fixed("seed", 0)
    hp.merge(wider, overwrite=False)
    assert (hp.space[0].max_value, hp["units"], hp["seed"]) == (9, 7, 0)
    hp.merge(wider)
    assert (hp.space[0].max_value, hp["units"], len(hp.space)) == (99, 50, 2)


def test_mistakes_are_refused_as_keras_tuner_refuses_them(keras_tuner):
    mistakes = [
        ("Int", ("a", 5, 1), {}),
        ("Int", ("a", 1.5, 3), {}),
        ("Int", ("a", 0, 3), {"sampling": "log"}),
        ("Int", ("a", 1, 3), {"sampling": "cubic"}),
        ("Int", ("a", 1, 8), {"sampling": "log", "step": 1}),
        ("Float", ("a", 2, 1), {}),
        ("Choice", ("a", []), {}),
        ("Choice", ("a", ["x"]), {"default": "y"}),
        ("Choice", ("a", ["x"]), {"ordered": True}),
        ("Choice", ("a", ["x", 1]), {}),
        ("Boolean", ("a",), {"default": 3}),
        ("Fixed", ("a", [1]), {}),
    ]
    for kind, args, kwargs in mistakes:
        with pytest.raises(Exception) as theirs:
            getattr(keras_tuner.HyperParameters(), kind)(*args, **kwargs)
        with pytest.raises(theirs.type):
            getattr(HyperParameters(), kind)(*args, **kwargs)


def test_kinds_are_public_classes():
    assert all(issubclass(kind, HyperParameter) for kind in (Int, Float, Choice, Boolean, Fixed))
    with pytest.raises(ValueError, match="one of"):
        from_entry({"class_name": "Date", "config": {}})
    assert math.isclose(Float("a", 0, 1).prob_to_value(0.25), 0.25)
