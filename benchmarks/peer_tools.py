"""The tools that `peers.py` compares, each as its own documentation tells to use it, in a process of its own.

A worker reads its task from stdin and writes its answer to stdout: for every origin, the last row before the
tail and those in it, forecasts of the `horizon` rows that follow, made from true rows up to the origin.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LOOKBACKS", "PEERS"]

LOOKBACKS = (4, 8, 16, 24, 32, 48, 64)
MAX_EPOCHS, PATIENCE = 60, 6


class Assignment:
    """What a peer is given: values (rows,), where validation and test begin, horizon, seconds, and a seed."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.values = np.array(spec["values"], np.float64)
        self.validation, self.test, self.horizon = spec["validation"], spec["test"], int(spec["horizon"])
        self.seed = int(spec["seed"])
        self.began = time.monotonic()
        self.budget = float(spec["budget"])

    @property
    def search_left(self) -> float:
        """Seconds left to the search."""
        return self.budget * self.spec["search_share"] - (time.monotonic() - self.began)

    def standardized(self, until: int) -> tuple[np.ndarray, float, float]:
        """Values with the mean and the deviation of the rows before `until` taken out, and these two."""
        mean, deviation = self.values[:until].mean(), self.values[:until].std()
        return ((self.values - mean) / deviation).astype(np.float32), float(mean), float(deviation)


Answer = tuple[np.ndarray, int]  # forecasts (origins, horizon) of the tail, trials


