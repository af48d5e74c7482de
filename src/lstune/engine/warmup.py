"""Compile the kernels before they are needed, and say so when that takes a while.

All compiled code hangs off one entry, and nothing is compiled for a shape or a setting: one tiny call is
enough for good. numba keeps the machine code on disk; a marker beside it tells a later process,
before the compiler starts, whether there is anything to wait for.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np

from lstune.engine._jit import JIT_DISABLED, package_stamp
from lstune.engine.config import OptimizerConfig, lstm_model
from lstune.engine.loop import ENTRY, train_span
from lstune.engine.network import Network
from lstune.engine.optimizers import settings_vector, slot_count

__all__ = ["is_compiled", "prepare", "warmup"]

_lock = threading.Lock()
_ready = False


def _marker() -> Path:
    """A file beside numba's cache, named after what the cached code depends on."""
    python = f"{sys.implementation.cache_tag}-numba{numba.__version__}"
    return Path(ENTRY.stats.cache_path) / f"lstune-{python}-{package_stamp()[:16]}.compiled"


def is_compiled() -> bool:
    """Whether the kernels are compiled in this process or stand in the cache on disk."""
    return JIT_DISABLED or _ready or _marker().exists()


def prepare(announce: bool = True) -> None:
    """Make sure that the kernels are compiled; `announce` says so in one line on stderr if they are not yet.

    Every training and prediction calls this; after the first time in a process it costs nothing.
    """
    global _ready
    if _ready or JIT_DISABLED:
        return
    with _lock:
        if _ready:
            return
        cold = not is_compiled()
        if cold and announce:
            print(
                "lstune: compiling the training kernels, once on this machine (15 to 25 seconds; "
                "'lstune warmup' does it beforehand)",
                file=sys.stderr,
                flush=True,
            )
        with _rare_collections():
            _call_entry()
        if cold:
            with contextlib.suppress(OSError):  # a cache that cannot be written is numba's to complain about
                _marker().touch()
        _ready = True


def warmup() -> float:
    """Compile everything now; returns the seconds it took."""
    began = time.perf_counter()
    prepare(announce=False)
    return time.perf_counter() - began


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Compiling makes millions of small objects that live on: looking for garbage is a tenth of its time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(10_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _call_entry() -> None:
    """One batch of one window of one step."""
    network = Network(lstm_model(1, units=1), 1, 1)
    optimizer = OptimizerConfig()
    count = network.parameters
    theta, gradient = np.zeros(count, np.float32), np.zeros(count, np.float32)
    slots = np.zeros((slot_count(optimizer), count), np.float32)
    rows, starts = np.zeros((1, 1), np.float32), np.zeros(1, np.int64)
    train_span(
        network.workspace, network.table, network.rates, network.segments, theta, gradient, slots,
        settings_vector(optimizer), rows, starts, 1, rows, starts, 0, starts, 1, 0, 0, 1.0, 0.0,
        np.uint64(0), 0, 0, 1, np.zeros(1, np.int64), 0.0, np.zeros(3),
    )  # fmt: skip
