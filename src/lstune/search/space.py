"""A search space: named parameters, some of them conditional on others.

A *setting* is a dictionary of the active parameters' values. Inactive parameters never appear in a setting,
so two settings are the same exactly if their `canonical_key` is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstune.errors import SpaceError, explain
from lstune.search.params import (
    Choice,
    Fixed,
    Float,
    Int,
    Parameter,
    param_from_dict,
    param_to_dict,
    same,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Parameter",
    "Space",
    "canonical_key",
    "check_setting",
    "default_setting",
    "is_active",
    "load_tables",
    "sample_setting",
    "setting_at",
    "setting_from_unit",
    "snap_setting",
]

Setting = dict[str, Any]


class Space(Mapping[str, Parameter]):
    """An immutable mapping of names to parameters, in the order given.

    `order` holds the names with every parent before its children, `searched` those of them with more than
    one value. Raises SpaceError for unknown or circular conditions, and if `strict` for one that can never
    hold.
    """

    def __init__(self, params: Mapping[str, Any], *, strict: bool = True) -> None:
        if not isinstance(params, Mapping) or not params:
            raise SpaceError(explain("A space maps names to Int, Float, Choice or Fixed", params))
        for name in params:
            if not isinstance(name, str) or not name:
                raise SpaceError(explain("The name of a parameter must be text", name))
        self._params: dict[str, Parameter] = {n: param_from_dict(n, p) for n, p in params.items()}
        self.order: tuple[str, ...] = _topological(self._params, strict)
        self.searched: tuple[str, ...] = tuple(n for n in _possible(self) if self[n].size != 1)

    def __getitem__(self, name: str) -> Parameter:
        return self._params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def __repr__(self) -> str:
        return f"Space({self._params!r})"

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict(), sort_keys=True))

    @property
    def size(self) -> int | None:
        """Number of different settings, conditions taken into account; None if not countable."""
        return _count(self)

    def replace(self, changes: Mapping[str, Any]) -> Space:
        """A space with parameters added or exchanged; a plain value fixes one, a list makes a Choice.

        An exchanged parameter keeps its condition unless the change brings its own. Conditions that can no
        longer hold (units of a third layer once `layers` is fixed to 2) are no error: their parameters just
        stay inactive.
        """
        merged = dict(self._params)
        for name, change in changes.items():
            new = param_from_dict(name, change)
            old = merged.get(name)
            if old is not None and old.when is not None and new.when is None:
                new = param_from_dict(name, {**param_to_dict(new), "when": old.when})
            merged[name] = new
        return Space(merged, strict=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain tables for JSON or TOML; `Space.from_dict` reads them back."""
        return {name: param_to_dict(param) for name, param in self._params.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, strict: bool = True) -> Space:
        """Read tables as `to_dict` gives them, or in the short forms that `param_from_dict` knows."""
        return cls(data, strict=strict)

    @classmethod
    def load(cls, path: str | Path) -> Space:
        """Read a space from a .toml, .json or .yaml file; a lone table `space` is entered.

        Raises SpaceError naming the file.
        """
        return cls(load_tables(path))


def load_tables(path: str | Path) -> dict[str, Any]:
    """The tables of a .toml, .json or .yaml file, without making a space of them. Raises SpaceError."""
    path = Path(path)
    try:
        data = _READERS[path.suffix.lower()](path)
    except KeyError:
        raise SpaceError(explain("A space file ends in .toml, .json or .yaml", str(path))) from None
    except OSError as error:
        raise SpaceError(explain("The space file cannot be read", f"{path}: {error.strerror}")) from None
    except SpaceError:
        raise
    except Exception as error:  # each format has its own parse error
        raise SpaceError(explain(f"The space file {path.name} is not valid", str(error))) from None
    if not isinstance(data, dict):
        raise SpaceError(explain(f"The space file {path.name} must hold a table of parameters", data))
    inner = data.get("space")
    return inner if isinstance(inner, dict) and len(data) == 1 else data


