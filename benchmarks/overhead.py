"""Where the time of two workers goes, with trials of about half a second, in the real tuning code.

python benchmarks/overhead.py                  # random, tpe and gp; about four minutes on two cores
python benchmarks/overhead.py --trials 40      # quicker

Every suggestion, write to the storage, write of trials.csv and training state, and redraw of the display is
timed in the thread that does it. What a worker spends neither there nor in training is waiting: for the lock
that another worker holds, or for the interpreter. The display is that of a terminal, drawn into memory.
Figures of a machine that does other things at the same time mean little; there, `--cpu` counts each
thread's processor time (which leaves out waiting for the disk and for locks).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstune.cli.display import LiveProgress
from lstune.search.storage import Store
from lstune.search.study import Study
from lstune.series import Series
from lstune.tuning.board import StudyBoard
from lstune.tuning.ending import Ending
from lstune.tuning.executors import EXECUTORS
from lstune.tuning.folder import RunFolder
from lstune.tuning.objective import Objective
from lstune.tuning.run import tune
from lstune.tuning.states import StateStore

PARTS = ("training", "suggest", "storage", "trials.csv", "states", "display", "waiting")
# What is timed, and as what; a part inside another one is taken off it.
TIMED = (
    (Objective, "run", "training"),
    (StateStore, "put", "states"),
    (Study, "_suggest", "suggest"),
    (Store, "write", "storage"),
    (Store, "changed", "storage"),
    (RunFolder, "write_trials", "trials.csv"),
    (StudyBoard, "snapshot", "display"),
    (LiveProgress, "show", "display"),
    (LiveProgress, "_render", "display"),
)


class Clock:
    """Seconds by part, over all threads; a call inside another one counts for itself alone."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = threading.local()
        self._lock = threading.Lock()

    def timed(self, part: str, function: Any) -> Any:
        """The function, with its time added to `part`."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            stack = self._inside.__dict__.setdefault("stack", [])
            stack.append(0.0)
            began = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                spent = self.now() - began
                inner = stack.pop()
                if stack:
                    stack[-1] += spent
                with self._lock:
                    self.seconds[part] += spent - inner

        return wrapped


class Enough(Exception):
    """The search is over; what comes after is not measured."""


def sized_series(rows: int) -> Series:
    rng = np.random.default_rng(0)
    values = 10 + np.sin(np.arange(rows) * 2 * np.pi / 24) + 0.2 * rng.normal(size=rows)
    stamps = pd.date_range("2020-01-01", periods=rows, freq="h")
    return Series(stamps, values, freq="h", season=24, seasonal=True)


# Eight dimensions for the samplers, of which none changes the time of a trial much.
SPACE = {
    "units": {"type": "int", "low": 28, "high": 36},
    "lookback": {"type": "int", "low": 44, "high": 52},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 3e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.4},
    "transform": ["level", "difference", "seasonal_difference"],
    "loss": ["mae", "mse", "huber"],
    "optimizer": ["adam", "rmsprop", "nadam"],
    "clipnorm": {"type": "float", "low": 0.3, "high": 3.0, "log": True},
    "layers": 1,
    "batch_size": 16,
    "supervision": "every",
    "stride": "lookback/4",
    "calendar": "none",
    "lags": "none",
    "level_input": False,
    "epochs": 60,
    "patience": 0,
    "scaler": "standard",
    "activation": "tanh",
    "decay": "cosine",
}


def measure(method: str, trials: int, rows: int, workers: int, cpu: bool) -> dict[str, float]:
    """Seconds by part, with "wall", "worker" (worker-seconds) and "trials"."""
    clock = Clock(time.thread_time if cpu else time.perf_counter)
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in TIMED]
    real_run, real_ending = EXECUTORS["threads"], Ending.run
    spans: dict[str, float] = {}

    def run_threads(*args: Any, **kwargs: Any) -> bool:
        began = time.perf_counter()
        try:
            return real_run(*args, **kwargs)
        finally:
            spans["wall"] = time.perf_counter() - began

    def end(*_: Any) -> None:
        raise Enough

    try:
        for owner, name, part in TIMED:
            setattr(owner, name, clock.timed(part, getattr(owner, name)))
        EXECUTORS["threads"] = run_threads
        Ending.run = end  # type: ignore[method-assign]
        stream = io.StringIO()
        stream.isatty = lambda: True  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
            tune(
                sized_series(rows),
                method=method,
                scheduler="none",
                trials=trials,
                space=SPACE,
                workers=workers,
                out=Path(folder) / "run",
                progress=LiveProgress(stream),
            )
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)
        EXECUTORS["threads"] = real_run
        Ending.run = real_ending  # type: ignore[method-assign]
    total = sum(clock.seconds.values()) if cpu else spans["wall"] * workers
    found = {part: clock.seconds[part] for part in PARTS if part != "waiting"}
    # Redraws happen in threads of their own: they cost the workers what they take of a core.
    found["waiting"] = 0.0 if cpu else max(0.0, total - sum(found.values()) + found["display"])
    return {**found, "wall": spans["wall"], "worker": total, "trials": float(trials)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="random,tpe,gp")
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--cpu", action="store_true", help="processor time in place of time, on a busy machine"
    )
    options = parser.parse_args()
    measure(
        "random", 4, options.rows, options.workers, options.cpu
    )  # compilation and imports are not the matter here
    unit = "processor" if options.cpu else "worker"
    print(f"Shares of {unit}-seconds in %, and seconds a trial; ours: all but training and waiting.\n")
    print("| method | trial | " + " | ".join(PARTS) + " | ours | storage+csv |")
    print("|" + " --- |" * (len(PARTS) + 4))
    for method in options.methods.split(","):
        found = measure(method, options.trials, options.rows, options.workers, options.cpu)
        share = {part: 100 * found[part] / found["worker"] for part in PARTS}
        ours = sum(share[part] for part in PARTS if part not in ("training", "waiting"))
        kept = share["storage"] + share["trials.csv"]
        cells = " | ".join(f"{share[part]:.2f}" for part in PARTS)
        trial = found["training"] / found["trials"]
        print(f"| {method} | {trial:.2f} s | {cells} | {ours:.2f} | {kept:.2f} |", flush=True)


if __name__ == "__main__":
    main()
