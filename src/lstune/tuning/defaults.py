"""The search space that fits a series, and the settings that are tried first.

What the defaults rest on (measured on BTC daily, Melbourne's minimum temperature and hourly bike hire, see
benchmarks/quality.py): transform, supervision, lookback and stride decide most; widths beyond 64 and second
layers bring little; windows a quarter of the lookback apart, with every step scored, train several times
faster than all windows and lose nothing where rows are plenty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstune.errors import SpaceError, explain
from lstune.search.space import Choice, Fixed, Float, Int, Space, load_tables, snap_setting
from lstune.tuning.settings import HYPERPARAMETERS, check_names, check_values

__all__ = [
    "Nature",
    "build_space",
    "default_space",
    "first_settings",
    "grid_note",
    "is_multiplicative",
    "largest_lookback",
    "parse_override",
]

# Parameters whose ranges are on a log scale, unless said otherwise.
_LOG = ("units", "learning_rate", "lookback")
# More columns than this of what is known beforehand would be most of the network.
_MOST_LEADS = 256


@dataclass(frozen=True)
class Nature:
    """What the defaults depend on.

    `rows`: training rows. `season`: rows in a season, 1 for none. `positive`: whether all values are above 0.
    `dated`: whether the series has a calendar. `multiplicative`: whether its steps grow with its level.
    `features`: how many columns there are beside the target, `known` how many of them beforehand.
    """

    rows: int
    season: int = 1
    positive: bool = False
    horizon: int = 1
    dated: bool = True
    multiplicative: bool = False
    features: int = 0
    known: int = 0


def _lookbacks(nature: Nature) -> tuple[int, int, int]:
    """Shortest, usual and longest lookback."""
    room = max(2, nature.rows // 5 - nature.horizon)
    season = nature.season if nature.season > 1 else 16
    usual = min(room, max(32, min(2 * season, 96), min(2 * nature.horizon, 128)))
    longest = min(room, max(4 * usual, 128), 400 if season <= 200 else 2 * season)
    return min(8, usual), usual, max(longest, usual)


def is_multiplicative(values: Any) -> bool:
    """Whether the steps of a positive series (T,) grow with its level, as those of prices do.

    True if the median step of the first and last third differ more than fourfold, and the steps of the
    logarithm differ less.
    """
    y = np.asarray(values, dtype=np.float64)
    if len(y) < 30 or y.min() <= 0:
        return False
    third = len(y) // 3

    def growth(z: Any) -> float:
        steps = np.abs(np.diff(z))
        first, last = float(np.median(steps[:third])), float(np.median(steps[-third:]))
        return abs(np.log(last / first)) if first > 0 and last > 0 else 0.0

    return growth(y) > np.log(4.0) and growth(np.log(y)) < growth(y)


def default_space(nature: Nature) -> Space:
    """The space searched when nothing else is said; every part can be replaced."""
    shortest, usual, longest = _lookbacks(nature)
    widest = 32 if nature.rows < 300 else 128 if nature.rows < 20_000 else 256
    if nature.multiplicative:
        # A network that knows the steps of a cheap share is lost when the share costs ten times as much.
        transforms = ["log_difference"]
    else:
        transforms = ["difference", "level"]
        if nature.positive:
            transforms.append("log_difference")
        if 1 < nature.season <= nature.rows // 4:
            transforms.append("seasonal_difference")
    overlap = (2, 4, 8, 16) if nature.rows >= 300 else (4, 8, 16, 32)
    return Space(
        {
            "transform": Choice(tuple(transforms)),
            "lookback": Int(shortest, longest, log=True, default=usual),
            "supervision": Choice(("every", "last")),
            "stride": Choice(tuple(f"lookback/{part}" for part in overlap), default=_usual_stride(nature)),
            "lags": Choice(("none", "season")) if 1 < nature.season <= nature.rows // 4 else Fixed("none"),
            "level_input": Choice((False, True)) if set(transforms) - {"level"} else Fixed(False),
            "calendar": Choice(("auto", "none")) if nature.dated else Fixed("none"),
            # Further columns help, or are one more thing to overfit: their past must tell about the target.
            **({"feature_inputs": _feature_inputs(nature)} if nature.features else {}),
            **({"known_leads": _known_leads(nature)} if nature.known and nature.horizon > 1 else {}),
            "units": Int(8, widest, log=True, default=min(64, widest)),
            "layers": Int(1, 2, default=1),
            # relu is not bounded: beyond the range of the training rows its cells ran away on a price series.
            "activation": Choice(("tanh", "sigmoid", "softsign")),
            "dropout": Float(0.0, 0.4, step=0.1, default=0.0),
            "loss": Choice(("mae", "huber", "mse")),
            "batch_size": Choice((8, 16, 32, 64), default=16),
            "optimizer": Choice(("adam", "adamw", "nadam", "rmsprop")),
            "learning_rate": Float(5e-4, 3e-2, log=True, default=3e-3),
            "decay": Fixed("cosine"),
            "epochs": Fixed(60),
            "patience": Fixed(20),
            "clipnorm": Fixed(1.0),
            "scaler": Fixed("standard"),
        }
    )


def _feature_inputs(nature: Nature) -> Choice:
    return Choice(("all", "known", "none") if 0 < nature.known < nature.features else ("all", "none"))


def _known_leads(nature: Nature) -> Choice | Fixed:
    """All coming rows at once where that is not hundreds of columns.

    On air quality beside wind and ozone all coming rows were best; on bike hire beside the weather few were
    better than none, and all were worse.
    """
    return Choice(("all", "few")) if nature.known * nature.horizon <= _MOST_LEADS else Fixed("few")


def _usual_stride(nature: Nature) -> str:
    return "lookback/4" if nature.rows >= 300 else "lookback/8"


def first_settings(space: Space) -> list[dict[str, Any]]:
    """Settings known to work, for the first trials, as far as `space` allows them.

    A setting names only what differs from the defaults of the space. Steps with the level, last season's
    values and a fast rate won on hourly demand, the level with a slower rate on temperatures, the level with
    last season's values on seasonal patterns in noise. Where there are features the later half do without,
    never the first: alone, as the method manual takes it, it is to use what was asked for. The second does
    with those known beforehand, if there are others, and shows few of the coming rows.
    """
    fast = {"learning_rate": 0.01, "lags": "season", "level_input": True}
    wanted: list[dict[str, Any]] = [
        {"transform": "difference", **fast},
        {"transform": "level"},
        {"transform": "log_difference"},
        {"transform": "level", **fast},
    ]
    settings = []
    for setting in wanted:
        if "transform" in space and space["transform"].contains(setting["transform"]):
            known = {n: v for n, v in setting.items() if n in space and space[n].contains(v)}
            if known not in settings:
                settings.append(known)
    if "feature_inputs" in space and space["feature_inputs"].contains("none"):
        for setting in settings[(len(settings) + 1) // 2 :]:
            setting["feature_inputs"] = "none"
    for name, value in {"feature_inputs": "known", "known_leads": "few"}.items():
        if len(settings) > 1 and name in space and space[name].contains(value):
            settings[1][name] = value
    return settings or [{}]


def largest_lookback(space: Space) -> int:
    """The longest lookback that the space can ask for."""
    if "lookback" not in space:
        return 32
    param = space["lookback"]
    if isinstance(param, Int):
        return param.high
    try:
        return max(int(value) for value in param.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise SpaceError(explain("lookback must hold whole numbers", param)) from None


def build_space(
    changes: Space | Mapping[str, Any] | str | Path | None, nature: Nature
) -> tuple[Space, list[dict[str, Any]]]:
    """The search space with the caller's changes, and the settings to try first.

    Raises SpaceError for names and values that lstune does not know.
    """
    if isinstance(changes, Space):
        space = changes
    else:
        if isinstance(changes, (str, Path)):
            changes = load_tables(changes)
        elif changes is not None and not isinstance(changes, Mapping):
            raise SpaceError(
                explain("space must map names to values, or be a Space or a file's name", changes)
            )
        check_names(changes or {})
        space = default_space(nature).replace(changes or {})
    check_names(space)
    check_values(space, nature.horizon, nature.season)
    settings = [snap_setting(space, setting) for setting in first_settings(space)]
    unique = [setting for index, setting in enumerate(settings) if setting not in settings[:index]]
    return space, unique


def grid_note(space: Space, large: bool) -> str:
    """How many settings a grid has, said before it starts.

    Raises SpaceError if they are too many, unless a `large` one was asked for.
    """
    from lstune.search.samplers.grid import GridSampler, check_grid, grid_size

    size = grid_size(space)
    check_grid(size, None if large else GridSampler().limit)
    return f"The grid has {size:,} setting{'s' if size > 1 else ''}."


def parse_override(text: str) -> tuple[str, Any]:
    """One override as written on the command line: name and a value, list or range for `Space.replace`.

    "units=32" fixes, "transform=level,difference" lists, "learning_rate=0.001..0.1" is a range (on a log
    scale if that is the parameter's, or with ":log" behind it). Raises SpaceError.
    """
    name, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not name or not value:
        raise SpaceError(
            explain(
                "An override is NAME=VALUE",
                text,
                "Write units=32, units=16..64 or transform=level,difference",
            )
        )
    check_names([name])
    if ".." in value:
        return name, _parse_range(name, value)
    if "," in value:
        return name, [_parse_value(item) for item in value.split(",")]
    return name, {"type": "fixed", "value": _parse_value(value)}


def _parse_range(name: str, value: str) -> dict[str, Any]:
    span, _, flag = value.partition(":")
    low, _, high = span.partition("..")
    ends = [_parse_value(low), _parse_value(high)]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    if not numbers or flag.strip() not in ("", "log"):
        raise SpaceError(explain("A range is LOW..HIGH or LOW..HIGH:log", f"{name}={value}"))
    log = flag.strip() == "log" or name in _LOG
    # "dropout=0..1" means real numbers though both ends are whole.
    whole = all(isinstance(end, int) for end in ends) and not isinstance(HYPERPARAMETERS[name].default, float)
    return {"type": "int" if whole else "float", "low": ends[0], "high": ends[1], "log": log and ends[0] > 0}


def _parse_value(text: str) -> Any:
    text = text.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": "none"}.get(text.lower(), text)
