"""How often does the test behind the verdict tell two equally good forecasts apart?

    python benchmarks/calibration.py --draws 2000

Two forecasts of a series err by AR(1) processes of the same spread beside a common part, so neither is
better, and a two-sided test at 0.05 should call the first better in 2.5 of 100 cases. Errors lean on their
neighbours by 0 to 0.9: those of a seasonal naive forecast do, at any horizon. Beside lstune's variance
(Lazarus, Lewis, Stock & Watson 2018) stands the textbook's, Diebold & Mariano (1995) with horizon - 1
autocovariances and the correction of Harvey, Leybourne & Newbold (1997). "Astray" counts calls of "better"
whose 95 % interval of the skill reaches below 0. On the right the second forecast's own part is a fifth
larger, and the call is true.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

from lstune.evaluation import diebold_mariano, skill_interval

HORIZONS, LEANINGS, ROWS = (1, 6, 24), (0.0, 0.5, 0.8, 0.9), (60, 195, 450)
SETTLE = 50


def textbook_p(gap: np.ndarray, horizon: int) -> float:
    """Two-sided p of equal accuracy; Bartlett's weights where the variance would not be positive."""
    n, centred = len(gap), gap - gap.mean()
    covariance = np.array([centred[lag:] @ centred[: n - lag] / n for lag in range(horizon)])
    variance = covariance[0] + 2 * covariance[1:].sum()
    if variance <= 0:
        variance = covariance[0] + 2 * ((1 - np.arange(1, horizon) / horizon) * covariance[1:]).sum()
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    statistic = gap.mean() / math.sqrt(variance / n) * math.sqrt(correction)
    return float(2 * stats.t.sf(abs(statistic), n - 1))


def errors(rng: np.random.Generator, draws: int, rows: int, leaning: float) -> np.ndarray:
    """Three independent AR(1) processes (3, draws, rows) with steps of variance 1."""
    shocks = rng.normal(size=(3, draws, SETTLE + rows))
    for row in range(1, shocks.shape[2]):
        shocks[:, :, row] += leaning * shocks[:, :, row - 1]
    return shocks[:, :, SETTLE:]


def losses(error: np.ndarray, horizon: int) -> np.ndarray:
    """Mean absolute errors (draws, N) of forecasts of `horizon` rows made at N successive origins."""
    windows = np.lib.stride_tricks.sliding_window_view(np.abs(error), horizon, axis=1)
    return windows.mean(axis=2)


def rates(first: np.ndarray, second: np.ndarray, horizon: int) -> tuple[float, float, float]:
    """Times in 100 that the first is called better by lstune and by the textbook, and lstune's astray."""
    own = textbook = astray = 0
    for a, b in zip(first, second, strict=True):
        if a.mean() >= b.mean():
            continue
        textbook += textbook_p(a - b, horizon) < 0.05
        if diebold_mariano(a, b, horizon=horizon).p_value < 0.05:
            own += 1
            astray += skill_interval(a, b, horizon=horizon)[0] < 0
    return 100 * own / len(first), 100 * textbook / len(first), 100 * astray / len(first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print("horizon  AR   rows | of 100, none better:            | of 100, a fifth better:")
    print("                   | lstune  astray  textbook        | lstune  textbook")
    for horizon in HORIZONS:
        for leaning in LEANINGS:
            for rows in ROWS:
                series, one, other = errors(rng, args.draws, rows + horizon - 1, leaning)
                first = losses(series - one, horizon)
                same = rates(first, losses(series - other, horizon), horizon)
                worse = rates(first, losses(series - 1.2 * other, horizon), horizon)
                print(
                    f"{horizon:>7}  {leaning:.1f}  {rows:>4} | {same[0]:>6.1f}  {same[2]:>6.1f}"
                    f"  {same[1]:>8.1f}        | {worse[0]:>6.1f}  {worse[1]:>8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
