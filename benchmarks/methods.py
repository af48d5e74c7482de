"""Every search method replayed on the table of LSTM learning curves, beside its peers.

Each method spends the same number of epochs; a full training is 27 of them. The regret is the validation
error of the best setting found so far, as far as it was trained, above the table's best, in units of (median
setting - best): 0 is the best of the 1,920 settings, 1 the median one. Medians over seeds, for each series,
and their mean.

    python benchmarks/methods.py --seeds 20 --out benchmarks/tables/methods.json --plot docs/methods.svg

Finished replays are kept in --out, so a run can be interrupted, or widened later. Peers need the extra
`bench`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from lstm_table import AXES, EPOCHS, SHAPE, SOURCES, load_table
from lstune.files import write_whole

CHECKPOINTS = (10, 25, 50, 100)
BUDGET = CHECKPOINTS[-1] * EPOCHS
_FLOOR = 0.01  # regrets below are drawn here: the difference is one of a handful of settings

# What a replay yields: epochs spent by now, and the value of the trial that spent them.
Spending = Iterator[tuple[int, float]]
Curve = Callable[[dict[str, Any]], np.ndarray]


def _index(point: dict[str, Any]) -> int:
    places = [values.index(point[name]) for (name, values) in AXES.items()]
    return int(np.ravel_multi_index(places, SHAPE))


def _best(curve: np.ndarray, epochs: int) -> float:
    """The value after `epochs`: the best epoch's, since its weights are kept; NaN if the first diverged."""
    seen = curve[:epochs]
    return float(np.nanmin(seen)) if np.isfinite(seen).any() else float("nan")


def lstune_replay(sampler: str, scheduler: str) -> Callable[[Curve, int], Spending]:
    """A study of lstune's, one trial at a time, promotions going on where they paused."""

    def replay(curve: Curve, seed: int) -> Spending:
        from lstune.search import Choice, Int, Space, Study, TrialState

        space = Space(
            {
                name: Choice(values) if isinstance(values[0], str) else Int(values[0], values[-1])
                for name, values in AXES.items()
            }
        )
        study = Study(
            space, sampler=sampler, scheduler=scheduler, max_epochs=EPOCHS, iterations=None, seed=seed
        )
        while (job := study.ask()) is not None:
            values = curve(job.params)
            epoch, state = job.start_epoch, TrialState.COMPLETE
            while epoch < job.stop_epoch:
                epoch += 1
                value = float(values[epoch - 1])
                if not np.isfinite(value):
                    state = TrialState.DIVERGED
                    break
                if study.report(job.number, epoch, value):
                    state = TrialState.PRUNED
                    break
            value = _best(values, epoch)
            study.tell(
                job.number,
                value if np.isfinite(value) and state is not TrialState.DIVERGED else None,
                state=state,
                epochs=epoch,
            )
            yield epoch - job.start_epoch, value

    return replay


def optuna_replay(kind: str) -> Callable[[Curve, int], Spending]:
    """Optuna with its own sampler, every trial trained to the end."""

    def replay(curve: Curve, seed: int) -> Spending:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = getattr(optuna.samplers, kind)(seed=seed)
        study = optuna.create_study(sampler=sampler)
        while True:
            trial = study.ask()
            point = {
                name: trial.suggest_categorical(name, values)
                if isinstance(values[0], str)
                else trial.suggest_int(name, values[0], values[-1])
                for name, values in AXES.items()
            }
            value = _best(curve(point), EPOCHS)
            if np.isfinite(value):
                study.tell(trial, value)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            yield EPOCHS, value

    return replay


