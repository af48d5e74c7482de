"""A trial: hyperparameters, the metrics of its epochs, score and status; kept as Keras Tuner keeps it."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lstune.errors import RunError, explain
from lstune.files import write_whole
from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.objective import infer_direction

__all__ = [
    "MetricHistory",
    "MetricObservation",
    "MetricsTracker",
    "Trial",
    "TrialStatus",
    "load_json",
    "save_json",
]


class TrialStatus:
    """The states of a trial, as text."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"  # no trial now: ask again later
    INVALID = "INVALID"  # crashed or not finite, may be tried again
    STOPPED = "STOPPED"  # no trial any more: the search is over
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"  # crashed or not finite for the last time


def save_json(path: str | Path, data: Any) -> None:
    """Write JSON, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1))


def load_json(path: str | Path) -> Any:
    """Read JSON. Raises RunError naming the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            explain("A tuning folder's file must be readable JSON", f"{path} ({error})")
        ) from error


class MetricObservation:
    """A metric's values at one step (epoch), one for each execution."""

    def __init__(self, value: float | list[float], step: int) -> None:
        self.value = list(value) if isinstance(value, (list, tuple)) else [value]
        self.step = step

    def append(self, value: float | list[float]) -> None:
        """Add another execution's value."""
        self.value += value if isinstance(value, list) else [value]

    def mean(self) -> float:
        """The mean over executions."""
        return sum(self.value) / len(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MetricObservation) and (other.value, other.step) == (self.value, self.step)

    def __hash__(self) -> int:
        return hash((tuple(self.value), self.step))

    def __repr__(self) -> str:
        return f"MetricObservation(value={self.value}, step={self.step})"

    def get_config(self) -> dict[str, Any]:
        """Plain data."""
        return {"value": self.value, "step": self.step}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricObservation:
        """The inverse of `get_config`."""
        return cls(**config)


