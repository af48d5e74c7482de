"""Gaussian process regression with a Matern-5/2 kernel, by NumPy and SciPy alone.

Letters: n observations, m query rows, D columns. Rows are those of `Encoding`, with the fidelity as a last
column if there is one. The squared distance of two rows is ``sum_d w_d * delta_d`` with ``delta_d = (x_d -
x'_d)**2`` for a numeric column, 0 or 1 (same or different) for a category, and ``w_d = 1 /
lengthscale_d**2``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, lapack, solve_triangular
from scipy.optimize import minimize

__all__ = ["Hyper", "Posterior", "fit", "matern", "matern_with_slope", "squared_deltas"]

# Bounds of theta = (log w_1..D, log scale, log noise): lengthscales 0.02 to 100, noise variance 1e-6 to 1.
_LOG_W = (-2 * math.log(100.0), -2 * math.log(0.02))
_LOG_SCALE = (-4.0, 4.0)
_LOG_NOISE = (math.log(1e-6), 0.0)


@dataclass(frozen=True)
class Hyper:
    """Hyperparameters: weights (D,), the kernel's variance and the noise's."""

    weights: np.ndarray
    scale: float
    noise: float

    def to_theta(self) -> np.ndarray:
        """Logarithms in one vector, (D + 2,)."""
        return np.concatenate([np.log(self.weights), [math.log(self.scale), math.log(self.noise)]])

    @classmethod
    def from_theta(cls, theta: np.ndarray) -> Hyper:
        """The inverse of `to_theta`."""
        theta = np.asarray(theta, dtype=float)
        return cls(np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1]))


def squared_deltas(a: np.ndarray, b: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """delta_d for all pairs, (D, len(a), len(b)); `categorical` (D,) is true for categories."""
    out = a.T[:, :, None] - b.T[:, None, :]
    np.multiply(out, out, out=out)
    if categorical.any():
        out[categorical] = out[categorical] > 0.25
    return out


def squared_distance(
    a: np.ndarray, b: np.ndarray, weights: np.ndarray, categorical: np.ndarray
) -> np.ndarray:
    """Weighted squared distances, (len(a), len(b)), through one matrix product; categories one-hot."""
    x, y = (
        [a[:, ~categorical] * np.sqrt(weights[~categorical])],
        [b[:, ~categorical] * np.sqrt(weights[~categorical])],
    )
    for d in np.flatnonzero(categorical):
        codes = np.arange(max(a[:, d].max(initial=0.0), b[:, d].max(initial=0.0)) + 1.0)
        height = math.sqrt(0.5 * weights[d])  # two one-hot rows that differ are sqrt 2 apart
        x.append(height * (a[:, d][:, None] == codes))
        y.append(height * (b[:, d][:, None] == codes))
    left, right = np.hstack(x), np.hstack(y)
    out = (-2.0 * left) @ right.T
    out += np.einsum("ij,ij->i", left, left)[:, None]
    out += np.einsum("ij,ij->i", right, right)[None, :]
    return np.maximum(out, 0.0, out=out)


def matern(squared: np.ndarray) -> np.ndarray:
    """Matern-5/2: (1 + s + s**2/3) exp(-s), s = sqrt(5 r2) (Rasmussen & Williams, eq. 4.17)."""
    s = np.sqrt(5.0 * squared)
    decay = np.exp(-s)
    s += 1.0
    s += (5.0 / 3.0) * squared
    s *= decay
    return s


def matern_with_slope(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, and its derivative by the squared distance, -5/6 (1 + s) exp(-s)."""
    s = np.sqrt(5.0 * squared)
    decay = np.exp(-s)
    slope = (-5.0 / 6.0) * (1.0 + s) * decay
    s += 1.0 + (5.0 / 3.0) * squared
    s *= decay
    return s, slope


# The prior of theta: log lengthscale normal around -0.3 (three quarters of the unit cube's side) with
# deviation 0.7, log variance around 0 with 1, log noise around -4 with 1.4. Tried on two mixed 8-dimensional
# functions: BoTorch's and Hvarfner et al.'s wide prior around exp(sqrt 2) sqrt(D) (arXiv:2402.02229) leaves
# most columns without influence while trials are few, fits one of them with a lengthscale of 0.06, and was
# behind random search at 50 trials.
_CENTRE = -0.3
_DEVIATION = 0.7
_SCALE_DEVIATION = 1.0
_NOISE_CENTRE = -4.0
_NOISE_DEVIATION = 1.4


