"""The decorators for compiled code, and the stamp that keeps numba's cache honest."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import config
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

__all__ = ["JIT_DISABLED", "entry", "kernel", "package_stamp"]

# True under NUMBA_DISABLE_JIT=1: kernels then run as plain Python and the vector operations as NumPy.
JIT_DISABLED = bool(config.DISABLE_JIT)

# Everything that may reorder or fuse arithmetic, but neither `nnan` nor `ninf`: with those the compiler may
# delete the test that finds a diverged loss.
_FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerWithoutMachineCode(NativeLowering):
    """Lower to LLVM and stop: the caller that links the function makes machine code of it."""

    _name = "lstune_lower_without_machine_code"

    def run_pass(self, state: Any) -> bool:
        state.flags.no_compile = True
        super().run_pass(state)
        # A library is optimized and assembled when it is first linked to; leave that to the library of the
        # entry. (Were numba to rename these two, compiling would take longer and nothing else.)
        library = state.library
        library._optimize_final_module = lambda: None
        library._finalize_final_module = lambda: setattr(library, "_finalized", True)
        # Callers find the function by a key, for which numba otherwise takes its machine code; it must be a
        # built-in function, unlike any other. Python cannot call a kernel, only an entry.
        key: Any = [].append
        state.targetctx.insert_user_function(key, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=key)
        return True


class _KernelCompiler(CompilerBase):
    """numba's own pipeline, but no machine code.

    By default numba optimizes and assembles every function once for itself and once more in each function
    that calls it: with five levels of calls that is two thirds of a cold compilation.
    """

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_LowerWithoutMachineCode, NativeLowering)
        passes.passes = [entry for entry in passes.passes if entry[0] is not NativeLowering]
        passes.finalize()
        return [passes]


@functools.cache
def package_stamp() -> str:
    """A hash of this folder's sources.

    numba invalidates a cached function when its own file changes, but not when a function that it calls
    changes in another file; stamping every cache entry with the whole folder closes that hole.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _ignore_overflow(function: Callable[..., Any]) -> Callable[..., Any]:
    """Plain Python warns where hashing wraps around or a diverging loss overflows; kernels do not."""

    @functools.wraps(function)
    def quiet(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return quiet


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that only other kernels call, with the project's one set of fast-math flags."""
    if JIT_DISABLED:
        return _ignore_overflow(function)
    return numba.njit(
        nogil=True,
        error_model="numpy",
        fastmath=_FASTMATH,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_KernelCompiler,
    )(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a kernel that Python calls: without the GIL, and cached on disk with all that it calls."""
    if JIT_DISABLED:
        return _ignore_overflow(function)
    compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTMATH)(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = package_stamp()
    return compiled
