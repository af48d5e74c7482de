"""A Keras Tuner notebook with only its import changed: how much faster it runs, in one run on equal cores.

    python benchmarks/keras_tuner.py                  # Keras Tuner on TensorFlow, lstune.kt; 5 seeds
    python benchmarks/keras_tuner.py --seeds 1 --max-units 64
    python benchmarks/keras_tuner.py --max-units 256 64 --max-epochs 10 50 --json result.json

With `--json` the file is written after each search, and a search that it holds already is not run again: the
benchmark can be cut off and gone on with, and extended by seeds, sizes and packages, one at a time.

The search is the one that most notebooks hold: an LSTM of 32 to `--max-units` units that returns its
sequence, Dropout, Dense(1); activation, dropout and optimizer tuned; Hyperband with `--max-epochs` epochs (30
trials and 120 epochs at 10). The series is 1,300 points, the window 30; 80 % of the windows train. Each
search runs in a process of its own on `--cores` cores; the seconds are those from `search` to its end,
imports and data not counted, the engine compiled beforehand (`lstune warmup`). Memory is the process' largest
resident size at the end. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lstune.files import write_whole

POINTS, WINDOW = 1300, 30
PACKAGES = ("keras_tuner", "lstune")


def data() -> tuple[Any, Any, Any, Any]:
    import numpy as np

    rng = np.random.default_rng(1)
    time_axis = np.arange(POINTS)
    series = np.cumsum(rng.normal(size=POINTS)) + 5 * np.sin(time_axis / 20)
    series = (series - series.min()) / (series.max() - series.min())
    x = np.stack([series[i : i + WINDOW] for i in range(POINTS - WINDOW)])[..., None]
    y = series[WINDOW:, None]
    cut = int(0.8 * len(x))
    return x[:cut], y[:cut], x[cut:], y[cut:]


def work(spec: dict[str, Any]) -> None:
    """One search, in a process of its own; prints its figures."""
    import resource

    import numpy as np

    if spec["package"] == "lstune":
        import lstune.kt as kt
        from lstune.engine.warmup import warmup

        warmup()
    else:
        import keras_tuner as kt
    import keras
    from keras.layers import LSTM, Dense, Dropout
    from keras.models import Sequential

    keras.utils.set_random_seed(spec["seed"])

    def build_model(hp: Any) -> Any:
        model = Sequential()
        model.add(
            LSTM(
                units=hp.Int("units", min_value=32, max_value=spec["max_units"], step=32),
                activation=hp.Choice("activation", values=["tanh", "relu", "sigmoid"]),
                return_sequences=True,
            )
        )
        model.add(Dropout(hp.Float("dropout", 0.1, 0.5, step=0.1)))
        model.add(Dense(1))
        model.compile(optimizer=hp.Choice("optimizer", values=["adam", "rmsprop", "sgd"]), loss="mse")
        return model

    x_train, y_train, x_val, y_val = data()
    with tempfile.TemporaryDirectory() as folder:
        tuner = kt.Hyperband(
            build_model,
            objective="val_loss",
            max_epochs=spec["max_epochs"],
            factor=3,
            seed=spec["seed"] + 1,
            directory=folder,
            project_name="lstm_tuning",
        )
        began = time.monotonic()
        tuner.search(x_train, y_train, epochs=spec["max_epochs"], validation_data=(x_val, y_val), verbose=0)
        seconds = time.monotonic() - began
        best = tuner.oracle.get_best_trials(1)[0]
        model = tuner.get_best_models(1)[0]
        # What the model is worth is asked of Keras, whoever trained it.
        error = float(np.mean((model.predict(x_val, verbose=0) - y_val[:, None]) ** 2))
        trials = len(tuner.oracle.trials)
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {"seconds": seconds, "best": best.score, "checked": error, "trials": trials, "mib": mebibytes}
    print("RESULT " + json.dumps(figures), flush=True)


def search(spec: dict[str, Any]) -> dict[str, Any]:
    environment = {
        **os.environ,
        "KERAS_BACKEND": spec["backend"],
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    command = [sys.executable, os.path.abspath(__file__), "--worker", json.dumps(spec)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return {**spec, **json.loads(line.removeprefix("RESULT "))}


def main() -> None:
    # This file bears keras_tuner's name: its folder must not come before the real one.
    if len(sys.argv) == 3 and sys.argv[1] == "--worker":
        sys.path.pop(0)
        work(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description="A Keras Tuner search and lstune.kt's, side by side.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-units", type=int, nargs="+", default=[256])
    parser.add_argument("--max-epochs", type=int, nargs="+", default=[10])
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax", "torch"])
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", help="save everything measured to this file, and go on from what it holds")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: arguments.cores]
    os.sched_setaffinity(0, cores)
    results: list[dict[str, Any]] = []
    if arguments.json and os.path.exists(arguments.json):
        with open(arguments.json) as file:
            results = json.load(file)["results"]
    for max_epochs in arguments.max_epochs:
        for max_units in arguments.max_units:
            # The packages take turns, so that a machine that slows down slows both.
            for seed in range(arguments.seeds):
                for package in arguments.packages:
                    spec = {
                        "package": package,
                        "backend": arguments.backend,
                        "cores": len(cores),
                        "max_epochs": max_epochs,
                        "max_units": max_units,
                        "seed": seed,
                    }
                    if any(spec.items() <= result.items() for result in results):
                        continue
                    results.append(search(spec))
                    print(json.dumps(results[-1]), file=sys.stderr, flush=True)
                    save(arguments.json, results)
    save(arguments.json, results)
    wanted = [
        result
        for result in results
        if result["max_units"] in arguments.max_units
        and result["max_epochs"] in arguments.max_epochs
        and result["backend"] == arguments.backend
        and result["cores"] == len(cores)
    ]
    for row in medians(wanted):
        report(row)


def medians(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each task and package the medians over seeds, and the range of seconds."""
    tasks = ("backend", "cores", "max_epochs", "max_units")
    rows = []
    for task in sorted({tuple(result[name] for name in tasks) for result in results}):
        row: dict[str, Any] = dict(zip(tasks, task, strict=True))
        for package in PACKAGES:
            mine = [r for r in results if r["package"] == package and tuple(r[n] for n in tasks) == task]
            if not mine:
                continue
            row[package] = {
                name: statistics.median(result[name] for result in mine)
                for name in ("seconds", "best", "checked", "mib", "trials")
            }
            seconds = [result["seconds"] for result in mine]
            row[package].update(seeds=len(mine), fastest=min(seconds), slowest=max(seconds))
        if all(package in row for package in PACKAGES):
            row["times_as_fast"] = row["keras_tuner"]["seconds"] / row["lstune"]["seconds"]
        rows.append(row)
    return rows


def report(row: dict[str, Any]) -> None:
    print(f"max_epochs {row['max_epochs']}, up to {row['max_units']} units, {row['backend']}:")
    for package in PACKAGES:
        if package in row:
            shown = row[package]
            print(
                f"{package:>12}: {shown['seconds']:7.1f} s "
                f"({shown['fastest']:.1f} to {shown['slowest']:.1f}), best val_loss {shown['best']:.6f}, "
                f"{shown['mib']:.0f} MiB, {shown['trials']:.0f} trials (medians of {shown['seeds']} seeds)"
            )
    if "times_as_fast" in row:
        print(f"   lstune.kt is {row['times_as_fast']:.1f} times as fast")


def save(path: str | None, results: list[dict[str, Any]]) -> None:
    """Write the file whole or not at all."""
    if path is None:
        return
    write_whole(Path(path), json.dumps({"results": results, "medians": medians(results)}, indent=1))


if __name__ == "__main__":
    main()
