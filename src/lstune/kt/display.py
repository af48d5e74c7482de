"""What a search prints: a trial's values as it starts, its score and the best as it ends."""

from __future__ import annotations

import threading
import time
from typing import Any

from lstune.kt.oracle import Oracle
from lstune.kt.trial import Trial

__all__ = ["Display"]

_WIDTH = 18


def _cell(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.5g}"
    text = str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}h {minutes:02d}m {rest:02d}s"


class Display:
    """Prints unless `verbose` is 0; a block at a time, so that threads do not mix their lines."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.verbose: int = 1
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._search_began: float | None = None

    def on_trial_begin(self, trial: Trial) -> None:
        """Print what is tried beside the best so far."""
        now = time.monotonic()
        self._began[trial.trial_id] = now
        self._search_began = now if self._search_began is None else self._search_began
        if not self.verbose:
            return
        best = self.oracle.get_best_trials(1)
        known = best[0].hyperparameters.values if best and best[0].score is not None else {}
        lines = ["", f"Search: Running Trial #{len(self.oracle.trials)}", ""]
        if trial.hyperparameters.values:
            lines.append(f"{'Value':<{_WIDTH}}|{'Best Value So Far':<{_WIDTH}}|Hyperparameter")
        else:
            lines.append("default configuration")
        for name, value in trial.hyperparameters.values.items():
            lines.append(f"{_cell(value):<{_WIDTH}}|{_cell(known.get(name, '?')):<{_WIDTH}}|{name}")
        self._print(lines)

    def on_trial_end(self, trial: Trial) -> None:
        """Print how it went."""
        if not self.verbose:
            return
        now = time.monotonic()
        took = now - self._began.get(trial.trial_id, now)
        name = self.oracle.objective.name
        lines = ["", f"Trial {trial.trial_id} {str(trial.status).capitalize()} [{_clock(took)}]"]
        if trial.score is not None:
            lines.append(f"{name}: {trial.score}")
        best = self.oracle.get_best_trials(1)
        lines.append(f"Best {name} So Far: {best[0].score if best else None}")
        lines.append(f"Total elapsed time: {_clock(now - (self._search_began or now))}")
        self._print(lines)

    def _print(self, lines: list[str]) -> None:
        with self._lock:
            print("\n".join(lines), flush=True)
