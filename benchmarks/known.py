"""What is it worth to know features beforehand?

    python benchmarks/known.py --data FOLDER --budget 60s --seeds 0,1

For each series (its last 3000 rows, cut 70/15/15 in time): the target alone; further columns of which the
past is known (`--features`); the same columns known beforehand (`--known`). Mean absolute error on the tail
divided by seasonal naive's on the same rows. The columns hold what was measured in the end, so that "known"
stands for a perfect forecast of the weather or load: what it is worth at most. FOLDER holds CSV files.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import lstune
from lstune.series import take_rows
from quality import KNOWN, ROWS

USES = ("target", "features", "known")


def one(data: Path, name: str, use: str, budget: str, seed: int) -> float:
    """The ratio to seasonal naive of one run."""
    task = KNOWN[name]
    more = {} if use == "target" else {use: task.columns}
    series = take_rows(lstune.read_series(data / task.file, target=task.target, **more), -ROWS)
    with tempfile.TemporaryDirectory() as folder:
        run = lstune.tune(series, horizon=task.horizon, budget=budget, seed=seed, out=Path(folder) / "run")
    return float(run.result["test"]["mae"] / run.result["baselines"]["seasonal_naive"]["mae"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--series", default=",".join(KNOWN))
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--budget", default="60s")
    args = parser.parse_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    print(f"{'series':<8}{'horizon':>8}  {'inputs':<10}{'mean':>7}  each seed")
    for name in args.series.split(","):
        for use in USES:
            ratios = [one(args.data, name, use, args.budget, seed) for seed in seeds]
            each = " ".join(f"{ratio:.3f}" for ratio in ratios)
            print(
                f"{name:<8}{KNOWN[name].horizon:>8}  {use:<10}{statistics.mean(ratios):>7.3f}  {each}",
                flush=True,
            )


if __name__ == "__main__":
    main()
