"""The one decorator for compiled code, and the stamp that keeps numba's cache honest."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import config

__all__ = ["JIT_DISABLED", "kernel"]

# True under NUMBA_DISABLE_JIT=1: kernels then run as plain Python and the vector operations as NumPy.
JIT_DISABLED = bool(config.DISABLE_JIT)

# Everything that may reorder or fuse arithmetic, but neither `nnan` nor `ninf`: with those the compiler may
# delete the test that finds a diverged loss.
_FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


@functools.cache
def _package_stamp() -> str:
    """A hash of this folder's sources.

    numba invalidates a cached function when its own file changes, but not when a function that it calls
    changes in another file; stamping every cache entry with the whole folder closes that hole.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the GIL, cached on disk, with the project's one set of fast-math flags."""
    compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTMATH)(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = _package_stamp()
    return compiled
