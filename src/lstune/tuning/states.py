"""Where paused trials wait: training states in memory, and in a place that outlives the process."""

from __future__ import annotations

import threading
from collections import OrderedDict

from lstune.engine import TrainState
from lstune.search.blobs import Blobs

__all__ = ["StateStore"]


class StateStore:
    """Training states by trial number; the latest in memory, all in `place` (None: in memory only).

    Every method may be called from several threads, but no two of them for the same trial at once. A `place`
    may be shared with other processes: a state is a function of its trial and its epoch, so whichever of two
    is kept, a training goes on to the same end.
    """

    def __init__(self, place: Blobs | None = None, kept: int = 64) -> None:
        self.place = place
        self.kept = kept
        self._lock = threading.Lock()
        self._states: OrderedDict[int, TrainState] = OrderedDict()

    def overlay(self) -> StateStore:
        """A store on top of this one: it reads what this one has, and keeps its own states in memory."""
        return _Overlay(self)

    def put(self, number: int, state: TrainState) -> None:
        """Keep a state, whole or not at all."""
        if self.place is not None:
            self.place.put(number, state.to_bytes())
        with self._lock:
            self._states[number] = state
            self._states.move_to_end(number)
            while self.place is not None and len(self._states) > self.kept:
                self._states.popitem(last=False)

    def get(self, number: int, epoch: int = 0) -> TrainState | None:
        """A trial's state; None if there is none.

        Where another process may have trained the trial on, `epoch` is what it is known to have reached: a
        state in memory from before then is not the one.
        """
        with self._lock:
            known = self._states.get(number)
        if self.place is None or (known is not None and known.epoch >= epoch):
            return known
        data = self.place.get(number)
        return known if data is None else TrainState.from_bytes(data, f"the state of trial {number}")

    def drop(self, number: int) -> None:
        """Forget a trial that will not go on."""
        with self._lock:
            self._states.pop(number, None)
        if self.place is not None:
            self.place.drop(number)

    def keep(self, numbers: set[int]) -> None:
        """Forget all trials but these: the search is over."""
        with self._lock:
            for number in set(self._states) - numbers:
                del self._states[number]
        if self.place is not None:
            for number in self.place.numbers() - numbers:
                self.place.drop(number)


class _Overlay(StateStore):
    def __init__(self, base: StateStore) -> None:
        super().__init__()
        self._base = base

    def get(self, number: int, epoch: int = 0) -> TrainState | None:
        own = super().get(number)
        return own if own is not None else self._base.get(number, epoch)
