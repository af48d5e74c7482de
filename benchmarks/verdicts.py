"""How often is the verdict right, where the truth is known?

Random walks, on which nothing beats the naive forecast, must be told "no skill" at least 95 times in 100, and
seasonal series with noise, on which averaging over seasons helps, "skill" at least 95 times in 100.

    python benchmarks/verdicts.py --count 40 --trials 20
"""

from __future__ import annotations

import argparse
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


def seasonal(rng: np.random.Generator) -> np.ndarray:
    pattern = 3.0 * rng.normal(size=SEASON)
    return 50.0 + np.resize(pattern, ROWS) + rng.normal(size=ROWS)


KINDS = {"random walk": (random_walk, 1, False), "seasonal": (seasonal, SEASON, True)}


def one(values: np.ndarray, season: int, seed: int, trials: int) -> dict:
    stamps = pd.date_range("2000-01-01", periods=ROWS, freq="D")
    series = Series(stamps, values, freq="D", season=season, seasonal=season > 1)
    with tempfile.TemporaryDirectory() as folder:
        run = lstune.tune(series, trials=trials, seed=seed, out=Path(folder) / "run")
    return run.result["verdict"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kinds", default=",".join(KINDS))
    args = parser.parse_args()
    for kind in args.kinds.split(","):
        make, season, skilful = KINDS[kind]
        right, began = 0, time.monotonic()
        for seed in range(args.count):
            verdict = one(make(np.random.default_rng(seed)), season, seed, args.trials)
            ok = verdict["text"].startswith("beats") == skilful
            right += ok
            if not ok:
                print(f"  {kind} {seed}: {verdict['text']}", flush=True)
        rate, seconds = 100 * right / args.count, time.monotonic() - began
        print(
            f"{kind:<12} right {right} of {args.count} ({rate:.0f} %, wanted 95 %), {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
