"""HyperParameters as a space that lstune's samplers know, and settings back and forth.

Stepped and ordered values become whole numbers, so that a model-based sampler sees their order; each
hyperparameter keeps its condition where the space can express it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.parameters import Boolean, Choice, Fixed, Float, HyperParameter, Int
from lstune.search import Choice as ChoiceOf
from lstune.search import Fixed as FixedTo
from lstune.search import Float as FloatIn
from lstune.search import Int as IntIn
from lstune.search import Space

__all__ = ["SearchSpace", "search_space"]


@dataclass(frozen=True)
class _Coded:
    """A hyperparameter's parameter in the space, and its values in and out of it."""

    hp: HyperParameter
    parameter: Any
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


@dataclass(frozen=True)
class SearchSpace:
    """space: what samplers see.  coded: key in the space -> hyperparameter with its coding."""

    space: Space
    coded: dict[str, _Coded]

    def values(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """The active hyperparameters' values by name, for a setting of the space."""
        hps = HyperParameters()
        for key, coded in self.coded.items():
            hps._space.append(coded.hp)
            if hps.is_active(coded.hp) and key in setting:
                hps.values[coded.hp.name] = coded.decode(setting[key])
        return hps.values

    def setting(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The setting of the space for active values by name; None if a value is not one of the space's."""
        hps = HyperParameters()
        hps.values = dict(values)
        found: dict[str, Any] = {}
        for key, coded in self.coded.items():
            if coded.hp.name in values and hps.is_active(coded.hp):
                try:
                    found[key] = coded.encode(values[coded.hp.name])
                except (ValueError, TypeError, KeyError):
                    return None
        return found


def search_space(hps: HyperParameters, grid: bool = False) -> SearchSpace | None:
    """The space of these hyperparameters; None if there are none.

    With `grid` everything is countable: a range without steps is cut to ten values.
    """
    names = Counter(hp.name for hp in hps.space)
    coded: dict[str, _Coded] = {}
    keys: dict[str, str] = {}
    for place, hp in enumerate(hps.space):
        key = hp.name if names[hp.name] == 1 else f"{hp.name}@{place}"
        keys.setdefault(hp.name, key)
        code = _listed(hp, hp.values) if grid else _code(hp)
        coded[key] = _conditioned(code, coded, keys, names)
    if not coded:
        return None
    return SearchSpace(Space({key: each.parameter for key, each in coded.items()}, strict=False), coded)


def _code(hp: HyperParameter) -> _Coded:
    same = lambda value: value  # noqa: E731
    if isinstance(hp, Fixed):
        return _Coded(hp, FixedTo(hp.value), same, same)
    if isinstance(hp, (Boolean, Choice)) and not getattr(hp, "ordered", False):
        return _Coded(hp, ChoiceOf(list(hp.values)), same, same)
    if isinstance(hp, (Int, Float)) and hp.step is None and hp.sampling == "reverse_log":
        return _Coded(hp, FloatIn(0.0, 1.0), hp.value_to_prob, hp.prob_to_value)
    if isinstance(hp, Float) and hp.step is None:
        if hp.min_value == hp.max_value:
            return _Coded(hp, FixedTo(hp.min_value), same, same)
        return _Coded(hp, FloatIn(hp.min_value, hp.max_value, log=hp.sampling == "log"), float, float)
    if isinstance(hp, Int) and (hp.step is None or (hp.step == 1 and hp.sampling == "linear")):
        if hp.min_value == hp.max_value:
            return _Coded(hp, FixedTo(hp.min_value), same, same)
        return _Coded(hp, IntIn(hp.min_value, hp.max_value, log=hp.sampling == "log"), int, int)
    return _listed(hp, hp.values)


def _listed(hp: HyperParameter, values: Any) -> _Coded:
    """By place in the list of values."""
    listed = list(values)
    parameter = FixedTo(0) if len(listed) == 1 else IntIn(0, len(listed) - 1)

    def encode(value: Any) -> int:
        if value in listed:
            return listed.index(value)
        if isinstance(hp, (Int, Float)):
            return min(range(len(listed)), key=lambda place: abs(listed[place] - value))
        raise ValueError(value)

    return _Coded(hp, parameter, encode, lambda place: listed[place])


def _conditioned(
    code: _Coded, coded: Mapping[str, _Coded], keys: Mapping[str, str], names: Counter[str]
) -> _Coded:
    """With its conditions in the space's terms, where each parent is one hyperparameter and named once."""
    when: dict[str, list[Any]] = {}
    for condition in code.hp.conditions:
        key = keys.get(condition.name)
        if key is None or names[condition.name] != 1 or key in when:
            # Then it is drawn always, and its value dropped where it is not active.
            return code
        try:
            when[key] = [coded[key].encode(value) for value in condition.values]
        except (ValueError, TypeError):
            return code
    if not when:
        return code
    from dataclasses import replace

    return replace(code, parameter=replace(code.parameter, when=when))
