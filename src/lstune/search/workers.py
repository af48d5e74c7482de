"""Which processes work on a shared study: heartbeats in its storage.

Clocks of different machines are never compared. A worker counts its own beats up; who watches notes when, on
its own clock, the count last changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstune.search.storage import Store

__all__ = ["Workers"]


class Workers:
    """The workers of the study in `store`, seen by the one called `name`.

    interval: seconds between two beats.  lease: seconds of silence after which a worker counts as dead; far
    more than a pause of the network or the disk takes.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        interval: float = 10.0,
        lease: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.interval = interval
        self.lease = lease
        self._store = store
        self._clock = clock
        self._count = 0
        self._next_beat = -float("inf")
        self._next_look = -float("inf")
        self._seen: dict[str, tuple[int, float]] = {}
        self._ended: set[str] = set()

    def beat(self) -> None:
        """Say that this worker lives; does nothing until the next beat is due."""
        if self._clock() < self._next_beat:
            return
        self._next_beat = self._clock() + self.interval
        if self._count == 0:  # back under the same name: the count must go on, not begin again
            self._count = self._store.read_notes().get(self.name, {}).get("beats", 0)
        self._count += 1
        self._store.write_note(self.name, {"beats": self._count, "ended": False})

    def end(self) -> None:
        """Say that this worker stops, so that others need not wait for its silence."""
        self._count += 1
        self._store.write_note(self.name, {"beats": self._count, "ended": True})

    def gone(self, name: str | None) -> bool:
        """Whether the worker `name` has ended or been silent too long; True for one that never beat."""
        if name == self.name:
            return False
        self._look()
        if name is None or name in self._ended or name not in self._seen:
            return True
        return self._clock() - self._seen[name][1] > self.lease

    def others(self) -> list[str]:
        """The workers alive besides this one."""
        self._look()
        return sorted(name for name in self._seen if name != self.name and not self.gone(name))

    def _look(self) -> None:
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + min(1.0, self.interval)
        notes = self._store.read_notes()
        self._ended = {name for name, note in notes.items() if note["ended"]}
        for name, note in notes.items():
            if self._seen.get(name, (-1, 0.0))[0] != note["beats"]:
                self._seen[name] = note["beats"], now