class MetricHistory:
    """A metric's observations by step, and which of them is best."""

    def __init__(self, direction: str = "min") -> None:
        if direction not in ("min", "max"):
            raise ValueError(explain('A metric\'s direction must be "min" or "max"', direction))
        self.direction = direction
        self._observations: dict[int, MetricObservation] = {}

    def update(self, value: float | list[float], step: int) -> None:
        """Note a value."""
        if step in self._observations:
            self._observations[step].append(value)
        else:
            self._observations[step] = MetricObservation(value, step)

    def get_history(self) -> list[MetricObservation]:
        """The observations in order of step."""
        return sorted(self._observations.values(), key=lambda observation: observation.step)

    def set_history(self, observations: Iterable[MetricObservation]) -> None:
        """Note many."""
        for observation in observations:
            self.update(observation.value, observation.step)

    def _best(self) -> MetricObservation | None:
        # Infinite values count no more than missing ones: a diverged run has no score.
        usable = [each for each in self.get_history() if math.isfinite(each.mean())]
        sign = 1.0 if self.direction == "min" else -1.0
        return min(usable, key=lambda each: sign * each.mean(), default=None)

    def get_best_value(self) -> float | None:
        """The best finite value; None if there is none."""
        best = self._best()
        return None if best is None else best.mean()

    def get_best_step(self) -> int | None:
        """The step of the best finite value."""
        best = self._best()
        return None if best is None else best.step

    def get_last_value(self) -> float | None:
        """The value of the last step."""
        history = self.get_history()
        return history[-1].mean() if history else None

    def get_statistics(self) -> dict[str, float]:
        """Minimum, maximum, mean, median, variance and standard deviation over the steps."""
        import numpy as np

        values = [each.mean() for each in self.get_history()]
        if not values:
            return {}
        names = ("min", "max", "mean", "median", "var", "std")
        return {name: float(getattr(np, f"nan{name}")(values)) for name in names}

    def get_config(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "direction": self.direction,
            "observations": [each.get_config() for each in self.get_history()],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricHistory:
        """The inverse of `get_config`."""
        history = cls(config["direction"])
        history.set_history(MetricObservation.from_config(each) for each in config["observations"])
        return history


class MetricsTracker:
    """The histories of all metrics of a trial, by name."""

    def __init__(self, metrics: Iterable[Any] | None = None) -> None:
        self.metrics: dict[str, MetricHistory] = {}
        for metric in metrics or ():
            self.register(metric if isinstance(metric, str) else metric.name)

    def exists(self, name: str) -> bool:
        """Whether the metric was noted."""
        return name in self.metrics

    def register(self, name: str, direction: str | None = None) -> None:
        """Begin a metric's history; a direction that cannot be told is "min"."""
        if self.exists(name):
            raise ValueError(explain("A metric is registered once", name))
        self.metrics[name] = MetricHistory(direction or infer_direction(name) or "min")

    def update(self, name: str, value: float, step: int = 0) -> bool:
        """Note a value; whether it is the best so far."""
        if not self.exists(name):
            self.register(name)
        history = self.metrics[name]
        before = history.get_best_value()
        history.update(float(value), step)
        return history.get_best_value() != before

    def _history(self, name: str) -> MetricHistory:
        if name not in self.metrics:
            raise ValueError(explain(f"The trial has the metrics {', '.join(self.metrics)}", name))
        return self.metrics[name]

    def get_history(self, name: str) -> list[MetricObservation]:
        """A metric's observations in order of step."""
        return self._history(name).get_history()

    def set_history(self, name: str, observations: Iterable[MetricObservation]) -> None:
        """Note many values of a metric."""
        if not self.exists(name):
            self.register(name)
        self.metrics[name].set_history(observations)

    def get_best_value(self, name: str) -> float | None:
        """A metric's best finite value."""
        return self._history(name).get_best_value()

    def get_best_step(self, name: str) -> int | None:
        """The step of a metric's best finite value."""
        return self._history(name).get_best_step()

    def get_last_value(self, name: str) -> float | None:
        """A metric's last value."""
        return self._history(name).get_last_value()

    def get_statistics(self, name: str) -> dict[str, float]:
        """A metric's statistics over the steps."""
        return self._history(name).get_statistics()

    def get_direction(self, name: str) -> str:
        """ "min" or "max"."""
        return self._history(name).direction

    def get_config(self) -> dict[str, Any]:
        """Plain data."""
        return {"metrics": {name: history.get_config() for name, history in self.metrics.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricsTracker:
        """The inverse of `get_config`."""
        tracker = cls()
        for name, history in config["metrics"].items():
            tracker.metrics[name] = MetricHistory.from_config(history)
        return tracker


class Trial:
    """One setting of the hyperparameters and what came of it.

    score: the objective's best value over epochs, the mean over executions; None if there is none.
    best_step: the epoch of the score, counted from 0.  message: why it failed.
    engine: who trained it ("lstune" or "keras") and, for "keras", the reason; lstune's own entry.
    """

    def __init__(
        self,
        hyperparameters: HyperParameters,
        trial_id: str | None = None,
        status: str | None = TrialStatus.RUNNING,
        message: str | None = None,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.trial_id = uuid.uuid4().hex if trial_id is None else trial_id
        self.metrics = MetricsTracker()
        self.score: float | None = None
        self.best_step: int | None = 0
        self.status = status
        self.message = message
        self.engine: str | None = None

    def summary(self) -> None:
        """Print the trial."""
        print(f"Trial {self.trial_id} summary")
        print("Hyperparameters:")
        self.display_hyperparameters()
        if self.score is not None:
            print(f"Score: {self.score}")
        if self.engine is not None:
            print(f"Trained by: {self.engine}")
        if self.message is not None:
            print(self.message)

    def display_hyperparameters(self) -> None:
        """Print the values."""
        for name, value in self.hyperparameters.values.items():
            print(f"{name}: {value}")
        if not self.hyperparameters.values:
            print("default configuration")

    def get_state(self) -> dict[str, Any]:
        """Plain data, in the form of Keras Tuner's trial.json."""
        return {
            "trial_id": self.trial_id,
            "hyperparameters": self.hyperparameters.get_config(),
            "metrics": self.metrics.get_config(),
            "score": self.score,
            "best_step": self.best_step,
            "status": self.status,
            "message": self.message,
            "engine": self.engine,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` gave."""
        self.trial_id = state["trial_id"]
        self.hyperparameters = HyperParameters.from_config(state["hyperparameters"])
        self.metrics = MetricsTracker.from_config(state["metrics"])
        self.score, self.best_step = state["score"], state["best_step"]
        self.status, self.message = state["status"], state.get("message")
        self.engine = state.get("engine")
        if self.score is not None and not math.isfinite(self.score):
            # Keras Tuner lets an infinite loss complete; here it is no score.
            self.score, self.status = None, TrialStatus.FAILED

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Trial:
        """A trial in this state."""
        trial = cls(HyperParameters())
        trial.set_state(state)
        return trial

    def save(self, path: str | Path) -> None:
        """Write to a file."""
        save_json(path, self.get_state())

    @classmethod
    def load(cls, path: str | Path) -> Trial:
        """Read from a file, Keras Tuner's too."""
        return cls.from_state(load_json(path))
