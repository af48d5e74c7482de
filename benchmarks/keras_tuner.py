"""A Keras Tuner notebook with only its import changed: how much faster it runs, in one run on equal cores.

    python benchmarks/keras_tuner.py                  # Keras Tuner on TensorFlow, lstune.kt; 5 seeds
    python benchmarks/keras_tuner.py --seeds 1 --max-units 64
    python benchmarks/keras_tuner.py --max-epochs 50 --seeds 1 --json result.json

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
from typing import Any

POINTS, WINDOW = 1300, 30


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
    parser.add_argument("--max-units", type=int, default=256)
    parser.add_argument("--max-epochs", type=int, default=10)
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax", "torch"])
    parser.add_argument(
        "--packages", nargs="+", default=["keras_tuner", "lstune"], choices=["keras_tuner", "lstune"]
    )
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", help="also save everything measured to this file")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    results = []
    for seed in range(arguments.seeds):
        for package in arguments.packages:
            spec = {
                "package": package,
                "backend": arguments.backend,
                "seed": seed,
                "max_units": arguments.max_units,
                "max_epochs": arguments.max_epochs,
            }
            results.append(search(spec))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    medians = {}
    for package in arguments.packages:
        mine = [result for result in results if result["package"] == package]
        medians[package] = {
            name: statistics.median(result[name] for result in mine)
            for name in ("seconds", "best", "checked", "mib", "trials")
        }
        shown = medians[package]
        print(
            f"{package:>12}: {shown['seconds']:7.1f} s, best val_loss {shown['best']:.6f}, "
            f"{shown['mib']:.0f} MiB, {shown['trials']:.0f} trials (medians of {len(mine)})"
        )
    if len(medians) == 2:
        ratio = medians["keras_tuner"]["seconds"] / medians["lstune"]["seconds"]
        print(f"lstune.kt is {ratio:.1f} times as fast")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"results": results, "medians": medians}, file, indent=1)


if __name__ == "__main__":
    main()