def keras_tuner_replay(kind: str) -> Callable[[Curve, int], Spending]:
    """Keras Tuner's oracle; its Hyperband goes on from a promoted trial's epochs, as its tuner does."""

    def replay(curve: Curve, seed: int) -> Spending:
        # keras_tuner.py beside this file is not the package.
        here = str(Path(__file__).parent)
        sys.path[:] = [place for place in sys.path if place != here]
        import keras_tuner as kt

        hp = kt.HyperParameters()
        for name, values in AXES.items():
            if isinstance(values[0], str):
                hp.Choice(name, list(values))
            else:
                hp.Int(name, values[0], values[-1])
        objective = kt.Objective("val_mae", "min")
        fixed = seed or 1000  # 0 means a random one there
        if kind == "Grid":
            oracle = kt.oracles.GridSearchOracle(
                objective, max_trials=CHECKPOINTS[-1] + 20, seed=fixed, hyperparameters=hp
            )
        elif kind == "Hyperband":
            oracle = kt.oracles.HyperbandOracle(
                objective, max_epochs=EPOCHS, hyperband_iterations=20, seed=fixed, hyperparameters=hp
            )
        else:
            oracle = kt.oracles.BayesianOptimizationOracle(
                objective, max_trials=CHECKPOINTS[-1] + 20, seed=fixed, hyperparameters=hp
            )
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as quiet:
            oracle._set_project_dir(folder, "replay")
            while True:
                with contextlib.redirect_stdout(quiet):
                    trial = oracle.create_trial("tuner0")
                    if trial.status == "STOPPED":
                        return
                    values = trial.hyperparameters.values
                    first = int(values.get("tuner/initial_epoch", 0))
                    last = int(values.get("tuner/epochs", EPOCHS))
                    value = _best(curve({name: values[name] for name in AXES}), last)
                    oracle.update_trial(trial.trial_id, {"val_mae": value})
                    trial.status = "COMPLETED" if np.isfinite(value) else "INVALID"
                    oracle.end_trial(trial)
                yield last - first, value

    return replay


METHODS: dict[str, Callable[[Curve, int], Spending]] = {
    "grid": lstune_replay("grid", "none"),
    "random": lstune_replay("random", "none"),
    "qmc": lstune_replay("qmc", "none"),
    "gp": lstune_replay("gp", "none"),
    "tpe": lstune_replay("tpe", "none"),
    "smac": lstune_replay("smac", "none"),
    "cmaes": lstune_replay("cmaes", "none"),
    "hyperband": lstune_replay("random", "hyperband"),
    "bohb": lstune_replay("tpe", "hyperband"),
    "random + asha": lstune_replay("random", "asha"),
    "tpe + asha": lstune_replay("tpe", "asha"),
    "gp + asha": lstune_replay("gp", "asha"),
    "gp + hyperband": lstune_replay("gp", "hyperband"),
    "tpe + median": lstune_replay("tpe", "median"),
    "gp + median": lstune_replay("gp", "median"),
    "Optuna TPE": optuna_replay("TPESampler"),
    "Optuna GP": optuna_replay("GPSampler"),
    "Keras Tuner Grid": keras_tuner_replay("Grid"),
    "Keras Tuner Hyperband": keras_tuner_replay("Hyperband"),
    "Keras Tuner Bayesian": keras_tuner_replay("Bayesian"),
}


