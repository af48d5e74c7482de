"""Explicit vector code for numba: a few operations on LLVM vectors, and loops over them.

numba turns plain loops into vector code only when LLVM can prove what we already know (no two rows alias,
unit stride). The two inner loops that decide the engine's speed, the matrix tile and the LSTM cell, are
therefore written on vectors directly. A body is an ordinary Python function on `Lanes`, whose operators emit
LLVM instructions; called with NumPy arrays instead, the same body computes the same values, which is how the
package runs with the JIT switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm_binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils

__all__ = [
    "FUSED",
    "LINE",
    "TILE_ROWS",
    "WIDTH",
    "Lanes",
    "emit_cases",
    "emit_loop",
    "load",
    "pointer",
    "prefetch",
    "shared_function",
    "spread",
    "store",
    "where",
]


def _host_features() -> dict[str, bool]:
    try:
        return dict(llvm_binding.get_host_cpu_features())
    except RuntimeError:  # LLVM does not know this processor
        return {}


_FEATURES = _host_features()

# WIDTH float32 lanes fill a vector register; a matrix tile holds TILE_ROWS x 2 accumulators, as many as the
# register file takes beside the operands (16 registers with AVX2 or SSE, 32 with AVX-512 or NEON).
if _FEATURES.get("avx512f"):
    WIDTH, TILE_ROWS = 16, 8
elif _FEATURES.get("avx2"):
    WIDTH, TILE_ROWS = 8, 6
elif _FEATURES.get("neon"):
    WIDTH, TILE_ROWS = 4, 8
else:
    WIDTH, TILE_ROWS = 4, 4

# Whether a product and the sum behind it are one instruction, with one rounding.
FUSED = bool(_FEATURES.get("fma") or _FEATURES.get("neon"))

LINE = 16  # floats in a cache line

_F32 = ir.FloatType()
_I64 = ir.IntType(64)


class Lanes:
    """A float32 vector (or scalar) value during code generation; arithmetic emits instructions."""

    __slots__ = ("builder", "value")

    # NumPy must not try to broadcast over us.
    __array_ufunc__ = None

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.value = value

    def _coerce(self, other: Any) -> ir.Value:
        if isinstance(other, Lanes):
            return other.value
        kind = self.value.type
        constant = float(np.float32(other))
        if isinstance(kind, ir.VectorType):
            return ir.Constant(kind, [constant] * kind.count)
        return ir.Constant(kind, constant)

    def _emit(self, operation: str, left: Any, right: Any) -> Lanes:
        emit = getattr(self.builder, operation)
        # `contract` lets the backend fuse a product and a sum where the processor can.
        return Lanes(self.builder, emit(self._coerce(left), self._coerce(right), flags=["contract", "nsz"]))

    def __add__(self, other: Any) -> Lanes:
        return self._emit("fadd", self, other)

    def __radd__(self, other: Any) -> Lanes:
        return self._emit("fadd", other, self)

    def __sub__(self, other: Any) -> Lanes:
        return self._emit("fsub", self, other)

    def __rsub__(self, other: Any) -> Lanes:
        return self._emit("fsub", other, self)

    def __mul__(self, other: Any) -> Lanes:
        return self._emit("fmul", self, other)

    def __rmul__(self, other: Any) -> Lanes:
        return self._emit("fmul", other, self)

    def __truediv__(self, other: Any) -> Lanes:
        return self._emit("fdiv", self, other)

    def _compare(self, sign: str, other: Any) -> Lanes:
        # Ordered comparisons: false for NaN, so `where(x < low, low, x)` keeps a NaN.
        return Lanes(self.builder, self.builder.fcmp_ordered(sign, self.value, self._coerce(other)))

    def __lt__(self, other: Any) -> Lanes:
        return self._compare("<", other)

    def __gt__(self, other: Any) -> Lanes:
        return self._compare(">", other)


def where(mask: Any, chosen: Any, otherwise: Any) -> Any:
    """`chosen` where the mask holds, else `otherwise`; for Lanes and for NumPy arrays."""
    if not isinstance(mask, Lanes):
        return np.where(mask, chosen, otherwise).astype(np.float32)
    model = chosen if isinstance(chosen, Lanes) else otherwise
    value = mask.builder.select(mask.value, model._coerce(chosen), model._coerce(otherwise))
    return Lanes(mask.builder, value)


def pointer(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, offset: ir.Value) -> ir.Value:
    """The address of element `offset` of a one-dimensional numba array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def load(builder: ir.IRBuilder, address: ir.Value, lanes: int) -> ir.Value:
    """Load `lanes` floats from an address that need not be aligned to more than a float."""
    if lanes == 1:
        return builder.load(address, typ=_F32)
    vector = ir.VectorType(_F32, lanes)
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=4, typ=vector)


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
    """Store a scalar or a vector at an address aligned to a float."""
    kind = value.type
    builder.store(value, builder.bitcast(address, kind.as_pointer()), align=4)


