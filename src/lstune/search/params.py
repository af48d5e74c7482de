"""The kinds of hyperparameter: Int, Float, Choice, Fixed.

Every kind maps its values to and from the unit interval, so that random, quasi-random and model-based
samplers share one encoding: the bins of a discrete parameter have equal width (on the log scale if `log`).

`when` makes a parameter conditional: `when={"layers": [2, 3]}` means that it is active only while `layers` is
active and has one of these values; several names must all agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Union

import numpy as np

from lstune.errors import SpaceError, explain

__all__ = [
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Parameter",
    "Scalar",
    "make_plain",
    "param_from_dict",
    "param_to_dict",
    "plain",
    "same",
]

Scalar = Union[bool, int, float, str, None]
When = Mapping[str, Any]

# The default of a Choice that was given none: None may be one of its values.
_UNSET = "\0unset"
# Two values of a stepped float closer than this share of a step are one value.
_STEP_TOLERANCE = 1e-8


def _require(ok: bool, rule: str, received: Any, fix: str | None = None) -> None:
    if not ok:
        raise SpaceError(explain(rule, received, fix))


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's own value, which JSON can hold; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def make_plain(instance: Any) -> None:
    """The fields of a frozen dataclass made `plain`, for its `__post_init__`."""
    for f in fields(instance):
        object.__setattr__(instance, f.name, plain(getattr(instance, f.name)))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_scalar(value: Any) -> bool:
    """Whether `value` may be a choice: bool, int, finite float, str or None."""
    return value is None or isinstance(value, (bool, str)) or _is_number(value)


def same(a: Any, b: Any) -> bool:
    """Equality that keeps True and 1 apart, but lets 1 equal 1.0."""
    a, b = plain(a), plain(b)
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _freeze_when(when: When | None) -> dict[str, tuple[Any, ...]] | None:
    if when is None:
        return None
    _require(isinstance(when, Mapping) and len(when) > 0, "`when` must map names to values", when)
    frozen = {}
    for name, allowed in when.items():
        _require(isinstance(name, str), "Names in `when` must be text", name)
        listed = isinstance(allowed, (list, tuple, set, frozenset, range))
        options = tuple(map(plain, allowed)) if listed else (plain(allowed),)
        _require(len(options) > 0, f"`when` must list at least one value for {name!r}", when)
        _require(all(is_scalar(v) for v in options), f"`when` lists plain values for {name!r}", when)
        frozen[name] = options
    return frozen


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], in steps of `step`, or uniform in its logarithm (`log`)."""

    low: int
    high: int
    step: int = 1
    log: bool = False
    when: When | None = None
    default: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("low", "high", "step"):
            _require(_is_int(getattr(self, name)), f"Int {name} must be a whole number", getattr(self, name))
        _require(self.low <= self.high, "Int needs low <= high", f"low={self.low}, high={self.high}")
        _require(self.step >= 1, "Int step must be 1 or more", self.step)
        if self.log:
            _require(self.low >= 1, "Int with log=True needs low >= 1", f"low={self.low}")
            _require(
                self.step == 1,
                "Int with log=True takes no step",
                f"step={self.step}",
                "Drop the step, or list the values with Choice([...])",
            )
        object.__setattr__(self, "when", _freeze_when(self.when))
        _check_default(self)

    @property
    def size(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def values(self) -> list[int]:
        """All values, ascending."""
        return list(range(self.low, self.high + 1, self.step))

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        value = plain(value)
        return _is_int(value) and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def from_unit(self, u: float) -> int:
        """The value whose bin holds `u` in [0, 1]."""
        if self.log:
            lo, hi = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(self.high, max(self.low, round(math.exp(lo + u * (hi - lo)))))
        return self.low + self.step * min(self.size - 1, max(0, math.floor(u * self.size)))

    def to_unit(self, value: int) -> float:
        """The middle of the value's bin (on the log scale, the logarithm's place)."""
        if self.log:
            lo, hi = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(value) - lo) / (hi - lo)
        return ((value - self.low) // self.step + 0.5) / self.size

    def snap(self, value: Any) -> int:
        """The nearest value within bounds."""
        value = plain(value)
        _require(_is_number(value), "A value for Int must be a number", value)
        k = round((value - self.low) / self.step)
        return self.low + self.step * min(self.size - 1, max(0, k))

    def middle(self) -> int:
        """The default if given, else the middle value."""
        return self.default if self.default is not None else self.from_unit(0.5)


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], in steps of `step`, or uniform in its logarithm (`log`).

    With a step the values are low, low + step, ... up to the last one that is not above high.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    when: When | None = None
    default: float | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("low", "high"):
            value = getattr(self, name)
            _require(_is_number(value), f"Float {name} must be a finite number", value)
            object.__setattr__(self, name, float(value))
        _require(self.low <= self.high, "Float needs low <= high", f"low={self.low}, high={self.high}")
        if self.step is not None:
            _require(_is_number(self.step) and self.step > 0, "Float step must be above 0", self.step)
            _require(not self.log, "Float takes a step or log=True, not both", f"step={self.step}, log=True")
            object.__setattr__(self, "step", float(self.step))
        if self.log:
            _require(self.low > 0, "Float with log=True needs low > 0", f"low={self.low}")
        object.__setattr__(self, "when", _freeze_when(self.when))
        _check_default(self)

    @property
    def size(self) -> int | None:
        """Number of values; None if not countable."""
        if self.low == self.high:
            return 1
        if self.step is None:
            return None
        return math.floor((self.high - self.low) / self.step + _STEP_TOLERANCE) + 1

    def _at(self, k: int) -> float:
        # 0.1 * 3 is 0.30000000000000004: fifteen digits give the number that was meant.
        return float(f"{self.low + k * (self.step or 0.0):.15g}")

    def values(self) -> list[float]:
        """All values, ascending. Raises SpaceError without a step."""
        size = self.size
        if size is None:
            raise SpaceError(explain("Float without a step has no list of values", self))
        return [self._at(k) for k in range(size)]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values (within rounding)."""
        value = plain(value)
        if not _is_number(value):
            return False
        if self.step is None:
            return self.low <= value <= self.high
        k = (value - self.low) / self.step
        return abs(k - round(k)) <= _STEP_TOLERANCE * max(1.0, abs(k)) and 0 <= round(k) < (self.size or 1)

    def from_unit(self, u: float) -> float:
        """The value at `u` in [0, 1]."""
        size = self.size
        if size is not None:
            return self._at(min(size - 1, max(0, math.floor(u * size))))
        if self.log:
            lo, hi = math.log(self.low), math.log(self.high)
            return min(self.high, max(self.low, math.exp(lo + u * (hi - lo))))
        return min(self.high, max(self.low, self.low + u * (self.high - self.low)))

    def to_unit(self, value: float) -> float:
        """The value's place in [0, 1]; the middle of its bin with a step."""
        size = self.size
        if size is not None:
            k = 0 if self.step is None else round((value - self.low) / self.step)
            return (k + 0.5) / size
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def snap(self, value: Any) -> float:
        """The nearest value within bounds."""
        value = plain(value)
        _require(_is_number(value), "A value for Float must be a finite number", value)
        size = self.size
        if size is not None:
            k = 0 if self.step is None else round((value - self.low) / self.step)
            return self._at(min(size - 1, max(0, k)))
        return min(self.high, max(self.low, float(value)))

    def middle(self) -> float:
        """The default if given, else the middle (geometric on the log scale)."""
        return self.default if self.default is not None else self.from_unit(0.5)


