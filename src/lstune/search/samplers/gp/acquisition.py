"""Which setting promises most: the logarithm of expected improvement, and its maximum over a mixed space."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

from lstune.search.encoding import Encoding
from lstune.search.samplers.gp.model import Posterior

__all__ = ["best_rows", "log_expected_improvement", "log_h"]

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_SQRT_HALF_PI = 0.5 * math.log(0.5 * math.pi)


def log_h(z: np.ndarray) -> np.ndarray:
    """log(phi(z) + z Phi(z)), accurate for every z (Ament et al. 2023, arXiv:2310.20708, eq. 9).

    The plain formula loses all digits below z = -6 and gives log(0) below -40, where most of a space lies
    late in a search; the gradient would vanish there.
    """
    z = np.asarray(z, dtype=float)
    out = np.empty_like(z)
    near = z > -1.0
    zn = z[near]
    out[near] = np.log(np.exp(-0.5 * zn * zn - _LOG_SQRT_2PI) + zn * np.exp(log_ndtr(zn)))
    far = ~near
    zf = z[far]
    # log(1 - t) with t = |z| erfcx(-z / sqrt 2) sqrt(pi / 2); t -> 1 - 1/z**2 as z -> -inf
    t = np.exp(np.log(-zf * erfcx(-zf / math.sqrt(2.0))) + _LOG_SQRT_HALF_PI)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = np.where(zf > -1e4, np.log1p(-np.minimum(t, 1.0)), -2.0 * np.log(-zf))
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
    candidates: int = 512,
    polish: int = 2,
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
        points = np.vstack([points, _perturb(around, 0.1, encoding, rng)])
    rows = encoding.snap(points)
    scores = score(rows)
    for width in (0.1, 0.03, 0.01):
        top = np.argsort(-scores, kind="stable")[:8]
        near = encoding.snap(
            _perturb(np.repeat(encoding.to_points(rows[top]), 16, axis=0), width, encoding, rng)
        )
        rows, scores = np.vstack([rows[top], near]), np.concatenate([scores[top], score(near)])
    top = np.argsort(-scores, kind="stable")
    rows, scores = rows[top], scores[top]
    numeric = encoding.categories == 0
    if numeric.any() and polish:
        climbed = [_climb(row, posterior, best, numeric, fidelity) for row in rows[:polish]]
        extra = encoding.snap(encoding.to_points(np.array(climbed)))
        rows, scores = np.vstack([extra, rows]), np.concatenate([score(extra), scores])
        rows = rows[np.argsort(-scores, kind="stable")]
    return rows


def _perturb(points: np.ndarray, width: float, encoding: Encoding, rng: np.random.Generator) -> np.ndarray:
    """Points with a random part of their coordinates moved: a normal step, or a new draw for a category."""
    count, dims = points.shape
    moved = rng.random((count, dims)) < max(0.3, 1.0 / dims)
    moved[np.arange(count), rng.integers(dims, size=count)] = True
    step = points + width * rng.standard_normal((count, dims))
    step = np.abs(step)
    step = np.where(step > 1.0, 2.0 - step, step)  # reflected at the borders, which would else collect points
    # A discrete coordinate must be able to leave its bin however small the step: half of its moves are
    # neighbours.
    for d, name in enumerate(encoding.names):
        size = encoding.space[name].size
        if encoding.categories[d]:
            step[:, d] = rng.random(count)
        elif size is not None and width * size < 1.0:
            step[:, d] = points[:, d] + rng.choice([-1.0, 1.0], size=count) / size
    return np.clip(np.where(moved, step, points), 0.0, 1.0)


def _climb(
    row: np.ndarray, posterior: Posterior, best: float, numeric: np.ndarray, fidelity: bool
) -> np.ndarray:
    """Gradient ascent of log EI over the numeric columns, within the unit cube; inactive columns stay."""
    full = np.append(row, 1.0) if fidelity else row.copy()
    free = np.flatnonzero(numeric)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        full[free] = x
        mean, variance, mean_slope, variance_slope = posterior.predict_with_gradient(full)
        deviation = math.sqrt(variance)
        z = (best - mean) / deviation
        log_hz = float(log_h(np.array([z]))[0])
        ratio = math.exp(min(float(log_ndtr(z)) - log_hz, 700.0))  # d log h / dz = Phi / h
        deviation_slope = variance_slope[free] / (2.0 * deviation)
        z_slope = (-mean_slope[free] - z * deviation_slope) / deviation
        return -(log_hz + math.log(deviation)), -(ratio * z_slope + deviation_slope / deviation)

    result = minimize(
        loss,
        row[free],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(free),
        options={"maxiter": 15, "maxfun": 20},
    )
    out = row.copy()
    out[free] = result.x
    return out
