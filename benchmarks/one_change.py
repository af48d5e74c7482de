"""What does one changed hyperparameter do to a good setting? Trained by lstune's engine, on three series.

    python benchmarks/one_change.py --data FOLDER --json one_change.json

The table of lstm_table.py holds seven hyperparameters; this asks about the others. Its best setting with
adam is where each series starts; one hyperparameter at a time takes another value, and both are trained
with the same seeds for 27 epochs on the same rows. The figure is the validation error (the least over the
epochs) of the changed setting above that of the start, in percent: the median over seeds, and the range.
Beside it the processor time of the training, as a multiple. What is good for the best setting of one
network need not be good for another: this is a look along the axes, not a search.

--json keeps what was measured and goes on where an interrupted call stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from lstm_table import SOURCES, Filler, hyperparameters, load_table, points
from lstune.engine.warmup import warmup
from lstune.files import write_whole
from lstune.tuning.settings import HYPERPARAMETERS

CHANGES: dict[str, tuple[Any, ...]] = {
    "activation": ("tanh", "sigmoid", "hard_sigmoid", "softsign", "relu", "elu", "linear"),
    "layers": (1, 2, 3),
    "supervision": ("every", "last"),
    "stride": ("lookback/4", 1, "lookback/2", "lookback/1"),
    "dropout": (0.0, 0.1, 0.3, 0.5),
    "recurrent_dropout": (0.0, 0.2, 0.4),
    "loss": ("mae", "mse", "huber", "log_cosh"),
    "decay": ("none", "cosine"),
    "optimizer": ("adam", "adamw", "nadam", "rmsprop"),
    "clipnorm": (1.0, 0.0),
    "scaler": ("standard", "robust", "minmax"),
    "calendar": ("none", "auto"),
    "lags": ("none", "season"),
}


def start(name: str) -> dict[str, Any]:
    """The table's best setting with adam for this series."""
    curves, grid = load_table()[name], points()
    least = np.where(np.isfinite(curves), curves, np.inf).min(axis=1)
    usual = [number for number, point in enumerate(grid) if point["optimizer"] == "adam"]
    return hyperparameters(grid[min(usual, key=lambda number: least[number])], SOURCES[name])


def measure(filler: Filler, setting: dict[str, Any]) -> dict[str, float]:
    """The least validation error within 27 epochs, and the processor seconds that training took."""
    began = time.process_time()
    curve = filler.train(0, setting)
    seconds = time.process_time() - began
    finite = curve[np.isfinite(curve)]
    return {"error": float(finite.min()) if len(finite) else float("inf"), "seconds": seconds}


def show(name: str, base: dict[str, Any], rows: dict[str, dict[str, float]], seeds: int) -> None:
    """Print one series' table; `base` is the setting that it starts from."""
    print(f"\n{name}, {SOURCES[name].file}: {_words(base)}")
    print(f"  {'':<18}{'':<14}{'error':>9}{'range':>18}{'time':>8}")
    for key, values in CHANGES.items():
        for value in values:
            pairs = [
                (rows.get(_label(name, key, value, seed)), rows.get(_label(name, "start", None, seed)))
                for seed in range(seeds)
            ]
            known = [(changed, usual) for changed, usual in pairs if changed and usual]
            if not known or value == _value(base, key):
                continue
            above = sorted(100 * (changed["error"] / usual["error"] - 1) for changed, usual in known)
            times = statistics.median(changed["seconds"] / usual["seconds"] for changed, usual in known)
            print(
                f"  {key:<18}{value!s:<14}{statistics.median(above):>+8.1f}%"
                f"{f'{above[0]:+.1f} to {above[-1]:+.1f}':>18}{times:>7.1f}x"
            )


def _value(setting: dict[str, Any], key: str) -> Any:
    return setting.get(key, HYPERPARAMETERS[key].default)


def _label(name: str, key: str, value: Any, seed: int) -> str:
    return f"{name} {key}={value} seed={seed}"


def _words(setting: dict[str, Any]) -> str:
    names = ("transform", "units", "lookback", "learning_rate", "dropout", "batch_size")
    return ", ".join(f"{name} {setting[name]}" for name in names)


def main() -> None:
    """Parse, train what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the three series")
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="keep the rows here, and go on from them")
    arguments = parser.parse_args()
    warmup()  # so that no training pays for loading the kernels
    rows: dict[str, dict[str, float]] = {}
    if arguments.json is not None and arguments.json.exists():
        rows = json.loads(arguments.json.read_text())
    for name in SOURCES:
        base = start(name)
        for seed in range(arguments.seeds):
            filler = Filler(name, arguments.data, seed=seed)
            wanted: list[tuple[str, Any]] = [("start", None)]
            wanted += [(key, value) for key, values in CHANGES.items() for value in values]
            for key, value in wanted:
                label = _label(name, key, value, seed)
                if label in rows or (key != "start" and value == _value(base, key)):
                    continue
                rows[label] = measure(filler, base if key == "start" else {**base, key: value})
            if arguments.json is not None:
                write_whole(arguments.json, json.dumps(rows, indent=0))
        show(name, base, rows, arguments.seeds)


if __name__ == "__main__":
    main()