@dataclass(frozen=True)
class Choice:
    """One of a list of plain values.

    `ordered` tells samplers with a notion of distance that neighbours in the list are alike; by default it
    holds for three or more ascending numbers.
    """

    options: Sequence[Scalar]
    when: When | None = None
    default: Scalar = _UNSET
    ordered: bool | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        _require(
            isinstance(self.options, (list, tuple, range)) and len(self.options) > 0,
            "Choice needs a list with at least one value",
            self.options,
        )
        object.__setattr__(self, "options", tuple(map(plain, self.options)))
        for i, value in enumerate(self.options):
            _require(is_scalar(value), "A choice must be a bool, number, text or None", value)
            _require(
                not any(same(value, other) for other in self.options[:i]),
                "The values of a Choice must differ",
                list(self.options),
            )
        if self.ordered is None:
            numbers = len(self.options) > 2 and all(_is_number(v) for v in self.options)
            object.__setattr__(self, "ordered", numbers and list(self.options) == sorted(self.options))  # type: ignore[type-var]
        object.__setattr__(self, "when", _freeze_when(self.when))
        if self.default == _UNSET:
            object.__setattr__(self, "default", self.options[0])
        else:
            _check_default(self)

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.options)

    def values(self) -> list[Scalar]:
        """All values, in the order given."""
        return list(self.options)

    def index(self, value: Any) -> int:
        """Place of `value` in the list. Raises SpaceError if it is not there."""
        for i, option in enumerate(self.options):
            if same(option, value):
                return i
        raise SpaceError(explain(f"The value must be one of {list(self.options)}", value))

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        return any(same(option, value) for option in self.options)

    def from_unit(self, u: float) -> Scalar:
        """The value whose bin holds `u` in [0, 1]."""
        return self.options[min(self.size - 1, max(0, math.floor(u * self.size)))]

    def to_unit(self, value: Any) -> float:
        """The middle of the value's bin."""
        return (self.index(value) + 0.5) / self.size

    def snap(self, value: Any) -> Scalar:
        """The value itself, as listed; the nearest one if all are numbers."""
        value = plain(value)
        if not self.contains(value) and _is_number(value) and all(_is_number(v) for v in self.options):
            return min(self.options, key=lambda v: abs(v - value))
        return self.options[self.index(value)]

    def middle(self) -> Scalar:
        """The default if given, else the first value."""
        return self.default


