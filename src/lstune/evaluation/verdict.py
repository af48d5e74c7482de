"""What a forecast is worth, in one plain sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstune.errors import DataError, explain
from lstune.evaluation.baselines import BASELINES
from lstune.evaluation.metrics import losses_by_origin
from lstune.evaluation.significance import diebold_mariano, skill_interval

__all__ = ["SIGNIFICANT", "Verdict", "judge"]

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Verdict:
    """`skill` is 1 - MAE / the baseline's MAE, with its 95 % `interval`; `has_skill` as the text says."""

    baseline: str
    skill: float
    interval: tuple[float, float]
    p_value: float
    has_skill: bool
    text: str


def judge(
    truth: Any,
    forecast: Any,
    baselines: Mapping[str, Any],
    *,
    horizon: int = 1,
) -> Verdict:
    """Compare a forecast with the best of `baselines` on the same rows; arrays have the shape (N, H) or (N,).

    The best baseline is the one with the least mean absolute error on these very rows, which favours the
    baselines. "Skill" needs a lower error and a two-sided Diebold-Mariano p below 0.05, so a forecast that
    is no better is called skilful in about 2.5 of 100 cases (2 to 5 in simulations with errors that lean on
    each other, see `diebold_mariano`).
    """
    if not baselines:
        raise DataError(explain("A verdict needs at least one baseline", fix="Pass the naive forecast"))
    own = losses_by_origin(truth, forecast)
    others = {name: losses_by_origin(truth, value) for name, value in baselines.items()}
    best = min(others, key=lambda name: float(others[name].mean()))
    base = others[best]
    skill = _skill(float(own.mean()), float(base.mean()))
    unknown = math.nan, math.nan
    if not np.isfinite(own).all():
        text = f"no skill over {_label(best)}: use the {_label(best)} forecast (the LSTM's is not finite)"
        return Verdict(best, -math.inf, unknown, 1.0, False, text)
    if len(own) < 2:
        return Verdict(best, skill, unknown, 1.0, False, _no_skill(best, skill, unknown, 1.0))
    test = diebold_mariano(own, base, horizon=horizon)
    interval = skill_interval(own, base, horizon=horizon)
    if skill > 0 and test.p_value < SIGNIFICANT:
        size = f"{100 * skill:.{_places(skill)}f} %"
        text = f"beats {_label(best)} by {size} ({_evidence(interval, test.p_value)})"
        return Verdict(best, skill, interval, test.p_value, True, text)
    return Verdict(best, skill, interval, test.p_value, False, _no_skill(best, skill, interval, test.p_value))


def _skill(own: float, base: float) -> float:
    if base > 0:
        return 1.0 - own / base
    return 0.0 if own == 0 else -math.inf


def _label(name: str) -> str:
    return BASELINES[name].label if name in BASELINES else name


def _places(skill: float) -> int:
    # "Beats naive by 0.0 %" would say nothing.
    return 0 if abs(skill) >= 0.1 else 1 if abs(skill) >= 0.0005 or skill == 0 else 3


def _evidence(interval: tuple[float, float], p_value: float) -> str:
    low, high = (100 * bound for bound in interval)
    shown_p = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.{2 if p_value >= 0.0995 else 3}f}"
    if not (math.isfinite(low) and math.isfinite(high)):
        return "too few rows to test" if p_value == 1.0 else shown_p
    # Two bounds that print alike would say nothing.
    places = 0 if high - low >= 4 else 1 if high - low >= 0.1 else 3
    return f"95 % interval {_number(low, places)} to {_number(high, places)}, {shown_p}"


def _number(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


def _no_skill(best: str, skill: float, interval: tuple[float, float], p_value: float) -> str:
    label = _label(best)
    sentence = f"no skill over {label}: use the {label} forecast"
    if not math.isfinite(skill):
        return f"{sentence} (it is without error here)"
    if skill == 0.0 and p_value == 1.0:
        return f"{sentence} (the errors are the same)"
    # Says whose error it is and what it counts for: "use X (13 % better)" would praise X.
    way = "better, which may be chance" if skill >= 0 else "worse"
    size = f"{100 * abs(skill):.{_places(skill)}f} %"
    return f"{sentence} (the LSTM was {size} {way}: {_evidence(interval, p_value)})"
