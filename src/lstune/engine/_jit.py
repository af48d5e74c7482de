"""The decorators for compiled code, and the stamp that keeps numba's cache honest."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils, sigutils
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic

from lstune.engine.simd import TILE_ROWS, WIDTH

__all__ = ["JIT_DISABLED", "Apart", "entry", "kernel", "package_stamp"]

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
    """A hash of this folder's sources, and of how wide its vectors are on this processor.

    numba invalidates a cached function when its own file changes, but not when a function that it calls
    changes in another file; stamping every cache entry with the whole folder closes that hole. The width
    decides how memory is laid out: where NUMBA_CPU_NAME gives unlike processors one cache, code for wider
    vectors would write beyond its end.
    """
    digest = hashlib.sha256(f"{WIDTH} {TILE_ROWS}".encode())
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
    """Compile a kernel that Python calls: without the GIL, and cached on disk with all that it calls.

    Not cached where there is no folder to write to: neither that of the package, nor a home.
    """
    if JIT_DISABLED:
        return _ignore_overflow(function)
    compiled = numba.njit(nogil=True, error_model="numpy", fastmath=_FASTMATH)(function)
    with contextlib.suppress(RuntimeError):  # "no locator available for file"
        compiled.enable_caching()
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = package_stamp()
    return compiled


class Apart:
    """A kernel with machine code and a cache file of its own, which other kernels call by its address.

    What is linked together is compiled in one piece, on one core; what stands apart can be compiled by
    another process meanwhile. `signature` is numba's text for the types. A kernel calls `call(address,
    *arguments)`; it cannot look the address up itself, since it may come from the cache of another process.
    """

    def __init__(self, function: Callable[..., int], signature: str) -> None:
        self.compiled = compiled = entry(function)
        self._address = 0
        if JIT_DISABLED:
            self.call: Any = lambda address, *arguments: compiled(*arguments)
            return
        kinds, result = sigutils.normalize_signature(signature)
        self._signature = result(*kinds)

        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            address, packed = values
            given = cgutils.unpack_tuple(builder, packed)
            kind = ir.FunctionType(context.get_value_type(result), [value.type for value in given])
            return builder.call(builder.inttoptr(address, kind.as_pointer()), given)

        @intrinsic
        def call(typing_context: Any, address: Any, *arguments: Any) -> Any:
            if arguments != kinds:
                raise TypeError(f"{function.__name__} takes {kinds}; got {arguments}")
            return result(types.int64, types.StarArgTuple(arguments)), generate

        self.call = call

    def address(self) -> int:
        """Where its machine code begins; it is compiled, or read from the cache, when first asked for."""
        if not self._address and not JIT_DISABLED:
            self.compiled.compile(self._signature)
            result = self.compiled.get_compile_result(self._signature)
            self._address = result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)
        return self._address