@dataclass(frozen=True)
class Fixed:
    """A value that is not searched but belongs to every setting."""

    value: Scalar
    when: When | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        _require(is_scalar(self.value), "A Fixed value must be a bool, number, text or None", self.value)
        object.__setattr__(self, "when", _freeze_when(self.when))

    @property
    def size(self) -> int:
        """Always 1."""
        return 1

    def values(self) -> list[Scalar]:
        """The one value."""
        return [self.value]

    def contains(self, value: Any) -> bool:
        """Whether `value` is the value."""
        return same(self.value, value)

    def from_unit(self, u: float) -> Scalar:
        """The value."""
        return self.value

    def to_unit(self, value: Any) -> float:
        """Always 0.5."""
        return 0.5

    def snap(self, value: Any) -> Scalar:
        """The value."""
        return self.value

    def middle(self) -> Scalar:
        """The value."""
        return self.value


Parameter = Union[Int, Float, Choice, Fixed]
KINDS: dict[str, type[Any]] = {"int": Int, "float": Float, "choice": Choice, "fixed": Fixed}
_DEFAULTS = {kind: {f.name: f.default for f in fields(kind)} for kind in KINDS.values()}


def _check_default(param: Any) -> None:
    if param.default is None and not isinstance(param, Choice):
        return
    _require(param.contains(param.default), f"The default must be a value of {param}", param.default)
    object.__setattr__(param, "default", param.snap(param.default))


def param_to_dict(param: Parameter) -> dict[str, Any]:
    """A plain dictionary (for JSON and TOML) that `param_from_dict` reads back; defaults are left out."""
    kind = next(name for name, cls in KINDS.items() if isinstance(param, cls))
    out: dict[str, Any] = {"type": kind}
    for f in fields(param):
        value = getattr(param, f.name)
        if f.name in ("ordered", "default") and isinstance(param, Choice):
            usual = Choice(param.options)
            if same(value, getattr(usual, f.name)):
                continue
        elif value == _DEFAULTS[type(param)][f.name]:
            continue
        if isinstance(value, tuple):
            value = list(value)
        elif f.name == "when" and value is not None:
            value = {name: list(allowed) for name, allowed in value.items()}
        out[f.name] = value
    return out


def param_from_dict(name: str, data: Any) -> Parameter:
    """Read one parameter as people write it.

    A table with `type`, or without it where the keys say it: `options` is a Choice, `value` is Fixed, `low`
    and `high` an Int if both are whole (and the step), else a Float. A list is a Choice; a plain value is
    Fixed.
    """
    if isinstance(data, (Int, Float, Choice, Fixed)):
        return data
    try:
        if isinstance(data, (list, tuple)):
            return Choice(tuple(data))
        if not isinstance(data, Mapping):
            return Fixed(data)
        given = dict(data)
        kind = given.pop("type", None) or _guess_kind(given)
        cls = KINDS.get(str(kind).lower())
        if cls is None:
            raise SpaceError(explain(f"The type must be one of {', '.join(KINDS)}", kind))
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(map(str, given)) - known)
        if unknown:
            raise SpaceError(explain(f"{kind} takes {', '.join(sorted(known))}", ", ".join(unknown)))
        return cls(**given)
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}") from None
    except TypeError as error:  # a required key is missing
        raise SpaceError(f"{name}: " + explain(str(error).replace("__init__()", str(kind)), data)) from None


def _guess_kind(given: Mapping[str, Any]) -> str:
    if "options" in given:
        return "choice"
    if "value" in given:
        return "fixed"
    if "low" in given and "high" in given:
        numbers = [plain(given.get(key)) for key in ("low", "high", "step")]
        whole = all(_is_int(number) for number in numbers if number is not None)
        return "int" if whole else "float"
    raise SpaceError(explain("A parameter needs low and high, or options, or value", dict(given)))
