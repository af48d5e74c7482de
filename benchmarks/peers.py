"""A minute of tuning an LSTM with lstune and with its peers: who forecasts the untouched tail better?

    python benchmarks/peers.py --data FOLDER --budget 60 --seeds 0 1 2 --keep peers.jsonl
    python benchmarks/peers.py --data FOLDER --peers lstune neuralforecast --series bike --seeds 0

The last 3000 rows of each series, cut 70/15/15 in time; forecasts of the last part from true lags, one step
ahead (`bike-24` and `pjm-24`: a day of hours, from every hour; `bike-known` and `no2-known`: the weather of
that day is known too, for peers that can take it); mean absolute error divided by that of the
naive forecast (a day ahead: of the seasonal naive one). Every peer is given the same values and cuts and the
same seconds, from the call with data in memory to the forecasts; imports are not counted, and what a peer
took in fact is printed. The peers, each as its own documentation tells to use it for this task:

- lstune: `tune(series, budget=...)`, nothing else.
- neuralforecast: `AutoLSTM` with its own default space, on Optuna; the tail by `cross_validation`.
- ray: the same on Ray Tune, which is AutoLSTM's own default.
- darts: `BlockRNNModel("LSTM")`, standardized, tuned by Optuna; the tail by `historical_forecasts`.
- optuna-torch: `nn.LSTM` in the usual training loop, standardized, early stopping, TPE and the median pruner.
- keras-tuner: Bayesian optimization of a Keras LSTM on TensorFlow, standardized, early stopping, the window
  tuned too.

A peer that has no time limit for everything searches for `--search-share` of the seconds and trains its best
setting in the rest. Each peer runs in a process of its own, alone on the machine. `--python` names the
interpreter of an environment with the peers: pip install neuralforecast darts keras-tuner tensorflow-cpu six
tensorboard.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import lstune
from lstune.evaluation import baseline_forecasts
from lstune.series import scored_origins, split_series, take_rows
from peer_tools import LOOKBACKS, PEERS
from quality import KNOWN, ROWS, TASKS, Kept, Task

WORKER = Path(__file__).resolve().with_name("peer_tools.py")
SERIES = {
    **TASKS,
    "pjm-24": Task("pjm_rto_hourly_2023.csv", "load_mw", 1.0, 24, ("seasonal_naive",)),
    "bike-known": KNOWN["bike"],
    "no2-known": KNOWN["no2"],
}


def measure(peer: str, spec: dict[str, Any], python: str) -> dict[str, Any]:
    """One peer on one series with one seed: the ratio to the simple forecast, seconds, trials."""
    with tempfile.TemporaryDirectory() as folder:  # libraries leave logs where they run
        done = subprocess.run(
            [python if peer != "lstune" else sys.executable, WORKER, peer],
            input=json.dumps(spec),
            capture_output=True,
            text=True,
            cwd=folder,
        )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    answer = json.loads(done.stdout.splitlines()[-1])
    ratio = score(np.array(answer["forecasts"]), spec)
    if not np.isfinite(ratio):
        return {"error": "not a forecast of every row"}
    return {"ratio": ratio, "seconds": answer["seconds"], "trials": answer["trials"]}


def score(forecasts: np.ndarray, spec: dict[str, Any]) -> float:
    """Mean absolute error of forecasts (origins, H) by that of the simple one; NaN if some are missing."""
    horizon, test, values = spec["horizon"], spec["test"], np.array(spec["values"])
    if forecasts.shape != (len(values) - horizon - test + 1, horizon):
        return float("nan")
    origins = np.array(spec["origins"])
    rows = origins[:, None] + np.arange(1, horizon + 1)
    observed = np.array(spec["observed"])[rows]  # values that were missing and filled in count for nobody
    simple = baseline_forecasts(values, origins, horizon=horizon, season=spec["season"])[spec["beside"]]
    made = forecasts[origins + 1 - test]
    errors = [np.abs(forecast - values[rows])[observed].mean() for forecast in (made, simple)]
    return float(errors[0] / errors[1])


def specification(data: Path, name: str, budget: float, share: float, seed: int) -> dict[str, Any]:
    """The task of one series, cut as lstune cuts it."""
    task = SERIES[name]
    file = data / task.file
    series = take_rows(lstune.read_series(file, target=task.target, known=task.columns), -ROWS)
    split = split_series(series, max_lookback=max(LOOKBACKS), horizon=task.horizon)
    return {
        "file": str(file.resolve()),
        "target": task.target,
        "horizon": task.horizon,
        "beside": task.beside[0],
        "season": series.season,
        "known": {name: series.known[:, i].tolist() for i, name in enumerate(series.known_names)},
        "values": series.values.tolist(),
        "observed": series.observed.tolist(),
        "validation": split.folds[-1].validation.start,
        "test": split.test.start,
        "origins": scored_origins(series, split.test, task.horizon).tolist(),
        "budget": budget,
        "search_share": share,
        "seed": seed,
    }


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--series", nargs="+", choices=list(SERIES), default=list(SERIES))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for everything")
    parser.add_argument("--search-share", type=float, default=0.75)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the peers' environment")
    parser.add_argument(
        "--keep", type=Path, help="file of results, a line each; those it holds are not made again"
    )
    arguments = parser.parse_args()
    kept, found = Kept(arguments.keep), {}
    print(f"{'series':<11}{'peer':<16}{'seed':>5}{'ratio':>8}{'seconds':>9}{'trials':>8}")
    for seed in arguments.seeds:
        for name in arguments.series:
            spec = specification(arguments.data, name, arguments.budget, arguments.search_share, seed)
            for peer in arguments.peers:
                asked = peer, spec, arguments.python
                about = [peer, name, seed, arguments.budget, arguments.search_share]
                row = kept.get(about, lambda asked=asked: measure(*asked))
                found[peer, name, seed] = row
                figures = (
                    row["error"]
                    if "error" in row
                    else f"{row['ratio']:8.3f}{row['seconds']:9.1f}{row['trials']:8d}"
                )
                print(f"{name:<11}{peer:<16}{seed:>5}{figures}", flush=True)
    print("\n| | " + " | ".join(arguments.series) + " |\n|---|" + "---|" * len(arguments.series))
    for peer in arguments.peers:
        cells = []
        for name in arguments.series:
            rows = [found[peer, name, seed] for seed in arguments.seeds]
            ratios = sorted(row["ratio"] for row in rows if "ratio" in row)
            middle = f"{statistics.median(ratios):.3f}" if ratios else "-"
            cells.append(f"{middle} ({ratios[0]:.3f} to {ratios[-1]:.3f})" if len(ratios) > 1 else middle)
        print(f"| {peer} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
