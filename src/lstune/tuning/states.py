"""Where paused trials wait: training states in memory, and in the run's folder so that nothing is lost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from lstune.engine import TrainState

__all__ = ["StateStore"]


class StateStore:
    """Training states by trial number; the latest in memory, all in `folder` (None: in memory only).

    Every method may be called from several threads, but no two of them for the same trial at once.
    """

    def __init__(self, folder: Path | None = None, kept: int = 64) -> None:
        self.folder = folder
        self.kept = kept
        self._lock = threading.Lock()
        self._states: OrderedDict[int, TrainState] = OrderedDict()

    def path(self, number: int) -> Path | None:
        """The file of a trial's state; None without a folder."""
        return None if self.folder is None else self.folder / f"{number:06d}.npz"

    def overlay(self) -> StateStore:
        """A store on top of this one: it reads what this one has, and keeps its own states in memory."""
        return _Overlay(self)

    def put(self, number: int, state: TrainState) -> None:
        """Keep a state; the file is written whole or not at all."""
        path = self.path(number)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            state.save(path)
        with self._lock:
            self._states[number] = state
            self._states.move_to_end(number)
            while self.folder is not None and len(self._states) > self.kept:
                self._states.popitem(last=False)

    def get(self, number: int) -> TrainState | None:
        """A trial's state; None if there is none."""
        with self._lock:
            if number in self._states:
                return self._states[number]
        path = self.path(number)
        if path is None or not path.exists():
            return None
        return TrainState.load(path)

    def drop(self, number: int) -> None:
        """Forget a trial that will not go on."""
        with self._lock:
            self._states.pop(number, None)
        path = self.path(number)
        if path is not None:
            path.unlink(missing_ok=True)

    def keep(self, numbers: set[int]) -> None:
        """Forget all trials but these: the search is over."""
        with self._lock:
            for number in set(self._states) - numbers:
                del self._states[number]
        if self.folder is not None and self.folder.exists():
            for path in self.folder.glob("*.npz"):
                if path.stem.isdigit() and int(path.stem) not in numbers:
                    path.unlink(missing_ok=True)


class _Overlay(StateStore):
    def __init__(self, base: StateStore) -> None:
        super().__init__()
        self._base = base

    def get(self, number: int) -> TrainState | None:
        own = super().get(number)
        return own if own is not None else self._base.get(number)
