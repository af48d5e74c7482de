"""Where a `fit` was cut off: the engine's state and what the callbacks remember, in one file."""

from __future__ import annotations

import functools
import inspect
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from lstune.engine.config import ModelConfig, TrainConfig
from lstune.engine.optimizers import slot_count
from lstune.engine.state import TrainState
from lstune.engine.weights import parameter_count
from lstune.errors import RunError, explain
from lstune.files import write_whole

__all__ = ["Progress", "changed", "forgetful", "plain_values"]

_FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """What a `fit` needs to go on bit for bit.

    seed: what the fit was begun with, by which it is told from other trainings of its trial.
    learning_rate: as the last whole epoch left it.  logs: (epoch, Keras' logs) of this fit's whole epochs.
    callbacks: each acting callback's class, and the attributes that training has changed, see `changed`.
    stop_training: whether a callback has asked for the end.
    """

    state: TrainState
    seed: int
    learning_rate: float
    logs: tuple[tuple[int, dict[str, float]], ...]
    callbacks: tuple[tuple[str, dict[str, Any]], ...]
    stop_training: bool

    def belongs_to(
        self, model: ModelConfig, config: TrainConfig, callbacks: Sequence[Any], seed: int
    ) -> bool:
        """Whether such a fit can go on from here."""
        count = parameter_count(model)
        return (
            self.seed == seed
            and self.state.weights.shape == (count,)
            and self.state.slots.shape == (slot_count(config.optimizer), count)
            and [name for name, _ in self.callbacks] == [type(callback).__name__ for callback in callbacks]
        )

    def save(self, path: Path) -> None:
        """Write to a .npz file, whole or not at all.

        Without waiting for the disk: what a power cut takes is trained again, to the same bits.
        """
        arrays: dict[str, Any] = {"state": np.frombuffer(self.state.to_bytes(), np.uint8)}
        kept = []
        for place, (name, values) in enumerate(self.callbacks):
            plain = {}
            for attribute, value in values.items():
                if isinstance(value, list):
                    plain[attribute] = {"arrays": len(value)}
                    arrays.update({f"{place}.{attribute}.{n}": array for n, array in enumerate(value)})
                else:
                    plain[attribute] = value
            kept.append((name, plain))
        header = {
            "format": _FORMAT,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "logs": self.logs,
            "callbacks": kept,
            "stop_training": self.stop_training,
        }
        file = io.BytesIO()
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
        write_whole(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> Progress:
        """Read what `save` wrote. Raises RunError if it cannot be."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in file.files}
            if header.pop("format", None) != _FORMAT:
                raise ValueError("another format")
            callbacks = []
            for place, (name, plain) in enumerate(header.pop("callbacks")):
                values = {
                    attribute: [arrays[f"{place}.{attribute}.{n}"] for n in range(value["arrays"])]
                    if isinstance(value, dict)
                    else value
                    for attribute, value in plain.items()
                }
                callbacks.append((name, values))
            state = TrainState.from_bytes(arrays["state"].tobytes(), str(path))
            logs = tuple((int(epoch), values) for epoch, values in header.pop("logs"))
            return cls(state, logs=logs, callbacks=tuple(callbacks), **header)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            rule = "The progress of a trial must be a readable .npz file of this lstune"
            raise RunError(explain(rule, f"{path} ({error})", "Train this trial anew")) from error


# --- What callbacks remember ----------------------------------------------------------------------


def plain_values(callback: Any) -> dict[str, Any]:
    """A callback's attributes that are numbers, text or None, or lists of arrays (weights).

    The rest are functions and what the callback acts on, which it has again in the next process.
    """
    found: dict[str, Any] = {}
    for name, value in vars(callback).items():
        if isinstance(value, np.generic):
            value = value.item()
        weights = isinstance(value, list) and all(isinstance(each, np.ndarray) for each in value)
        if weights or value is None or isinstance(value, (bool, int, float, str)):
            found[name] = value
    return found


def changed(callback: Any, before: dict[str, Any]) -> dict[str, Any]:
    """The plain values of a callback that are others than `before`."""
    now = plain_values(callback)
    return {
        name: value
        for name, value in now.items()
        if name not in before or isinstance(value, list) or value != before[name]
    }


def forgetful(callback: Any) -> str | None:
    """What a callback may remember beside its plain values, in words; None where that is nothing."""
    schedule = getattr(callback, "schedule", None)
    while isinstance(schedule, functools.partial):
        schedule = schedule.func
    if schedule is None or inspect.isfunction(schedule):
        return None
    return f"{type(callback).__name__} with a schedule that is no plain function"