def _read_toml(path: Path) -> Any:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib

    return tomllib.loads(path.read_text(encoding="utf-8"))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_yaml(path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise SpaceError(
            explain("Reading YAML needs the package pyyaml", str(path), "Write the space as .toml or .json")
        ) from None
    return yaml.safe_load(path.read_text(encoding="utf-8"))


_READERS = {".toml": _read_toml, ".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml}


def _topological(params: Mapping[str, Parameter], strict: bool) -> tuple[str, ...]:
    order: list[str] = []
    state: dict[str, int] = {}

    def visit(name: str, chain: tuple[str, ...]) -> None:
        if state.get(name) == 2:
            return
        if state.get(name) == 1:
            raise SpaceError(explain("Conditions must not go round in a circle", " -> ".join((*chain, name))))
        state[name] = 1
        for parent, allowed in (params[name].when or {}).items():
            if parent not in params:
                raise SpaceError(
                    explain(f"{name} is conditional on {parent!r}, which is not in the space", list(params))
                )
            for value in allowed:
                if strict and not params[parent].contains(value):
                    raise SpaceError(
                        explain(f"{name} waits for {parent}={value!r}, which can never be", params[parent])
                    )
            visit(parent, (*chain, name))
        state[name] = 2
        order.append(name)

    for name in params:
        visit(name, ())
    return tuple(order)


def _possible(space: Space) -> list[str]:
    """Names that are active in at least one setting, as far as each condition by itself can tell."""
    possible: list[str] = []
    for name in space.order:
        conditions = (space[name].when or {}).items()
        if all(p in possible and any(space[p].contains(v) for v in allowed) for p, allowed in conditions):
            possible.append(name)
    return possible


def is_active(param: Parameter, setting: Mapping[str, Any]) -> bool:
    """Whether `param`'s conditions hold in a setting whose parents have been decided."""
    return all(
        parent in setting and any(same(setting[parent], value) for value in allowed)
        for parent, allowed in (param.when or {}).items()
    )


def snap_setting(space: Space, setting: Mapping[str, Any]) -> Setting:
    """The nearest valid setting: values on steps within bounds, inactive dropped, missing at default.

    Raises SpaceError for a name that the space does not have or a value of the wrong kind.
    """
    _reject_unknown(space, setting)
    out: Setting = {}
    for name in space.order:
        param = space[name]
        if is_active(param, out):
            try:
                out[name] = param.snap(setting[name]) if name in setting else param.middle()
            except SpaceError as error:
                raise SpaceError(f"{name}: {error}") from None
    return out


def check_setting(space: Space, setting: Mapping[str, Any]) -> Setting:
    """A setting with its values as the space writes them. Raises SpaceError if one is missing or not allowed.

    Values of inactive parameters are dropped; Fixed parameters may be left out.
    """
    _reject_unknown(space, setting)
    out: Setting = {}
    for name in space.order:
        param = space[name]
        if not is_active(param, out):
            continue
        if name not in setting and not isinstance(param, Fixed):
            raise SpaceError(explain(f"The setting lacks {name}", dict(setting)))
        value = setting.get(name, param.middle())
        if not param.contains(value):
            raise SpaceError(explain(f"{name} must be a value of {param}", value))
        out[name] = param.snap(value)
    return out


def _reject_unknown(space: Space, setting: Mapping[str, Any]) -> None:
    unknown = [name for name in setting if name not in space]
    if unknown:
        raise SpaceError(
            explain(f"The space has {', '.join(space)}", ", ".join(map(str, unknown)), "Check the spelling")
        )


def default_setting(space: Space) -> Setting:
    """Every active parameter at its default, or its middle where none is given."""
    return snap_setting(space, {})


def setting_from_unit(space: Space, point: Mapping[str, float]) -> Setting:
    """The setting at a point of the unit cube over `space.searched` (each in [0, 1])."""
    out: Setting = {}
    for name in space.order:
        param = space[name]
        if is_active(param, out):
            out[name] = param.from_unit(point[name]) if name in point else param.middle()
    return out


def sample_setting(space: Space, rng: np.random.Generator) -> Setting:
    """A random setting: every parameter uniform on its own scale.

    Inactive parameters draw too, so that the same generator gives the same values whatever the conditions.
    """
    names = space.searched
    return setting_from_unit(space, dict(zip(names, rng.random(len(names)), strict=True)))


def canonical_key(setting: Mapping[str, Any]) -> str:
    """The same text for the same setting, whatever the order of names and for 1 and 1.0 alike."""

    def plain(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value

    return json.dumps({k: plain(v) for k, v in setting.items()}, sort_keys=True, separators=(",", ":"))


def _count(space: Space) -> int | None:
    if any(space[name].size is None for name in _possible(space)):
        return None
    return _count_from(space, 0, {}, _parents(space))


def _parents(space: Space) -> set[str]:
    return {parent for name in space.order for parent in (space[name].when or {})}


def _count_from(space: Space, place: int, setting: Setting, parents: set[str]) -> int:
    """Settings that complete `setting`, whose first `place` names of the order are decided.

    Only parents branch; every other parameter multiplies.
    """
    total = 1
    for k in range(place, len(space.order)):
        name = space.order[k]
        param = space[name]
        if not is_active(param, setting):
            continue
        if name in parents:
            branches = (_count_from(space, k + 1, {**setting, name: v}, parents) for v in param.values())
            return total * sum(branches)
        total *= param.size or 1
    return total


def setting_at(space: Space, index: int) -> Setting:
    """The setting with place `index` in the product of a countable space (0 <= index < space.size)."""
    parents = _parents(space)
    out: Setting = {}
    for k, name in enumerate(space.order):
        if not is_active(space[name], out):
            continue
        values = space[name].values()
        if name in parents:
            for value in values:
                count = _count_from(space, k + 1, {**out, name: value}, parents)
                if index < count:
                    break
                index -= count
            out[name] = value
        else:
            place, index = divmod(index, _count_from(space, k + 1, {**out, name: values[0]}, parents))
            out[name] = values[place]
    return out
