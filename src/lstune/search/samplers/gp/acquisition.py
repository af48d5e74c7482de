"""Which setting promises most: the logarithm of expected improvement, and its maximum over a mixed space."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from lstune.search.encoding import Encoding
from lstune.search.samplers.gp.descent import minimise_in_box
from lstune.search.samplers.gp.model import Posterior

__all__ = ["best_rows", "log_expected_improvement", "log_h"]

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_SQRT_HALF_PI = math.sqrt(0.5 * math.pi)
_SQRT_HALF = math.sqrt(0.5)


def log_h(z: np.ndarray) -> np.ndarray:
    """log(phi(z) + z Phi(z)), accurate for every z (Ament et al. 2023, arXiv:2310.20708, eq. 9).

    The plain formula loses all digits below z = -6 and gives log(0) below -40, where most of a space lies
    late in a search; the gradient would vanish there.
    """
    z = np.asarray(z, dtype=float)
    out = np.empty_like(z)
    far = z <= -1.0
    if not far.all():
        near = ~far
        zn = z[near]
        out[near] = np.log(np.exp(-0.5 * zn * zn - _LOG_SQRT_2PI) + zn * ndtr(zn))
    if far.any():
        zf = z[far]
        # log(1 - t) with t = |z| erfcx(-z / sqrt 2) sqrt(pi / 2); t -> 1 - 1/z**2 as z -> -inf
        t = _SQRT_HALF_PI * -zf * erfcx(-zf * _SQRT_HALF)
        # Below -1e4 the difference from 1 drowns in rounding: its limit then.
        short = np.log1p(-np.minimum(t, 1.0 - 1e-16))
        tail = np.where(zf > -1e4, short, -2.0 * np.log(-zf))
        out[far] = -0.5 * zf * zf - _LOG_SQRT_2PI + tail
    return out


def log_expected_improvement(mean: np.ndarray, variance: np.ndarray, best: float) -> np.ndarray:
    """log EI for minimisation below `best`; arrays of the same shape."""
    deviation = np.sqrt(variance)
    return log_h((best - mean) / deviation) + np.log(deviation)


def best_rows(
    posterior: Posterior,
    encoding: Encoding,
    best: float,
    elite: np.ndarray,
    rng: np.random.Generator,
    *,
    fidelity: bool,
    candidates: int = 256,
    polish: int = 3,
) -> np.ndarray:
    """Rows (k, D) of settings by falling log EI: random candidates, then local search, then gradient steps.

    `elite` (e, D) are rows of good known settings to search around. With `fidelity` the posterior has one
    more column, in which everything is judged at 1.
    """
    dims = len(encoding.names)

    def extend(rows: np.ndarray) -> np.ndarray:
        return np.hstack([rows, np.ones((len(rows), 1))]) if fidelity else rows

    def score(rows: np.ndarray) -> np.ndarray:
        mean, variance = posterior.predict(extend(rows))
        return log_expected_improvement(mean, variance, best)

    points = rng.random((candidates, dims))
    if len(elite):
        around = np.repeat(encoding.to_points(elite), 16, axis=0)
        points = np.concatenate([points, _perturb(around, 0.1, encoding, rng)])
    rows = encoding.snap(points)
    scores = score(rows)
    for width in (0.1, 0.02):
        top = np.argsort(-scores, kind="stable")[:8]
        around = np.repeat(encoding.to_points(rows[top]), 16, axis=0)
        near = encoding.snap(_perturb(around, width, encoding, rng))
        rows, scores = np.concatenate([rows[top], near]), np.concatenate([scores[top], score(near)])
    order = np.argsort(-scores, kind="stable")
    rows, scores = rows[order], scores[order]
    if polish and not encoding.categories.all():
        climbed = _climb(rows[:polish], posterior, encoding, best, extend)
        extra = encoding.snap(encoding.to_points(climbed))
        rows, scores = np.concatenate([extra, rows]), np.concatenate([score(extra), scores])
        rows = rows[np.argsort(-scores, kind="stable")]
    return rows


def _perturb(points: np.ndarray, width: float, encoding: Encoding, rng: np.random.Generator) -> np.ndarray:
    """Points with a random part of their coordinates moved: a normal step, or a new draw for a category."""
    count, dims = points.shape
    moved = rng.random((count, dims)) < max(0.3, 1.0 / dims)
    moved[np.arange(count), rng.integers(dims, size=count)] = True
    step = np.abs(points + width * rng.standard_normal((count, dims)))
    step = np.where(step > 1.0, 2.0 - step, step)  # reflected at the borders, which would else collect points
    draw = rng.random((count, dims))
    # A discrete coordinate must be able to leave its bin however small the step: it moves to a neighbour.
    sizes = encoding.sizes
    coarse = (sizes > 0) & (width * sizes < 1.0)
    step = np.where(coarse, points + np.where(draw < 0.5, -1.0, 1.0) / np.maximum(sizes, 1), step)
    step = np.where(encoding.categories > 0, draw, step)
    return np.clip(np.where(moved, step, points), 0.0, 1.0)


def _climb(
    rows: np.ndarray,
    posterior: Posterior,
    encoding: Encoding,
    best: float,
    extend: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Gradient ascent of log EI from every row, over its active numeric columns, within the unit cube."""
    free = np.flatnonzero(encoding.categories == 0)
    full = extend(rows)
    # In units of the lengthscales one step length suits all columns.
    root = np.sqrt(posterior.hyper.weights[free])

    def loss(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = full[which]
        at[:, free] = x / root
        mean, variance, mean_slope, variance_slope = posterior.predict_with_gradient(at)
        deviation = np.sqrt(variance)
        z = (best - mean) / deviation
        log_hz = log_h(z)
        ratio = np.exp(np.minimum(log_ndtr(z) - log_hz, 700.0))  # d log h / dz = Phi / h
        # d z = (-d mean - z d deviation) / deviation, d deviation = d variance / (2 deviation)
        of_variance = (1.0 - ratio * z) / (2.0 * variance)
        gradient = (ratio / deviation)[:, None] * mean_slope - of_variance[:, None] * variance_slope
        return -(log_hz + np.log(deviation)), gradient[:, free] / root

    start = rows[:, free]
    active = encoding.active(rows)[:, free]
    low, high = np.where(active, 0.0, start), np.where(active, 1.0, start)
    climbed, _ = minimise_in_box(
        loss, start * root, low * root, high * root, reach=0.5, rounds=5, tolerance=3e-3
    )
    out = rows.copy()
    out[:, free] = np.clip(climbed / root, low, high)  # rounding
    return out
