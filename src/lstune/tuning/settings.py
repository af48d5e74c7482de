"""What a trial's hyperparameters mean: from a plain setting to pipeline, model and training configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lstune.engine.config import (
    ACTIVATIONS,
    LOSSES,
    OPTIMIZERS,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    lstm_model,
)
from lstune.errors import SpaceError, UserError, explain, nearest
from lstune.search.space import Float, Int, Space
from lstune.series import TRANSFORMS, PipelineConfig

__all__ = [
    "HYPERPARAMETERS",
    "Hyperparameter",
    "Recipe",
    "check_names",
    "check_values",
    "parse_lags",
    "recipe",
]

# The share of the learning rate that is left at the end of a cosine decay.
_FLOOR = 0.05


@dataclass(frozen=True)
class Hyperparameter:
    """A row of `HYPERPARAMETERS`: what the name means, and its value where a setting leaves it out."""

    name: str
    help: str
    default: Any
    options: tuple[Any, ...] | None = None


HYPERPARAMETERS: dict[str, Hyperparameter] = {
    row.name: row
    for row in (
        Hyperparameter("units", "cells of each LSTM layer", 64),
        Hyperparameter("layers", "LSTM layers on top of each other", 1),
        Hyperparameter("activation", "function of the cell's input and output", "tanh", ACTIVATIONS),
        Hyperparameter("dropout", "share of each layer's outputs masked in training", 0.0),
        Hyperparameter("recurrent_dropout", "share of the recurrent state masked in training", 0.0),
        Hyperparameter("batch_size", "windows for each step of the optimizer", 16),
        Hyperparameter("epochs", "most passes over the training windows", 60),
        Hyperparameter("patience", "epochs without a better validation error before stopping", 20),
        Hyperparameter("optimizer", "how weights follow gradients", "adam", OPTIMIZERS),
        Hyperparameter("learning_rate", "size of the optimizer's steps", 0.003),
        Hyperparameter("decay", "course of the learning rate over the epochs", "cosine", ("cosine", "none")),
        Hyperparameter("clipnorm", "longest gradient over all weights (0: any)", 1.0),
        Hyperparameter("weight_decay", "pull of the weights to zero (adamw)", 0.004),
        Hyperparameter("lookback", "past rows in a window", 32),
        Hyperparameter("transform", "what is done to the target before scaling", "level", TRANSFORMS),
        Hyperparameter("scaler", "how inputs are scaled", "standard"),
        Hyperparameter("calendar", "time of day, weekday, time of year as inputs", "none", ("auto", "none")),
        Hyperparameter("lags", 'values of earlier seasons as inputs: "none", "season" or "24+168"', "none"),
        Hyperparameter(
            "level_input", "the level as an input beside the transformed target", False, (True, False)
        ),
        Hyperparameter(
            "feature_inputs",
            "features as inputs: all, those known beforehand, or none",
            "all",
            ("all", "known", "none"),
        ),
        Hyperparameter(
            "known_leads",
            "coming rows whose known features each row shows: all, or few",
            "all",
            ("all", "few"),
        ),
        Hyperparameter("supervision", "steps that are scored: the last or every", "every", ("last", "every")),
        Hyperparameter("stride", 'rows between windows: a number or "lookback/4"', "lookback/4"),
        Hyperparameter(
            "strategy",
            "how several rows are forecast: at once, or one by one, each fed back",
            "direct",
            ("direct", "recursive"),
        ),
        Hyperparameter("loss", "what training minimises, on scaled values", "mae", LOSSES),
    )
}


@dataclass(frozen=True)
class Recipe:
    """One setting, resolved for a series."""

    lookback: int
    transform: str
    scaler: str
    calendar: str
    lags: tuple[int, ...]
    level_input: bool
    feature_inputs: str
    known_leads: str
    supervision: str
    stride: int
    train: TrainConfig
    decay: str
    units: int
    layers: int
    activation: str
    dropout: float
    recurrent_dropout: float
    strategy: str

    @property
    def schedule(self) -> Callable[[int], float]:
        """The learning rate of each epoch (counted from 0) in the search."""
        return self.schedule_over(self.train.epochs)

    def schedule_over(self, epochs: int) -> Callable[[int], float]:
        """The same course of the learning rate over another number of epochs."""
        return _schedule(self.decay, self.train.optimizer.learning_rate, epochs)

    def steps(self, horizon: int) -> int:
        """The rows that the network itself forecasts at once, of H."""
        return 1 if self.strategy == "recursive" else horizon

    def pipeline(self, horizon: int) -> PipelineConfig:
        """What the series' pipeline has to do; equal for settings that can share windows."""
        return PipelineConfig(
            transform=self.transform,
            lookback=self.lookback,
            horizon=self.steps(horizon),
            supervision=self.supervision,
            scaler=self.scaler,
            calendar=self.calendar,
            lags=self.lags,
            level_input=self.level_input,
            feature_inputs=self.feature_inputs,
            known_leads=self.known_leads,
        )

    def model(self, channels: int, horizon: int) -> ModelConfig:
        """The network for inputs of C channels and a horizon of H rows."""
        return lstm_model(
            channels,
            self.steps(horizon),
            units=self.units,
            layers=self.layers,
            activation=self.activation,
            dropout=self.dropout,
            recurrent_dropout=self.recurrent_dropout,
            sequence=self.supervision == "every",
        )


