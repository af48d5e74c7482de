"""Dropout's random multipliers, from a counter: no state to save, the same for the same key everywhere.

A value depends on its key and its place alone, so training can go on at any batch, and the backward pass
draws a mask again instead of keeping it. The hash is a 32-bit finalizer (Wellons' lowbias32), applied twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lstune.engine._jit import JIT_DISABLED, kernel
from lstune.engine.simd import WIDTH, pointer, shared_function, spread, store

__all__ = ["dropout_multipliers", "mix"]

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_LANES = ir.VectorType(_I32, WIDTH)
_FACTORS = (0x7FEB352D, 0x846CA68B)


@kernel
def mix(key, word):
    """A 64-bit key for a part of a stream (the finalizer of SplitMix64; Steele et al. 2014)."""
    z = np.uint64(key) + (np.uint64(word) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _hash(x):
    x = np.uint32((x ^ np.uint32(x >> np.uint32(16))) * np.uint32(_FACTORS[0]))
    x = np.uint32((x ^ np.uint32(x >> np.uint32(15))) * np.uint32(_FACTORS[1]))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


def _everywhere(value: int) -> ir.Constant:
    return ir.Constant(_LANES, [value] * WIDTH)


def _emit_hash(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    for shift, factor in zip((16, 15), _FACTORS, strict=True):
        x = builder.mul(builder.xor(x, builder.lshr(x, _everywhere(shift))), _everywhere(factor))
    return builder.xor(x, builder.lshr(x, _everywhere(16)))


def _emit_draw(module: ir.Module) -> ir.Function:
    """`_hash` on WIDTH places at once; LLVM does not find that by itself in the loop over single places."""
    floats = ir.FloatType().as_pointer()
    function, builder = shared_function(
        module, "lstune_dropout", [floats, _I64, _I32, _I32, _I32, ir.FloatType()]
    )
    if builder is None:
        return function
    out, count, low, high, limit, scale = function.args
    keys = [spread(builder, word) for word in (low, high, limit)]
    kept = spread(builder, scale)
    dropped = ir.Constant(kept.type, [0.0] * WIDTH)
    before = builder.block
    loop, after = (builder.append_basic_block(name) for name in ("draw", "draw.end"))
    builder.cbranch(builder.icmp_signed(">", count, ir.Constant(_I64, 0)), loop, after)
    builder.position_at_end(loop)
    index, places = builder.phi(_I64), builder.phi(_LANES)
    x = _emit_hash(builder, builder.xor(places, keys[0]))
    x = _emit_hash(builder, builder.add(x, keys[1]))
    value = builder.select(builder.icmp_unsigned(">=", x, keys[2]), kept, dropped)
    store(builder, value, builder.gep(out, [builder.mul(index, ir.Constant(_I64, WIDTH))]))
    following = builder.add(index, ir.Constant(_I64, 1))
    index.add_incoming(ir.Constant(_I64, 0), before)
    index.add_incoming(following, loop)
    places.add_incoming(ir.Constant(_LANES, list(range(WIDTH))), before)
    places.add_incoming(builder.add(places, _everywhere(WIDTH)), loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    builder.ret_void()
    return function


@intrinsic
def _draw_ir(typing_context, out, vectors, low, high, limit, scale):
    signature = types.void(out, types.int64, types.uint32, types.uint32, types.uint32, types.float32)

    def generate(context, builder, sig, arguments):
        array, *rest = arguments
        address = pointer(context, builder, sig.args[0], array, ir.Constant(_I64, 0))
        builder.call(_emit_draw(builder.module), [address, *rest])
        return context.get_dummy_value()

    return signature, generate


def _draw_python(out, vectors, low, high, limit, scale):
    x = _hash(np.arange(vectors * WIDTH, dtype=np.uint32) ^ low)
    x = _hash(x + high)
    out[: vectors * WIDTH] = np.where(x >= limit, scale, np.float32(0.0))


_draw: Any = _draw_python if JIT_DISABLED else _draw_ir


@kernel
def dropout_multipliers(out, rate, key):
    """Fill `out` (n,) with 0 at `rate`, else 1 / (1 - rate)."""
    low, high = np.uint32(key & np.uint64(0xFFFFFFFF)), np.uint32(key >> np.uint64(32))
    limit = np.uint32(min(rate * 4294967296.0, 4294967295.0))
    scale = np.float32(1.0 / (1.0 - rate))
    vectors = len(out) // WIDTH
    _draw(out, vectors, low, high, limit, scale)
    for i in range(vectors * WIDTH, len(out)):
        x = _hash(np.uint32(np.uint32(i) ^ low))
        x = _hash(np.uint32(x + high))
        out[i] = scale if x >= limit else np.float32(0.0)
