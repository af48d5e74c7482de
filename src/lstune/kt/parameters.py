"""The kinds of hyperparameter of Keras Tuner: Int, Float, Choice, Boolean, Fixed.

Each is known by its name and its conditions, gives its values an order, and maps them to and from [0, 1),
where a discrete one has bins of equal width. Configurations are Keras Tuner's, so its files can be read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from lstune.errors import explain

__all__ = ["Boolean", "Choice", "Fixed", "Float", "HyperParameter", "Int", "Parent", "from_entry"]

_SAMPLINGS = ("linear", "log", "reverse_log")


def _wrong(kind: str, name: str, rule: str, received: Any) -> str:
    return explain(f"hp.{kind}('{name}'): {rule}", received)


def plain(value: Any) -> Any:
    """A Python bool, int, float or str for a value that may be NumPy's. Raises TypeError for others."""
    if isinstance(value, (bool, str, float)) and type(value) in (bool, str, float):
        return value
    item = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    for kind in (bool, int, float, str):
        if isinstance(item, kind):
            return kind(item)
    raise TypeError(explain("A hyperparameter's value must be an int, float, str or bool", value))


class Parent:
    """The condition that the hyperparameter `name` has one of `values`."""

    def __init__(self, name: str, values: Any) -> None:
        self.name = name
        given = list(values) if isinstance(values, (list, tuple)) else [values]
        self.values = [plain(value) for value in given]

    def is_active(self, values: dict[str, Any]) -> bool:
        """Whether the condition holds, given the active values by name."""
        return self.name in values and values[self.name] in self.values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parent) and (other.name, other.values) == (self.name, self.values)

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.values)))

    def get_config(self) -> dict[str, Any]:
        """Plain data; `Parent(**config)` reads it back."""
        return {"name": self.name, "values": list(self.values)}


class HyperParameter:
    """Base of all kinds: a name, a default value, and conditions that must all hold for it to be active."""

    def __init__(self, name: str, default: Any = None, conditions: Any = None) -> None:
        self.name = name
        self._default = default
        if conditions is None:
            conditions = []
        self.conditions: list[Parent] = (
            list(conditions) if isinstance(conditions, (list, tuple)) else [conditions]
        )

    @property
    def default(self) -> Any:
        """The value that is tried first."""
        return self._default

    @property
    def values(self) -> Sequence[Any]:
        """All values in order; ten spread over the range if they cannot be counted."""
        raise NotImplementedError

    def prob_to_value(self, prob: float) -> Any:
        """The value at `prob` in [0, 1)."""
        raise NotImplementedError

    def value_to_prob(self, value: Any) -> float:
        """The middle of the value's bin in [0, 1)."""
        raise NotImplementedError

    def random_sample(self, seed: int | None = None) -> Any:
        """A random value, uniform in [0, 1)."""
        return self.prob_to_value(random.Random(seed).random())

    def get_config(self) -> dict[str, Any]:
        """Plain data; `from_config` reads it back."""
        conditions = [{"class_name": "Parent", "config": c.get_config()} for c in self.conditions]
        return {"name": self.name, "default": self.default, "conditions": conditions}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HyperParameter:
        """The hyperparameter that gave this configuration."""
        settings = dict(config)
        settings["conditions"] = [Parent(**entry["config"]) for entry in settings.get("conditions") or []]
        return cls(**settings)

    def __repr__(self) -> str:
        shown = {key: value for key, value in self.get_config().items() if key != "conditions"}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


def _bin(prob: float, count: int) -> int:
    return min(int(prob * count), count - 1)