def spread(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    """A vector with `scalar` in each of WIDTH lanes."""
    undefined = ir.Constant(ir.VectorType(scalar.type, WIDTH), ir.Undefined)
    single = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        single, undefined, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    )


def prefetch(builder: ir.IRBuilder, address: ir.Value, level: int = 1) -> None:
    """Ask for the line at `address` in a cache of this level; an address that is nobody's does no harm."""
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(
        function, [builder.bitcast(address, byte), *(ir.Constant(flag, n) for n in (0, 4 - level, 1))]
    )


Body = Callable[..., "tuple[Any, ...]"]


def emit_loop(
    builder: ir.IRBuilder,
    count: ir.Value,
    inputs: list[tuple[ir.Value, ir.Value]],
    outputs: list[tuple[ir.Value, ir.Value]],
    body: Body,
    soon: list[tuple[ir.Value, ir.Value]] | None = None,
) -> None:
    """Run `body` over `count` vectors of WIDTH lanes.

    Each input and output is (address of its first lane, floats from one vector to the next). `body` takes one
    Lanes for each input and returns one for each output; inputs are read before outputs are written, vector
    by vector, so an output may lie on an input. What lies at `soon`, given likewise, is asked into the cache.
    """
    before = builder.block
    loop = builder.function.append_basic_block("lanes")
    after = builder.function.append_basic_block("lanes.end")
    zero = ir.Constant(_I64, 0)
    builder.cbranch(builder.icmp_signed(">", count, zero), loop, after)
    builder.position_at_end(loop)
    index = builder.phi(_I64)
    index.add_incoming(zero, before)
    values = [
        Lanes(builder, load(builder, builder.gep(base, [builder.mul(index, step)]), WIDTH))
        for base, step in inputs
    ]
    for base, step in soon or ():
        prefetch(builder, builder.gep(base, [builder.mul(index, step)]))
    for (base, step), result in zip(outputs, body(*values), strict=True):
        store(builder, result.value, builder.gep(base, [builder.mul(index, step)]))
    following = builder.add(index, ir.Constant(_I64, 1))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)


def emit_cases(builder: ir.IRBuilder, code: ir.Value, count: int, emit: Callable[[int], None]) -> None:
    """A jump table: the code that `emit(k)` emits runs where `code` is k."""
    end = builder.function.append_basic_block("cases.end")
    switch = builder.switch(code, end)
    for case in range(count):
        block = builder.function.append_basic_block("case")
        switch.add_case(ir.Constant(code.type, case), block)
        builder.position_at_end(block)
        emit(case)
        builder.branch(end)
    builder.position_at_end(end)


def shared_function(
    module: ir.Module, name: str, parameters: list[ir.Type]
) -> tuple[ir.Function, ir.IRBuilder | None]:
    """A function that stands once in the compiled program, however many kernels call it.

    Returns it and a builder for its body, or None for the builder if the module has it already.
    """
    if name in module.globals:
        return module.globals[name], None
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), parameters), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    return function, ir.IRBuilder(function.append_basic_block("entry"))
