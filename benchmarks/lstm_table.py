"""A table of LSTM learning curves, trained by lstune's engine: every setting of a grid, on three series.

Any search method can then be replayed on it in seconds (see methods.py). For each series and each of the
1,920 settings the table holds the mean absolute validation error in original units after each of 27 epochs
(NaN from the epoch on in which training diverged). The series are the last 1,500 rows of BTC daily (a
price), Melbourne's minimum temperature and hourly bike hire; 1,200 rows train, 300 validate.

    python benchmarks/lstm_table.py --data ../shared/data --out benchmarks/tables/lstm.npz

An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstune.files import replacing

EPOCHS = 27
ROWS, VALIDATION = 1500, 300
TABLE = Path(__file__).parent / "tables" / "lstm.npz"

# Axes of the grid, in the table's order; numbers are steps of an even scale, which samplers can use.
AXES: dict[str, tuple[Any, ...]] = {
    "transform": ("change", "level"),
    "log2_units": (2, 3, 4, 5),
    "rate": (0, 1, 2, 3, 4),
    "log2_lookback": (3, 4, 5, 6),
    "dropout": (0, 1),
    "optimizer": ("adam", "rmsprop", "sgd"),
    "log4_batch": (2, 3),
}
SHAPE = tuple(len(values) for values in AXES.values())
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Source:
    """A series and what "change" means for it."""

    file: str
    target: str
    change: str


SOURCES = {
    "price": Source("btc_usd_daily_bsd.csv", "close", "log_difference"),
    "temperature": Source("melbourne_min_temp_daily.csv", "temp_c", "difference"),
    "demand": Source("bike_sharing_hourly.csv", "users", "seasonal_difference"),
}


def hyperparameters(point: dict[str, Any], source: Source) -> dict[str, Any]:
    """The engine's setting for a point of the grid."""
    return {
        "transform": source.change if point["transform"] == "change" else "level",
        "units": 2 ** point["log2_units"],
        "learning_rate": RATES[point["rate"]],
        "lookback": 2 ** point["log2_lookback"],
        "dropout": 0.3 * point["dropout"],
        "optimizer": point["optimizer"],
        "batch_size": 4 ** point["log4_batch"],
        "supervision": "every",
        "stride": "lookback/4",
        "epochs": EPOCHS,
        "patience": 0,
        "decay": "none",
        "loss": "mae",
        "clipnorm": 1.0,
        "calendar": "none",
        "scaler": "standard",
    }


def points() -> list[dict[str, Any]]:
    """Every point of the grid, in the table's order."""
    return [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]


def load_table(path: Path = TABLE) -> dict[str, np.ndarray]:
    """name of the series -> (settings, EPOCHS) float32 validation errors."""
    with np.load(path) as file:
        return {name: file[name] for name in SOURCES}


class Filler:
    """Trains settings on one series' rows; several threads may."""

    def __init__(self, name: str, data: Path, seed: int = 0) -> None:
        from lstune.engine import StopFlag
        from lstune.series import Fold, read_series, take_rows
        from lstune.tuning.objective import Objective
        from lstune.tuning.states import StateStore

        self.source = SOURCES[name]
        series = read_series(data / self.source.file, target=self.source.target)
        series = take_rows(series, len(series) - ROWS)
        fold = Fold(range(ROWS - VALIDATION), range(ROWS - VALIDATION, ROWS))
        self.objective = Objective(
            series, fold, horizon=1, seed=seed, states=StateStore(None), stop=StopFlag()
        )

    def train(self, number: int, setting: dict[str, Any]) -> np.ndarray:
        """The validation error after each epoch; NaN from where training diverged. `number` seeds it too."""
        from lstune.search import Job

        curve = np.full(EPOCHS, np.nan, np.float32)

        def report(epoch: int, value: float) -> bool:
            curve[epoch - 1] = value
            return False

        self.objective.run(Job(number, setting, 0, EPOCHS), report)
        self.objective.states.drop(number)
        return curve


def fill(data: Path, out: Path, workers: int) -> None:
    """Fill what is missing, saving every few seconds."""
    grid = points()
    table = {name: np.full((len(grid), EPOCHS), np.nan, np.float32) for name in SOURCES}
    done = {name: np.zeros(len(grid), bool) for name in SOURCES}
    partial = out.with_suffix(".partial.npz")
    if partial.exists():
        with np.load(partial) as file:
            for name in SOURCES:
                table[name], done[name] = file[name], file[f"{name}_done"]
    lock, saved, began = threading.Lock(), time.monotonic(), time.monotonic()
    for name in SOURCES:
        filler = Filler(name, data)
        missing = np.flatnonzero(~done[name])

        def one(number: int, name: str = name, filler: Filler = filler) -> None:
            nonlocal saved
            curve = filler.train(number, hyperparameters(grid[number], filler.source))
            with lock:
                table[name][number], done[name][number] = curve, True
                if time.monotonic() - saved > 20:
                    _save(partial, **table, **{f"{n}_done": d for n, d in done.items()})
                    saved = time.monotonic()
                    print(f"{name}: {done[name].sum()} of {len(grid)}, {saved - began:.0f} s", flush=True)

        # Large and small networks in turn, so that the two cores end together.
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, np.random.default_rng(0).permutation(missing)))
    _save(out, **table)
    partial.unlink(missing_ok=True)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {time.monotonic() - began:.0f} s")


def _save(path: Path, **arrays: np.ndarray) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the three series")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    fill(arguments.data, arguments.out, arguments.workers)


if __name__ == "__main__":
    main()
