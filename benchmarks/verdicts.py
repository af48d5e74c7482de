"""How often is the verdict right, where the truth is known?

Random walks, on which nothing beats the naive forecast, must be told "no skill" at least 95 times in 100, and
seasonal series with noise, on which averaging over seasons helps, "skill" at least 95 times in 100.

    python benchmarks/verdicts.py --count 40 --trials 20

The walks differ: without drift, with drift (the drift forecast stands beside naive, so drift is no skill),
and with steps whose size comes in clusters, as on markets. Seasonal series carry noise of a third of their
pattern's swing. What is counted is the sentence. Beside each rate stands its 95 % interval (Wilson 1927):
40 series cannot tell 95 from 90 in 100. --keep FILE.jsonl writes a line for each run and goes on where an
interrupted call stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import lstune
from lstune.series import Series

ROWS, SEASON = 1500, 12


def random_walk(rng: np.random.Generator) -> np.ndarray:
    return 100.0 + rng.normal(size=ROWS).cumsum()


def drifting_walk(rng: np.random.Generator) -> np.ndarray:
    return 100.0 + (0.1 + rng.normal(size=ROWS)).cumsum()


def price(rng: np.random.Generator) -> np.ndarray:
    """A geometric walk whose steps follow GARCH(1, 1) with usual values for daily returns."""
    steps, variance = np.empty(ROWS), 1e-4
    for row in range(ROWS):
        steps[row] = math.sqrt(variance) * rng.normal()
        variance = 2e-6 + 0.1 * steps[row] ** 2 + 0.88 * variance
    return 100.0 * np.exp(steps.cumsum())


def seasonal(rng: np.random.Generator) -> np.ndarray:
    pattern = 3.0 * rng.normal(size=SEASON)
    return 50.0 + np.resize(pattern, ROWS) + rng.normal(size=ROWS)


# name: maker, season, whether there is skill to be had
KINDS = {
    "random walk": (random_walk, 1, False),
    "drifting walk": (drifting_walk, 1, False),
    "price": (price, 1, False),
    "seasonal": (seasonal, SEASON, True),
}


def one(values: np.ndarray, season: int, seed: int, trials: int) -> dict:
    stamps = pd.date_range("2000-01-01", periods=ROWS, freq="D")
    series = Series(stamps, values, freq="D", season=season, seasonal=season > 1)
    with tempfile.TemporaryDirectory() as folder:
        run = lstune.tune(series, trials=trials, seed=seed, baselines="simple", out=Path(folder) / "run")
    return {**run.result["verdict"], "shares": run.result["forecaster"]["baselines"]}


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate."""
    z, rate = 1.96, right / count
    centre = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return centre - half, centre + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kinds", default="random walk,seasonal")
    parser.add_argument("--keep", type=Path, help="file of runs measured so far")
    args = parser.parse_args()
    kept = {}
    if args.keep is not None and args.keep.exists():
        for line in args.keep.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            kept[row["kind"], row["seed"], row["trials"]] = row
    for kind in args.kinds.split(","):
        make, season, skilful = KINDS[kind]
        right, mixed, began = 0, 0, time.monotonic()
        for seed in range(args.count):
            row = kept.get((kind, seed, args.trials))
            if row is None:
                row = one(make(np.random.default_rng(seed)), season, seed, args.trials)
                if args.keep is not None:
                    with open(args.keep, "a", encoding="utf-8") as file:
                        file.write(
                            json.dumps({"kind": kind, "seed": seed, "trials": args.trials, **row}) + "\n"
                        )
            ok = row["text"].startswith("beats") == skilful
            right += ok
            mixed += sum(row["shares"].values()) < 1
            if not ok:
                print(f"  {kind} {seed}: {row['text']}", flush=True)
        low, high = wilson(right, args.count)
        print(
            f"{kind:<14} right {right} of {args.count} ({100 * right / args.count:.0f} %, 95 % interval "
            f"{100 * low:.0f} to {100 * high:.0f}; wanted 95 %), networks kept in {mixed}, "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
