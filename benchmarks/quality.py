"""How good are the forecasts of a run with a small budget?

For each series: the last 3000 rows, cut 70/15/15 in time, one-step forecasts of the tail from true lags;
mean absolute error divided by the naive forecast's on the same rows (below 1 is better than naive).

    python benchmarks/quality.py --data FOLDER --budget 60s --seeds 0,1,2

FOLDER holds melbourne_min_temp_daily.csv, bike_sharing_hourly.csv and btc_usd_daily_bsd.csv.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import lstune
from lstune.series import take_rows

# name: file, target, the ratio to reach, what peers reached in 60 s
SERIES = {
    "melbourne": ("melbourne_min_temp_daily.csv", "temp_c", 0.86, "0.868 to 0.929"),
    "bike": ("bike_sharing_hourly.csv", "users", 0.50, "0.695 to 0.887"),
    "btc": ("btc_usd_daily_bsd.csv", "close", 1.01, "1.009 to 1.78"),
}
ROWS = 3000


def one(data: Path, name: str, budget: str, seed: int, rows: int) -> tuple[float, float, int, str]:
    """Ratio to naive, seconds, trials and the verdict of one run."""
    file, target, _, _ = SERIES[name]
    series = take_rows(lstune.read_series(data / file, target=target), -rows)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        run = lstune.tune(series, budget=budget, seed=seed, out=Path(folder) / "run")
        seconds = time.monotonic() - began
    result = run.result
    ratio = result["test"]["mae"] / result["baselines"]["naive"]["mae"]
    return ratio, seconds, sum(result["trials"].values()), run.verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--series", default=",".join(SERIES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--rows", type=int, default=ROWS)
    args = parser.parse_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    print(f"{'series':<12}{'seed':>5}{'MAE/naive':>11}{'seconds':>9}{'trials':>8}  verdict")
    for name in args.series.split(","):
        ratios = []
        for seed in seeds:
            ratio, seconds, trials, verdict = one(args.data, name, args.budget, seed, args.rows)
            ratios.append(ratio)
            print(f"{name:<12}{seed:>5}{ratio:>11.4f}{seconds:>9.1f}{trials:>8}  {verdict}", flush=True)
        _, _, goal, peers = SERIES[name]
        mean, worst = statistics.mean(ratios), max(ratios)
        reached = "reached" if worst <= goal else "MISSED"
        print(f"{name:<12}{'':>5}{mean:>11.4f}  worst {worst:.4f}, goal {goal} {reached}, peers {peers}")


if __name__ == "__main__":
    main()
