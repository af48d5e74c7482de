import json

import numpy as np
import pytest

from lstune.errors import SpaceError
from lstune.search import Study
from lstune.search.params import param_from_dict, param_to_dict
from lstune.search.space import (
    Choice,
    Fixed,
    Float,
    Int,
    Space,
    canonical_key,
    check_setting,
    default_setting,
    sample_setting,
    setting_at,
    snap_setting,
)


def conditional() -> Space:
    return Space(
        {
            "units_3": Int(1, 2, when={"layers": [3]}),
            "layers": Int(1, 3),
            "units_2": Int(1, 4, when={"layers": [2, 3]}),
            "gate": Choice(["a", "b"], when={"units_2": 4}),
            "rate": Float(0, 0.5, step=0.1),
            "epochs": Fixed(30),
        }
    )


@pytest.mark.parametrize(
    "param",
    [
        Int(3, 17),
        Int(3, 17, step=4),
        Int(1, 300, log=True),
        Float(0, 0.5, step=0.1),
        Choice(["a", None, True, 1.5]),
    ],
)
def test_unit_interval_reaches_every_value_in_equal_shares(param):
    values = param.values()
    assert len(values) == param.size
    for value in values:
        assert param.contains(value)
        assert param.snap(value) == value
        assert param.from_unit(param.to_unit(value)) == value
    grid = [param.from_unit(u) for u in (np.arange(5000) + 0.5) / 5000]
    if not getattr(param, "log", False):
        counts = [grid.count(v) for v in values]
        assert max(counts) - min(counts) <= 2
    assert param.from_unit(0.0) == values[0]
    assert param.from_unit(1.0) == values[-1]


def test_continuous_floats_map_both_ways():
    for param in (Float(-2, 3), Float(1e-5, 10, log=True)):
        for u in (0.0, 0.25, 0.5, 1.0):
            assert param.to_unit(param.from_unit(u)) == pytest.approx(u, abs=1e-12)
    assert Float(1e-4, 1, log=True).from_unit(0.5) == pytest.approx(1e-2)


def test_stepped_floats_are_the_numbers_meant():
    assert Float(0, 0.5, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Float(0, 1, step=0.3).values() == [0.0, 0.3, 0.6, 0.9]
    assert Float(0, 0.5, step=0.1).contains(0.1 + 0.2)
    assert not Float(0, 0.5, step=0.1).contains(0.25)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Int(5, 3), "low <= high"),
        (lambda: Int(0, 3, log=True), "low >= 1"),
        (lambda: Int(1, 9, step=2, log=True), "no step"),
        (lambda: Int(1, 9, step=0), "step"),
        (lambda: Int(True, 3), "whole"),
        (lambda: Float(0.0, 1.0, log=True), "low > 0"),
        (lambda: Float(0.1, 1.0, log=True, step=0.1), "not both"),
        (lambda: Float(0.0, float("inf")), "finite"),
        (lambda: Choice([]), "at least one"),
        (lambda: Choice([1, 1.0]), "differ"),
        (lambda: Choice([[1]]), "must be"),
        (lambda: Choice([float("nan")]), "must be"),
        (lambda: Int(1, 5, default=6), "default"),
        (lambda: Space({}), "maps names"),
        (lambda: Space({"a": Int(1, 2, when={"b": 1})}), "not in the space"),
        (lambda: Space({"a": Int(1, 2), "b": Int(1, 2, when={"a": [3]})}), "never be"),
        (lambda: Space({"a": Int(1, 2, when={"b": 1}), "b": Int(1, 2, when={"a": 1})}), "circle"),
        (lambda: Space({"a": {"low": 1}}), "low and high"),
        (lambda: Space({"a": {"low": 1, "high": 2, "steps": 1}}), "steps"),
        (lambda: Space({"a": {"type": "integer", "low": 1, "high": 2}}), "type"),
        (lambda: Space({"a": {"type": "int", "low": 1}}), "high"),
    ],
)
def test_malformed_spaces_are_refused_by_name(make, word):
    with pytest.raises(SpaceError, match=word):
        make()


