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
from scipy.linalg import blas, lapack

from lstune.search.samplers.gp.descent import minimise_in_box

__all__ = [
    "Distances",
    "Hyper",
    "Likelihood",
    "Posterior",
    "default_theta",
    "fit",
    "matern",
    "matern_with_slope",
    "pair_deltas",
]

# Bounds of theta = (log w_1..D, log scale, log noise): lengthscales 0.02 to 100, noise variance 1e-6 to 1.
_LOG_W = (-2 * math.log(100.0), -2 * math.log(0.02))
_LOG_SCALE = (-4.0, 4.0)
_LOG_NOISE = (math.log(1e-6), 0.0)
# Numbers in one array of a prediction: 128 KiB, of which a few fit in every processor's second cache.
_CACHED = 16384
# A step that gains less than this many nats of log posterior density ends a fit.
_GOOD_ENOUGH = 1e-3


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


def pair_deltas(rows: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """delta_d for all pairs of rows i < j, (D, n (n - 1) / 2); `categorical` (D,) is true for categories."""
    above = np.triu_indices(len(rows), 1)
    columns = np.ascontiguousarray(rows.T)
    out = columns[:, above[0]] - columns[:, above[1]]
    np.multiply(out, out, out=out)
    if categorical.any():
        out[categorical] = out[categorical] > 0.25
    return out


class Distances:
    """Weighted squared distances of any rows from fixed `rows` (n, D), through one matrix product.

    With |a - b|**2 = |a|**2 + |b|**2 - 2 a b, and w (1 - [a = b]) for a category, whose values are one-hot;
    one that `rows` lack matches none of them.
    """

    def __init__(self, rows: np.ndarray, weights: np.ndarray, categorical: np.ndarray) -> None:
        self._numeric = ~categorical
        self._root = np.sqrt(weights[self._numeric])
        self._categories = np.flatnonzero(categorical)
        self._weights = weights[self._categories]
        codes = [np.arange(rows[:, d].max(initial=0.0) + 1.0) for d in self._categories]
        self._levels = np.concatenate(codes) if codes else np.empty(0)
        self._sizes = [len(c) for c in codes]
        self._apart = float(self._weights.sum())
        self._height = np.repeat(self._weights, self._sizes)
        near = rows[:, self._numeric] * self._root
        square = np.einsum("ij,ij->i", near, near)
        ones = np.ones(len(rows))
        self._right = np.vstack([near.T, self._one_hot(rows).T, ones, square])

    def _one_hot(self, rows: np.ndarray) -> np.ndarray:
        return np.repeat(rows[:, self._categories], self._sizes, axis=1) == self._levels

    def __call__(self, queries: np.ndarray) -> np.ndarray:
        """Distances of queries (m, D), (m, n)."""
        near = queries[:, self._numeric] * self._root
        split = near.shape[1]
        left = np.empty((len(queries), len(self._right)))
        np.multiply(near, -2.0, out=left[:, :split])
        left[:, split:-2] = self._one_hot(queries) * -self._height
        left[:, -2] = np.einsum("ij,ij->i", near, near) + self._apart
        left[:, -1] = 1.0
        out = left @ self._right
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
    s += 1.0
    slope = (-5.0 / 6.0) * s
    slope *= decay
    s += (5.0 / 3.0) * squared
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


class Likelihood:
    """Minus the log of marginal likelihood times prior, for values (n,) and `pair_deltas` of their rows."""

    def __init__(self, deltas: np.ndarray, values: np.ndarray) -> None:
        self._deltas = deltas
        self._values = values
        self._above = np.triu_indices(len(values), 1)
        self._flat = self._above[0] * len(values) + self._above[1]

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """At theta (D + 2,), with its gradient (Rasmussen & Williams, eq. 5.9).

        The covariance is symmetric: only its pairs are computed. In Fortran's order, LAPACK's, the upper
        triangle of rows is the lower one.
        """
        n = len(self._values)
        weights, scale, noise = np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
        kernel, slope = matern_with_slope(weights @ self._deltas)
        covariance = np.zeros((n, n))
        covariance.ravel()[self._flat] = scale * kernel
        covariance.ravel()[:: n + 1] = scale + noise + 1e-9
        factor, info = lapack.dpotrf(covariance.T, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            return 1e25, np.zeros_like(theta)
        value = float(np.log(factor.diagonal()).sum())
        alpha, _ = lapack.dpotrs(factor, self._values, lower=1)
        value += 0.5 * float(self._values @ alpha)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        # dL/dK = (K^-1 - alpha alpha^T) / 2, once for each pair and half for the diagonal.
        inner = inverse.T.ravel()[self._flat]
        inner -= alpha[self._above[0]] * alpha[self._above[1]]
        trace = float(inverse.diagonal().sum() - alpha @ alpha)
        gradient = np.empty_like(theta)
        gradient[-2] = scale * (float(inner @ kernel) + 0.5 * trace)
        gradient[-1] = 0.5 * noise * trace
        inner *= slope
        gradient[:-2] = scale * weights * (self._deltas @ inner)
        prior, prior_gradient = _prior(theta)
        return value + prior, gradient + prior_gradient


def fit(
    rows: np.ndarray,
    values: np.ndarray,
    categorical: np.ndarray,
    start: np.ndarray | None = None,
    rounds: int = 30,
) -> Hyper:
    """Hyperparameters of maximal posterior density for rows (n, D) and standardised values (n,).

    BFGS from `start` (an earlier fit's theta) or from the default, whichever is better to begin with; at
    most `rounds` evaluations follow.
    """
    likelihood = Likelihood(pair_deltas(rows, categorical), values)
    dims = rows.shape[1]
    low, high = np.array([_LOG_W] * dims + [_LOG_SCALE, _LOG_NOISE]).T
    first = default_theta(dims)
    known = likelihood(first)
    if start is not None and len(start) == dims + 2:
        warm = np.clip(start, low, high)
        earlier = likelihood(warm)
        if earlier[0] < known[0]:
            first, known = warm, earlier

    def function(points: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = known if np.array_equal(points[0], first) else likelihood(points[0])
        return np.array([value]), gradient[None]

    found, _ = minimise_in_box(
        function, first[None], low, high, reach=2.0, rounds=rounds, tolerance=_GOOD_ENOUGH
    )
    return Hyper.from_theta(found[0])


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
        self._distances = Distances(self.rows, hyper.weights, categorical)
        covariance = self._kernel(self.rows)
        covariance.ravel()[:: len(self.rows) + 1] += hyper.noise + 1e-9
        self._factor = _robust_cholesky(covariance)
        if len(self.rows) > n:
            known, _ = lapack.dpotrs(self._factor[:n, :n], values, lower=1)
            values = np.concatenate([values, covariance[n:, :n] @ known])
        self._alpha, _ = lapack.dpotrs(self._factor, values, lower=1)

    def _kernel(self, queries: np.ndarray) -> np.ndarray:
        kernel = matern(self._distances(queries))
        kernel *= self.hyper.scale
        return kernel

    def mean(self, queries: np.ndarray) -> np.ndarray:
        """The mean at rows (m, D), (m,)."""
        return self._kernel(queries) @ self._alpha

    def predict(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (without noise) at rows (m, D), each (m,)."""
        mean, variance = np.empty(len(queries)), np.empty(len(queries))
        # In parts of which every array stays in the processor's cache.
        size = max(32, _CACHED // len(self.rows))
        for begin in range(0, len(queries), size):
            part = slice(begin, begin + size)
            cross = self._kernel(queries[part])  # (m, n)
            mean[part] = cross @ self._alpha
            half = blas.dtrsm(1.0, self._factor, cross.T, lower=1, overwrite_b=1).T  # (m, n), in place
            variance[part] = self.hyper.scale - np.einsum("ij,ij->i", half, half)
        return mean, np.maximum(variance, 1e-12)

    def predict_with_gradient(
        self, queries: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`predict`, and the gradients of both (m, D) by the numeric columns (0 for categories)."""
        m, scale = len(queries), self.hyper.scale
        kernel, slope = matern_with_slope(self._distances(queries))  # (m, n)
        kernel *= scale
        solved = lapack.dpotrs(self._factor, kernel.T, lower=1)[0].T
        mean = kernel @ self._alpha
        variance = np.maximum(scale - np.einsum("ij,ij->i", kernel, solved), 1e-12)
        # d k / d x_d = 2 scale slope w_d (x_d - row_d): both sums over rows are matrix products.
        pull = np.concatenate([slope * self._alpha, slope * solved])  # (2 m, n)
        gradient = pull.sum(axis=1)[:, None] * np.concatenate([queries, queries]) - pull @ self.rows
        gradient *= (2.0 * scale) * np.where(self.categorical, 0.0, self.hyper.weights)
        return mean, variance, gradient[:m], -2.0 * gradient[m:]


def _robust_cholesky(covariance: np.ndarray) -> np.ndarray:
    """The lower factor in Fortran's order (above its diagonal lies what was there)."""
    jitter = 0.0
    for _ in range(6):
        shifted = covariance + jitter * np.eye(len(covariance)) if jitter else covariance
        factor, info = lapack.dpotrf(shifted.T, lower=1, clean=0)
        if info == 0:
            return factor
        jitter = max(10.0 * jitter, 1e-8)
    return np.asfortranarray(np.sqrt(np.diag(np.diag(covariance))))  # no structure left to use
