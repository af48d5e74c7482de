"""Minimising in a box from several starts at once, for functions that NumPy evaluates in batches.

SciPy's L-BFGS-B takes one point a call, and spends more time around a function of a few microseconds than
in it. Letters: K starts, P columns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["minimise_in_box"]

# Points (k, P) and which starts they belong to (k,) -> values (k,) and gradients (k, P).
Function = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

_SUFFICIENT = 1e-4  # share of the promised decrease that a step must bring (Nocedal & Wright, eq. 3.6a)
_SHORTEST = 1e-4  # a step shortened below this share finds nothing more


def minimise_in_box(
    function: Function,
    starts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    reach: float,
    rounds: int,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The best points found (K, P) from `starts` (K, P) and their values (K,): projected BFGS.

    `low` and `high` broadcast to (K, P). Every round evaluates one point for each start that is still
    under way: either the start moves there or its step becomes shorter. `reach` bounds a step in each
    column; a start ends when a step gains less than `tolerance`. There are at most `rounds` evaluations
    after the first one. Columns at a bound whose gradient points outwards rest (Bertsekas 1982).
    """
    low, high = np.broadcast_to(low, starts.shape), np.broadcast_to(high, starts.shape)
    x = np.clip(starts, low, high)
    count, columns = x.shape
    value, slope = function(x, np.arange(count))
    inverse = np.zeros((count, columns, columns))  # of the Hessian; zero: not known yet
    step, share = np.empty_like(x), np.ones(count)
    live = _turn(x, slope, inverse, step, low, high, reach, np.arange(count))
    for _ in range(rounds):
        if not len(live):
            break
        trial = np.clip(x[live] + share[live, None] * step[live], low[live], high[live])
        moved = trial - x[live]
        found, found_slope = function(trial, live)
        promised = np.einsum("kp,kp->k", slope[live], moved)
        gain = value[live] - found
        better = gain >= -_SUFFICIENT * promised
        worse = live[~better]
        if len(worse):
            # The lowest point of the parabola through both values and the slope; at least a halving.
            height = promised[~better] + gain[~better]  # below 0
            with np.errstate(divide="ignore", invalid="ignore"):
                shrink = 0.5 * promised[~better] / height
            share[worse] *= np.clip(np.nan_to_num(shrink, nan=0.1), 0.1, 0.5)
            worse = worse[share[worse] > _SHORTEST]
        moving = live[better]
        if len(moving):
            _learn(inverse, moving, moved[better], found_slope[better] - slope[moving])
            x[moving], value[moving], slope[moving] = trial[better], found[better], found_slope[better]
            share[moving] = 1.0
            moving = moving[gain[better] > tolerance]
            moving = _turn(x, slope, inverse, step, low, high, reach, moving)
        live = np.sort(np.concatenate([moving, worse]))
    return x, value


def _turn(
    x: np.ndarray,
    slope: np.ndarray,
    inverse: np.ndarray,
    step: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    reach: float,
    which: np.ndarray,
) -> np.ndarray:
    """Set the steps of the starts `which`; returns those of them that have somewhere to go."""
    g = slope[which]
    resting = ((x[which] <= low[which]) & (g > 0.0)) | ((x[which] >= high[which]) & (g < 0.0))
    g = np.where(resting, 0.0, g)
    way = -np.matmul(inverse[which], g[:, :, None])[:, :, 0]
    way[resting] = 0.0
    steepness = np.einsum("kp,kp->k", way, g)
    lost = ~(steepness < 0.0)  # nothing learnt yet, or what was learnt leads uphill among the free columns
    way[lost] = -g[lost]
    size = np.abs(way).max(axis=1, initial=0.0)
    # A step along the bare gradient goes half as far at most: its length means little.
    limit = np.minimum(np.where(lost, 0.5 * reach, reach), size)
    step[which] = way * (limit / np.maximum(size, 1e-300))[:, None]
    return which[size > 1e-12]


def _learn(inverse: np.ndarray, which: np.ndarray, moved: np.ndarray, turned: np.ndarray) -> None:
    """The BFGS update of the inverse Hessians of the starts `which` (Nocedal & Wright, eq. 6.17).

    Where the function bends downwards along the step there is nothing to learn but that longer steps pay.
    """
    bend = np.einsum("kp,kp->k", moved, turned)
    sharp = np.einsum("kp,kp->k", turned, turned)
    useful = bend > 1e-10 * np.sqrt(sharp * np.einsum("kp,kp->k", moved, moved))
    if not useful.all():
        inverse[which[~useful]] *= 4.0
        if not useful.any():
            return
    which, moved, turned = which[useful], moved[useful], turned[useful]
    bend, sharp = bend[useful], sharp[useful]
    old = inverse[which]
    new = ~old.any(axis=(1, 2))
    if new.any():
        old[new] = (bend[new] / sharp[new])[:, None, None] * np.eye(old.shape[1])
    image = np.matmul(old, turned[:, :, None])[:, :, 0]
    twist = moved[:, :, None] * image[:, None, :]
    factor = (1.0 + np.einsum("kp,kp->k", turned, image) / bend) / bend
    old += factor[:, None, None] * (moved[:, :, None] * moved[:, None, :])
    old -= (twist + twist.transpose(0, 2, 1)) / bend[:, None, None]
    inverse[which] = old