# What others call them.
_SHORT = {
    "lr": "learning_rate",
    "neurons": "units",
    "hidden_size": "units",
    "timesteps": "lookback",
    "window": "lookback",
    "input_size": "lookback",
    "batch": "batch_size",
}


def check_names(names: Any) -> None:
    """Raise SpaceError if a name is no hyperparameter of lstune."""
    unknown = [str(name) for name in names if name not in HYPERPARAMETERS]
    if unknown:
        meant = nearest(_SHORT.get(unknown[0], unknown[0]), HYPERPARAMETERS)
        raise SpaceError(
            explain(f"Hyperparameters are {', '.join(HYPERPARAMETERS)}", ", ".join(unknown), meant)
        )


def check_values(space: Space, horizon: int = 1, season: int = 1) -> None:
    """Raise SpaceError for a value in `space` that no trial can be trained with; each is looked at alone."""
    for name, param in space.items():
        for value in (param.low, param.high) if isinstance(param, (Int, Float)) else param.values():
            try:
                # Every transform can be supervised on the last step.
                found = recipe({"supervision": "last", name: value}, season)
                found.pipeline(horizon)
                found.model(1, horizon)
            except UserError as error:
                raise SpaceError(str(error)) from error


def recipe(setting: Mapping[str, Any], season: int = 1) -> Recipe:
    """Resolve a setting; names that it leaves out take the table's default. `season`: the series', in rows.

    Raises SpaceError for unknown names or values, ConfigError for what the engine cannot train.
    """
    check_names(setting)
    value = {name: setting.get(name, row.default) for name, row in HYPERPARAMETERS.items()}
    for name, row in HYPERPARAMETERS.items():
        if row.options is not None and value[name] not in row.options:
            raise SpaceError(
                explain(f"{name} must be one of {', '.join(map(str, row.options))}", value[name])
            )
    lookback = _whole("lookback", value["lookback"], 1)
    clip = _number("clipnorm", value["clipnorm"] or 0.0)
    decay = _number("weight_decay", value["weight_decay"])
    train = TrainConfig(
        epochs=_whole("epochs", value["epochs"], 1),
        batch_size=_whole("batch_size", value["batch_size"], 1),
        loss=value["loss"],
        optimizer=OptimizerConfig(
            value["optimizer"],
            learning_rate=_number("learning_rate", value["learning_rate"]),
            weight_decay=decay if value["optimizer"] == "adamw" else None,
            global_clipnorm=clip if clip > 0 else None,
        ),
        supervision=value["supervision"],
        patience=_whole("patience", value["patience"], 1) if value["patience"] else None,
    )
    return Recipe(
        lookback=lookback,
        transform=str(value["transform"]),
        scaler=str(value["scaler"]),
        calendar=str(value["calendar"]),
        lags=parse_lags(value["lags"], season),
        level_input=bool(value["level_input"]),
        feature_inputs=value["feature_inputs"],
        known_leads=value["known_leads"],
        supervision=value["supervision"],
        stride=_stride(value["stride"], lookback),
        train=train,
        decay=value["decay"],
        units=_whole("units", value["units"], 1),
        layers=_whole("layers", value["layers"], 1),
        activation=value["activation"],
        dropout=_number("dropout", value["dropout"]),
        recurrent_dropout=_number("recurrent_dropout", value["recurrent_dropout"]),
        strategy=str(value["strategy"]),
    )


def _whole(name: str, value: Any, minimum: int) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or value != int(value)
        or value < minimum
    ):
        raise SpaceError(explain(f"{name} must be a whole number of {minimum} or more", value))
    return int(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise SpaceError(explain(f"{name} must be a number of 0 or more", value))
    return float(value)


def parse_lags(value: Any, season: int) -> tuple[int, ...]:
    """The rows meant by the hyperparameter "lags", ascending. Raises SpaceError for anything else."""
    if value in (None, "none", 0):
        return ()
    if value == "season":
        # A week of hours holds days too, and yesterday's hour tells as much as last week's.
        day = 24 if season > 24 and season % 24 == 0 else season
        return tuple(sorted({day, season})) if season > 1 else ()
    try:
        lags = tuple(sorted({int(part) for part in str(value).split("+")}))
    except ValueError:
        lags = (0,)
    if min(lags) < 1:
        raise SpaceError(explain('lags must be "none", "season" or rows such as "24+168"', value))
    return lags


def _stride(value: Any, lookback: int) -> int:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(?:lookback\s*/\s*)?([1-9]\d*)\s*", value)
        if match is None:
            raise SpaceError(explain('stride must be a whole number or "lookback/4" or the like', value))
        number = int(match.group(1))
        if "lookback" not in value:
            return number
        return max(1, lookback // number)
    return _whole("stride", value, 1)


def _schedule(decay: str, rate: float, epochs: int) -> Callable[[int], float]:
    if decay == "none":
        return lambda epoch: rate

    def cosine(epoch: int) -> float:
        # Loshchilov & Hutter (2017), equation 5 with one period: a function of the epoch alone, so that a
        # resumed trial follows it exactly.
        part = min(1.0, epoch / max(1, epochs))
        return rate * (_FLOOR + (1.0 - _FLOOR) * 0.5 * (1.0 + math.cos(math.pi * part)))

    return cosine
