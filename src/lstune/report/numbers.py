"""The report's own arithmetic: thinning for the screen, histograms, autocorrelation, a search's optimism."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "as_option",
    "autocorrelation",
    "best_so_far",
    "expected_optimism",
    "histogram",
    "or_none",
    "rounded",
    "thin",
    "versus",
]

F64 = npt.NDArray[np.float64]


def rounded(values: Any, digits: int = 6) -> list[float]:
    """Plain numbers in `digits` significant digits: what a screen can show, at a third of the size."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64).ravel()]


def as_option(value: Any) -> str:
    """A value of a setting as one would give it to a command, in six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def versus(own: float, other: float) -> float | None:
    """An error by another; None where the other is 0."""
    return own / other if other > 0 else None


def or_none(value: float) -> float | None:
    """A number, None where it is not finite."""
    return value if np.isfinite(value) else None


def thin(values: Any, most: int) -> npt.NDArray[np.int64]:
    """Rows of a line that look like all of it: of each stretch the lowest and the highest, in order.

    `values` (T,). Returns at most about `most` row numbers, always with the first and the last.
    """
    line = np.asarray(values, dtype=np.float64)
    count = len(line)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, max(2, most // 2) + 1).astype(np.int64)
    picked = {0, count - 1}
    for begin, end in pairwise(edges):
        if end > begin:
            part = line[begin:end]
            picked.update((int(begin + part.argmin()), int(begin + part.argmax())))
    return np.array(sorted(picked))


def histogram(values: Any) -> tuple[list[float], list[int]]:
    """Edges (bins + 1) and counts (bins) with the bin width of Freedman & Diaconis (1981), 5 to 60 bins."""
    data = np.asarray(values, dtype=np.float64)
    low, high = float(data.min()), float(data.max())
    if high <= low:
        return [low - 0.5, low + 0.5], [len(data)]
    quarter, three = np.quantile(data, [0.25, 0.75])
    width = 2.0 * (three - quarter) / len(data) ** (1 / 3)
    bins = int(np.clip(math.ceil((high - low) / width) if width > 0 else 60, 5, 60))
    counts, edges = np.histogram(data, bins=bins, range=(low, high))
    return rounded(edges), [int(count) for count in counts]


def autocorrelation(values: Any, most: int) -> list[float]:
    """Autocorrelation at lags 1 to `most` (fewer for a short series); empty for a constant one."""
    data = np.asarray(values, dtype=np.float64)
    centred = data - data.mean()
    total = float(centred @ centred)
    if total <= 0:
        return []
    lags = range(1, min(most, len(data) - 2) + 1)
    return rounded([float(centred[lag:] @ centred[:-lag]) / total for lag in lags], 4)


def best_so_far(values: Sequence[float | None]) -> list[float | None]:
    """The least finite value up to each place; None before the first one."""
    best: float | None = None
    out = []
    for value in values:
        if value is not None and math.isfinite(value) and (best is None or value < best):
            best = value
        out.append(best)
    return out


def expected_optimism(losses: Any, values: Any) -> float | None:
    """How far the best of many validation errors is expected to lie below its true value, by chance alone.

    losses: (V,) the best setting's absolute errors on the V validation rows; values: (M,) validation errors
    of the trials that were compared. If the better half of the trials, m of them, had the same true error and
    validation errors of standard deviation s, the least of them would lie s * q below it, with q the expected
    largest of m standard normal draws (Blom 1958). s is the standard error of one mean, sd(losses) / sqrt(V);
    but trials compared on the same rows share most of that noise, so it is cut to the spread that the better
    half shows. An estimate; low where errors follow one another in time.
    """
    errors = np.asarray(losses, dtype=np.float64)
    found = np.sort(np.asarray(values, dtype=np.float64))
    if len(errors) < 3 or len(found) < 4:
        return None
    half = found[: max(3, len(found) // 2)]
    noise = min(float(errors.std(ddof=1)) / math.sqrt(len(errors)), float(half.std(ddof=1)))
    most = len(half)
    return noise * NormalDist().inv_cdf((most - 0.375) / (most + 0.25))