class _Numerical(HyperParameter):
    """Int and Float: a range, perhaps with steps (added; multiplied on the logarithmic scales)."""

    def __init__(
        self,
        name: str,
        min_value: Any,
        max_value: Any,
        step: Any = None,
        sampling: str | None = "linear",
        default: Any = None,
        conditions: Any = None,
    ) -> None:
        super().__init__(name, default, conditions)
        self.min_value, self.max_value, self.step = min_value, max_value, step
        self.sampling = "linear" if sampling is None else str(sampling).lower()
        kind = type(self).__name__
        if min_value > max_value:
            rule = "min_value must not be above max_value"
            raise ValueError(_wrong(kind, name, rule, f"{min_value}, {max_value}"))
        if self.sampling not in _SAMPLINGS:
            rule = f"sampling must be one of {', '.join(_SAMPLINGS)}"
            raise ValueError(_wrong(kind, name, rule, sampling))
        if self.sampling != "linear" and min_value <= 0:
            raise ValueError(_wrong(kind, name, "min_value must be above 0 on a log scale", min_value))
        least = 0 if self.sampling == "linear" else 1
        if step is not None and step <= least:
            raise ValueError(_wrong(kind, name, f"step must be above {least} with this sampling", step))

    @property
    def default(self) -> Any:
        """The smallest value unless another is given."""
        return self.min_value if self._default is None else self._default

    def count(self) -> int | None:
        """How many values the steps allow; None without steps."""
        if self.step is None:
            return None
        if self.sampling == "linear":
            # 0.1 to 0.5 in steps of 0.1 are five values, whatever binary fractions make of it.
            return math.floor((self.max_value - self.min_value) / self.step + 1e-8) + 1
        return math.floor(math.log(self.max_value / self.min_value, self.step) + 1e-8) + 1

    def at(self, index: int) -> Any:
        """The value at a place from 0 to count() - 1."""
        if self.sampling == "linear":
            return self._clean(self.min_value + index * self.step)
        grown = self.min_value * self.step**index
        if self.sampling == "log":
            return self._clean(grown)
        return self._clean(self.max_value + self.min_value - grown)

    def place(self, value: Any) -> int:
        """The place of the value nearest to `value`."""
        count = self.count()
        assert count is not None
        if self.sampling == "linear":
            index = (value - self.min_value) / self.step
        else:
            shown = value if self.sampling == "log" else self.max_value + self.min_value - value
            index = math.log(max(shown, self.min_value) / self.min_value, self.step)
        return min(max(round(index), 0), count - 1)

    def _clean(self, value: Any) -> Any:
        raise NotImplementedError

    def _project(self, prob: float, top: float) -> float:
        low = self.min_value
        if self.sampling == "linear":
            return low + prob * (top - low)
        if self.sampling == "log":
            return low * (top / low) ** prob
        return top + low - low * (top / low) ** (1.0 - prob)

    def _locate(self, value: float, top: float) -> float:
        low = self.min_value
        if top == low:
            return 0.5
        if self.sampling == "linear":
            return (value - low) / (top - low)
        if self.sampling == "log":
            return math.log(value / low) / math.log(top / low)
        return 1.0 - math.log((top + low - value) / low) / math.log(top / low)

    @property
    def values(self) -> Sequence[Any]:
        """All steps in order, or ten values spread over the range."""
        count = self.count()
        if count is not None:
            return tuple(self.at(index) for index in range(count))
        return tuple(dict.fromkeys(self.prob_to_value(0.1 * index + 0.05) for index in range(10)))

    def prob_to_value(self, prob: float) -> Any:
        """The value at `prob` in [0, 1)."""
        count = self.count()
        if count is not None:
            return self.at(_bin(prob, count))
        return self._clean(self._project(prob, self._top()))

    def value_to_prob(self, value: Any) -> float:
        """The middle of the value's bin."""
        count = self.count()
        if count is not None:
            return (self.place(value) + 0.5) / count
        return self._locate(value + self._half_bin(), self._top())

    def _top(self) -> float:
        return self.max_value

    def _half_bin(self) -> float:
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """Plain data; `from_config` reads it back."""
        return {
            **super().get_config(),
            "min_value": self.min_value,
            "max_value": self.max_value,
            "step": self.step,
            "sampling": self.sampling,
        }


class Int(_Numerical):
    """Whole numbers from `min_value` to `max_value`, both included."""

    def __init__(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        conditions: Any = None,
    ) -> None:
        for argument, value in (("min_value", min_value), ("max_value", max_value), ("step", step)):
            if value is not None and int(value) != value:
                raise ValueError(_wrong("Int", name, f"{argument} must be a whole number", value))
        if step is None and str(sampling).lower() in ("linear", "none"):
            step = 1
        super().__init__(
            name,
            int(min_value),
            int(max_value),
            None if step is None else int(step),
            sampling,
            default,
            conditions,
        )

    def get_config(self) -> dict[str, Any]:
        """Plain data; `from_config` reads it back."""
        # Keras Tuner writes the default as it was given for Int alone; files are to be the same.
        return {**super().get_config(), "default": self._default}

    def _clean(self, value: Any) -> int:
        return int(min(max(math.floor(value + 1e-9), self.min_value), self.max_value))

    def _top(self) -> float:
        # Each whole number stands for the unit above it, so that the last one is drawn too.
        return self.max_value + 1

    def _half_bin(self) -> float:
        return 0.5


