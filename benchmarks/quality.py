"""How good are the forecasts of a run with a small budget?

For each series: the last 3000 rows, cut 70/15/15 in time, forecasts of the tail from true lags; mean absolute
error divided by that of a simple forecast on the same rows (below 1 is better than the simple one).

    python benchmarks/quality.py --data FOLDER --budget 60s --seeds 0,1,2
    python benchmarks/quality.py --data FOLDER --budget 60s --seeds 0 --all

Without --all: Melbourne, bike hire and BTC one step ahead, beside naive, and bike hire 24 steps ahead,
beside seasonal naive. With --all: every series of the folder one step ahead, beside the best of naive,
seasonal naive and drift on the same rows, than which none may be more than 1 % worse. FOLDER holds CSV files.

--keep FILE.jsonl writes a line for each run and goes on where an interrupted call stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lstune
from lstune.series import take_rows

ROWS = 3000
SIMPLE = ("naive", "seasonal_naive", "drift")


@dataclass(frozen=True)
class Task:
    """A series, how far to forecast it, the simple forecasts it stands beside, and the ratio to reach.

    columns: those that `known.py` and `peers.py` give as features, separated by commas.
    """

    file: str
    target: str
    goal: float
    horizon: int = 1
    beside: tuple[str, ...] = ("naive",)
    peers: str = ""
    columns: str = ""


TASKS = {
    "melbourne": Task("melbourne_min_temp_daily.csv", "temp_c", 0.855, peers="0.868 to 0.929"),
    "bike": Task("bike_sharing_hourly.csv", "users", 0.46, peers="0.695 to 0.887"),
    "btc": Task("btc_usd_daily_bsd.csv", "close", 1.003, peers="1.009 to 1.78"),
    "bike-24": Task("bike_sharing_hourly.csv", "users", 0.85, 24, ("seasonal_naive",)),
}

_SEASONAL = ("seasonal_naive",)
# With the columns that a forecast of the weather, the load or the calendar could tell beforehand.
KNOWN = {
    "bike": Task(
        "bike_sharing_hourly.csv", "users", 1.0, 24, _SEASONAL, "", "temp,hum,windspeed,holiday,workingday"
    ),
    "no2": Task("valencia_air_quality_hourly.csv", "no2", 1.0, 24, _SEASONAL, "", "veloc,direc"),
    "delhi": Task("delhi_climate_daily.csv", "meantemp", 1.0, 7, _SEASONAL, "", "humidity,wind_speed"),
    "etth1": Task("etth1.csv", "OT", 1.0, 24, _SEASONAL, "", "HUFL,MUFL"),
}

# file and target of every usable series of the folder
_EVERY = {
    "airline": ("airline_passengers_monthly.csv", "passengers"),
    "amzn": ("amzn_daily_open.csv", "close"),
    "bike": ("bike_sharing_hourly.csv", "users"),
    "btc": ("btc_usd_daily_bsd.csv", "close"),
    "co2": ("co2_mauna_loa_weekly.csv", "co2"),
    "delhi": ("delhi_climate_daily.csv", "meantemp"),
    "etth1": ("etth1.csv", "OT"),
    "aud": ("exchange_rate_daily.csv", "aud"),
    "melbourne": ("melbourne_min_temp_daily.csv", "temp_c"),
    "traffic": ("metro_traffic_hourly.csv", "traffic_volume"),
    "pjm": ("pjm_rto_hourly_2023.csv", "load_mw"),
    "sp500": ("sp500_ohlcv_daily.csv", "close"),
    "sunspots": ("sunspots_monthly.csv", "sunspots"),
    "no2": ("valencia_air_quality_hourly.csv", "no2"),
}
ALL = {name: Task(file, target, 1.01, beside=SIMPLE) for name, (file, target) in _EVERY.items()}


def one(data: Path, task: Task, budget: str, seed: int, rows: int) -> dict[str, Any]:
    """The figures of one run."""
    series = take_rows(lstune.read_series(data / task.file, target=task.target), -rows)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        run = lstune.tune(series, horizon=task.horizon, budget=budget, seed=seed, out=Path(folder) / "run")
        seconds = time.monotonic() - began
    result = run.result
    simple = {name: result["baselines"][name]["mae"] for name in task.beside if name in result["baselines"]}
    beside = min(simple, key=lambda name: simple[name])
    return {
        "ratio": result["test"]["mae"] / simple[beside],
        "beside": beside,
        "seconds": seconds,
        "trials": sum(result["trials"].values()),
        "verdict": run.verdict,
        "shares": result["forecaster"]["baselines"],
        "best": result["best"],
    }


class Kept:
    """Rows that were measured before, by what was asked; without a file nothing is kept."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = {}
        if file is not None and file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.rows[row.pop("asked")] = row

    def get(self, about: list[Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of what was asked, measured now if it is not there; one with an error is not kept."""
        asked = json.dumps(about, sort_keys=True)
        if asked not in self.rows:
            self.rows[asked] = measure()
            if self.file is not None and "error" not in self.rows[asked]:
                with open(self.file, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"asked": asked, **self.rows[asked]}) + "\n")
        return self.rows[asked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--series", help="names with commas between, instead of all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--all", action="store_true", help="every series of the folder")
    parser.add_argument("--keep", type=Path, help="file of rows measured so far")
    args = parser.parse_args()
    tasks = ALL if args.all else TASKS
    kept, missed = Kept(args.keep), []
    print(f"{'series':<12}{'seed':>5}{'ratio':>9} {'to':<16}{'seconds':>8}{'trials':>8}  verdict")
    for name in args.series.split(",") if args.series else tasks:
        task, ratios = tasks[name], []
        if not (args.data / task.file).exists():
            print(f"{name:<12} skipped: no {task.file}")
            continue
        for seed in (int(seed) for seed in args.seeds.split(",")):
            asked = args.data, task, args.budget, seed, args.rows
            row = kept.get([asdict(task), *asked[2:]], lambda asked=asked: one(*asked))
            ratios.append(row["ratio"])
            print(
                f"{name:<12}{seed:>5}{row['ratio']:>9.4f} {row['beside'].replace('_', ' '):<16}"
                f"{row['seconds']:>8.1f}{row['trials']:>8}  {row['verdict']}",
                flush=True,
            )
        worst = max(ratios)
        reached = "reached" if worst <= task.goal else "MISSED"
        missed += [name] if worst > task.goal else []
        peers = f", peers {task.peers}" if task.peers else ""
        mean = statistics.mean(ratios)
        print(f"{name:<12}{mean:>14.4f} worst {worst:.4f}, goal {task.goal} {reached}{peers}")
    if args.all:
        rule = "never more than 1 % worse than the best of naive, seasonal naive and drift"
        print(f"{rule}: {'holds' if not missed else 'FAILS for ' + ', '.join(missed)}")


if __name__ == "__main__":
    main()
