"""Numbers and stamps in words, the same in every format of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from lstune.evaluation import BASELINES
from lstune.report.data import ReportData
from lstune.series import counted

__all__ = [
    "coverage_note",
    "duration",
    "effect_rows",
    "headline",
    "importance_note",
    "label",
    "mixture",
    "number",
    "ordinal",
    "percent",
    "plain",
    "residual_note",
    "setting",
    "subtitle",
    "times",
]


def number(value: Any, digits: int = 4) -> str:
    """`digits` significant digits, without an exponent where that stays short; "-" for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, int) or not isinstance(value, float):
        return str(value)
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 9:
        return f"{value:,.{max(0, digits - 1 - size)}f}"
    return f"{value:.{digits - 1}e}"


def plain(value: Any) -> str:
    """A setting's value as one would type it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(value: float | None, places: int = 0) -> str:
    """A share in percent; "-" for none."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{places}f} %"


def label(name: str) -> str:
    """A baseline as it is called in print; other names as they are, with blanks."""
    return BASELINES[name].label if name in BASELINES else name.replace("_", " ")


def times(count: int) -> str:
    """How often something was done."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def ordinal(count: int) -> str:
    """A place in a row: 1st, 2nd, 3rd, 11th."""
    tail = "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{tail}"


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def setting(values: Mapping[str, Any]) -> str:
    """A setting as "units 64, lookback 32, ..."."""
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())


def subtitle(data: ReportData) -> str:
    """The series in one line."""
    steps = _step(data.freq) if data.freq else "no dates"
    season = f", season of {data.season} rows" if data.season > 1 else ""
    start, end = (str(stamp).replace("T", " ").removesuffix(":00") for stamp in (data.start, data.end))
    ahead = f", forecast {data.horizon} rows ahead" if data.horizon > 1 else ""
    return f"{data.target}, {data.rows:,} rows ({steps}{season}), {start} to {end}{ahead}"


# A share of the test tail that far from an interval's nominal one is worth a sentence.
_FAR = 0.1
# A smaller share of the differences is not told apart from chance.
_TELLING = 0.01
_STEPS = {
    "D": "day",
    "B": "working day",
    "W": "week",
    "MS": "month",
    "ME": "month",
    "QS": "quarter",
    "QE": "quarter",
    "YS": "year",
    "YE": "year",
    "h": "hour",
    "min": "minute",
    "s": "second",
}


def _step(freq: str) -> str:
    """A pandas alias in words: "one a day", "one every 15 minutes"."""
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(-[A-Z]+)?", freq)
    if match is None or match.group(2) not in _STEPS:
        return f"step {freq}"
    count, name = match.group(1), _STEPS[match.group(2)]
    return (
        f"one every {count} {name}s"
        if count not in ("", "1")
        else f"one a {name}".replace("a hour", "an hour")
    )


def headline(data: ReportData) -> str:
    """The verdict as a sentence with a capital and a full stop."""
    text = str(data.verdict["text"])
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def mixture(found: Mapping[str, Any]) -> str:
    """What the chosen forecast is made of."""
    baselines = {label(name): share for name, share in (found.get("baselines") or {}).items()}
    if not found.get("networks"):
        name = next(iter(baselines), "naive")
        return f"the {name} forecast alone"
    count, settings = found["networks"], len(found.get("settings", []))
    text = f"{counted(count, 'network')} of {counted(settings, 'setting')}"
    parts = [f"{100 * share:.0f} % {name}" for name, share in baselines.items() if share >= 0.005]
    return text + (", mixed with " + " and ".join(parts) if parts else "")


def coverage_note(data: ReportData) -> str:
    """Whether intervals held on the test tail what they promise; empty if they did."""
    worst = ""
    for level, share in data.coverage.items():
        gap = share - float(level) / 100
        if abs(gap) > _FAR:
            size = "narrow" if gap < 0 else "wide"
            inside = f"{percent(share)} of the test tail lay inside the {level} % one"
            worst = f"The intervals are too {size}: {inside}."
    return worst


def importance_note(data: ReportData) -> str:
    """What the importances rest on."""
    found = data.importance
    if found is None:
        return "Too few trials to say which hyperparameters mattered."
    when = f"after {counted(found.epochs, 'epoch')}" if found.epochs else "after their last epoch"
    rest = max(0.0, 1.0 - sum(found.shares.values()))
    text = f"From {counted(found.trials, 'trial')}, compared {when} (fANOVA, main effects)."
    text += f" The remaining {100 * rest:.0f} % come from hyperparameters acting together, or from chance."
    if found.trials < 40:
        text += " With so few trials, take the order as a hint."
    return text


def effect_rows(data: ReportData) -> list[tuple[str, str, str, str]]:
    """Parameter, share, its best value and its worst, with their effects; the telling ones only."""
    found = data.importance
    rows = []
    for name, share in found.shares.items() if found is not None else ():
        assert found is not None
        effects = found.effects.get(name, [])
        if share < _TELLING or len(effects) < 2:
            continue
        best, worst = (pick(effects, key=lambda pair: pair[1]) for pick in (min, max))
        rows.append((name, percent(share), _effect(*best), _effect(*worst)))
    return rows


def _effect(value: Any, effect: float) -> str:
    return (
        f"{value:.3g} ({100 * effect:+.1f} %)"
        if isinstance(value, float)
        else f"{value} ({100 * effect:+.1f} %)"
    )


def residual_note(data: ReportData) -> str:
    """What the residuals say, in plain words."""
    found = data.residuals
    if found is None:
        return ""
    parts = [f"Mean {number(found.mean, 3)}, standard deviation {number(found.deviation, 3)}."]
    count = len(found.values)
    if found.deviation > 0 and abs(found.mean) > 2 * found.deviation / math.sqrt(count):
        side = "low" if found.mean > 0 else "high"
        parts.append(f"The forecast is a little too {side} on average.")
    if found.acf:
        outside = found.share_outside
        if outside > 0.15:
            parts.append(
                f"{percent(outside)} of the autocorrelations lie outside the grey band "
                "(by chance, 5 % would): something is left to learn."
            )
        else:
            parts.append(
                "The autocorrelations look like chance: little is left to learn from the past alone."
            )
    return " ".join(parts)