def test_true_and_one_are_different_choices():
    choice = Choice([1, True, 0, False])
    assert [choice.index(v) for v in (1, True, 0, False)] == [0, 1, 2, 3]


def test_only_long_ascending_numbers_are_ordered():
    assert Choice([16, 32, 64]).ordered
    assert not Choice([16, 64, 32]).ordered
    assert not Choice(["a", "b", "c"]).ordered
    assert not Choice([True, False, None]).ordered


def test_size_counts_each_setting_once():
    space = conditional()
    settings = [setting_at(space, k) for k in range(space.size)]
    assert len({canonical_key(s) for s in settings}) == space.size
    # layers 1: 6 rates; 2: (3 + 2) units_2 with gate; 3: twice that
    assert space.size == 6 * (1 + 5 + 5 * 2)
    for setting in settings:
        assert check_setting(space, setting) == setting
    rng = np.random.default_rng(0)
    assert {canonical_key(sample_setting(space, rng)) for _ in range(6000)} == {
        canonical_key(s) for s in settings
    }
    assert Space({"x": Float(0, 1)}).size is None


def test_conditions_over_two_levels():
    space = conditional()
    assert snap_setting(space, {"layers": 1, "units_2": 4, "gate": "b"}).keys() == {
        "layers",
        "rate",
        "epochs",
    }
    assert "gate" in snap_setting(space, {"layers": 2, "units_2": 4})
    assert "gate" not in snap_setting(space, {"layers": 2, "units_2": 3})
    assert default_setting(space) == {"layers": 2, "units_2": 3, "rate": 0.3, "epochs": 30}


def test_settings_are_checked_and_snapped():
    space = conditional()
    with pytest.raises(SpaceError, match="lacks"):
        check_setting(space, {"layers": 2, "rate": 0.1})
    with pytest.raises(SpaceError, match="rate"):
        check_setting(space, {"layers": 1, "rate": 0.15})
    with pytest.raises(SpaceError, match="Check the spelling"):
        check_setting(space, {"layer": 1})
    assert snap_setting(space, {"layers": 9, "rate": 0.17, "units_2": -4, "units_3": 2})["layers"] == 3
    assert snap_setting(space, {"layers": 1, "rate": 0.17})["rate"] == 0.2


def test_canonical_key_ignores_order_and_number_type():
    assert canonical_key({"a": 1, "b": 2.0}) == canonical_key({"b": 2, "a": 1.0})
    assert canonical_key({"a": True}) != canonical_key({"a": 1})


def test_dictionaries_and_files_round_trip(tmp_path):
    space = conditional()
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    (tmp_path / "s.json").write_text(json.dumps({"space": space.to_dict()}))
    assert Space.load(tmp_path / "s.json") == space
    (tmp_path / "s.toml").write_text(
        "epochs = 30\nact = ['tanh', 'relu']\nunits = {low = 8, high = 256, log = true}\n"
        "rate = {low = 0, high = 0.5, step = 0.1}\n[units_2]\nlow = 8\nhigh = 16\nwhen = {act = 'relu'}\n"
    )
    assert Space.load(tmp_path / "s.toml") == Space(
        {
            "epochs": Fixed(30),
            "act": Choice(["tanh", "relu"]),
            "units": Int(8, 256, log=True),
            "rate": Float(0, 0.5, step=0.1),
            "units_2": Int(8, 16, when={"act": ["relu"]}),
        }
    )


def test_yaml_is_read_when_pyyaml_is_there(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "s.yaml").write_text("units: {low: 1, high: 4}\nact: [tanh, relu]\n")
    assert Space.load(tmp_path / "s.yaml") == Space({"units": Int(1, 4), "act": Choice(["tanh", "relu"])})


