"""HyperParameters: a search space that a model-building function declares by asking for values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from lstune.errors import explain
from lstune.kt.parameters import (
    Boolean,
    Choice,
    Fixed,
    Float,
    HyperParameter,
    Int,
    Parent,
    from_entry,
)

__all__ = ["HyperParameters"]


class HyperParameters:
    """A space and the current values of what is active in it.

    `hp.Int("units", 32, 256)` inside a model-building function declares the hyperparameter the first time and
    gives its value; None where its condition does not hold. `space` lists the declared hyperparameters in
    order, `values` maps the active ones' names to values. Two hyperparameters may share a name under
    different conditions.
    """

    def __init__(self) -> None:
        self._space: list[HyperParameter] = []
        self._scopes: list[str] = []
        self._conditions: list[Parent] = []
        self.values: dict[str, Any] = {}
        # Stacks of conditions that were entered while they held, and while they did not.
        self.active_scopes: list[list[Parent]] = []
        self.inactive_scopes: list[list[Parent]] = []

    # --- Declaring, and asking for values ---

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A whole number in a range that includes both ends.

        step: added from value to value, or multiplied with sampling "log" and "reverse_log".
        default: min_value if left out.
        """
        settings = {
            "min_value": min_value,
            "max_value": max_value,
            "step": step,
            "sampling": sampling,
            "default": default,
        }
        return self._ask(Int, name, settings, parent_name, parent_values)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A number in a range; arguments as for `Int`."""
        settings = {
            "min_value": min_value,
            "max_value": max_value,
            "step": step,
            "sampling": sampling,
            "default": default,
        }
        return self._ask(Float, name, settings, parent_name, parent_values)

    def Choice(
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of `values`, all of one type; numbers are taken to be ordered unless `ordered` is False."""
        settings = {"values": values, "ordered": ordered, "default": default}
        return self._ask(Choice, name, settings, parent_name, parent_values)

    def Boolean(
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """True or False."""
        return self._ask(Boolean, name, {"default": default}, parent_name, parent_values)

    def Fixed(self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None) -> Any:
        """A value that is not tuned."""
        return self._ask(Fixed, name, {"value": value}, parent_name, parent_values)

    def _ask(
        self, kind: type, name: str, settings: dict[str, Any], parent_name: str | None, parent_values: Any
    ) -> Any:
        scope = (
            self.conditional_scope(parent_name, parent_values) if parent_name else contextlib.nullcontext()
        )
        with scope:
            hp = kind(self._full(name), conditions=list(self._conditions), **settings)
            if self._exists(hp.name, hp.conditions):
                return self.values.setdefault(hp.name, hp.default) if self.is_active(hp) else None
            return self._register(hp)

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Names declared inside are prefixed with `name/`."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """What is declared inside is active only while `parent_name` has one of `parent_values`."""
        full = self._full(parent_name)
        if not self._exists(full):
            raise ValueError(explain("A condition needs a hyperparameter declared before it", full))
        condition = Parent(full, parent_values)
        self._conditions.append(condition)
        entered = self.active_scopes if condition.is_active(self.values) else self.inactive_scopes
        entered.append(list(self._conditions))
        try:
            yield
        finally:
            self._conditions.pop()

    # --- Reading ---

    @property
    def space(self) -> list[HyperParameter]:
        """The declared hyperparameters, parents before their children."""
        return self._space

    def get(self, name: str) -> Any:
        """The value of an active hyperparameter. Raises ValueError if inactive, KeyError if unknown."""
        full = self._full(name)
        if full in self.values:
            return self.values[full]
        if any(hp.name == full for hp in self._space):
            raise ValueError(explain("Only an active hyperparameter has a value", f"{full}, now inactive"))
        raise KeyError(explain("No hyperparameter of this name", full))

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.values

    def is_active(self, hyperparameter: HyperParameter | str) -> bool:
        """Whether all conditions hold; for a name, those of any hyperparameter that bears it."""
        if isinstance(hyperparameter, HyperParameter):
            return all(condition.is_active(self.values) for condition in hyperparameter.conditions)
        return any(self.is_active(hp) for hp in self._space if hp.name == str(hyperparameter))

    # --- Copying and joining ---

    def get_config(self) -> dict[str, Any]:
        """Plain data; `from_config` reads it back."""
        space = [{"class_name": type(hp).__name__, "config": hp.get_config()} for hp in self._space]
        return {"space": space, "values": dict(self.values)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HyperParameters:
        """The space and values that gave this configuration."""
        hps = cls()
        hps._space = [from_entry(entry) for entry in config["space"]]
        hps.values = dict(config["values"])
        return hps

    def copy(self) -> HyperParameters:
        """A copy that shares nothing; scopes are not copied."""
        return HyperParameters.from_config(self.get_config())

    def merge(self, hps: HyperParameters | Sequence[HyperParameter], overwrite: bool = True) -> None:
        """Take over hyperparameters; with `overwrite`, also over those that are here already."""
        for hp in hps.space if isinstance(hps, HyperParameters) else hps:
            if overwrite or not self._exists(hp.name, hp.conditions):
                self._register(hp, overwrite)

    def ensure_active_values(self) -> None:
        """Drop values of what is inactive, draw those that are missing."""
        for hp in self._space:
            if not self.is_active(hp):
                if not any(self.is_active(other) for other in self._space if other.name == hp.name):
                    self.values.pop(hp.name, None)
            elif hp.name not in self.values:
                self.values[hp.name] = hp.random_sample()

    # --- Inside ---

    def _full(self, name: str) -> str:
        return "/".join([*self._scopes, str(name)])

    def _exists(self, name: str, conditions: list[Parent] | None = None) -> bool:
        wanted = self._conditions if conditions is None else conditions
        return any(hp.name == name and hp.conditions == wanted for hp in self._space)

    def _register(self, hp: HyperParameter, overwrite: bool = False) -> Any:
        for condition in hp.conditions:
            if condition.name == hp.name:
                raise ValueError(explain("A hyperparameter cannot be its own condition", hp.name))
        # A copy, so that what a caller later does to its own does not reach this space.
        mine = type(hp).from_config(hp.get_config())
        for place, known in enumerate(self._space):
            if known.name == mine.name and known.conditions == mine.conditions:
                self._space[place] = mine
                break
        else:
            self._space.append(mine)
        if not self.is_active(mine):
            return None
        if overwrite or mine.name not in self.values:
            self.values[mine.name] = mine.default
        return self.values[mine.name]
