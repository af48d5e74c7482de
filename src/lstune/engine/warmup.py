"""Compile the kernels before they are needed, and say so when that takes a while.

All compiled code hangs off one entry and the piece it calls by address, and nothing is compiled for a shape
or a setting: one tiny call is enough for good. numba keeps the machine code on disk; a marker beside it tells
a later process, before the compiler starts, whether there is anything to wait for.

numba compiles on one core. Where there is a second one, another process compiles the piece meanwhile and
leaves it in the cache.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.registry import cpu_target

from lstune.engine._jit import JIT_DISABLED, package_stamp
from lstune.engine.config import lstm_model
from lstune.engine.cores import available_cores
from lstune.engine.loop import ENTRY, LEARN, evaluate_span
from lstune.engine.network import Network
from lstune.files import DAMAGED

__all__ = ["compile_learn", "is_compiled", "prepare", "warmup"]

_KEPT = (
    "lstune: compiling the training kernels, once on this machine (10 to 25 seconds; 'lstune warmup' does it "
    "beforehand)"
)
_NOT_KEPT = (
    "lstune: compiling the training kernels (20 to 40 seconds), which cannot be kept: neither the package's "
    "folder nor a home can be written to; NUMBA_CACHE_DIR names a folder that can"
)
_DAMAGED = "lstune: compiling the training kernels again (10 to 40 seconds): the cache in {} is damaged"

_lock = threading.Lock()
_ready = False


def _marker() -> Path | None:
    """A file beside numba's cache, named after what the cached code depends on; None without a cache."""
    if not ENTRY.stats.cache_path:
        return None
    python = f"{sys.implementation.cache_tag}-numba{numba.__version__}"
    processor = repr(cpu_target.target_context.codegen().magic_tuple())  # as in the keys of numba's cache
    code = hashlib.sha256((package_stamp() + processor).encode()).hexdigest()
    return Path(ENTRY.stats.cache_path) / f"lstune-{python}-{code[:16]}.compiled"


def is_compiled() -> bool:
    """Whether the kernels are compiled in this process or stand in the cache on disk."""
    if JIT_DISABLED or _ready:
        return True
    marker = _marker()
    return marker is not None and marker.exists()


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
        cold, marker = not is_compiled(), _marker()
        if cold and announce:
            print(_KEPT if marker else _NOT_KEPT, file=sys.stderr, flush=True)
        with _rare_collections():
            with _companion() if cold and marker else contextlib.nullcontext():
                _despite_cache(ENTRY, _call_entry)
            _despite_cache(LEARN.compiled, LEARN.address)
        if cold and marker:
            with contextlib.suppress(OSError):  # a cache that cannot be written is numba's to complain about
                marker.touch()
        _ready = True


def _despite_cache(compiled: Any, compile_it: Callable[[], object]) -> None:
    """Compile, once more without what the cache holds where that is no use.

    A power cut may leave empty files in it. A full disk takes no new ones: what was compiled is then there,
    in memory.
    """
    try:
        compile_it()
    except (*DAMAGED, pickle.PickleError) as error:
        if not isinstance(error, OSError):
            print(_DAMAGED.format(compiled.stats.cache_path), file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            compiled._cache.flush()
        compile_it()


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


@contextlib.contextmanager
def _companion() -> Iterator[subprocess.Popen[bytes] | None]:
    """Another process that compiles LEARN in the meantime; None without a core for it or a Python to start.

    It fills the cache and does nothing else, so whatever becomes of it, this process can go on alone.
    """
    process = None
    # Where Python is embedded, sys.executable is another program.
    if available_cores() > 1 and "python" in Path(sys.executable or "").name.lower():
        code = f"import sys; sys.path[:] = {sys.path!r}; from lstune.engine.warmup import *; compile_learn()"
        nowhere = subprocess.DEVNULL
        with contextlib.suppress(OSError):
            process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=nowhere, stdout=nowhere, stderr=nowhere
            )
    try:
        yield process
        if process is not None:
            process.wait()
    finally:
        if process is not None:
            process.kill()
            process.wait()


def compile_learn() -> None:
    """What the companion does."""
    with _rare_collections():
        _despite_cache(LEARN.compiled, LEARN.address)


def _call_entry() -> None:
    """One window of one step."""
    network = Network(lstm_model(1, units=1), 1, 1)
    theta, rows, starts = (
        np.zeros(network.parameters, np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros(1, np.int64),
    )
    evaluate_span(
        network.workspace, network.table, network.rates, theta, rows, starts, 1, rows, starts, 0, starts, 1,
        0, 0, 1.0, np.zeros((1, 1, 1), np.float32), 0, 1, np.zeros(1, np.int64), 0.0, np.zeros(3),
    )  # fmt: skip
