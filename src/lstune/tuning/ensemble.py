"""Which forecasts to mix, and how much of each: chosen on validation rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["select_ensemble"]


def select_ensemble(
    candidates: Mapping[str, Any],
    truth: Any,
    *,
    rounds: int = 20,
    most: int | None = None,
    start: str | None = None,
) -> dict[str, float]:
    """Shares (summing to 1) of the forecasts whose mean has a small absolute error.

    Greedy selection with replacement (Caruana et al. 2004): each round adds the forecast that makes the
    mean of all so far best; the best of all rounds wins, the earlier one if two are equal. `most` bounds the
    number of different forecasts, `start` names one that is always in the first round. Forecasts and truth
    share one shape; a truth of NaN does not count.
    """
    names = list(candidates)
    actual = np.asarray(truth, dtype=np.float64)
    known = ~np.isnan(actual)
    actual = actual[known]
    stack = {name: np.asarray(candidates[name], dtype=np.float64)[known] for name in names}
    total = np.zeros_like(actual)
    counts = dict.fromkeys(names, 0)
    best: tuple[float, dict[str, int]] = (float("inf"), {})
    for size in range(1, rounds + 1):
        allowed = [start] if size == 1 and start is not None else _allowed(counts, most)
        errors = {name: float(np.abs((total + stack[name]) / size - actual).mean()) for name in allowed}
        chosen = min(errors, key=lambda name: errors[name])
        total = total + stack[chosen]
        counts[chosen] += 1
        if errors[chosen] < best[0]:
            best = errors[chosen], dict(counts)
    size = sum(best[1].values())
    return {name: count / size for name, count in best[1].items() if count}


def _allowed(counts: Mapping[str, int], most: int | None) -> list[str]:
    used = [name for name, count in counts.items() if count]
    return used if most is not None and len(used) >= most else list(counts)
