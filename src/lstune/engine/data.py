"""Windows on rows: what the engine trains on, without one copy for each window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.errors import ConfigError, explain

__all__ = ["BATCH_TARGETS", "Windows"]

# A `target_step` that scores each output against the targets of all windows of its batch: what Keras'
# broadcasting makes of targets of shape (N,) and outputs (N, L, 1). Of use for nothing but parity.
BATCH_TARGETS = -1

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """N windows of L rows each, laid over shared rows.

    Window n reads `inputs[starts[n] : starts[n] + lookback]`. The target of its step t is
    `targets[target_starts[n] + t * target_step]`; supervision "last" scores the last step alone. A
    `target_step` of 0 scores every step against one row, as Keras does when it broadcasts a single target
    over a sequence; for BATCH_TARGETS see there.

    inputs: (R, C) float32.  starts: (N,) int64.  targets: (Q, H) float32.  target_starts: (N,) int64.
    """

    inputs: F32
    starts: I64
    lookback: int
    targets: F32
    target_starts: I64
    target_step: int = 0

    def __post_init__(self) -> None:
        for name, dtype, ndim in (
            ("inputs", np.float32, 2),
            ("targets", np.float32, 2),
            ("starts", np.int64, 1),
            ("target_starts", np.int64, 1),
        ):
            # Writable, though nobody writes: a read-only array is another type to numba, and compiled anew.
            array = np.require(getattr(self, name), dtype, ["C", "A", "W"])
            if array.ndim != ndim:
                raise ConfigError(explain(f"Windows.{name} must have {ndim} axes", array.shape))
            object.__setattr__(self, name, array)
        for name, least in (("lookback", 1), ("target_step", BATCH_TARGETS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ConfigError(explain(f"{name} must be a whole number of {least} or more", value))
            object.__setattr__(self, name, int(value))  # NumPy's are other types to numba
        if len(self.starts) != len(self.target_starts):
            raise ConfigError(
                explain(
                    "starts and target_starts must have one entry for each window",
                    f"{len(self.starts)} and {len(self.target_starts)}",
                )
            )
        self._check_bounds("starts", self.starts, self.lookback - 1, len(self.inputs))
        reach = (self.lookback - 1) * max(self.target_step, 0)
        self._check_bounds("target_starts", self.target_starts, reach, len(self.targets))

    @staticmethod
    def _check_bounds(name: str, starts: I64, reach: int, rows: int) -> None:
        # Kernels do not check indices: a window that leaves its rows must be caught here.
        if len(starts) and (starts.min() < 0 or starts.max() + reach >= rows):
            raise ConfigError(
                explain(
                    f"Every window must lie inside its rows, but {name} leaves them",
                    f"{name} from {starts.min()} to {starts.max()}, reach {reach}, rows {rows}",
                )
            )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def channels(self) -> int:
        """C, the width of an input row."""
        return self.inputs.shape[1]

    @property
    def outputs(self) -> int:
        """H, the width of a target row."""
        return self.targets.shape[1]

    @classmethod
    def from_arrays(cls, x: Any, y: Any = None) -> Windows:
        """Windows from x of shape (N, L, C) and y of shape (N,), (N, H) or (N, L, H); y may be left out.

        A y of shape (N, L, H) gives each step its own target; others give a window one target.
        """
        x = np.asarray(x, dtype=np.float32)
        if x.ndim != 3:
            raise ConfigError(explain("x must have the shape (windows, steps, channels)", x.shape))
        n, lookback, channels = x.shape
        if y is None:
            y = np.zeros((n, 1), np.float32)
        y = np.asarray(y, dtype=np.float32)
        if y.ndim == 1:
            y = y[:, None]
        if len(y) != n or y.ndim not in (2, 3) or (y.ndim == 3 and y.shape[1] != lookback):
            raise ConfigError(
                explain(
                    "y must have the shape (N,), (N, H) or (N, L, H) for x of (N, L, C)",
                    f"{x.shape}, {y.shape}",
                )
            )
        steps = lookback if y.ndim == 3 else 1
        return cls(
            inputs=x.reshape(n * lookback, channels),
            starts=np.arange(n, dtype=np.int64) * lookback,
            lookback=lookback,
            targets=y.reshape(n * steps, y.shape[-1]),
            target_starts=np.arange(n, dtype=np.int64) * steps,
            target_step=1 if y.ndim == 3 else 0,
        )

    def take(self, index: Any) -> Windows:
        """The windows at `index` (a slice, an index array or a mask), on the same rows."""
        return Windows(
            self.inputs,
            self.starts[index],
            self.lookback,
            self.targets,
            self.target_starts[index],
            self.target_step,
        )
