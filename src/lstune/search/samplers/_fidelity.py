"""One number for each trial, for samplers that know nothing of epochs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from lstune.search.records import TrialRecord, TrialState

__all__ = ["full_values", "rung_points"]


def rung_points(trial: TrialRecord, max_epochs: int) -> Sequence[tuple[int, float]]:
    """(epochs, value) of every rung told; a trial that ended by itself counts as fully trained."""
    if not trial.has_value:
        return () if trial.state.is_failure else trial.rungs
    assert trial.value is not None
    if trial.state is TrialState.COMPLETE:
        return (*trial.rungs[:-1], (max_epochs, trial.value))
    if trial.state is TrialState.PRUNED and (not trial.rungs or trial.rungs[-1][0] != trial.epochs):
        return (*trial.rungs, (trial.epochs, trial.value))
    return trial.rungs


def full_values(trials: Sequence[TrialRecord], max_epochs: int) -> dict[int, float]:
    """What each trial with a value would reach at `max_epochs`, by number.

    A trial's last value is carried from rung to rung by the median gain of the trials that have both
    (ratios if all values are positive, else differences). Trials of one rung keep their order; rungs come
    onto one scale.
    """
    points = {t.number: p for t in trials if (p := rung_points(t, max_epochs))}
    if not points:
        return {}
    epochs = sorted({e for p in points.values() for e, _ in p})
    positive = all(v > 0.0 for p in points.values() for _, v in p)
    gain = dict.fromkeys(epochs, 0.0)  # from this epoch to the last one, as a logarithm if positive
    for low, high in reversed(list(pairwise(epochs))):
        steps = []
        for p in points.values():
            values = dict(p)
            if low in values and high in values:
                a, b = values[low], values[high]
                steps.append(math.log(b / a) if positive else b - a)
        gain[low] = gain[high] + (statistics.median(steps) if steps else 0.0)
    out = {}
    for number, p in points.items():
        epoch, value = p[-1]
        out[number] = value * math.exp(gain[epoch]) if positive else value + gain[epoch]
    return out