class Float(_Numerical):
    """Numbers from `min_value` to `max_value`."""

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        conditions: Any = None,
    ) -> None:
        step = None if step is None else float(step)
        super().__init__(name, float(min_value), float(max_value), step, sampling, default, conditions)

    def _clean(self, value: Any) -> float:
        # 0.1 + 2 * 0.1 shall read 0.3 and be equal to a user's 0.3.
        value = float(f"{value:.12g}") if self.step is not None else float(value)
        return min(max(value, self.min_value), self.max_value)


class Choice(HyperParameter):
    """One of a list of values of one type; `ordered` by default if they are numbers."""

    def __init__(
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        conditions: Any = None,
    ) -> None:
        super().__init__(name, default, conditions)
        if values is None or len(values) == 0:
            raise ValueError(_wrong("Choice", name, "values must list at least one value", values))
        self._values = [plain(value) for value in values]
        kinds = {type(value) for value in self._values}
        if len(kinds) > 1:
            raise TypeError(_wrong("Choice", name, "all values must be of one type", list(values)))
        if default is not None:
            self._default = plain(default)
            if self._default not in self._values:
                raise ValueError(_wrong("Choice", name, f"default must be one of {self._values}", default))
        numeric = kinds <= {int, float}
        if ordered and not numeric:
            raise ValueError(_wrong("Choice", name, "ordered needs numbers", list(values)))
        self.ordered = numeric if ordered is None else bool(ordered)

    @property
    def default(self) -> Any:
        """The first value unless another is given."""
        return self._values[0] if self._default is None else self._default

    @property
    def values(self) -> Sequence[Any]:
        """The values as given."""
        return self._values

    def prob_to_value(self, prob: float) -> Any:
        """The value at `prob` in [0, 1)."""
        return self._values[_bin(prob, len(self._values))]

    def value_to_prob(self, value: Any) -> float:
        """The middle of the value's bin."""
        return (self._values.index(value) + 0.5) / len(self._values)

    def get_config(self) -> dict[str, Any]:
        """Plain data; `from_config` reads it back."""
        return {**super().get_config(), "values": list(self._values), "ordered": self.ordered}


class Boolean(HyperParameter):
    """True or False."""

    def __init__(self, name: str, default: bool = False, conditions: Any = None) -> None:
        super().__init__(name, default, conditions)
        if default not in (True, False):
            raise ValueError(_wrong("Boolean", name, "default must be True or False", default))

    @property
    def values(self) -> Sequence[bool]:
        """Both."""
        return (True, False)

    def prob_to_value(self, prob: float) -> bool:
        """True in the upper half."""
        return prob >= 0.5

    def value_to_prob(self, value: Any) -> float:
        """The middle of the value's half."""
        return 0.75 if value else 0.25


class Fixed(HyperParameter):
    """One value that is not tuned."""

    def __init__(self, name: str, value: Any, conditions: Any = None) -> None:
        try:
            self.value = plain(value)
        except TypeError:
            raise ValueError(
                _wrong("Fixed", name, "value must be an int, float, str or bool", value)
            ) from None
        super().__init__(name, self.value, conditions)

    @property
    def values(self) -> Sequence[Any]:
        """The one value."""
        return (self.value,)

    def prob_to_value(self, prob: float) -> Any:
        """The one value."""
        return self.value

    def value_to_prob(self, value: Any) -> float:
        """The middle."""
        return 0.5

    def get_config(self) -> dict[str, Any]:
        """Plain data; `from_config` reads it back."""
        config = super().get_config()
        del config["default"]
        return {**config, "value": self.value}


_KINDS = {kind.__name__: kind for kind in (Int, Float, Choice, Boolean, Fixed)}


def from_entry(entry: dict[str, Any]) -> HyperParameter:
    """The hyperparameter of an entry {"class_name": ..., "config": ...} of a saved space."""
    kind = _KINDS.get(entry["class_name"])
    if kind is None:
        raise ValueError(explain(f"A hyperparameter is one of {', '.join(_KINDS)}", entry["class_name"]))
    return kind.from_config(entry["config"])