def trajectory(method: str, series: str, seed: int) -> list[float]:
    """The regret at each full training's worth of epochs, 1 to 100."""
    warnings.simplefilter("ignore")
    table = load_table()[series].astype(np.float64)
    final = np.nanmin(np.where(np.isfinite(table), table, np.inf), axis=1)
    best, median = float(final.min()), float(np.median(final))
    regrets, spent, lowest = np.full(CHECKPOINTS[-1], np.nan), 0, np.inf
    for epochs, value in METHODS[method](lambda point: table[_index(point)], seed):
        before = spent // EPOCHS
        spent += epochs
        # What a piece of work found is known only when it has been paid for.
        regrets[before : spent // EPOCHS] = (lowest - best) / (median - best)
        if np.isfinite(value):
            lowest = min(lowest, value)
        reached = spent // EPOCHS
        if reached > before and reached <= len(regrets):
            regrets[reached - 1] = (lowest - best) / (median - best)
        if spent >= BUDGET:
            break
    else:
        regrets[spent // EPOCHS :] = (lowest - best) / (median - best)
    return [float(value) for value in np.minimum(regrets, 1e3)]


def run(seeds: int, out: Path, methods: list[str], workers: int) -> dict[str, list[float]]:
    """All replays that `out` lacks; returns "method|series|seed" -> regrets."""
    results: dict[str, list[float]] = json.loads(out.read_text()) if out.exists() else {}
    tasks = [(method, series, seed) for seed in range(seeds) for method in methods for series in SOURCES]
    tasks = [task for task in tasks if "|".join(map(str, task)) not in results]
    with ProcessPoolExecutor(workers) as pool:
        futures = {pool.submit(trajectory, *task): task for task in tasks}
        for count, future in enumerate(as_completed(futures), 1):
            results["|".join(map(str, futures[future]))] = [round(value, 4) for value in future.result()]
            if count % 5 == 0 or count == len(tasks):
                write_whole(out, json.dumps(results, separators=(",", ":")))
    return results


def _regrets(results: dict[str, list[float]], method: str, series: str) -> np.ndarray:
    rows = [values for key, values in results.items() if key.startswith(f"{method}|{series}|")]
    return np.array(rows) if rows else np.empty((0, CHECKPOINTS[-1]))


def report(results: dict[str, list[float]], methods: list[str]) -> str:
    """Median regret, averaged over the series and for each, as a Markdown table."""
    head = ["method", "seeds", *(f"after {n}" for n in CHECKPOINTS)]
    head += [f"{name}, {CHECKPOINTS[1]}" for name in SOURCES]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for method in methods:
        found = {name: _regrets(results, method, name) for name in SOURCES}
        if not all(len(rows) for rows in found.values()):
            continue
        medians = {name: np.median(rows, axis=0) for name, rows in found.items()}
        overall = np.mean(list(medians.values()), axis=0)
        cells = [method, str(min(map(len, found.values())))]
        cells += [f"{overall[n - 1]:.4f}" for n in CHECKPOINTS]
        cells += [f"{medians[name][CHECKPOINTS[1] - 1]:.4f}" for name in SOURCES]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pairs(results: dict[str, list[float]], one: str, other: str) -> str:
    """Regret of `one` less that of `other`, series by series and seed by seed: mean +- standard error."""
    keys = [key.split("|", 1)[1] for key in results if key.startswith(f"{one}|")]
    shared = [key for key in keys if f"{other}|{key}" in results]
    gaps = np.array([np.subtract(results[f"{one}|{key}"], results[f"{other}|{key}"]) for key in shared])
    errors = gaps.std(axis=0, ddof=1) / np.sqrt(len(gaps))
    cells = [f"{gaps[:, n - 1].mean():+.4f} +- {errors[n - 1]:.4f} after {n}" for n in CHECKPOINTS]
    return f"{one} less {other}, {len(gaps)} pairs: {', '.join(cells)}"


def plot(results: dict[str, list[float]], methods: list[str], path: Path) -> None:
    """Median regret against full trainings, a panel for each series."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(SOURCES), figsize=(15, 5), sharex=True)
    colours = plt.get_cmap("tab20")
    for axis, name in zip(axes, SOURCES, strict=True):
        for number, method in enumerate(methods):
            rows = _regrets(results, method, name)
            if len(rows):
                style = "--" if method[0].isupper() else "-"
                median = np.maximum(np.median(rows, axis=0), _FLOOR)
                axis.plot(range(1, len(median) + 1), median, style, label=method, color=colours(number))
        axis.set(title=name, yscale="log", xlabel="full trainings' worth of epochs", xscale="log")
        axis.set(xlim=(3, CHECKPOINTS[-1]), ylim=(0.8 * _FLOOR, 1.0))
        axis.set_xticks([3, *CHECKPOINTS], labels=map(str, [3, *CHECKPOINTS]))
        axis.set_xticks([], minor=True)
    axes[0].set_ylabel(f"median regret (1: the median setting; {_FLOOR} and less at the bottom)")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--methods", default="", help="names divided by commas; all if not given")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tables" / "methods.json")
    parser.add_argument("--plot", type=Path)
    parser.add_argument(
        "--pairs", action="append", default=[], metavar="A,B", help="compare two methods seed by seed"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    methods = [name.strip() for name in arguments.methods.split(",") if name.strip()] or list(METHODS)
    results = run(arguments.seeds, arguments.out, methods, arguments.workers)
    print(report(results, methods))
    for names in arguments.pairs:
        print(pairs(results, *(name.strip() for name in names.split(","))))
    if arguments.plot:
        plot(results, methods, arguments.plot)


if __name__ == "__main__":
    main()
