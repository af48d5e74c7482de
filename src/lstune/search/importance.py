"""How much each parameter matters: functional ANOVA over a forest fitted to the trials.

Hutter, Hoos & Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance". The
forest is of extremely randomised trees (Geurts, Ernst & Wehenkel 2006) in NumPy: tenths of a second, where
Optuna's evaluator of the same numbers takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.search.records import TrialRecord
from lstune.search.space import Space

__all__ = ["Importances", "importances"]

F64 = npt.NDArray[np.float64]
# Fewer trials say nothing about a dozen parameters.
_LEAST_TRIALS = 10
_TREES = 32
_MOST_TRIALS = 1000
# A tree has at most about so many leaves: finer ones fit noise and cost time.
_LEAVES = 48
# Values at which a parameter's effect is given.
_GRID = 9


@dataclass(frozen=True)
class Importances:
    """`shares`: each parameter's part of the variance by itself, largest first; what is missing to 1 comes
    from parameters acting together. `trials` were compared after `epochs` epochs (0: each after its last).
    `effects`: for some values of each parameter, how far the expected value lies above (below) the mean over
    the whole space, all other parameters averaged out, as a part of that mean.
    """

    shares: dict[str, float]
    trials: int
    epochs: int
    effects: dict[str, list[tuple[Any, float]]] = field(default_factory=dict)


def importances(space: Space, trials: Iterable[TrialRecord], *, seed: int = 0) -> Importances | None:
    """Main effects of the searched parameters on the trials' values; None where trials are too few.

    Values after different numbers of epochs do not compare, so they are taken at the rung that most trials
    have reached; where there is none in common, each trial counts with its last value. Values beyond the
    upper quartile by more than 1.5 interquartile ranges are drawn in to it: one run-away setting would
    otherwise explain everything.
    """
    usable = [trial for trial in trials if trial.has_value][-_MOST_TRIALS:]
    epochs, found = _comparable(usable)
    names = [name for name in space.searched if len({repr(t.params.get(name)) for t, _ in found}) > 1]
    if len(found) < _LEAST_TRIALS or not names:
        return None
    points = np.array([[_unit(space, name, trial) for name in names] for trial, _ in found])  # (N, D)
    values = np.array([value for _, value in found])
    low, high = np.quantile(values, [0.25, 0.75])
    values = np.minimum(values, high + 1.5 * (high - low))
    if np.ptp(values) <= 0:
        return None
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x696D70]))
    grids = [_grid(space, name, [trial for trial, _ in found]) for name in names]
    shares, mean = np.zeros(len(names)), 0.0
    marginals = [np.zeros(len(grid)) for grid in grids]
    for _ in range(_TREES):
        picked = rng.integers(0, len(values), len(values))
        tree = _grow(points[picked], values[picked], rng, max(4, 2 * len(values) // _LEAVES))
        shares += _main_effects(*tree) / _TREES
        mean += float((tree[1] - tree[0]).prod(1) @ tree[2]) / _TREES
        for axis, grid in enumerate(grids):
            marginals[axis] += _marginal(*tree, axis, np.array([unit for unit, _ in grid])) / _TREES
    order = np.argsort(-shares, kind="stable")
    effects = {
        names[k]: [
            (value, float(m) / abs(mean)) for (_, value), m in zip(grids[k], marginals[k] - mean, strict=True)
        ]
        for k in order
        if mean
    }
    return Importances({names[k]: float(shares[k]) for k in order}, len(found), epochs, effects)


def _grid(space: Space, name: str, trials: list[TrialRecord]) -> list[tuple[float, Any]]:
    """Places in [0, 1] with their values: those tried where they are few, else some across the range."""
    param = space[name]
    tried = {repr(t.params[name]): t.params[name] for t in trials if name in t.params}
    if len(tried) <= _GRID and param.size is not None:
        return sorted(
            ((float(param.to_unit(value)), value) for value in tried.values()), key=lambda pair: pair[0]
        )
    places = [(k + 0.5) / _GRID for k in range(_GRID)]
    return [(place, param.from_unit(place)) for place in places]


def _comparable(trials: list[TrialRecord]) -> tuple[int, list[tuple[TrialRecord, float]]]:
    """The rung with the most trials (the later of equals) and their values there."""
    counts: dict[int, int] = {}
    for trial in trials:
        for epoch in trial.curve:
            counts[epoch] = counts.get(epoch, 0) + 1
    rungs = {epoch for trial in trials for epoch, _ in trial.rungs}
    shared = {epoch: counts.get(epoch, 0) for epoch in rungs if counts.get(epoch, 0) >= _LEAST_TRIALS}
    if not shared:
        return 0, [(trial, float(trial.value)) for trial in trials if trial.value is not None]
    rung = max(shared, key=lambda epoch: (shared[epoch], epoch))
    return rung, [
        (trial, min(value for epoch, value in trial.curve.items() if epoch <= rung))
        for trial in trials
        if rung in trial.curve
    ]


def _unit(space: Space, name: str, trial: TrialRecord) -> float:
    param = space[name]
    value = trial.params.get(name)
    try:
        return float(param.to_unit(param.middle() if value is None else value))  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError):  # a value from an older space
        return 0.5


def _grow(points: F64, values: F64, rng: np.random.Generator, least: int) -> tuple[F64, F64, F64]:
    """One tree: leaves as boxes low, high (M, D) of the unit cube, and their values (M,).

    Boxes with fewer than `least` points are not divided.
    """
    count, width = points.shape
    leaves: list[tuple[F64, F64, float]] = []
    open_boxes = [(np.arange(count), np.zeros(width), np.ones(width))]
    while open_boxes:
        rows, low, high = open_boxes.pop()
        cut = _split(points[rows], values[rows], rng) if len(rows) >= least else None
        if cut is None:
            leaves.append((low, high, float(values[rows].mean())))
            continue
        axis, place = cut
        left = points[rows, axis] <= place
        middle_high, middle_low = high.copy(), low.copy()
        middle_high[axis] = middle_low[axis] = place
        open_boxes.append((rows[left], low, middle_high))
        open_boxes.append((rows[~left], middle_low, high))
    return (
        np.array([leaf[0] for leaf in leaves]),
        np.array([leaf[1] for leaf in leaves]),
        np.array([leaf[2] for leaf in leaves]),
    )


def _split(points: F64, values: F64, rng: np.random.Generator) -> tuple[int, float] | None:
    """The best of one random cut on each axis, by the squared error that it saves; None for a leaf."""
    count = len(values)
    if np.ptp(values) <= 0:
        return None
    low, high = points.min(0), points.max(0)
    axes = np.flatnonzero(high > low)
    if len(axes) == 0:
        return None
    places = rng.uniform(low[axes], high[axes])
    left = points[:, axes] <= places  # (N, A)
    number = left.sum(0)
    total = values.sum()
    part = values @ left
    right = np.maximum(count - number, 1)
    gain = np.where(number < count, part**2 / np.maximum(number, 1) + (total - part) ** 2 / right, -np.inf)
    best = int(np.argmax(gain))
    if not np.isfinite(gain[best]):
        return None
    return int(axes[best]), float(places[best])


def _main_effects(low: F64, high: F64, leaf: F64) -> F64:
    """Each axis' share of the tree's variance (D,), section 3 of Hutter et al.; zeros for a constant tree."""
    volume = (high - low).prod(1)
    mean = float(volume @ leaf)
    variance = float(volume @ (leaf - mean) ** 2)
    shares = np.zeros(low.shape[1])
    if variance <= 1e-15:
        return shares
    for axis in range(low.shape[1]):
        edges = np.unique(np.concatenate([low[:, axis], high[:, axis]]))
        marginal = _marginal(low, high, leaf, axis, 0.5 * (edges[1:] + edges[:-1]))
        shares[axis] = np.diff(edges) @ (marginal - mean) ** 2 / variance
    return shares


def _marginal(low: F64, high: F64, leaf: F64, axis: int, at: F64) -> F64:
    """The tree's mean (I,) over all other axes with `axis` held at each of `at` (I,)."""
    sides = high - low
    inside = (low[:, axis] < at[:, None]) & (at[:, None] <= high[:, axis])  # (I, M)
    return inside @ (leaf * sides.prod(1) / sides[:, axis])
