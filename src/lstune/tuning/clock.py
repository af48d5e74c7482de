"""Durations as people write them, and the wall-clock budget of a run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lstune.errors import UserError, explain

__all__ = ["Budget", "Every", "format_seconds", "parse_duration"]

_LONGEST = 1e300  # seconds; a whole number may be larger than any float
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: Any, what: str = "A budget") -> float:
    """Seconds of "60s", "10m", "2h", "1h30m", "90" or a number. Raises UserError for anything else."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        seconds = float(text) if text < _LONGEST else float("inf")
    else:
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(text).strip().lower())
        left = re.sub(r"(\d+(?:\.\d+)?)\s*([smhd]?)|\s", "", str(text).strip().lower())
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if parts and not left else -1.0
    if not 0.0 < seconds < float("inf"):
        raise UserError(explain(f"{what} is a time above zero such as 60s, 10m or 2h", text))
    return seconds


def format_seconds(seconds: float) -> str:
    """A duration in the two largest units: "48 s", "3 min 05 s", "2 h 10 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass(frozen=True)
class Budget:
    """`seconds` from `started` (on `clock`) to the written result; None never ends."""

    seconds: float | None
    started: float
    clock: Callable[[], float] = time.monotonic

    def spent(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def left(self) -> float:
        """Seconds until the end; infinite without a limit."""
        return float("inf") if self.seconds is None else self.seconds - self.spent()

    def deadline(self, keep: float = 0.0) -> float | None:
        """The clock's time at which `keep` seconds are left; None without a limit."""
        return None if self.seconds is None else self.started + self.seconds - keep


class Every:
    """Called as often as you like, it says yes once in `seconds`, the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        """Whether it is time again."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return False
            self._next = now + self._seconds
            return True
