# ruff: noqa: E402 (the number of threads is set before NumPy is imported)
"""How long one suggestion takes after 50, 200 and 1000 finished trials, in 8 mixed dimensions.

    python benchmarks/suggest.py                  # needs: pip install 'lstune[bench]'
    python benchmarks/suggest.py --only gp tpe    # some rows only

Every method sees the same random settings and values, and then suggests and is told in turn. The table
gives the median (and mean) processor time of one suggestion in milliseconds on one core: other programs on
the machine change it little. Rows whose package is missing are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("KERAS_BACKEND", "jax")

import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstune.search import Choice, Float, Int, Space, TrialRecord, TrialState
from lstune.search.convert import to_distributions
from lstune.search.samplers import Context, make_sampler
from lstune.search.space import sample_setting

SPACE = Space(
    {
        "units": Int(8, 256, log=True),
        "layers": Int(1, 3),
        "learning_rate": Float(1e-5, 1e-1, log=True),
        "dropout": Float(0.0, 0.5, step=0.05),
        "activation": Choice(["tanh", "relu", "sigmoid"]),
        "optimizer": Choice(["adam", "rmsprop", "sgd", "nadam"]),
        "batch_size": Choice([8, 16, 32, 64, 128, 256]),
        "lookback": Int(5, 120),
    }
)
Suggest = Callable[[], Callable[[float], None]]


def objective(setting: dict[str, Any]) -> float:
    """A loss with a valley, categories that matter and a steep side."""
    rate = math.log10(setting["learning_rate"]) + 2.5
    value = 0.5 + 0.1 * rate**2 + math.exp(min(3.0 * (rate - 1.0), 8.0))
    value += 0.05 * (math.log2(setting["units"]) - 6) ** 2 + 0.1 * setting["dropout"]
    value += {"tanh": 0.0, "relu": 0.05, "sigmoid": 0.15}[setting["activation"]]
    return value + {"adam": 0.0, "nadam": 0.01, "rmsprop": 0.03, "sgd": 0.12}[setting["optimizer"]]


def history(count: int) -> list[dict[str, Any]]:
    """The settings that every method starts from."""
    rng = np.random.default_rng(1)
    return [sample_setting(SPACE, rng) for _ in range(count)]


def ours(name: str) -> Callable[[int], Suggest]:
    """One of lstune's samplers."""

    def start(count: int) -> Suggest:
        sampler = make_sampler(name)
        trials = [
            TrialRecord(
                k,
                s,
                state=TrialState.COMPLETE,
                value=objective(s),
                epochs=1,
                rungs=((1, objective(s)),),
                order=k,
            )
            for k, s in enumerate(history(count))
        ]

        def suggest() -> Callable[[float], None]:
            suggestion = sampler.suggest(Context(SPACE, 1, len(trials), tuple(trials), 1))
            assert suggestion is not None
            value = objective(suggestion.setting)
            record = TrialRecord(
                len(trials), suggestion.setting, epochs=1, memo=suggestion.memo, order=len(trials)
            )
            trials.append(replace(record, state=TrialState.COMPLETE, value=value, rungs=((1, value),)))
            return lambda _: None

        return suggest

    return start


def optuna_gp(count: int) -> Suggest:
    """Optuna's GPSampler."""
    import optuna
    import torch

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = to_distributions(SPACE)
    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=1))
    for setting in history(count):
        study.add_trial(
            optuna.trial.create_trial(params=setting, distributions=distributions, value=objective(setting))
        )

    def suggest() -> Callable[[float], None]:
        trial = study.ask(distributions)
        return lambda _: study.tell(trial, objective(trial.params)) and None

    return suggest


def keras_tuner_bayesian(count: int) -> Suggest:
    """Keras Tuner's BayesianOptimizationOracle."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    for name, param in SPACE.items():
        if isinstance(param, Choice):
            hp.Choice(name, list(param.options))
        elif isinstance(param, Int):
            hp.Int(name, param.low, param.high, sampling="log" if param.log else "linear")
        else:
            assert isinstance(param, Float)
            hp.Float(name, param.low, param.high, step=param.step, sampling="log" if param.log else "linear")
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        objective=keras_tuner.Objective("loss", "min"),
        max_trials=10**6,
        num_initial_points=count,
        hyperparameters=hp,
        seed=1,
    )
    oracle._set_project_dir(tempfile.mkdtemp(prefix="lstune-suggest-"), "kt")

    def suggest() -> Callable[[float], None]:
        trial = oracle.create_trial("tuner0")

        def tell(_: float) -> None:
            oracle.update_trial(trial.trial_id, {"loss": objective(trial.hyperparameters.values)})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)

        return tell

    for _ in range(count):
        suggest()(0.0)
    return suggest


METHODS: dict[str, Callable[[int], Suggest]] = {
    "lstune gp": ours("gp"),
    "lstune tpe (Optuna)": ours("tpe"),
    "lstune smac (SMAC3)": ours("smac"),
    "lstune cmaes": ours("cmaes"),
    "lstune random": ours("random"),
    "Optuna GPSampler": optuna_gp,
    "Keras Tuner Bayesian": keras_tuner_bayesian,
}


def measure(start: Callable[[int], Suggest], count: int, repeats: int, limit: float) -> tuple[float, float]:
    """Median and mean of processor ms for a suggestion after `count` trials; stops after `limit` s."""
    suggest = start(count)
    tell = suggest()  # the first one also imports, compiles and fits anew
    tell(1.0)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < repeats and (len(times) < 3 or time.perf_counter() - began < limit):
        before = time.process_time()
        tell = suggest()
        times.append(1000.0 * (time.process_time() - before))
        tell(1.0)
    return statistics.median(times), statistics.fmean(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--limit", type=float, default=40.0, help="seconds for one cell of the table")
    parser.add_argument("--only", nargs="+", default=[], help="words that a method's name must hold one of")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    here = str(Path(__file__).parent)
    sys.path[:] = [
        place for place in sys.path if place != here
    ]  # keras_tuner.py beside this file is not the package
    print("processor ms a suggestion, median (mean)".ljust(24 + 22 * len(arguments.sizes)))
    print("after trials".ljust(24) + "".join(f"{n:>22}" for n in arguments.sizes), flush=True)
    for name, start in METHODS.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        row = name.ljust(24)
        for count in arguments.sizes:
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # Keras Tuner shows its progress
                    median, mean = measure(start, count, arguments.repeats, arguments.limit)
            except ImportError as error:
                print(f"{name}: left out, {error}", file=sys.stderr)
                break
            row += f"{median:>12.1f} ({mean:>7.1f})"
        else:
            print(row, flush=True)


if __name__ == "__main__":
    main()