def test_bad_files_are_named(tmp_path):
    (tmp_path / "bad.toml").write_text("units = ")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "s.txt").write_text("")
    for name, word in [
        ("bad.toml", "not valid"),
        ("list.json", "table"),
        ("s.txt", "ends in"),
        ("no.json", "read"),
    ]:
        with pytest.raises(SpaceError, match=word):
            Space.load(tmp_path / name)


def test_replace_fixes_narrows_and_keeps_conditions():
    space = conditional().replace({"layers": 2, "units_2": [1, 4], "new": {"low": 0.0, "high": 1.0}})
    assert space["layers"] == Fixed(2)
    assert space["units_2"] == Choice([1, 4], when={"layers": [2, 3]})
    assert "units_3" not in space.searched
    assert space.size is None
    assert space.replace({"new": 0.5}).size == 6 * 3
    assert Space.from_dict(space.to_dict(), strict=False) == space


def test_a_default_of_true_is_not_taken_for_one():
    param = Choice([1, True], default=True)
    assert param_from_dict("p", json.loads(json.dumps(param_to_dict(param)))).default is True


def test_short_forms_of_parameters():
    assert param_from_dict("p", {"low": 1, "high": 2.5}) == Float(1, 2.5)
    assert param_from_dict("p", {"low": 1, "high": 2, "type": "Float"}) == Float(1, 2)
    assert param_from_dict("p", "adam") == Fixed("adam")
    assert param_from_dict("p", {"options": [1, 2], "default": 2}) == Choice([1, 2], default=2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Int(np.int64(2), np.uint8(6), step=np.int32(2), default=np.int64(4)), Int(2, 6, step=2, default=4)),
        (Int(1, 6, log=np.bool_(True)), Int(1, 6, log=True)),
        (Float(np.int64(0), np.float32(0.5), default=np.float64(0.25)), Float(0, 0.5, default=0.25)),
        (Choice((np.int64(1), np.float64(2.5), np.str_("a"))), Choice((1, 2.5, "a"))),
        (Choice((False, True), default=np.bool_(True)), Choice((False, True), default=True)),
        (Fixed(np.int64(3)), Fixed(3)),
        (Fixed(np.bool_(True), when={"x": [np.int64(1)]}), Fixed(True, when={"x": [1]})),
        (np.int64(3), Fixed(3)),
        ([np.float32(0.5), np.int64(2)], Choice((0.5, 2))),
        ({"low": np.int64(1), "high": np.int64(4)}, Int(1, 4)),
        ({"low": np.int64(1), "high": np.float64(4)}, Float(1, 4)),
    ],
)
def test_scalars_of_numpy_are_pythons(given, expected):
    space = Space({"y": param_from_dict("y", given)} | ({"x": Int(1, 2)} if hasattr(given, "when") else {}))
    assert space["y"] == expected
    assert (
        json.loads(json.dumps(space.to_dict()))["y"] == Space({"x": Int(1, 2), "y": expected}).to_dict()["y"]
    )


def test_settings_with_scalars_of_numpy():
    space = Space({"n": Int(1, 9), "rate": Float(0, 1), "gate": Choice([True, 2, "a"]), "flat": Fixed(True)})
    given = {"n": np.int64(3), "rate": np.float32(0.5), "gate": np.int64(2), "flat": np.bool_(True)}
    for setting in (check_setting(space, given), snap_setting(space, given)):
        assert json.dumps(setting) == '{"n": 3, "rate": 0.5, "gate": 2, "flat": true}'
    assert check_setting(space, {**given, "gate": np.bool_(True)})["gate"] is True
    assert Study(space, max_epochs=3, seed=np.int64(2), n_trials=np.int64(5)).seed == 2


@pytest.mark.parametrize("make", [Int, Float])
def test_a_bool_is_no_number_in_numpy_either(make):
    with pytest.raises(SpaceError, match="low must be"):
        make(np.bool_(False), 3)
