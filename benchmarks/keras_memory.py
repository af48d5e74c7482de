"""How much memory a search leaves behind where Keras' own fit trains, in the parent and in its workers.

    python benchmarks/keras_memory.py                       # TensorFlow, 40 trials, with and without isolate
    python benchmarks/keras_memory.py --ways isolated --trials 20
    python benchmarks/keras_memory.py --backend jax --json result.json

Each way runs in a process of its own: a random search of an LSTM of 16 to 64 units, with Dropout and Dense,
two epochs on 500 windows of 30 steps. Read is the resident memory of the process and all its children,
together, after each trial; growth is the largest reading after the first trial less the one after the first.
Ways: "here" trains in the process of the search, "isolated" with isolate=True, "engine" with lstune's engine.
Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "here": {"engine": "keras"},
    "isolated": {"engine": "keras", "isolate": True},
    "engine": {"engine": "lstune"},
}


# The memory of the search's process and of its children after each trial, MiB.
PARTS: list[tuple[float, float]] = []


def measure() -> tuple[float, float]:
    import psutil

    process = psutil.Process()
    children = [child.memory_info().rss / 2**20 for child in process.children(recursive=True)]
    return process.memory_info().rss / 2**20, sum(children)


def work(way: str, trials: int) -> None:
    """One search; prints its figures."""
    import keras
    import numpy as np

    import lstune.kt as kt

    def build_model(hp: Any) -> Any:
        model = keras.Sequential(
            [
                keras.layers.LSTM(hp.Int("units", 16, 64, step=8)),
                keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.01)),
                keras.layers.Dense(1),
            ]
        )
        model.compile(optimizer=hp.Choice("optimizer", ["adam", "rmsprop", "sgd"]), loss="mse")
        return model

    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 30, 1)).astype(np.float32)
    y = x[:, -1]

    class Measured(kt.RandomSearch):
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            PARTS.append(measure())

    with tempfile.TemporaryDirectory() as folder:
        tuner = Measured(build_model, "val_loss", max_trials=trials, directory=folder, seed=1)
        began = time.monotonic()
        tuner.search(x[:400], y[:400], epochs=2, validation_data=(x[400:], y[400:]), verbose=0, **WAYS[way])
        seconds = time.monotonic() - began
    readings = [sum(part) for part in PARTS]
    figures = {
        "way": way,
        "backend": keras.backend.backend(),
        "trials": len(readings),
        "first_mib": round(readings[0], 1),
        "growth_mib": round(max(readings) - readings[0], 1),
        "last_parent_mib": round(PARTS[-1][0], 1),
        "last_children_mib": round(PARTS[-1][1], 1),
        "seconds": round(seconds, 1),
        "readings": [round(reading, 1) for reading in readings],
    }
    print("RESULT " + json.dumps(figures), flush=True)


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--worker":
        # This folder holds a keras_tuner.py, which must not come before the real one.
        sys.path.pop(0)
        work(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description="Memory that a search leaves behind.")
    parser.add_argument("--ways", nargs="+", default=["here", "isolated"], choices=list(WAYS))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax", "torch"])
    parser.add_argument("--json", help="also save everything measured to this file")
    arguments = parser.parse_args()
    environment = {
        **os.environ,
        "KERAS_BACKEND": arguments.backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    results = []
    for way in arguments.ways:
        command = [sys.executable, os.path.abspath(__file__), "--worker", way, str(arguments.trials)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        results.append(json.loads(line.removeprefix("RESULT ")))
        shown = results[-1]
        print(
            f"{way:>9}: {shown['first_mib']:.0f} MiB after the first trial, growth {shown['growth_mib']:.0f} "
            f"MiB in {shown['trials']} trials, {shown['seconds']:.0f} s",
            flush=True,
        )
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
