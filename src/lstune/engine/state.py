"""Training's state between two calls: everything that is needed to go on bit for bit."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import ModelConfig, TrainConfig
from lstune.engine.optimizers import slot_count
from lstune.engine.weights import initial_weights, parameter_count
from lstune.errors import ConfigError, RunError, explain
from lstune.files import DAMAGED, write_whole

__all__ = ["Status", "StopFlag", "TrainState", "check_state", "init_state"]

F32 = npt.NDArray[np.float32]

_FORMAT = 1
_SCALARS = ("step", "epoch", "position", "partial_loss", "seed", "best_epoch", "best_value", "wait")


class Status(str, Enum):
    """How training ended. DIVERGED is final; the others can go on from the state."""

    FINISHED = "finished"  # all epochs asked for
    EARLY = "early"  # no improvement for `patience` epochs
    DIVERGED = "diverged"  # a loss or score was not finite
    STOPPED = "stopped"  # the stop flag, or the caller's `on_epoch`
    DEADLINE = "deadline"


class StopFlag:
    """Asks training in another thread to end within one batch."""

    def __init__(self) -> None:
        self.memory = np.zeros(1, np.int64)

    def set(self) -> None:
        """Ask for the stop."""
        self.memory[0] = 1

    def is_set(self) -> bool:
        """Whether the stop was asked for."""
        return bool(self.memory[0])


@dataclass
class TrainState:
    """Weights, optimizer slots and counters after `epoch` whole epochs and `position` windows of the next.

    weights, best_weights: (P,) float32.  slots: (S, P) float32.  `step` counts batches.
    `history` maps "loss", "val_loss" and "val_score" to one value for each whole epoch.
    `best_epoch` counts from 1; 0 means that no epoch was judged yet.
    There is no random state: shuffling and dropout are functions of the seed, the epoch and the step.
    """

    weights: F32
    slots: F32
    seed: int = 0
    step: int = 0
    epoch: int = 0
    position: int = 0
    partial_loss: float = 0.0
    partial_errors: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int = 0
    best_value: float = float("inf")
    best_weights: F32 | None = None
    wait: int = 0

    def copy(self) -> TrainState:
        """A state that shares nothing with this one."""
        return TrainState(
            self.weights.copy(),
            self.slots.copy(),
            **{name: getattr(self, name) for name in _SCALARS},
            partial_errors=list(self.partial_errors),
            history={name: list(values) for name, values in self.history.items()},
            best_weights=None if self.best_weights is None else self.best_weights.copy(),
        )

    def to_bytes(self) -> bytes:
        """The content of a .npz file; `from_bytes` reads it back."""
        header = {name: getattr(self, name) for name in _SCALARS}
        header.update(format=_FORMAT, history=self.history, partial_errors=self.partial_errors)
        arrays: dict[str, Any] = {"weights": self.weights, "slots": self.slots}
        if self.best_weights is not None:
            arrays["best_weights"] = self.best_weights
        file = io.BytesIO()
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write to a .npz file, whole or not at all."""
        write_whole(path, self.to_bytes(), durable=True)

    @classmethod
    def load(cls, path: str | Path) -> TrainState:
        """Read what `save` wrote. Raises RunError if it cannot be."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise _unreadable(f"{path} ({error})") from error
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> TrainState:
        """Read what `to_bytes` gave; `source` names it in errors. Raises RunError if it is damaged."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in file.files if name != "header"}
        except DAMAGED as error:
            raise _unreadable(f"{source} ({error})") from error
        if header.pop("format", None) != _FORMAT:
            raise RunError(explain(f"This lstune reads training states of format {_FORMAT}", source))
        try:
            return cls(
                arrays["weights"],
                arrays["slots"],
                history=header.pop("history"),
                best_weights=arrays.get("best_weights"),
                **header,
            )
        except (KeyError, TypeError) as error:
            raise _unreadable(f"{source} ({error})") from error


def _unreadable(received: str) -> RunError:
    return RunError(
        explain("A training state must be a readable .npz file", received, "Train this trial anew")
    )


def init_state(model: ModelConfig, config: TrainConfig, seed: int = 0, weights: Any = None) -> TrainState:
    """The state before the first batch.

    `weights` (P,) are taken as they are; without them Keras' default initialisers draw from the seed.
    """
    count = parameter_count(model)
    if not 0 <= seed < 2**64:
        raise ConfigError(explain("seed must lie between 0 and 2**64 - 1", seed))
    if weights is None:
        weights = initial_weights(model, np.random.default_rng(np.random.SeedSequence([seed, 0])))
    weights = np.array(weights, np.float32)
    if weights.shape != (count,):
        raise ConfigError(explain(f"This model's weights are one vector of {count} numbers", weights.shape))
    return TrainState(weights, np.zeros((slot_count(config.optimizer), count), np.float32), seed=seed)


def check_state(model: ModelConfig, config: TrainConfig, state: TrainState) -> None:
    """Raise ConfigError unless the state's arrays are those of this model and optimizer.

    Kernels do not check them: with a state of others they would write beyond its end.
    """
    count = parameter_count(model)
    wanted: dict[str, tuple[Any, tuple[int, ...]]] = {
        "weights": (state.weights, (count,)),
        "slots": (state.slots, (slot_count(config.optimizer), count)),
    }
    if state.best_weights is not None:
        wanted["best_weights"] = (state.best_weights, (count,))
    for name, (array, shape) in wanted.items():
        if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ConfigError(
                explain(
                    f"A state of this model and optimizer has {name} of the shape {shape}, float32",
                    f"{array.shape}, {array.dtype}",
                    "Go on with the model and the optimizer that the state was trained with",
                )
            )