def windows(
    values: np.ndarray, lookback: int, first: int, last: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Windows (n, lookback, 1) and targets (n, horizon) whose rows lie in `first` to `last`."""
    rows = np.arange(max(first, lookback), last - horizon + 1)[:, None]
    return values[rows + np.arange(-lookback, 0)][..., None], values[rows + np.arange(horizon)]


# --- The peers --------------------------------------------------------------


def run_neuralforecast(task: Assignment, backend: str = "optuna") -> Answer:
    import optuna
    import pandas as pd
    from neuralforecast import NeuralForecast
    from neuralforecast.auto import AutoLSTM

    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    fixed: dict[str, Any] = {"enable_progress_bar": False, "logger": False, "enable_model_summary": False}
    fixed["futr_exog_list"] = list(task.spec["known"])
    config = AutoLSTM.get_default_config(h=task.horizon, backend=backend)
    if backend == "optuna":
        suggest = config

        def config(trial: Any) -> dict[str, Any]:
            return {**suggest(trial), **fixed}

        search = optuna.samplers.TPESampler(seed=task.seed)
        options: dict[str, Any] = {"search_alg": search, "config": config}
    else:
        options = {"config": {**config, **fixed}}
    model = AutoLSTM(
        h=task.horizon,
        num_samples=1000,
        time_budget=task.budget * task.spec["search_share"],
        refit_with_val=True,
        backend=backend,
        **options,
    )
    frame = pd.DataFrame({"unique_id": "series", "ds": np.arange(len(task.values)), "y": task.values})
    frame = frame.assign(**task.spec["known"])
    forecaster = NeuralForecast(models=[model], freq=1)
    forecasts = forecaster.cross_validation(
        frame, val_size=task.test - task.validation, test_size=len(frame) - task.test, n_windows=None
    )
    results = forecaster.models[0].results
    if backend == "optuna":
        trials = len(results.trials)
    else:  # Ray makes all trials at once and ends them when the time is over
        trials = sum(1 for trial in results if trial.metrics and "loss" in trial.metrics)
    return forecasts.sort_values(["cutoff", "ds"])["AutoLSTM"].to_numpy().reshape(-1, task.horizon), trials


def run_ray(task: Assignment) -> Answer:
    return run_neuralforecast(task, "ray")


def run_darts(task: Assignment) -> Answer:
    import optuna
    import pandas as pd
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler
    from darts.metrics import mae
    from darts.models import BlockRNNModel
    from pytorch_lightning.callbacks import EarlyStopping
    from sklearn.preprocessing import StandardScaler

    for name in ("pytorch_lightning", "lightning.pytorch", "darts"):
        logging.getLogger(name).setLevel(logging.ERROR)
    series = TimeSeries.from_times_and_values(pd.RangeIndex(len(task.values)), task.values.astype(np.float32))
    scaler = Scaler(StandardScaler()).fit(series[: task.validation])
    scaled = scaler.transform(series)

    def build(params: dict[str, Any], epochs: int, callbacks: list[Any]) -> Any:
        return BlockRNNModel(
            model="LSTM",
            input_chunk_length=params["lookback"],
            output_chunk_length=task.horizon,
            hidden_dim=params["units"],
            n_rnn_layers=params["layers"],
            dropout=params["dropout"] if params["layers"] > 1 else 0.0,
            batch_size=params["batch"],
            n_epochs=epochs,
            optimizer_kwargs={"lr": params["rate"]},
            random_state=task.seed,
            pl_trainer_kwargs={
                "callbacks": callbacks,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "logger": False,
            },
        )

    def forecasts(model: Any, first: int, last: int) -> Any:
        return model.historical_forecasts(
            scaled[:last], start=first, forecast_horizon=task.horizon, retrain=False, last_points_only=False
        )

    def objective(trial: Any) -> float:
        stop = EarlyStopping("val_loss", patience=PATIENCE)
        model = build(_suggest(trial), MAX_EPOCHS, [stop])
        # Validation windows reach back into the training rows for their inputs.
        lookback = trial.params["lookback"]
        model.fit(
            scaled[: task.validation],
            val_series=scaled[task.validation - lookback : task.test],
            verbose=False,
        )
        trial.set_user_attr("epochs", max(1, model.epochs_trained - (PATIENCE if stop.stopped_epoch else 0)))
        made = forecasts(model, task.validation, task.test)
        return float(np.mean(mae([scaled.slice_intersect(part) for part in made], made)))

    study = _study(task, optuna.pruners.NopPruner())
    study.optimize(objective, timeout=task.search_left, catch=(Exception,))
    model = build(study.best_params, study.best_trial.user_attrs["epochs"], [])
    model.fit(scaled[: task.test], verbose=False)
    tail = forecasts(model, task.test, len(task.values))
    made = [scaler.inverse_transform(part).values().ravel() for part in tail]
    return np.stack(made), len(study.trials)


def _study(task: Assignment, pruner: Any) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=task.seed), pruner=pruner)


def _suggest(trial: Any) -> dict[str, Any]:
    """The space of the peers that bring none."""
    return {
        "lookback": trial.suggest_categorical("lookback", LOOKBACKS),
        "units": trial.suggest_int("units", 8, 128, log=True),
        "layers": trial.suggest_int("layers", 1, 2),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "batch": trial.suggest_categorical("batch", (16, 32, 64, 128)),
        "rate": trial.suggest_float("rate", 3e-4, 3e-2, log=True),
    }


def _torch_forecaster(params: dict[str, Any], horizon: int) -> Any:
    import torch

    class Forecaster(torch.nn.Module):
        def __init__(self, params: dict[str, Any]) -> None:
            super().__init__()
            layers = params["layers"]
            dropout = params["dropout"] if layers > 1 else 0.0
            self.lstm = torch.nn.LSTM(1, params["units"], layers, batch_first=True, dropout=dropout)
            self.drop = torch.nn.Dropout(params["dropout"])
            self.head = torch.nn.Linear(params["units"], horizon)

        def forward(self, x: Any) -> Any:
            return self.head(self.drop(self.lstm(x)[0][:, -1]))

    return Forecaster(params)


def run_optuna_torch(task: Assignment) -> Answer:
    import optuna
    import torch

    torch.manual_seed(task.seed)

    def train(model: Any, params: dict[str, Any], x: Any, y: Any) -> Any:
        """One epoch after another."""
        optimizer = torch.optim.Adam(model.parameters(), lr=params["rate"])
        loss = torch.nn.MSELoss()
        while True:
            model.train()
            for rows in torch.randperm(len(x)).split(params["batch"]):
                optimizer.zero_grad()
                loss(model(x[rows]), y[rows]).backward()
                optimizer.step()
            model.eval()
            yield

    def tensors(values: np.ndarray, lookback: int, first: int, last: int) -> Any:
        return [torch.from_numpy(array) for array in windows(values, lookback, first, last, task.horizon)]

    values, _, _ = task.standardized(task.validation)

    def objective(trial: Any) -> float:
        params = _suggest(trial)
        x, y = tensors(values, params["lookback"], 0, task.validation)
        x_val, y_val = tensors(values, params["lookback"], task.validation, task.test)
        model, best = _torch_forecaster(params, task.horizon), math.inf
        for epoch, _ in enumerate(train(model, params, x, y), start=1):
            with torch.no_grad():
                value = float((model(x_val) - y_val).abs().mean())
            if value < best:
                best = value
                trial.set_user_attr("epochs", epoch)
            trial.report(value, epoch)
            late = epoch - trial.user_attrs.get("epochs", 0) >= PATIENCE
            if late or epoch == MAX_EPOCHS or task.search_left <= 0 or not math.isfinite(value):
                return best
            if trial.should_prune():
                raise optuna.TrialPruned
        raise AssertionError

    study = _study(task, optuna.pruners.MedianPruner(n_warmup_steps=3))
    study.optimize(objective, timeout=task.search_left)
    params, epochs = study.best_params, study.best_trial.user_attrs["epochs"]
    values, mean, deviation = task.standardized(task.test)
    model = _torch_forecaster(params, task.horizon)
    training = train(model, params, *tensors(values, params["lookback"], 0, task.test))
    for _ in range(epochs):
        next(training)
    x, _ = tensors(values, params["lookback"], task.test, len(values))
    with torch.no_grad():
        return model(x).numpy() * deviation + mean, len(study.trials)


def run_keras_tuner(task: Assignment) -> Answer:
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    import keras

    import keras_tuner as kt

    keras.utils.set_random_seed(task.seed)
    values, _, _ = task.standardized(task.validation)

    def cut(lookback: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        return windows(values, lookback, first, last, task.horizon)

    class OutOfTime(Exception):
        pass

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if task.search_left <= 0:
                raise OutOfTime

    class Forecaster(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            lookback, layers = hp.Choice("lookback", LOOKBACKS), hp.Int("layers", 1, 2)
            units, dropout = hp.Int("units", 8, 128, sampling="log"), hp.Float("dropout", 0.0, 0.4)
            model = keras.Sequential([keras.Input((lookback, 1))])
            for layer in range(layers):
                model.add(keras.layers.LSTM(units, return_sequences=layer < layers - 1))
                model.add(keras.layers.Dropout(dropout))
            model.add(keras.layers.Dense(task.horizon))
            rate = hp.Float("rate", 3e-4, 3e-2, sampling="log")
            model.compile(keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
            return model

        def fit(self, hp: Any, model: Any, callbacks: Any = (), **unused: Any) -> Any:
            lookback = hp.get("lookback")
            history = model.fit(
                *cut(lookback, 0, task.validation),
                validation_data=cut(lookback, task.validation, task.test),
                batch_size=hp.Choice("batch", (16, 32, 64, 128)),
                epochs=MAX_EPOCHS,
                callbacks=[*callbacks, keras.callbacks.EarlyStopping("val_mae", patience=PATIENCE), Clock()],
                verbose=0,
            )
            return min(history.history["val_mae"])

    with tempfile.TemporaryDirectory() as folder:
        hypermodel = Forecaster()
        tuner = kt.BayesianOptimization(
            hypermodel, max_trials=1000, seed=task.seed + 1, directory=folder, project_name="peer"
        )
        try:
            tuner.search(verbose=0)
        except (OutOfTime, RuntimeError) as error:
            if task.search_left > 0:
                raise RuntimeError("Keras Tuner stopped before its time") from error
        done = [trial for trial in tuner.oracle.trials.values() if trial.status == "COMPLETED"]
        if not done:
            raise RuntimeError("no trial ended within the search's seconds")
        best = min(done, key=lambda trial: trial.score)
        hp, epochs = best.hyperparameters, best.best_step + 1
    values, mean, deviation = task.standardized(task.test)
    model, lookback = hypermodel.build(hp), hp.get("lookback")
    model.fit(*cut(lookback, 0, task.test), batch_size=hp.get("batch"), epochs=epochs, verbose=0)
    return model.predict(cut(lookback, task.test, len(values))[0], verbose=0) * deviation + mean, len(done)


def run_lstune(task: Assignment) -> Answer:
    import lstune
    from lstune.series import take_rows

    spec = task.spec
    whole = lstune.read_series(spec["file"], target=spec["target"], known=list(spec["known"]))
    series = take_rows(whole, -len(task.values))
    with tempfile.TemporaryDirectory() as folder:
        run = lstune.tune(
            series, horizon=task.horizon, budget=task.budget, seed=task.seed, out=Path(folder) / "run"
        )
        with np.load(run.path / "predictions.npz") as arrays:
            origins, forecasts = arrays["test_origins"], arrays["test_forecasts"]
    tail = np.full((len(task.values) - task.horizon - task.test + 1, task.horizon), np.nan)
    tail[origins + 1 - task.test] = forecasts  # rows whose value was filled in are not forecast
    return tail, sum(run.result["trials"].values())


PEERS: dict[str, Callable[[Assignment], Answer]] = {
    "lstune": run_lstune,
    "neuralforecast": run_neuralforecast,
    "ray": run_ray,
    "darts": run_darts,
    "optuna-torch": run_optuna_torch,
    "keras-tuner": run_keras_tuner,
}

# Those that take features known beforehand; Darts' BlockRNNModel does not.
KNOWING = ("lstune", "neuralforecast", "ray")

# What is imported before the clock starts.
_MODULES = {
    "lstune": ("lstune.tuning.run", "lstune.engine.train", "pandas", "optuna"),
    "neuralforecast": ("neuralforecast.auto", "optuna"),
    "ray": ("neuralforecast.auto", "ray.tune"),
    "darts": ("darts.models", "optuna"),
    "optuna-torch": ("torch", "optuna"),
    "keras-tuner": ("tensorflow", "keras_tuner"),
}


def work(peer: str) -> None:
    """A worker: its task comes on stdin, its answer goes to stdout as one line of JSON."""
    import importlib

    warnings.simplefilter("ignore")
    spec = json.load(sys.stdin)
    if peer == "keras-tuner":
        os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
        # keras_tuner.py beside this file is not the package.
        sys.path[:] = [place for place in sys.path if Path(place) != Path(__file__).parent]
    for name in _MODULES[peer]:
        importlib.import_module(name)
    answer, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    task = Assignment(spec)
    if spec["known"] and peer not in KNOWING:
        raise SystemExit("takes no features known beforehand")
    forecasts, trials = PEERS[peer](task)
    seconds = time.monotonic() - task.began
    print(
        json.dumps(
            {"forecasts": np.asarray(forecasts, float).tolist(), "trials": trials, "seconds": seconds}
        ),
        file=answer,
    )


if __name__ == "__main__":
    work(sys.argv[1])