def _prior(theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Minus the log prior density of theta (up to a constant) and its gradient."""
    gap = np.empty_like(theta)
    gap[:-2] = theta[:-2] + 2.0 * _CENTRE  # log w = -2 log lengthscale
    gap[-2] = theta[-2]
    gap[-1] = theta[-1] - _NOISE_CENTRE
    slope = gap.copy()
    slope[:-2] /= (2.0 * _DEVIATION) ** 2
    slope[-2] /= _SCALE_DEVIATION**2
    slope[-1] /= _NOISE_DEVIATION**2
    return 0.5 * float(gap @ slope), slope


def default_theta(dims: int) -> np.ndarray:
    """Where a first fit starts: close to the prior's centre, lengthscales a little below it."""
    theta = np.full(dims + 2, 0.5 - 2.0 * _CENTRE)
    theta[-2:] = (0.0, _NOISE_CENTRE)
    return theta


def negative_log_posterior(
    theta: np.ndarray, deltas: np.ndarray, values: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus the log of marginal likelihood times prior, and its gradient (Rasmussen & Williams, eq. 5.9)."""
    n = len(values)
    weights, scale, noise = np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
    kernel, slope = matern_with_slope(np.tensordot(weights, deltas, axes=1))
    covariance = scale * kernel
    covariance[np.diag_indices(n)] += noise + 1e-9
    factor, info = lapack.dpotrf(covariance, lower=1, clean=1)
    if info != 0:
        return 1e25, np.zeros_like(theta)
    alpha = cho_solve((factor, True), values, check_finite=False)
    inverse, _ = lapack.dpotri(factor, lower=1)
    # dL/dK = (K^-1 - alpha alpha^T) / 2; dpotri fills the lower triangle only.
    inner = np.tril(inverse) + np.tril(inverse, -1).T - np.outer(alpha, alpha)
    gradient = np.empty_like(theta)
    gradient[:-2] = (0.5 * scale) * weights * (deltas.reshape(len(weights), -1) @ (inner * slope).ravel())
    gradient[-2] = 0.5 * scale * float(np.vdot(inner, kernel))
    gradient[-1] = 0.5 * noise * float(np.trace(inner))
    value = 0.5 * float(values @ alpha) + float(np.log(np.diag(factor)).sum())
    prior, prior_gradient = _prior(theta)
    return value + prior, gradient + prior_gradient


def fit(
    rows: np.ndarray,
    values: np.ndarray,
    categorical: np.ndarray,
    start: np.ndarray | None = None,
    max_iterations: int = 30,
) -> Hyper:
    """Hyperparameters of maximal posterior density for rows (n, D) and standardised values (n,).

    L-BFGS from `start` (an earlier fit's theta) or from the default, whichever is better to begin with.
    """
    deltas = squared_deltas(rows, rows, categorical)
    dims = rows.shape[1]
    bounds = [_LOG_W] * dims + [_LOG_SCALE, _LOG_NOISE]
    first = default_theta(dims)
    if start is not None and len(start) == dims + 2:
        warm = np.clip(start, [b[0] for b in bounds], [b[1] for b in bounds])
        if negative_log_posterior(warm, deltas, values)[0] < negative_log_posterior(first, deltas, values)[0]:
            first = warm
    result = minimize(
        negative_log_posterior,
        first,
        args=(deltas, values),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": max_iterations, "maxfun": max_iterations + 10, "ftol": 1e-5, "gtol": 1e-3},
    )
    return Hyper.from_theta(result.x)


class Posterior:
    """The process conditioned on rows (n, D) and values (n,).

    `pending` rows (p, D) are believed to have the values predicted for them (kriging believer, Ginsbourger
    et al. 2010): the mean stays, the variance around them shrinks.
    """

    def __init__(
        self,
        hyper: Hyper,
        rows: np.ndarray,
        values: np.ndarray,
        categorical: np.ndarray,
        pending: np.ndarray | None = None,
    ) -> None:
        self.hyper = hyper
        self.categorical = categorical
        n = len(rows)
        self.rows = rows if pending is None or not len(pending) else np.vstack([rows, pending])
        covariance = hyper.scale * matern(self._squared(self.rows, self.rows))
        covariance[np.diag_indices(len(self.rows))] += hyper.noise + 1e-9
        self._factor = _robust_cholesky(covariance)
        self._alpha = cho_solve((self._factor[:n, :n], True), values, check_finite=False)
        if len(self.rows) > n:
            believed = covariance[n:, :n] @ self._alpha
            everything = np.concatenate([values, believed])
            self._alpha = cho_solve((self._factor, True), everything, check_finite=False)

    def _squared(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return squared_distance(a, b, self.hyper.weights, self.categorical)

    def mean(self, queries: np.ndarray) -> np.ndarray:
        """The mean at rows (m, D), (m,)."""
        return self.hyper.scale * (matern(self._squared(queries, self.rows)) @ self._alpha)

    def predict(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (without noise) at rows (m, D), each (m,)."""
        cross = self.hyper.scale * matern(self._squared(queries, self.rows))  # (m, n)
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)  # (n, m)
        variance = self.hyper.scale - np.einsum("ij,ij->j", half, half)
        return cross @ self._alpha, np.maximum(variance, 1e-12)

    def predict_with_gradient(self, row: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Mean and variance at one row (D,) and their gradients by its numeric columns (0 for categories)."""
        difference = row[None, :] - self.rows  # (n, D)
        if self.categorical.any():
            differs = np.abs(difference[:, self.categorical]) > 0.5
            difference[:, self.categorical] = differs
        kernel, slope = matern_with_slope((difference * difference) @ self.hyper.weights)
        kernel = self.hyper.scale * kernel
        jacobian = (2.0 * self.hyper.scale * slope)[:, None] * difference * self.hyper.weights  # (n, D)
        jacobian[:, self.categorical] = 0.0
        solved = cho_solve((self._factor, True), kernel, check_finite=False)
        mean = float(kernel @ self._alpha)
        variance = max(self.hyper.scale - float(kernel @ solved), 1e-12)
        return mean, variance, jacobian.T @ self._alpha, -2.0 * (jacobian.T @ solved)


def _robust_cholesky(covariance: np.ndarray) -> np.ndarray:
    jitter = 0.0
    for _ in range(6):
        try:
            return cholesky(
                covariance + jitter * np.eye(len(covariance)) if jitter else covariance,
                lower=True,
                check_finite=False,
            )
        except np.linalg.LinAlgError:
            jitter = max(10.0 * jitter, 1e-8)
    return np.sqrt(np.diag(np.diag(covariance)))  # no structure left to use: independent observations
